"""How one purchase changes the ledger: rated, posted and announced; then what depends on the order is decided. Pure."""

from __future__ import annotations

import pydantic_core

from services.earn import parking, referrals, tallies
from services.earn.orders import Kept, Line, Order, Paid, Refused, other_currency, too_many_points
from services.earn.rating.awards import Award, Rating
from services.earn.rating.engine import rate
from services.earn.rows import OrderRow
from services.earn.state import Batch
from services.earn.terms import terms_of
from shared.contracts import points
from shared.contracts.points import Award as AwardEvent
from shared.contracts.points import PointsEarned, SpendQualified
from shared.contracts.purchases import PurchaseCompleted
from shared.ledger.model import NO_RULE, Cause, Terms
from shared.ledger.operations import Operation
from shared.posting.events import award_of, points_earned, spend_qualified
from shared.program.compiled.program import Program, in_force
from shared.program.compiled.rating_context import UNKNOWN_MEMBER, MemberContext
from shared.program.compiled.tallies import PURCHASES, Count, Key, never_counted, noting
from shared.runtime.records import Received


def decide(batch: Batch, received: Received) -> Refused | None:
    """Rate a purchase that was not seen before and post what it earns; or say why it must not change the ledger."""
    purchase: PurchaseCompleted = received.event
    program = in_force(batch.state.programs, received.occurred_at)
    verdicts = None if batch.effects.verdicts is None else batch.effects.verdicts_of(received.key)
    if program is None:
        return _no_program(purchase)
    refused = other_currency(program, purchase.currency)
    if refused is not None:
        return refused
    known, kept = _known(batch, program, received)
    selected = batch.state.selected
    rules = selected.get((received.key, received.content_hash, received.occurred_at)) if selected else None
    rating = rate(program, purchase, known, verdicts, rules)
    refused = too_many_points(rating)
    if refused is not None:
        return refused
    lines = [
        Line(line.line_id, line.quantity, line.amount, qualifying)
        for line, qualifying in zip(purchase.lines, rating.qualifying, strict=True)
    ]
    order = Order(
        received.key,
        received.source,
        purchase.order_id,
        purchase.member_id,
        received.occurred_at,
        program.version,
        lines,
        [],
        kept,
    )
    events, qualified = _post(batch, program, purchase, rating, order)
    batch.announce_timed_effects()
    _keep(batch, received, order, rating)
    for event in events:
        batch.send(points.EARNED, f"earned-{order.key.hex()}-{event['wallet']}", order.member, event)
    if qualified is not None:
        batch.send(points.QUALIFIED, f"qualified-{order.key.hex()}", order.member, qualified)
    batch.expire_overdue(order.member)
    _decide_what_depends(batch, program, order)
    return None


def _no_program(purchase: PurchaseCompleted) -> Refused:
    return Refused(
        "no-program",
        f"no version of the program was in force on {purchase.occurred_at.isoformat()}; "
        "check the purchase's time, or publish a version that covers it, then replay",
    )


def _known(batch: Batch, program: Program, received: Received) -> tuple[MemberContext, Kept]:
    """Return what is known beside the purchase, and what of it is kept: filled while the rating asks."""
    state, book = batch.state, program.book
    member_id: str = received.event.member_id
    tier = 0
    if program.ladder is not None and program.needs_tier:
        account = state.accounts[member_id, program.ladder.wallet]
        tier = batch.tiers.number_at(account, program.ladder, received.occurred_at)
    member = state.members.get(member_id, UNKNOWN_MEMBER)
    kept = Kept(tier)
    count: Count = never_counted
    if book.counts:
        noted: dict[Key, int] = {}
        count = noting(tallies.count_of(state, member_id), noted)
        if book.counts_purchases:
            count(PURCHASES)  # an amendment may make a rule apply that does not look at it now
        kept = kept._replace(counts=noted)
    if book.member_fields is not None:
        kept = kept._replace(member=member.only(book.member_fields))
    return MemberContext(tier, count, member), kept


def _post(
    batch: Batch, program: Program, purchase: PurchaseCompleted, rating: Rating, order: Order
) -> tuple[list[PointsEarned], SpendQualified | None]:
    """Post what the order earns; return an event a wallet, and one where only an amount counts towards the tier."""
    by_wallet: dict[str, list[Award]] = {}
    for award in rating.awards:
        by_wallet.setdefault(award.wallet, []).append(award)
    qualifying = sum(rating.qualifying)
    occurred_at = purchase.occurred_at.isoformat()
    events = [_earn(batch, program, rating, order, awards, qualifying, occurred_at) for awards in by_wallet.values()]
    ladder = program.ladder
    if ladder is None or ladder.wallet in by_wallet or not qualifying:
        return events, None
    account = batch.book.accounts[order.member, ladder.wallet]
    batch.book.advance_to(account, order.occurred_at)
    cause = Cause(order.key, program.version, NO_RULE)
    batch.book.qualify(account, Operation.EARN, qualifying, cause=cause, event_at=order.occurred_at)
    return events, spend_qualified(program, account, order.name, Operation.EARN, qualifying, order.occurred_at)


def _earn(
    batch: Batch, program: Program, rating: Rating, order: Order, awards: list[Award], qualifying: int, occurred_at: str
) -> PointsEarned:
    """Post the awards of one wallet; the first entry carries the amount that counts towards the tier."""
    book, wallet = batch.book, awards[0].wallet
    account = book.accounts[order.member, wallet]
    book.advance_to(account, order.occurred_at)
    repaid = 0
    first: Terms | None = None
    paid: list[AwardEvent] = []
    for award in awards:
        rule = award.rule
        terms = terms_of(award, rating, order.key)
        first = first or terms
        repaid += book.earn(
            account,
            award.points,
            terms=terms,
            cause=Cause(order.key, program.version, rule.index),
            event_at=order.occurred_at,
            qualifying=qualifying,
        )
        qualifying = 0
        lot = terms.lot_id()
        order.awards.append(Paid(rule.index, lot, award.line_points, "" if wallet == rule.wallet else wallet))
        paid.append(award_of(rule.name, award.points, lot))
        batch.effects.issued[wallet, rule.name] += award.points
    assert first is not None, "a wallet that is paid has an award"
    return points_earned(program, account, order.name, paid, first, repaid=repaid, occurred_at=occurred_at)


def _keep(batch: Batch, received: Received, order: Order, rating: Rating) -> None:
    """Keep the order, and what it counts."""
    state = batch.state
    if rating.counted:
        tallies.count(batch, order.member, rating.counted)
    programs = state.programs
    if len(programs) > 1 and PURCHASES not in rating.counted and any(one.book.counts_purchases for one in programs):
        tallies.count(batch, order.member, {PURCHASES: 1})  # another version asks which purchase it is
    state.orders[order.key] = order
    result = pydantic_core.to_json(order.result(rating.reason)).decode()
    batch.effects.orders.append(
        OrderRow(
            order.key,
            received.content_hash,
            batch.mark.seq,
            received.position,
            order.program_version,
            order.occurred_at,
            order.source,
            order.order_id,
            order.member,
            result,
        )
    )


def _decide_what_depends(batch: Batch, program: Program, order: Order) -> None:
    """Look at the member's referral, and apply what came before its order."""
    state = batch.state
    bought = state.bought.get(order.member)
    if bought is not None:
        bought.append(order)
    if order.member in state.referrals:
        referrals.judge_if_open(batch, order, program)
    if order.key in state.parked or order.key in state.waiting:
        parking.apply_parked(batch, order)
