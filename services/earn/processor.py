"""Decides about a batch, event by event, in offset order. Pure but for the state, which belongs to the batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from services.earn import members, parking, registrations
from services.earn import purchases as bought
from services.earn.orders import Refused
from services.earn.state import Batch
from shared.contracts import purchases, referrals
from shared.contracts.catalogue import EVENTS
from shared.contracts.members import UPDATED
from shared.runtime.records import Received

Decision = Callable[[Batch, Received], Refused | None]
#: Who decides about an event that was not seen before, by type.
DECISIONS: Mapping[str, Decision] = {
    purchases.COMPLETED: bought.decide,
    **dict.fromkeys(parking.CHANGES, parking.decide),
    referrals.REGISTERED: registrations.decide,
    UPDATED: members.decide,
}


def process(batch: Batch, events: Sequence[Received]) -> None:
    """Decide about events in offset order."""
    known = batch.state.known
    for received in events:
        content_hash = known.get(received.key)
        if content_hash is None:
            _decide(batch, received)
        elif content_hash == received.content_hash:
            batch.decisions.duplicates += 1
        else:
            batch.refuse(received, "conflict", _conflict(received, content_hash))


def _decide(batch: Batch, received: Received) -> None:
    refused = DECISIONS[received.type](batch, received)
    if batch.book.timed_effects:
        batch.announce_timed_effects()
    if refused is not None:
        batch.refuse(received, *refused)
        return
    batch.state.known[received.key] = received.content_hash
    if received.type != purchases.COMPLETED:  # a purchase's own row has its key
        batch.effects.accepted[received.key] = received.content_hash
    batch.accept(received)


def _conflict(received: Received, known: bytes) -> str:
    name = getattr(received.event, EVENTS[received.type].name_field or "member_id")
    return (
        f"{name} of {received.source} was accepted with other content: "
        f"hash {known.hex()} then, {received.content_hash.hex()} now; nothing was changed"
    )
