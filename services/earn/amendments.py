"""How an amendment changes what an order earned: pure decisions.

The order is rated as if it had been bought like this in the first place, knowing what was known then: the version of
the program, the tier, the number of the purchase. Rule by rule and wallet by wallet the difference is paid or taken
back, so points that were spent meanwhile are owed, waived or withheld only where less is earned in the end.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from typing import NamedTuple

import pydantic_core

from services.earn import referrals, tallies
from services.earn.differences import Change, changes_of, post, qualify
from services.earn.orders import Kept, Line, Order, Paid, Refused, other_currency, too_many_points
from services.earn.rating.awards import Rating, Verdict
from services.earn.rating.engine import rate
from services.earn.returns import counted_by
from services.earn.rows import AmendmentRow
from services.earn.state import Batch
from services.earn.terms import terms_of
from shared.contracts import points
from shared.contracts.points import PointsEarned, PointsReversed, SpendQualified
from shared.contracts.purchases import PurchaseAmended
from shared.instants import moment
from shared.ledger.book import Book
from shared.program.compiled.program import Program
from shared.program.compiled.rating_context import MemberContext
from shared.program.compiled.rules import Rule
from shared.program.compiled.tallies import Count, Key, is_budget, noting
from shared.runtime.records import Received

#: Each of them keeps the whole order.
_AMENDMENTS_MAX = 1_000


class Amended(NamedTuple):
    """What an accepted amendment led to; the order is changed in place.

    Attributes:
        reason: Why the order earns nothing now; None if it earns.
        counted: What is to be added to the member's tallies, and to budgets.
    """

    reason: str | None
    changes: list[Change]
    earned: list[PointsEarned]
    reversed: list[PointsReversed]
    qualified: SpendQualified | None
    counted: dict[Key, int]


def decide(batch: Batch, received: Received, order: Order) -> Refused | None:
    """Rate an order as it now is, and post the difference; or say why it cannot be amended."""
    event: PurchaseAmended = received.event
    program, effects = batch.versions[order.program_version], batch.effects
    amended = amend(
        order,
        event,
        key=received.key,
        occurred_at=received.occurred_at,
        program=program,
        book=batch.book,
        count=tallies.count_of(batch.state, order.member),
        verdicts=effects.verdicts_of(received.key),
        rules=batch.state.selected.get((received.key, received.content_hash, order.occurred_at)),
    )
    if isinstance(amended, Refused):
        return amended
    batch.announce_timed_effects()
    tallies.count(batch, order.member, amended.counted)
    effects.amendments.append(
        AmendmentRow(
            received.key,
            received.content_hash,
            order.key,
            order.amendments,
            batch.mark.seq,
            received.position,
            received.occurred_at,
            received.source,
            event.amendment_id,
            order.member,
            pydantic_core.to_json(order.result(amended.reason)).decode(),
            pydantic_core.to_json([[one.rule, one.lot, one.points] for one in amended.changes]).decode(),
        )
    )
    for taken in amended.reversed:
        batch.send(points.REVERSED, f"reversed-{received.key.hex()}-{taken['wallet']}", order.member, taken)
        effects.reversed[taken["wallet"], "amendment"] += taken["points"]
    for earned in amended.earned:
        batch.send(points.EARNED, f"earned-{received.key.hex()}-{earned['wallet']}", order.member, earned)
    for change in amended.changes:
        if change.points > 0:
            effects.issued[change.wallet, program.rules[change.rule].name] += change.points
    if amended.qualified is not None:
        batch.send(points.QUALIFIED, f"qualified-{received.key.hex()}", order.member, amended.qualified)
    batch.expire_overdue(order.member)
    referrals.reverse_if_undermined(batch, order, event.amendment_id, received)
    referrals.judge_if_open(batch, order, program)
    return None


def amend(
    order: Order,
    event: PurchaseAmended,
    *,
    key: bytes,
    occurred_at: int,
    program: Program,
    book: Book,
    count: Count,
    verdicts: list[Verdict] | None = None,
    rules: Sequence[Rule] | None = None,
) -> Amended | Refused:
    """Rate an order again and post the difference.

    Args:
        order: The order; changed in place.
        event: The order as it now is.
        key: The amendment's business key.
        occurred_at: Its instant.
        program: The version that rated the order.
        book: The member's locked accounts, with all their lots.
        count: How much is counted of the member by now.
        verdicts: Filled, if given, with what became of each rule.
        rules: Those that could pay, if somebody has selected them already.
    """
    bought_at = moment(order.occurred_at)
    refused = _refused(order, event, occurred_at, program)
    if refused is not None or bought_at is None:
        return refused or Refused("no-program", "the order has no time")
    own = counted_by(order, [sum(paid.line_points) for paid in order.awards], program)
    day = program.day_of(bought_at)
    caps = dict.fromkeys(limit.key(day) for limit in program.book.limits)
    noted: dict[Key, int] = {}
    known = MemberContext(order.kept.tier, noting(_without(own, order.kept, count, caps), noted), order.kept.member)
    rating = rate(program, event.as_bought(bought_at), known, verdicts, rules)
    refused = too_many_points(rating)
    if refused is not None:
        return refused
    changes = changes_of(order, rating, program)
    earned, taken = post(order, changes, event, key, occurred_at, program, book)
    qualified = qualify(order, sum(rating.qualifying), key, occurred_at, program, book)
    # What was not asked this time may be asked by the next amendment; caps are counted again each time.
    asked_before = {name: number for name, number in order.kept.counts.items() if name not in caps}
    _rewrite(order, event, rating, order.kept._replace(counts={**asked_before, **noted}), occurred_at)
    return Amended(rating.reason, changes, earned, taken, qualified, _counted(own, rating.counted, caps))


def _refused(order: Order, event: PurchaseAmended, occurred_at: int, program: Program) -> Refused | None:
    if order.returned:
        return Refused("returned-already", f"of order {order.order_id} something came back, or it was cancelled")
    if order.fulfilled:
        return Refused("fulfilled-already", f"order {order.order_id} was shipped; what changes now is a return")
    if occurred_at < order.amended_at:
        return Refused("superseded", f"order {order.order_id} was changed again after that; the later change holds")
    if order.amendments >= _AMENDMENTS_MAX:
        return Refused("too-many-amendments", f"order {order.order_id} was changed {_AMENDMENTS_MAX:,} times before")
    return other_currency(program, event.currency)


def _without(own: Mapping[Key, int], kept: Kept, count: Count, caps: Container[Key]) -> Count:
    """Count caps as if the order had not been made; the rest as it was when the order was made."""
    return lambda key: count(key) - own.get(key, 0) if key in caps else kept.counts.get(key, 0)


def _counted(own: Mapping[Key, int], now: Mapping[Key, int], caps: Iterable[Key]) -> dict[Key, int]:
    """Return by how much caps count more or less; a budget gets nothing back."""
    changed = {}
    for key in caps:
        more = now.get(key, 0) - own.get(key, 0)
        if more > 0 or (more and not is_budget(key)):
            changed[key] = more
    return changed


def _rewrite(order: Order, event: PurchaseAmended, rating: Rating, kept: Kept, occurred_at: int) -> None:
    order.lines = [
        Line(line.line_id, line.quantity, line.amount, qualifying)
        for line, qualifying in zip(event.lines, rating.qualifying, strict=True)
    ]
    order.awards = [
        Paid(
            award.rule.index,
            terms_of(award, rating, order.key).lot_id(),
            award.line_points,
            "" if award.wallet == award.rule.wallet else award.wallet,
        )
        for award in rating.awards
    ]
    order.kept, order.amended_at = kept, occurred_at
    order.amendments += 1
