"""Which tallies a batch may look up or count: worked out before anything is decided, so that they can be loaded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from services.earn.state import State
from shared.contracts.contract import business_key
from shared.contracts.purchases import AboutAnOrder, PurchaseAmended, PurchaseCompleted
from shared.instants import moment
from shared.program.compiled import Program, in_force
from shared.program.tallies import PURCHASES, Key, is_budget
from shared.stream.records import Received


class Tallies(NamedTuple):
    """What is to be loaded.

    Attributes:
        members: (member, tally, period).
        budgets: The most that may be given in all, by budget.
    """

    members: set[tuple[str, str, int]]
    budgets: dict[Key, int]


class _Rated(NamedTuple):
    """Something about an order: the order's program and instant count, and what is rated, if anything is."""

    member: str
    program: Program
    instant: int
    purchase: PurchaseCompleted | None


def tallies_of(state: State, events: Sequence[Received]) -> Tallies:
    """Return what rating purchases and amendments, and taking back orders, may look up or count.

    Args:
        state: With the orders that events name, and what waits for the orders of the batch.
        events: Of the batch.
    """
    needed = Tallies(set(), {})
    if not any(program.book.counts for program in state.programs):
        return needed
    counts_purchases = any(program.book.counts_purchases for program in state.programs)
    for member, program, instant, purchase in _rated(state, events):
        day = program.day_at(instant)
        needed.members.update((member, *key) for key in program.book.tallies(day) if not is_budget(key))
        if counts_purchases:
            needed.members.add((member, *PURCHASES))
        if purchase is not None and program.book.has_budgets:
            for limit in program.book.budgets(purchase, purchase.occurred_at.astimezone(program.zone)):
                key = limit.key(day)
                needed.budgets[key] = max(limit.most, needed.budgets.get(key, 0))
    return needed


def _rated(state: State, events: Sequence[Received]) -> Iterator[_Rated]:
    versions = {program.version: program for program in state.programs}
    bought: dict[bytes, tuple[Program, int]] = {}
    for received in events:
        if isinstance(received.event, PurchaseCompleted):
            program = in_force(state.programs, received.occurred_at)
            if program is not None:
                bought[received.key] = program, received.occurred_at
                yield _Rated(received.event.member_id, program, received.occurred_at, received.event)
    waiting = [parked.received for of_order in state.parked.values() for parked in of_order]
    for received in [*events, *waiting]:
        event = received.event
        if not isinstance(event, AboutAnOrder):
            continue
        key = order_key(received)
        order = state.orders.get(key)
        if order is not None:
            program, instant = versions[order.program_version], order.occurred_at
        elif key in bought:
            program, instant = bought[key]
        else:
            continue
        bought_at = moment(instant)
        amended = event.as_bought(bought_at) if isinstance(event, PurchaseAmended) and bought_at else None
        yield _Rated(event.member_id, program, instant, amended)


def order_key(received: Received) -> bytes:
    """Return the business key of the order that an event is about."""
    return business_key(received.event.order_source or received.source, received.event.order_id)
