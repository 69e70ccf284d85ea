"""The batch machinery's tables: watermark, archive, outbox, dead letters. All writes join the batch's transaction."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import pydantic_core

from shared.contracts import dead_letters
from shared.contracts.envelope import seal
from shared.database.pool import Connection
from shared.errors import Fenced
from shared.instants import iso
from shared.program.store import PUBLISHING
from shared.stream.handler import Mark
from shared.stream.packing import pack, unpack_messages
from shared.stream.records import Batch, Message, Record, Refusal

_EXCERPT_BYTES = 500
_KEY_BYTES = 1_000


@dataclass(slots=True)
class Claim:
    """What a worker knows of a partition that it owns."""

    topic: str
    partition: int
    epoch: int
    next_offset: int
    topic_id: str


class Counts(NamedTuple):
    """What became of a batch's records; together with ``records`` they must add up."""

    accepted: int
    duplicates: int
    refused: int
    ignored: int


class OutboxRow(NamedTuple):
    """Messages of one batch that wait for their acknowledgement."""

    seq: int
    messages: list[Message]


async def read_watermark(connection: Connection, service: str, topic: str, partition: int) -> Claim | None:
    """Return where the service stands in a partition; None if it was never there."""
    row = await connection.fetchrow(
        "select epoch, next_offset, topic_id from watermark where service = $1 and topic = $2 and partition = $3",
        service, topic, partition,
    )  # fmt: skip
    return Claim(topic, partition, *row) if row else None


async def write_claim(connection: Connection, service: str, claim: Claim) -> None:
    """Store a claim that is new, or whose topic was made anew; waits while a program is being published."""
    async with connection.transaction():
        await connection.execute(f"select pg_advisory_xact_lock_shared({PUBLISHING})")
        await connection.execute(
            "insert into watermark (service, topic, partition, epoch, next_offset, topic_id) "
            "values ($1, $2, $3, $4, $5, $6) "
            "on conflict (service, topic, partition) do update set epoch = excluded.epoch, "
            "next_offset = excluded.next_offset, topic_id = excluded.topic_id, updated_at = now() "
            "where watermark.epoch < excluded.epoch",
            service, claim.topic, claim.partition, claim.epoch, claim.next_offset, claim.topic_id,
        )  # fmt: skip


async def lock_watermark(connection: Connection, service: str, claim: Claim) -> None:
    """Lock the partition's watermark and compare it with what this worker believes.

    Raises:
        Fenced: Another worker moved it.
    """
    row = await connection.fetchrow(
        "select epoch, next_offset from watermark where service = $1 and topic = $2 and partition = $3 for update",
        service, claim.topic, claim.partition,
    )  # fmt: skip
    if row is None or (row["epoch"], row["next_offset"]) != (claim.epoch, claim.next_offset):
        raise Fenced(f"{claim.topic}[{claim.partition}] is at {row and tuple(row)}, not at {claim.next_offset}")


async def take_mark(connection: Connection) -> Mark:
    """Take the batch's place in the history; call it after the account locks."""
    seq, recorded_at, manual = await connection.fetchrow(
        "select nextval('archive_seq'), clock_timestamp(), (select now from clock)"
    )
    return Mark(seq, recorded_at, recorded_at if manual is None else max(recorded_at, manual))


async def store(
    connection: Connection,
    service: str,
    program_source: str,
    batch: Batch,
    mark: Mark,
    counts: Counts,
    refused: Sequence[Refusal],
    messages: list[Message],
    forget: Sequence[int],
    latest_at: int,
) -> OutboxRow | None:
    """Write everything about a batch that is not the service's own, and move the watermark.

    Args:
        connection: In the batch's transaction.
        service: Who handled the batch.
        program_source: The ``source`` of outgoing events.
        batch: The records.
        mark: The batch's place in the history.
        counts: What became of the records.
        refused: Which records become dead letters, and why.
        messages: What the handler wants to publish; messages about dead letters are added.
        forget: Outbox rows whose messages Kafka has acknowledged.
        latest_at: The latest accepted ``occurred_at`` of the batch.

    Raises:
        Fenced: The watermark moved under the lock, which only a bug or a restored backup can do.
    """
    messages = messages + await _store_dead_letters(connection, service, program_source, batch, mark, refused)
    await connection.execute(
        "insert into archive (seq, kind, service, topic, partition, epoch, first_offset, next_offset, records, "
        "accepted, duplicates, refused, ignored, judged_at, recorded_at, body) "
        "values ($1, 'batch', $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)",
        mark.seq, service, batch.topic, batch.partition, batch.epoch, batch.first_offset, batch.next_offset,
        len(batch.records), *counts, mark.judged_at, mark.recorded_at, pack(batch.records),
    )  # fmt: skip
    if messages:
        await connection.execute(
            "insert into outbox (seq, service, topic, partition, body) values ($1, $2, $3, $4, $5)",
            mark.seq, service, batch.topic, batch.partition, pack(messages),
        )  # fmt: skip
    if forget:
        await forget_published(connection, forget)
    moved = await connection.execute(
        "update watermark set next_offset = $5, updated_at = $6, latest_at = greatest(latest_at, $7) "
        "where service = $1 and topic = $2 and partition = $3 and epoch = $4 and next_offset < $5",
        service, batch.topic, batch.partition, batch.epoch, batch.next_offset, mark.recorded_at, latest_at,
    )  # fmt: skip
    if moved != "UPDATE 1":
        raise Fenced(f"{batch.topic}[{batch.partition}] was moved while it was locked")
    return OutboxRow(mark.seq, messages) if messages else None


async def _store_dead_letters(
    connection: Connection, service: str, source: str, batch: Batch, mark: Mark, refused: Sequence[Refusal]
) -> list[Message]:
    if not refused:
        return []
    rows, messages = [], []
    for refusal in refused:
        record = batch.records[refusal.position]
        letter = dead_letter_id(service, batch, record)
        rows.append((
            letter, service, batch.topic, batch.partition, batch.epoch, record.offset, refusal.reason,
            _storable(refusal.detail), _storable(refusal.event_id), _storable(refusal.type), _storable(refusal.source),
            pack([record]), mark.recorded_at,
        ))  # fmt: skip
        messages.append(_refusal_message(letter, service, source, batch, mark, refusal, record))
    await connection.executemany(
        "insert into dead_letter (id, service, topic, partition, epoch, record_offset, reason, detail, event_id, "
        "event_type, event_source, record, recorded_at) "
        "values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
        rows,
    )
    return messages


def _refusal_message(
    letter: str, service: str, source: str, batch: Batch, mark: Mark, refusal: Refusal, record: Record
) -> Message:
    event: dead_letters.EventRefused = {
        "dead_letter_id": letter,
        "service": service,
        "topic": batch.topic,
        "partition": batch.partition,
        "epoch": batch.epoch,
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


def dead_letter_id(service: str, batch: Batch, record: Record) -> str:
    """Return the id of a dead letter: a function of the record's position, short enough to type."""
    position = f"{service}|{batch.topic}|{batch.partition}|{batch.epoch}|{record.offset}"
    return hashlib.blake2b(position.encode(), digest_size=8).hexdigest()


def _storable(text: str | None) -> str | None:
    """Make text fit for a text column: Postgres has no NUL, and UTF-8 has no lone surrogates."""
    return text.replace("\x00", "\\0").encode(errors="backslashreplace").decode() if text else text


async def forget_published(connection: Connection, seqs: Sequence[int]) -> None:
    """Delete outbox rows whose messages Kafka has acknowledged."""
    await connection.execute("delete from outbox where seq = any($1::bigint[])", list(seqs))


async def left_behind(connection: Connection, service: str, topic: str, partition: int) -> list[OutboxRow]:
    """Return the partition's outbox rows, oldest first: what a crash left unpublished, or unforgotten."""
    rows = await connection.fetch(
        "select seq, body from outbox where service = $1 and topic = $2 and partition = $3 order by seq",
        service, topic, partition,
    )  # fmt: skip
    return [OutboxRow(row["seq"], unpack_messages(row["body"])) for row in rows]
