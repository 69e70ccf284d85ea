"""What is counted of members, and of budgets: which tallies a batch may look up, and the counting itself.

Which ones is worked out before anything is decided, so that they can be loaded. The rules that could pay are selected
for it; the rating takes the same selection.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from services.earn.orders import Paid
from services.earn.state import Batch, RatedKey, State, TallyKey
from shared.contracts.contract import business_key
from shared.contracts.purchases import AboutAnOrder, PurchaseAmended, PurchaseCompleted
from shared.errors import InvariantBroken
from shared.instants import moment
from shared.program.compiled.program import Program, in_force
from shared.program.compiled.rules import Rule
from shared.program.compiled.tallies import PURCHASES, Count, Key, owner_of
from shared.runtime.records import Received


class Tallies(NamedTuple):
    """What is to be loaded.

    Attributes:
        members: (member, tally, period).
        budgets: The most that may be given in all, by budget.
        selected: The rules that could pay for what the batch rates.
    """

    members: set[TallyKey]
    budgets: dict[Key, int]
    selected: dict[RatedKey, Sequence[Rule]]


class _Rated(NamedTuple):
    """Something about an order: the order's program and instant count, what is rated, and what paid for it before."""

    received: Received
    program: Program
    instant: int
    purchase: PurchaseCompleted | None
    paid: Sequence[Paid] = ()


def tallies_of(state: State, events: Sequence[Received]) -> Tallies:
    """Return what rating purchases and amendments, and taking back orders, may look up or count.

    Args:
        state: With the orders that events name, and what waits for the orders of the batch.
        events: Of the batch.
    """
    needed = Tallies(set(), {}, {})
    if not any(program.book.counts for program in state.programs):
        return needed
    counts_purchases = any(program.book.counts_purchases for program in state.programs)
    for rated in _rated(state, events):
        member: str = rated.received.event.member_id
        book, day = rated.program.book, rated.program.day_at(rated.instant)
        needed.members.update((member, *key) for key in book.visits_around(day))
        if counts_purchases:
            needed.members.add((member, *PURCHASES))
        for limit in book.limits_of(_rules(rated, needed.selected)):
            key = limit.key(day)
            if not limit.is_budget:
                needed.members.add((member, *key))
            elif rated.purchase is not None:
                needed.budgets[key] = max(limit.most, needed.budgets.get(key, 0))
    return needed


def _rules(rated: _Rated, selected: dict[RatedKey, Sequence[Rule]]) -> Iterator[Rule]:
    """Yield the rules whose caps may be looked up or count less; note those that could pay."""
    if rated.purchase is not None:
        local = rated.purchase.occurred_at.astimezone(rated.program.zone)
        could_pay = rated.program.book.that_could_pay(rated.purchase, local)
        selected[rated.received.key, rated.received.content_hash, rated.instant] = could_pay
        yield from could_pay
    yield from (rated.program.rules[paid.rule] for paid in rated.paid)


def _rated(state: State, events: Sequence[Received]) -> Iterator[_Rated]:
    versions = {program.version: program for program in state.programs}
    # Several copies of a purchase: which one is accepted is decided later.
    bought: dict[bytes, list[tuple[Program, int]]] = {}
    for received in events:
        if isinstance(received.event, PurchaseCompleted):
            program = in_force(state.programs, received.occurred_at)
            if program is not None:
                bought.setdefault(received.key, []).append((program, received.occurred_at))
                yield _Rated(received, program, received.occurred_at, received.event)
    waiting = [parked.received for of_order in state.parked.values() for parked in of_order]
    for received in [*events, *waiting]:
        event = received.event
        if not isinstance(event, AboutAnOrder):
            continue
        key = order_key(received)
        order = state.orders.get(key)
        places = bought.get(key, [])
        paid: Sequence[Paid] = ()
        if order is not None:
            places, paid = [(versions[order.program_version], order.occurred_at)], order.awards
        for program, instant in places:
            bought_at = moment(instant)
            amended = event.as_bought(bought_at) if isinstance(event, PurchaseAmended) and bought_at else None
            yield _Rated(received, program, instant, amended, paid)


def order_key(received: Received) -> bytes:
    """Return the business key of the order that an event is about."""
    return business_key(received.event.order_source or received.source, received.event.order_id)


def count_of(state: State, member: str) -> Count:
    """Return how to look up what is counted of a member."""
    return lambda tally: counted(state, member, tally)


def counted(state: State, member: str, tally: Key) -> int:
    """Return what is counted of a member, or of a budget, by now.

    Raises:
        InvariantBroken: The tally was not loaded, and would be given out a second time.
    """
    if tally == PURCHASES:
        return state.purchases_of(member)
    key = (owner_of(tally, member), *tally)
    if state.loaded is not None and key not in state.loaded:
        raise InvariantBroken(f"the tally {tally} was not loaded, and would be given out a second time")
    return state.tallies.get(key, 0)


def count(batch: Batch, member: str, more: Mapping[Key, int]) -> None:
    """Add what an order counts to tallies."""
    for tally, number in more.items():
        total = counted(batch.state, member, tally) + number
        key = (owner_of(tally, member), *tally)
        batch.state.tallies[key] = batch.effects.tallies[key] = total
