"""What an order earns more or less than before, rule by rule and wallet by wallet, and how it is posted. Pure."""

from __future__ import annotations

from typing import NamedTuple

from services.earn.orders import Order
from services.earn.rating.awards import Award, Rating
from services.earn.terms import terms_of, waits_for
from shared.contracts.points import PointsEarned, PointsReversed, SpendQualified
from shared.contracts.purchases import PurchaseAmended
from shared.ledger.book import Book
from shared.ledger.model import NO_RULE, Cause, Terms
from shared.ledger.operations import Operation
from shared.ledger.reversal import ClawbackRequest, claw_back
from shared.posting.events import award_of, points_earned, points_reversed, spend_qualified
from shared.program.compiled.program import Program

#: What an award goes by: its rule and its wallet.
_Name = tuple[int, str]


class Change(NamedTuple):
    """Points of one rule in one wallet: more (positive) or fewer than before."""

    rule: int
    lot: int
    points: int
    wallet: str
    terms: Terms


def changes_of(order: Order, rating: Rating, program: Program) -> list[Change]:
    """Return what each rule pays more or less in each wallet than before."""
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


def post(
    order: Order,
    changes: list[Change],
    event: PurchaseAmended,
    key: bytes,
    occurred_at: int,
    program: Program,
    book: Book,
) -> tuple[list[PointsEarned], list[PointsReversed]]:
    """Post the changes; return an event for each wallet that gains, and for each that loses."""
    rules = program.rules
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
            (ClawbackRequest(Cause(key, program.version, one.rule), (one.lot,), -one.points), rules[one.rule].name)
            for one in mine
            if one.points < 0
        ]
        if wants:
            policy = program.terms[wallet].on_return
            taken = claw_back(
                book,
                account,
                [want for want, _ in wants],
                own=[one.lot for one in mine],
                policy=policy,
                event_at=occurred_at,
                qualifying=0,
            )
            awards = [award_of(name, want.points, want.lots[0]) for want, name in wants]
            taken_back.append(
                points_reversed(
                    program, account, order.name, awards, taken, return_id=event.amendment_id, occurred_at=occurred_at
                )
            )
    return earned, taken_back


def _pay(
    order: Order, more: list[Change], event: PurchaseAmended, key: bytes, occurred_at: int, program: Program, book: Book
) -> PointsEarned:
    """Pay more by rules of one wallet; what waits for a claim that was made before is available."""
    account = book.accounts[order.member, more[0].wallet]
    claimed = waits_for(order.key, "claimed") if order.claimed else None
    terms = [book.spendable(account, one.terms) if one.terms.fulfils == claimed else one.terms for one in more]
    repaid = sum(
        book.earn(account, one.points, terms=own, cause=Cause(key, program.version, one.rule), event_at=occurred_at)
        for one, own in zip(more, terms, strict=True)
    )
    awards = [
        award_of(program.rules[one.rule].name, one.points, own.lot_id()) for one, own in zip(more, terms, strict=True)
    ]
    return points_earned(
        program,
        account,
        order.name,
        awards,
        terms[0],
        repaid=repaid,
        occurred_at=event.occurred_at.isoformat(),
    )


def qualify(
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
    return spend_qualified(program, account, order.name, operation, more, occurred_at)
