"""What was refused: a dead letter in the table and an event about it; of private records only where they stood."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

import pydantic_core

from shared.contracts import dead_letters
from shared.contracts.envelope import seal
from shared.contracts.ids import could_be_id, ids_in
from shared.database.pool import Connection
from shared.errors import UNREAD_BATCH
from shared.instants import iso
from shared.runtime.handler import Mark
from shared.runtime.packed import pack
from shared.runtime.records import Batch, Message, Origin, Record, Refusal

_EXCERPT_BYTES = 500
_KEY_BYTES = 1_000


async def store_dead_letters(
    connection: Connection,
    service: str,
    source: str,
    batch: Batch,
    mark: Mark,
    refused: Sequence[Refusal],
    *,
    private: bool = False,
) -> list[Message]:
    """Write dead letters and return the events about them; ``private``: nothing of the records may be kept."""
    if not refused:
        return []
    rows, messages = [], []
    for refusal in refused:
        origin = refusal.origin or Origin(batch.topic, batch.partition, batch.epoch, batch.records[refusal.position])
        letter = _dead_letter_id(service, origin)
        record = origin.record
        if private or refusal.private:
            # Neither bytes nor values: the operator sees where it stood, and which field was wrong.
            record = Record(record.offset, record.timestamp, None, None, ())
            origin = origin._replace(record=record)
            refusal = refusal._replace(  # noqa: PLW2901 - the same refusal
                detail=refusal.detail if refusal.reason in UNREAD_BATCH else _without_values(refusal.detail),
                event_id=None,
            )
        rows.append(
            (
                letter,
                service,
                origin.topic,
                origin.partition,
                origin.epoch,
                record.offset,
                refusal.reason,
                _storable(refusal.detail),
                _storable(refusal.event_id),
                _storable(refusal.type),
                _storable(refusal.source),
                pack([record]),
                mark.recorded_at,
                _names(refusal, record),
            )
        )
        messages.append(_refusal_message(letter, service, source, mark, refusal, origin))
    await connection.executemany(
        "insert into dead_letter (id, service, topic, partition, epoch, record_offset, reason, detail, event_id, "
        "event_type, event_source, record, recorded_at, names) "
        "values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
        rows,
    )
    return messages


def _without_values(detail: str) -> str:
    """Cut what was found out of an explanation: ``field: message (found …)``."""
    return re.sub(r" ?\(found .*", "", detail, flags=re.DOTALL) if " (found " in detail else "not shown: private topic"


def _refusal_message(letter: str, service: str, source: str, mark: Mark, refusal: Refusal, origin: Origin) -> Message:
    record = origin.record
    event: dead_letters.EventRefused = {
        "dead_letter_id": letter,
        "service": service,
        "topic": origin.topic,
        "partition": origin.partition,
        "epoch": origin.epoch,
        "offset": record.offset,
        "reason": refusal.reason,
        "detail": refusal.detail,
        "event_id": refusal.event_id,
        "event_type": refusal.type,
        "event_source": refusal.source,
        "excerpt": (record.value or b"")[:_EXCERPT_BYTES].decode(errors="replace"),
        "recorded_at": iso(mark.recorded_at),
    }
    headers = seal(
        event_id=f"refused-{letter}",
        source=source,
        event_type=dead_letters.REFUSED,
        time=iso(mark.recorded_at),
        key=letter,
    )
    # A record's key may be megabytes that do not fit into our topic; the letter's id always does.
    key = record.key if record.key and len(record.key) <= _KEY_BYTES else letter.encode()
    return Message(dead_letters.TOPIC, key, pydantic_core.to_json(event), headers)


def _dead_letter_id(service: str, origin: Origin) -> str:
    """Return the id of a dead letter: a function of the record's position, short enough to type."""
    position = f"{service}|{origin.topic}|{origin.partition}|{origin.epoch}|{origin.record.offset}"
    return hashlib.blake2b(position.encode(), digest_size=8).hexdigest()


def _names(refusal: Refusal, record: Record) -> list[str]:
    """Return what a dead letter is found by: the ids that the record names, and its event's own."""
    own = _storable(refusal.event_id)
    return sorted(ids_in(record.value) | ({own} if own and could_be_id(own) else set()))


def _storable(text: str | None) -> str | None:
    """Make text fit for a text column: Postgres has no NUL, and UTF-8 has no lone surrogates."""
    return text.replace("\x00", "\\0").encode(errors="backslashreplace").decode() if text else text
