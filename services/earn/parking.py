"""What happens to an order after it was made: applied to the order, or parked until the order comes. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from services.earn import amendments, fulfilments, returns
from services.earn.orders import Order, Refused
from services.earn.rows import ParkedRow
from services.earn.state import Batch, Parked, Place
from services.earn.tallies import order_key
from shared.contracts import purchases
from shared.contracts.catalogue import EVENTS
from shared.contracts.ids import SEPARATOR
from shared.contracts.purchases import AboutAnOrder
from shared.runtime.packed import pack
from shared.runtime.records import Received, Refusal

#: All of them are loaded at once when the order comes.
_WAITING_MAX = 1_000

Change = Callable[[Batch, Received, Order], Refused | None]
#: What changes an order that is there, by event type.
CHANGES: Mapping[str, Change] = {
    purchases.RETURNED: returns.decide,
    purchases.CANCELLED: returns.decide,
    purchases.AMENDED: amendments.decide,
    purchases.FULFILLED: fulfilments.decide,
    purchases.CLAIMED: fulfilments.decide,
}


def decide(batch: Batch, received: Received) -> Refused | None:
    """Apply an event to its order; or park it, if the order is not there yet."""
    key = order_key(received)
    order = batch.state.orders.get(key)
    if order is not None:
        return _apply(batch, received, order)
    if batch.state.waiting[key] >= _WAITING_MAX:
        return Refused(
            "too-many-waiting",
            f"{_WAITING_MAX:,} events wait for order {received.event.order_id} already; has it been sent?",
        )
    _park(batch, received, key)
    return None


def _apply(batch: Batch, received: Received, order: Order) -> Refused | None:
    event: AboutAnOrder = received.event
    if event.member_id != order.member:
        return Refused("other-member", f"order {order.order_id} of {order.source} is not of this member")
    return CHANGES[received.type](batch, received, order)


def _park(batch: Batch, received: Received, key: bytes) -> None:
    mark, origin = batch.mark, received.origin
    place = Place(mark.seq, received.position)
    parked = Parked(key, received._replace(position=-1), mark.recorded_at, place)
    batch.state.parked.setdefault(key, []).append(parked)
    batch.state.waiting[key] += 1
    event = received.event
    names = {event.order_id, getattr(event, EVENTS[received.type].own_id or "order_id")}
    batch.effects.parked.append(
        ParkedRow(
            received.key,
            received.content_hash,
            key,
            received.event.member_id,
            mark.recorded_at,
            mark.seq,
            received.position,
            origin.topic,
            origin.partition,
            origin.epoch,
            pack([origin.record]),
            SEPARATOR.join(sorted(names)),
        )
    )


def apply_parked(batch: Batch, order: Order) -> None:
    """Apply what came before its order; what the order does not allow becomes a dead letter."""
    batch.state.waiting.pop(order.key, None)
    for parked in batch.state.parked.pop(order.key, ()):
        refused = _apply(batch, parked.received, order)
        batch.effects.unparked[parked.place] = "applied" if refused is None else "refused"
        if refused is not None:
            _refuse(batch, parked, refused)
        batch.announce_timed_effects()


def give_up(batch: Batch, parked: Parked) -> None:
    """Refuse what has waited too long for its order."""
    batch.state.waiting[parked.order_key] -= 1
    batch.effects.unparked[parked.place] = "refused"
    order_id = parked.received.event.order_id
    detail = f"order {order_id} did not come within the time that a return waits for it; send it, then replay"
    _refuse(batch, parked, Refused("no-such-order", detail))


def _refuse(batch: Batch, parked: Parked, refused: Refused) -> None:
    """Make a dead letter of what was accepted before, and forget its business key: it may be sent again."""
    received = parked.received
    batch.state.known.pop(received.key, None)
    if batch.effects.accepted.pop(received.key, None) is None:
        batch.effects.given_back.add(received.key)
    batch.decisions.refused_later.append(
        Refusal(-1, *refused, received.event_id, received.type, received.source, received.origin)
    )
