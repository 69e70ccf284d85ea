"""How a return takes back what an order earned. Pure decisions.

Cumulative reversed = floor(award x amount returned ÷ amount bought) a line and rule (by quantity where the line's
amount is 0); each return takes the difference, and the one that makes the line whole takes the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import pydantic_core

from services.earn import referrals, tallies
from services.earn.orders import Line, Order, Refused, qualifying_back
from services.earn.rows import ReturnRow
from services.earn.state import Batch
from shared.contracts import points
from shared.contracts.points import PointsReversed, SpendQualified
from shared.contracts.purchases import PurchaseCancelled, PurchaseReturned
from shared.ledger.book import Book
from shared.ledger.model import NO_RULE, Cause
from shared.ledger.operations import Operation
from shared.ledger.reversal import ClawbackRequest, claw_back
from shared.posting.events import award_of, points_reversed, spend_qualified
from shared.program.compiled.program import Program
from shared.program.compiled.tallies import Key, is_budget
from shared.runtime.records import Received

#: Position of the line, quantity and amount that come back.
Back = tuple[int, int, int]


class Returned(NamedTuple):
    """What an accepted return led to.

    Attributes:
        lines: What came back, by line.
        taken_back: Points by award of the order.
        events: One a wallet that paid for the order.
        qualified: The amount that counts no more, where no points moved in the ladder's wallet.
        counted: What is to be added to the member's tallies: caps are free again by what came back.
    """

    lines: list[Back]
    taken_back: list[int]
    events: list[PointsReversed]
    qualified: SpendQualified | None
    counted: dict[Key, int]

    def result(self) -> dict[str, Any]:
        """Return what is kept with the return."""
        return {"lines": self.lines, "awards": self.taken_back}


def decide(batch: Batch, received: Received, order: Order) -> Refused | None:
    """Take back what a return, or a cancellation, leaves no reason for; or say why it cannot be."""
    event: PurchaseReturned | PurchaseCancelled = received.event
    returned = take_back(
        order,
        event,
        key=received.key,
        occurred_at=received.occurred_at,
        program=batch.versions[order.program_version],
        book=batch.book,
    )
    if isinstance(returned, Refused):
        return returned
    batch.announce_timed_effects()
    tallies.count(batch, order.member, returned.counted)
    batch.effects.returns.append(
        ReturnRow(
            received.key,
            received.content_hash,
            order.key,
            batch.mark.seq,
            received.position,
            received.occurred_at,
            received.source,
            return_id(event),
            order.member,
            pydantic_core.to_json(returned.result()).decode(),
            "return" if isinstance(event, PurchaseReturned) else "cancellation",
        )
    )
    for data in returned.events:
        batch.send(points.REVERSED, f"reversed-{received.key.hex()}-{data['wallet']}", order.member, data)
        batch.effects.reversed[data["wallet"], "return"] += data["points"]
    if returned.qualified is not None:
        batch.send(points.QUALIFIED, f"qualified-{received.key.hex()}", order.member, returned.qualified)
    referrals.reverse_if_undermined(batch, order, return_id(event), received)
    return None


def plan(order: Order, event: PurchaseReturned | PurchaseCancelled) -> list[Back] | Refused:
    """Return what comes back of each line, checked against what was bought and what came back before."""
    if isinstance(event, PurchaseCancelled) or event.lines is None:
        back = [
            (index, line.quantity - before[0], line.amount - before[1])
            for index, line in enumerate(order.lines)
            if (before := order.returned.get(index, (0, 0))) != (line.quantity, line.amount)
            or index not in order.returned
        ]
        if not back:
            return Refused("returned-already", f"everything of order {order.order_id} had come back before")
        return back
    positions = {line.line_id: index for index, line in enumerate(order.lines)}
    back = []
    for returned in event.lines:
        position = positions.get(returned.line_id)
        if position is None:
            return Refused("unknown-line", f"order {order.order_id} has no line {returned.line_id!r}")
        line, before = order.lines[position], order.returned.get(position, (0, 0))
        if before[0] + returned.quantity > line.quantity or before[1] + returned.amount > line.amount:
            return Refused(
                "more-returned-than-bought",
                f"line {returned.line_id!r} of order {order.order_id}: bought {line.quantity} for {line.amount}, "
                f"returned before {before[0]} for {before[1]}, now {returned.quantity} for {returned.amount}",
            )
        back.append((position, returned.quantity, returned.amount))
    return back


def reversed_share(points: int, line: Line, returned: tuple[int, int] | None) -> int:
    """Return how many of the points that a line earned are taken back once (quantity, amount) of it has come back."""
    if returned is None:
        return 0
    quantity, amount = returned
    if (line.quantity and quantity == line.quantity) or (line.amount and amount == line.amount):
        return points
    if line.amount:
        return points * amount // line.amount
    return points * quantity // line.quantity if line.quantity else points


def take_back(
    order: Order,
    event: PurchaseReturned | PurchaseCancelled,
    *,
    key: bytes,
    occurred_at: int,
    program: Program,
    book: Book,
) -> Returned | Refused:
    """Post the reversal of what came back.

    Args:
        order: The order; what came back is counted in it.
        event: The return, or the cancellation.
        key: The return's business key.
        occurred_at: Its instant.
        program: The version that rated the order: its rules and its wallets' policies hold.
        book: The member's locked accounts, with all their lots.
    """
    back = plan(order, event)
    if isinstance(back, Refused):
        return back
    before = dict(order.returned)
    order.add_return(back)
    by_award = [
        sum(
            reversed_share(award.line_points[index], order.lines[index], order.returned[index])
            - reversed_share(award.line_points[index], order.lines[index], before.get(index))
            for index, _quantity, _amount in back
        )
        for award in order.awards
    ]
    qualifying = sum(
        qualifying_back(order.lines[index], order.returned[index])
        - qualifying_back(order.lines[index], before.get(index))
        for index, _quantity, _amount in back
    )
    by_wallet: dict[str, list[tuple[ClawbackRequest, str]]] = {}
    for award, wanted in zip(order.awards, by_award, strict=True):
        rule = program.rules[award.rule]
        want = ClawbackRequest(Cause(key, program.version, award.rule), (award.lot,), wanted)
        by_wallet.setdefault(award.wallet or rule.wallet, []).append((want, rule.name))
    events: list[PointsReversed] = []
    qualified = None
    ladder_wallet = program.ladder.wallet if program.ladder else None
    for wallet in dict.fromkeys([*by_wallet, *([ladder_wallet] if ladder_wallet else [])]):
        account = book.accounts[order.member, wallet]
        book.advance_to(account, occurred_at)
        wants = [(want, name) for want, name in by_wallet.get(wallet, []) if want.points]
        if wants:
            taken = claw_back(
                book,
                account,
                [want for want, _ in wants],
                own=[want.lots[0] for want, _ in by_wallet[wallet]],
                policy=program.terms[wallet].on_return,
                event_at=occurred_at,
                qualifying=-qualifying,
            )
            awards = [award_of(name, want.points, want.lots[0]) for want, name in wants]
            events.append(
                points_reversed(
                    program, account, order.name, awards, taken, return_id=return_id(event), occurred_at=occurred_at
                )
            )
        elif wallet == ladder_wallet and qualifying:
            book.qualify(
                account,
                Operation.REVERSE,
                -qualifying,
                cause=Cause(key, program.version, NO_RULE),
                event_at=occurred_at,
            )
            qualified = spend_qualified(program, account, order.name, Operation.REVERSE, -qualifying, occurred_at)
    return Returned(back, by_award, events, qualified, _uncounted(order, by_award, program))


def counted_by(order: Order, points: Sequence[int], program: Program) -> dict[Key, int]:
    """Return what points, given award by award, count in the caps and budgets of the order's own periods."""
    counted: dict[Key, int] = {}
    if not program.book.limits:
        return counted
    day = program.day_at(order.occurred_at)
    for award, number in zip(order.awards, points, strict=True):
        rule = program.rules[award.rule]
        for limit in (*rule.caps, *program.book.caps[award.wallet or rule.wallet]):
            if limit.per != "order" and number:
                key = limit.key(day)
                counted[key] = counted.get(key, 0) + number
    return counted


def _uncounted(order: Order, points: Sequence[int], program: Program) -> dict[Key, int]:
    """Return what caps count no more; what a budget gave is gone."""
    counted = counted_by(order, points, program)
    return {key: -number for key, number in counted.items() if not is_budget(key)}


def return_id(event: PurchaseReturned | PurchaseCancelled) -> str:
    """Return the id by which a return, or a cancellation, goes."""
    return event.cancellation_id if isinstance(event, PurchaseCancelled) else event.return_id
