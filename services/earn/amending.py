"""How an amendment changes what an order earned: pure decisions.

The order is rated as if it had been bought like this in the first place, knowing what was known then: the version of
the program, the tier, the number of the purchase. Rule by rule and wallet by wallet the difference is paid or taken
back, so points that were spent meanwhile are owed, waived or withheld only where less is earned in the end.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from typing import NamedTuple

from services.earn.awards import POINTS_MAX, Award, Rating, Verdict
from services.earn.earning import Refused, earned_event, other_currency, qualified_event, terms_of, waits_for
from services.earn.orders import Kept, Line, Order, Paid
from services.earn.rating import rate
from services.earn.returning import counted_by, reversed_event
from shared.contracts.points import PointsEarned, PointsReversed, SpendQualified
from shared.contracts.purchases import PurchaseAmended
from shared.instants import moment
from shared.ledger.book import Book
from shared.ledger.model import NO_RULE, Cause, Terms
from shared.ledger.operations import Operation
from shared.ledger.reversal import ClawbackRequest, claw_back
from shared.program.compiled.program import Program
from shared.program.compiled.rating_context import MemberContext
from shared.program.compiled.tallies import Count, Key, is_budget, noting

#: Each of them keeps the whole order.
_AMENDMENTS_MAX = 1_000
#: What an award goes by: its rule and its wallet.
_Name = tuple[int, str]


class Change(NamedTuple):
    """Points of one rule in one wallet: more (positive) or fewer than before."""

    rule: int
    lot: int
    points: int
    wallet: str
    terms: Terms


class Amended(NamedTuple):
    """What an accepted amendment led to; the order is changed in place.

    Attributes:
        reason: Why the order earns nothing now; None if it earns.
        counted: What is to be added to the member's tallies, and to budgets.
        issued: (wallet, rule name, points) that were paid more.
    """

    reason: str | None
    changes: list[Change]
    earned: list[PointsEarned]
    reversed: list[PointsReversed]
    qualified: SpendQualified | None
    counted: dict[Key, int]
    issued: list[tuple[str, str, int]]


def amend(
    order: Order, event: PurchaseAmended, *, key: bytes, occurred_at: int, program: Program, book: Book, count: Count,
    verdicts: list[Verdict] | None = None,
) -> Amended | Refused:  # fmt: skip
    """Rate an order anew and post the difference.

    Args:
        order: The order; changed in place.
        event: What it shall be.
        key: The amendment's business key.
        occurred_at: Its instant.
        program: The version that rated the order.
        book: The member's locked accounts, with all their lots.
        count: How much is counted of the member by now.
        verdicts: Filled, if given, with what became of each rule.
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
    rating = rate(program, event.as_bought(bought_at), known, verdicts)
    if sum(award.points for award in rating.awards) > POINTS_MAX:
        return Refused("too-many-points", f"the order would earn more than {POINTS_MAX:,} points; check its amounts")
    changes = list(_changes(order, rating, program))
    earned, taken = _post(order, changes, event, key, occurred_at, program, book)
    qualified = _qualify(order, sum(rating.qualifying), key, occurred_at, program, book)
    # What was not asked this time may be asked by the next amendment; caps are counted anew each time.
    asked_before = {name: number for name, number in order.kept.counts.items() if name not in caps}
    _rewrite(order, event, rating, order.kept._replace(counts={**asked_before, **noted}), occurred_at)
    return Amended(
        rating.reason, changes, earned, taken, qualified, _counted(own, rating.counted, caps),
        [(one.wallet, program.rules[one.rule].name, one.points) for one in changes if one.points > 0],
    )  # fmt: skip


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


def _changes(order: Order, rating: Rating, program: Program) -> list[Change]:
    before: dict[_Name, int] = {}
    lots: dict[_Name, int] = {}
    for paid in order.awards:
        name = (paid.rule, paid.wallet or program.rules[paid.rule].wallet)
        before[name] = before.get(name, 0) + sum(paid.line_points)
        lots[name] = paid.lot
    after: dict[_Name, Award] = {(award.rule.index, award.wallet): award for award in rating.awards}
    changes = []
    for name in sorted(before.keys() | after.keys()):
        more = (after[name].points if name in after else 0) - before.get(name, 0)
        if more:
            terms = terms_of(after[name], rating, order.key) if name in after else Terms(0, 0)
            changes.append(Change(name[0], lots.get(name) or terms.lot_id(), more, name[1], terms))
    return changes


def _post(
    order: Order, changes: list[Change], event: PurchaseAmended, key: bytes, occurred_at: int, program: Program,
    book: Book,
) -> tuple[list[PointsEarned], list[PointsReversed]]:  # fmt: skip
    earned: list[PointsEarned] = []
    taken_back: list[PointsReversed] = []
    for wallet in dict.fromkeys(change.wallet for change in changes):
        account = book.accounts[order.member, wallet]
        book.advance_to(account, occurred_at)
        mine = [change for change in changes if change.wallet == wallet]
        # First what is paid more: where one rule pays instead of another, the points are there to be taken back.
        more = [one for one in mine if one.points > 0]
        if more:
            earned.append(_pay(order, more, event, key, occurred_at, program, book))
        wants = [
            (ClawbackRequest(Cause(key, program.version, one.rule), one.lot, -one.points), program.rules[one.rule].name)
            for one in mine
            if one.points < 0
        ]
        if wants:
            policy = program.terms[wallet].on_return
            taken = claw_back(
                book, account, [want for want, _ in wants], policy=policy, event_at=occurred_at, qualifying=0
            )
            taken_back.append(reversed_event(program, account, order, event.amendment_id, wants, taken, occurred_at))
    return earned, taken_back


def _pay(
    order: Order, more: list[Change], event: PurchaseAmended, key: bytes, occurred_at: int, program: Program, book: Book
) -> PointsEarned:
    """Pay more by rules of one wallet; what waits for a claim that was made before is available."""
    account = book.accounts[order.member, more[0].wallet]
    claimed = waits_for(order.key, "claimed") if order.claimed else None
    at_once = all(one.terms.fulfils == claimed for one in more)
    repaid = sum(
        book.earn(
            account, one.points, terms=one.terms, cause=Cause(key, program.version, one.rule), event_at=occurred_at,
            at_once=one.terms.fulfils == claimed,
        )
        for one in more
    )  # fmt: skip
    paid = [(program.rules[one.rule].name, one.points, one.terms) for one in more]
    return earned_event(program, order, account, paid, repaid, event.occurred_at, at_once=at_once)


def _qualify(
    order: Order, qualifying: int, key: bytes, occurred_at: int, program: Program, book: Book
) -> SpendQualified | None:
    """Post by how much more, or less, counts towards a tier: an entry of its own, for it has no rule."""
    more = qualifying - order.qualifying
    if program.ladder is None or not more:
        return None
    account = book.accounts[order.member, program.ladder.wallet]
    book.advance_to(account, occurred_at)
    operation = Operation.EARN if more > 0 else Operation.REVERSE
    book.qualify(account, operation, more, cause=Cause(key, program.version, NO_RULE), event_at=occurred_at)
    return qualified_event(program, account, operation, more, order, occurred_at)


def _rewrite(order: Order, event: PurchaseAmended, rating: Rating, kept: Kept, occurred_at: int) -> None:
    order.lines = [
        Line(line.line_id, line.quantity, line.amount, qualifying)
        for line, qualifying in zip(event.lines, rating.qualifying, strict=True)
    ]
    order.awards = [
        Paid(
            award.rule.index, terms_of(award, rating, order.key).lot_id(), award.line_points,
            "" if award.wallet == award.rule.wallet else award.wallet,
        )
        for award in rating.awards
    ]  # fmt: skip
    order.kept, order.amended_at = kept, occurred_at
    order.amendments += 1
