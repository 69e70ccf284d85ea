"""How a referral is rewarded, refused and reversed: pure decisions.

A friend's first purchase of at least the minimum, within so many days of the registration, rewards both sides once.
Everything about it is decided under the locks of both members, so both are rewarded or neither is.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from services.earn.orders import Order
from services.earn.state import Batch, Referral
from shared.contracts import points
from shared.contracts.points import PointsEarned, PointsReversed
from shared.instants import iso, microseconds
from shared.ledger.model import FRIEND_RULE, REFERRER_RULE, Cause, Terms
from shared.ledger.reversal import ClawbackRequest, claw_back
from shared.posting.events import OrderName, award_of, points_earned, points_reversed, referral_changed
from shared.program.compiled.calendar import start_of_day
from shared.program.compiled.program import Program
from shared.program.compiled.program import Referral as ReferralTerms
from shared.program.compiled.rating_context import UNKNOWN_MEMBER, Member
from shared.runtime.records import Received

#: The names of the two rewards where events name rules.
RULES = {REFERRER_RULE: "referral-referrer", FRIEND_RULE: "referral-friend"}
_TYPES = {
    "qualified": points.REFERRAL_QUALIFIED,
    "refused": points.REFERRAL_REFUSED,
    "reversed": points.REFERRAL_REVERSED,
}


def judge_if_open(batch: Batch, order: Order, program: Program) -> None:
    """Decide what a friend's order means for their referral, if it is open, and post the rewards.

    Args:
        batch: With the accounts of both.
        order: The friend's.
        program: The version in force when the order happened.
    """
    referral, terms = batch.state.referrals.get(order.member), program.referral
    if referral is None or referral.state != "open":
        return
    rewarded = batch.state.rewarded.setdefault(referral.referrer, [])
    if terms is None:
        return
    if order.occurred_at < referral.registered_at:
        _refuse(batch, referral, order, program, "has-bought-before")
    elif order.occurred_at >= open_until(referral.registered_at, program) or order.qualifying < terms.minimum:
        return
    elif _is_full(program, terms, rewarded, order.occurred_at):
        _refuse(batch, referral, order, program, "over-the-referrers-cap")
    else:
        _reward(batch, referral, order, program, terms)
        rewarded.append(order.occurred_at)


def open_until(registered_at: int, program: Program) -> int:
    """Return the first instant at which a purchase comes too late for a referral, by a program that has some."""
    assert program.referral is not None, "a program with referrals"
    day = program.day_at(registered_at)
    return microseconds(start_of_day(day + timedelta(days=program.referral.within_days + 1), program.zone))


def _is_full(program: Program, terms: ReferralTerms, rewarded: Sequence[int], instant: int) -> bool:
    """Return whether the referrer was rewarded in that month as often as the program allows."""
    month = _month(program, instant)
    return sum(_month(program, one) == month for one in rewarded) >= terms.at_most_a_month


def _month(program: Program, instant: int) -> tuple[int, int]:
    day = program.day_at(instant)
    return day.year, day.month


def _refuse(batch: Batch, referral: Referral, order: Order, program: Program, reason: str) -> None:
    referral.state, referral.reason = "refused", reason
    _name_order(referral, order)
    batch.state.referrals.pop(referral.friend, None)
    batch.state.referrer_of.pop(referral.friend, None)
    batch.announce_timed_effects()
    batch.effects.changed[referral.key] = referral
    announce(batch, referral, program, order.occurred_at)


def _reward(batch: Batch, referral: Referral, order: Order, program: Program, terms: ReferralTerms) -> None:
    referral.state, referral.qualified_at = "qualified", order.occurred_at
    _name_order(referral, order)
    referral.minimum, referral.program_version = terms.minimum, program.version
    referral.referrer_points, referral.friend_points = terms.referrer[1], terms.friend[1]
    # Both are posted before either is announced: what time did to their accounts meanwhile is told first.
    to_referrer, referral.referrer_lot = _earn(batch, referral, program, referral.referrer, REFERRER_RULE)
    to_friend, referral.friend_lot = _earn(batch, referral, program, referral.friend, FRIEND_RULE)
    batch.announce_timed_effects()
    batch.effects.changed[referral.key] = referral
    for earned in (to_referrer, to_friend):
        member, wallet = earned["member_id"], earned["wallet"]
        batch.send(points.EARNED, f"earned-{referral.key.hex()}-{member}", member, earned)
        batch.effects.issued[wallet, earned["awards"][0]["rule"]] += earned["points"]
        batch.expire_overdue(member)
    announce(batch, referral, program, order.occurred_at)


def _earn(batch: Batch, referral: Referral, program: Program, member: str, rule: int) -> tuple[PointsEarned, int]:
    """Post one of the two rewards; return its event and its lot."""
    assert program.referral is not None, "a program with referrals"
    assert referral.qualified_at is not None, "qualified by the caller"
    wallet, number = program.referral.referrer if rule == REFERRER_RULE else program.referral.friend
    account, occurred_at = batch.book.accounts[member, wallet], referral.qualified_at
    batch.book.advance_to(account, occurred_at)
    terms = _terms(program, wallet, occurred_at, batch.state.members.get(member, UNKNOWN_MEMBER))
    cause = Cause(referral.key, program.version, rule)
    repaid = batch.book.earn(account, number, terms=terms, cause=cause, event_at=occurred_at)
    awards = [award_of(RULES[rule], number, terms.lot_id())]
    earned = points_earned(
        program, account, _name_of(referral), awards, terms, repaid=repaid, occurred_at=iso(occurred_at)
    )
    return earned, terms.lot_id()


def _terms(program: Program, wallet: str, occurred_at: int, member: Member) -> Terms:
    """Return the terms of a reward: those of an order of that day; it waits for no fulfilment of its own."""
    day = program.day_at(occurred_at)
    lifetime = program.lifetimes[wallet]
    lifespan = (lifetime.at_once if lifetime.waits else lifetime.of)(day, member.joined_on)
    return Terms(lifespan.available_at, lifespan.expires_at, idle=lifetime.idle)


def reverse_if_undermined(batch: Batch, order: Order, return_id: str, received: Received) -> None:
    """Take both rewards back where too little is left of the order that earned them.

    Args:
        batch: With the accounts of both, and all their lots.
        order: With what came back counted.
        return_id: Of what took it back.
        received: Its event.
    """
    referral = batch.state.referrals.get(order.member)
    if referral is None or referral.state != "qualified" or referral.order_key != order.key:
        return
    program = batch.versions[referral.program_version]
    if program.referral is None or order.qualifying >= referral.minimum:
        return
    referral.state, referral.reason = "reversed", "the-purchase-was-returned"
    taken = [
        _reverse(batch, referral, order, program, return_id, received, rule) for rule in (REFERRER_RULE, FRIEND_RULE)
    ]
    batch.announce_timed_effects()
    batch.effects.changed[referral.key] = referral
    for event in taken:
        member = event["member_id"]
        batch.send(points.REVERSED, f"reversed-{referral.key.hex()}-{member}", member, event)
        batch.effects.reversed[event["wallet"], "referral"] += event["points"]
    announce(batch, referral, program, received.occurred_at)


def _reverse(
    batch: Batch, referral: Referral, order: Order, program: Program, return_id: str, received: Received, rule: int
) -> PointsReversed:
    """Post the reversal of one of the two rewards, and return its event."""
    assert program.referral is not None, "a program with referrals"
    if rule == REFERRER_RULE:
        member, lot, (wallet, number) = referral.referrer, referral.referrer_lot, program.referral.referrer
    else:
        member, lot, (wallet, number) = referral.friend, referral.friend_lot, program.referral.friend
    account, occurred_at = batch.book.accounts[member, wallet], received.occurred_at
    batch.book.advance_to(account, occurred_at)
    want = ClawbackRequest(Cause(received.key, program.version, rule), (lot,), number)
    taken = claw_back(
        batch.book,
        account,
        [want],
        own=(lot,),
        policy=program.terms[wallet].on_return,
        event_at=occurred_at,
        qualifying=0,
    )
    name = order.name._replace(referral_id=referral.referral_id)
    awards = [award_of(RULES[rule], number, lot)]
    return points_reversed(program, account, name, awards, taken, return_id=return_id, occurred_at=occurred_at)


def _name_order(referral: Referral, order: Order) -> None:
    referral.order_key, referral.order_id, referral.order_source = order.key, order.order_id, order.source


def _name_of(referral: Referral) -> OrderName:
    return OrderName(referral.order_id, referral.order_source, referral.referral_id)


def announce(batch: Batch, referral: Referral, program: Program, occurred_at: int) -> None:
    """Publish what became of a referral."""
    rewarded = referral.state in {"qualified", "reversed"}
    data = referral_changed(
        program.program_id,
        referral.friend,
        referral.referrer,
        _name_of(referral),
        source=referral.source,
        state=referral.state,  # type: ignore[arg-type]  # an open one is announced to nobody
        reason=referral.reason,
        referrer_points=referral.referrer_points if rewarded else 0,
        friend_points=referral.friend_points if rewarded else 0,
        occurred_at=occurred_at,
    )
    event_id = f"referral-{referral.state}-{referral.key.hex()}"
    batch.send(_TYPES[referral.state], event_id, referral.friend, data)
