"""Bytes to events: every record is decoded once, and what cannot be becomes a refusal, not an exception."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set

from shared.contracts.contract import Contract, business_key
from shared.contracts.envelope import open_record
from shared.errors import PoisonEvent
from shared.instants import iso, microseconds
from shared.runtime.records import Decoded, Origin, Received, Record, Refusal, UnreadBatch

#: A till whose clock is further ahead than this must not expire a wallet (microseconds).
FUTURE_TOLERANCE = 5 * 60 * 1_000_000

#: A CloudEvent has a dozen; each costs time and memory wherever the record goes.
_HEADERS_MOST = 1_000


def decode(
    records: Sequence[Record],
    contracts: Mapping[str, Contract],
    value_bytes_max: int,
    place: tuple[str, int, int] = ("", 0, 0),
    private: Set[str] = frozenset(),
) -> Decoded:
    """Decode a batch. Types that the service does not read are ignored, and counted.

    Args:
        records: In offset order.
        contracts: What the service reads, by type.
        value_bytes_max: A larger record is refused.
        place: Topic (short name), partition and epoch of the records.
        private: Topics on which personal data may be.
    """
    decoded = Decoded()
    for position, record in enumerate(records):
        envelope = None
        try:
            if isinstance(record.value, UnreadBatch):
                raise PoisonEvent(record.value.reason, record.value.detail)
            size = _size(record)
            if size > value_bytes_max:
                raise PoisonEvent("too-large", f"the record has {size:,} bytes; at most {value_bytes_max:,} are read")
            if len(record.headers) > _HEADERS_MOST:
                raise PoisonEvent("too-large", f"the record has {len(record.headers):,} headers")
            envelope, data = open_record(record.headers, record.value)
            contract = contracts.get(envelope.type)
            if contract is None:
                decoded.ignored[envelope.type] += 1
                decoded.unread.add(position)
                continue
            if contract.private and place[0] not in private:
                decoded.unread.add(position)
                raise PoisonEvent(
                    "wrong-topic", f"events of this type hold personal data and do not belong on {place[0]}"
                )
            event = contract.decode(data)
            decoded.events.append(
                Received(
                    position,
                    envelope.id,
                    envelope.source,
                    envelope.type,
                    event,
                    business_key(envelope.source, contract.business_key(event)),
                    contract.content_hash(event),
                    microseconds(event.occurred_at),
                    Origin(*place, record),
                )
            )
        except PoisonEvent as poison:
            identity = (envelope.id, envelope.type, envelope.source) if envelope else (None, None, None)
            refusal = Refusal(position, poison.reason, poison.detail, *identity)
            decoded.refused.append(refusal._replace(private=position in decoded.unread))
    return decoded


def _size(record: Record) -> int:
    size = len(record.value or b"") + len(record.key or b"")
    for name, content in record.headers:
        size += len(name) + len(content or b"")
    return size


def refuse_future(events: Sequence[Received], judged_at: int) -> tuple[list[Received], list[Refusal]]:
    """Part the events that claim to come from the future from the rest."""
    limit = judged_at + FUTURE_TOLERANCE
    if all(received.occurred_at <= limit for received in events):
        return list(events), []
    plausible = [received for received in events if received.occurred_at <= limit]
    refused = [
        Refusal.of(
            received,
            "in-the-future",
            f"occurred_at {iso(received.occurred_at)} is more than 5 minutes after now ({iso(judged_at)}); "
            "check the clock of the till, then replay",
        )
        for received in events
        if received.occurred_at > limit
    ]
    return plausible, refused
