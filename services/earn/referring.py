"""How a referral is registered, rewarded, refused and taken back: pure decisions.

A friend's first purchase of at least the minimum, within so many days of the registration, rewards both sides once.
Everything about it is decided under the locks of both members, so both are rewarded or neither is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from services.earn.earning import available_at_word, balance_of
from services.earn.orders import Order
from shared.contracts.points import PointsEarned, PointsReversed, ReferralChanged
from shared.contracts.referrals import ReferralRegistered
from shared.instants import BEGINNING, NEVER, iso, microseconds
from shared.ledger.book import Book
from shared.ledger.model import FRIEND_RULE, REFERRER_RULE, Account, Cause, Terms
from shared.ledger.reversal import ClawbackRequest, claw_back
from shared.program.compiled.calendar import start_of_day
from shared.program.compiled.program import Program
from shared.program.compiled.rating_context import UNKNOWN_MEMBER, Member

#: The names of the two rewards where events name rules.
RULES = {REFERRER_RULE: "referral-referrer", FRIEND_RULE: "referral-friend"}


@dataclass(slots=True)
class Referral:
    """A registered referral and what became of it.

    Attributes:
        reason: Why it was refused or taken back; empty otherwise.
        minimum: Minor units that the friend's purchase must have had, once qualified.
        program_version: The version that rewarded it; 0 before.
        referrer_lot: Where the reward went: its terms may depend on what was told of the member since.
    """

    key: bytes
    content_hash: bytes
    source: str
    referral_id: str
    referrer: str
    friend: str
    registered_at: int
    state: str = "open"
    reason: str = ""
    order_key: bytes | None = None
    order_id: str = ""
    order_source: str = ""
    qualified_at: int | None = None
    minimum: int = 0
    program_version: int = 0
    referrer_points: int = 0
    friend_points: int = 0
    referrer_lot: int = 0
    friend_lot: int = 0


Events = list[PointsEarned | PointsReversed | ReferralChanged]


def register(
    event: ReferralRegistered,
    *,
    source: str,
    key: bytes,
    content_hash: bytes,
    occurred_at: int,
    program: Program | None,
    referred: bool,
    bought: Sequence[Order],
    referrer_of: Mapping[str, str],
) -> Referral:
    """Accept or refuse a registration.

    Args:
        event: The registration.
        source: The source of its envelope.
        key: Its business key.
        content_hash: Of its content.
        occurred_at: Its instant.
        program: The version in force then, if there was one.
        referred: Whether the friend has a referral that was not refused.
        bought: The friend's orders.
        referrer_of: Who brought whom; complete for everybody above the referrer.
    """
    referral = Referral(key, content_hash, source, event.referral_id, event.referrer_id, event.member_id, occurred_at)
    reason = ""
    if program is None or program.referral is None:
        reason = "no-referral-program"
    elif event.referrer_id == event.member_id or not set(event.referrer_fingerprints).isdisjoint(
        event.friend_fingerprints
    ):
        reason = "oneself"
    elif referred:
        reason = "already-referred"
    elif any(order.occurred_at < occurred_at for order in bought):
        reason = "has-bought-before"
    elif _leads_to(event.member_id, event.referrer_id, referrer_of):
        reason = "cycle"
    if reason:
        referral.state, referral.reason = "refused", reason
    return referral


def _leads_to(friend: str, referrer: str, referrer_of: Mapping[str, str]) -> bool:
    """Return whether the friend stands above the referrer already; cycles cannot exist, so this ends."""
    above: str | None = referrer
    while above is not None:
        if above == friend:
            return True
        above = referrer_of.get(above)
    return False


def judge(
    referral: Referral, order: Order, *, program: Program, rewarded: Sequence[int], book: Book,
    members: Mapping[str, Member],
) -> Events:  # fmt: skip
    """Decide what an order of the friend's means for an open referral, and post the rewards.

    Args:
        referral: Open; changed in place.
        order: The friend's.
        program: The version in force when the order happened.
        rewarded: Instants of the referrer's rewarded referrals.
        book: The accounts of both.
        members: What was told of both, if anything asks.
    """
    terms = program.referral
    if terms is None:
        return []
    if order.occurred_at < referral.registered_at:
        return _refuse(referral, order, program, "has-bought-before")
    if order.occurred_at >= open_until(referral.registered_at, program) or order.qualifying < terms.minimum:
        return []
    month = _month(program, order.occurred_at)
    if sum(_month(program, instant) == month for instant in rewarded) >= terms.at_most_a_month:
        return _refuse(referral, order, program, "over-the-referrers-cap")
    return _reward(referral, order, program, book, members)


def open_until(registered_at: int, program: Program) -> int:
    """Return the first instant at which a purchase comes too late for a referral, by a program that has some."""
    assert program.referral is not None, "a program with referrals"
    day = program.day_at(registered_at)
    return microseconds(start_of_day(day + timedelta(days=program.referral.within_days + 1), program.zone))


def _month(program: Program, instant: int) -> tuple[int, int]:
    day = program.day_at(instant)
    return day.year, day.month


def _refuse(referral: Referral, order: Order, program: Program, reason: str) -> Events:
    referral.state, referral.reason = "refused", reason
    referral.order_key, referral.order_id, referral.order_source = order.key, order.order_id, order.source
    return [changed(referral, program.program_id, order.occurred_at)]


def _reward(
    referral: Referral, order: Order, program: Program, book: Book, members: Mapping[str, Member]
) -> Events:  # fmt: skip
    terms = program.referral
    assert terms is not None, "judged by the caller"
    referral.state, referral.qualified_at = "qualified", order.occurred_at
    referral.order_key, referral.order_id, referral.order_source = order.key, order.order_id, order.source
    referral.minimum, referral.program_version = terms.minimum, program.version
    referral.referrer_points, referral.friend_points = terms.referrer[1], terms.friend[1]
    events: Events = []
    for member, (wallet, points), rule in (
        (referral.referrer, terms.referrer, REFERRER_RULE),
        (referral.friend, terms.friend, FRIEND_RULE),
    ):
        account = book.accounts[member, wallet]
        book.advance_to(account, order.occurred_at)
        lot_terms = _terms(program, wallet, order.occurred_at, members.get(member, UNKNOWN_MEMBER))
        cause = Cause(referral.key, program.version, rule)
        repaid = book.earn(account, points, terms=lot_terms, cause=cause, event_at=order.occurred_at)
        if rule == REFERRER_RULE:
            referral.referrer_lot = lot_terms.lot_id()
        else:
            referral.friend_lot = lot_terms.lot_id()
        events.append(_earned(program, account, referral, lot_terms, points, rule, repaid))
    return [*events, changed(referral, program.program_id, order.occurred_at)]


def _terms(program: Program, wallet: str, occurred_at: int, member: Member) -> Terms:
    """Return the terms of a reward: those of an order of that day; it waits for no fulfilment of its own."""
    day = program.day_at(occurred_at)
    lifetime = program.lifetimes[wallet]
    available_at, expires_at = lifetime.of(day, member.joined_on)
    return Terms(BEGINNING if available_at == NEVER else available_at, expires_at, idle=lifetime.idle)


def take_back(
    referral: Referral, order: Order, *, return_id: str, key: bytes, occurred_at: int, program: Program, book: Book,
) -> Events:  # fmt: skip
    """Take both rewards back if a return left less of the order than the minimum.

    Args:
        referral: Qualified by the order; changed in place.
        order: With the return counted.
        return_id: The return's id.
        key: Its business key.
        occurred_at: Its instant.
        program: The version that rewarded the referral.
        book: The accounts of both, with all their lots.
    """
    terms = program.referral
    if terms is None or order.qualifying >= referral.minimum:
        return []
    referral.state, referral.reason = "reversed", "the-purchase-was-returned"
    events: Events = []
    for member, (wallet, points), rule, lot in (
        (referral.referrer, terms.referrer, REFERRER_RULE, referral.referrer_lot),
        (referral.friend, terms.friend, FRIEND_RULE, referral.friend_lot),
    ):
        account = book.accounts[member, wallet]
        book.advance_to(account, occurred_at)
        want = ClawbackRequest(Cause(key, program.version, rule), lot, points)
        taken = claw_back(
            book, account, [want], policy=program.terms[wallet].on_return, event_at=occurred_at, qualifying=0
        )
        events.append({
            "member_id": member, "program_id": program.program_id, "wallet": wallet, "account": account.account,
            "version": account.version, "operation": "reverse", "points": points, "taken": taken.taken,
            "owed": taken.owed, "waived": taken.waived, "withheld": taken.withheld, "return_id": return_id,
            "order_id": order.order_id, "order_source": order.source, "referral_id": referral.referral_id,
            "occurred_at": iso(occurred_at),
            "awards": [{"rule": RULES[rule], "points": points, "lot_id": str(lot)}],
            "balance": balance_of(account),
        })  # fmt: skip
    return [*events, changed(referral, program.program_id, occurred_at)]


def _earned(
    program: Program, account: Account, referral: Referral, terms: Terms, points: int, rule: int, repaid: int
) -> PointsEarned:
    return {
        "member_id": account.member,
        "program_id": program.program_id,
        "program_version": program.version,
        "wallet": account.wallet,
        "account": account.account,
        "version": account.version,
        "operation": "earn-pending" if terms.available_at > account.as_of else "earn",
        "points": points,
        "order_id": referral.order_id,
        "order_source": referral.order_source,
        "referral_id": referral.referral_id,
        "occurred_at": iso(referral.qualified_at or 0),
        "available_at": available_at_word(terms),
        "expires_at": None if terms.expires_at == NEVER else iso(terms.expires_at),
        "awards": [{"rule": RULES[rule], "points": points, "lot_id": str(terms.lot_id())}],
        "repaid": repaid,
        "balance": balance_of(account),
    }


def changed(referral: Referral, program_id: str, occurred_at: int) -> ReferralChanged:
    """Return the event about what became of a referral; it is the friend's."""
    rewarded = referral.state in {"qualified", "reversed"}
    return {
        "member_id": referral.friend,
        "program_id": program_id,
        "referral_id": referral.referral_id,
        "referral_source": referral.source,
        "referrer_id": referral.referrer,
        "state": referral.state,  # type: ignore[typeddict-item]  # an open one is announced to nobody
        "reason": referral.reason or None,
        "order_id": referral.order_id or None,
        "order_source": referral.order_source or None,
        "referrer_points": referral.referrer_points if rewarded else 0,
        "friend_points": referral.friend_points if rewarded else 0,
        "occurred_at": iso(occurred_at),
    }
