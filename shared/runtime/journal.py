"""The batch machinery's tables: watermark, archive, outbox, dead letters. All writes join the batch's transaction."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass
from typing import NamedTuple

from shared.database.locks import PUBLISHING
from shared.database.pool import Connection
from shared.errors import Fenced
from shared.instants import BEGINNING
from shared.runtime.handler import Mark
from shared.runtime.packed import pack, unpack_messages
from shared.runtime.records import Batch, Message, Record, Refusal
from shared.runtime.refusals import store_dead_letters
from shared.settings import Clock


@dataclass(slots=True)
class Claim:
    """What a worker knows of a partition that it owns; ``number`` counts the take-overs."""

    topic: str
    partition: int
    epoch: int
    next_offset: int
    topic_id: str
    number: int = 0


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


async def read_watermarks(connection: Connection, service: str) -> dict[tuple[str, int], Claim]:
    """Return where the service stands in all partitions where it ever was, by topic and partition."""
    rows = await connection.fetch(
        "select topic, partition, epoch, next_offset, topic_id from watermark where service = $1", service
    )
    return {(topic, partition): Claim(topic, partition, *rest) for topic, partition, *rest in rows}


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


async def take_over(connection: Connection, service: str, claim: Claim) -> None:
    """Take a number: whoever owned the partition before is fenced from now on; waits for a batch that is in hand."""
    claim.number = await connection.fetchval(
        "update watermark set claim = claim + 1 where service = $1 and topic = $2 and partition = $3 returning claim",
        service, claim.topic, claim.partition,
    )  # fmt: skip


async def lock_watermark(connection: Connection, service: str, claim: Claim) -> None:
    """Lock the partition's watermark and compare it with what this worker believes.

    Raises:
        Fenced: Another worker moved it.
    """
    row = await connection.fetchrow(
        "select epoch, next_offset, claim from watermark "
        "where service = $1 and topic = $2 and partition = $3 for update",
        service, claim.topic, claim.partition,
    )  # fmt: skip
    if row is None or tuple(row) != (claim.epoch, claim.next_offset, claim.number):
        raise Fenced(f"{claim.topic}[{claim.partition}] is at {row and tuple(row)}, not at {claim.next_offset}")


async def horizon(connection: Connection, clock: Clock, lateness: int) -> tuple[int, int]:
    """Return up to when things are due (the program's clock less ``lateness`` microseconds), and the wall clock."""
    recorded_at, manual = await connection.fetchrow("select clock_timestamp(), (select now from clock)")
    now = recorded_at if clock is Clock.WALL else BEGINNING if manual is None else manual
    return (now - lateness if now > BEGINNING else BEGINNING), recorded_at


async def read_clock(connection: Connection) -> int:
    """Return the later of the wall clock and the manual clock: what is beyond it lies in the future."""
    now, manual = await connection.fetchrow("select clock_timestamp(), (select now from clock)")
    judged_at: int = now if manual is None else max(now, manual)
    return judged_at


async def take_mark(connection: Connection, judged_at: int) -> Mark:
    """Take the batch's place in the history; call it after the account locks."""
    seq, recorded_at = await connection.fetchrow("select nextval('archive_seq'), clock_timestamp()")
    return Mark(seq, recorded_at, judged_at)


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
    facts: bytes = b"",
    private: bool = False,
    unread: Set[int] = frozenset(),
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
        facts: What a replay must know beside the records.
        private: The records hold personal data: they are counted, not kept.
        unread: Positions of records that the service does not read: nobody knows what they hold, nobody needs it.

    Raises:
        Fenced: The watermark moved under the lock, which only a bug or a restored backup can do.
    """
    messages = messages + await store_dead_letters(
        connection, service, program_source, batch, mark, refused, private=private
    )
    await connection.execute(
        "insert into archive (seq, kind, service, topic, partition, epoch, first_offset, next_offset, records, "
        "accepted, duplicates, refused, ignored, judged_at, recorded_at, body, facts) "
        "values ($1, 'batch', $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)",
        mark.seq, service, batch.topic, batch.partition, batch.epoch, batch.first_offset, batch.next_offset,
        len(batch.records), *counts, mark.judged_at, mark.recorded_at,
        pack([] if private else [_kept(record, position in unread) for position, record in enumerate(batch.records)]),
        facts,
    )  # fmt: skip
    outbox = await _store_outbox(connection, service, batch, mark, messages, forget)
    moved = await connection.execute(
        "update watermark set next_offset = $5, updated_at = $6, latest_at = greatest(latest_at, $7) "
        "where service = $1 and topic = $2 and partition = $3 and epoch = $4 and next_offset < $5",
        service, batch.topic, batch.partition, batch.epoch, batch.next_offset, mark.recorded_at, latest_at,
    )  # fmt: skip
    if moved != "UPDATE 1":
        raise Fenced(f"{batch.topic}[{batch.partition}] was moved while it was locked")
    return outbox


async def store_sweep(
    connection: Connection,
    service: str,
    program_source: str,
    claim: Claim,
    mark: Mark,
    messages: list[Message],
    refused: Sequence[Refusal],
    facts: bytes,
    horizon: int,
    forget: Sequence[int],
) -> OutboxRow | None:
    """Write everything about a sweep that is not the service's own. The claim's watermark is locked and stays.

    Args:
        connection: In the sweep's transaction.
        service: Who swept.
        program_source: The ``source`` of outgoing events.
        claim: The partition in whose name the sweep publishes.
        mark: The sweep's place in the history.
        messages: What to publish; messages about dead letters are added.
        refused: Parked records that become dead letters; each has its origin.
        facts: What was swept; the replay applies it.
        horizon: Up to when.
        forget: Outbox rows whose messages Kafka has acknowledged.
    """
    batch = Batch(claim.topic, claim.partition, claim.epoch, [], claim.next_offset)
    messages = messages + await store_dead_letters(connection, service, program_source, batch, mark, refused)
    await connection.execute(
        "insert into archive (seq, kind, service, topic, partition, epoch, first_offset, next_offset, records, "
        "accepted, duplicates, refused, ignored, judged_at, recorded_at, body, facts) "
        "values ($1, 'sweep', $2, $3, $4, $5, $6, $6, 0, 0, 0, 0, 0, $7, $8, ''::bytea, $9)",
        mark.seq, service, claim.topic, claim.partition, claim.epoch, claim.next_offset, horizon, mark.recorded_at,
        facts,
    )  # fmt: skip
    return await _store_outbox(connection, service, batch, mark, messages, forget)


async def _store_outbox(
    connection: Connection, service: str, batch: Batch, mark: Mark, messages: list[Message], forget: Sequence[int]
) -> OutboxRow | None:
    if messages:
        await connection.execute(
            "insert into outbox (seq, service, topic, partition, body) values ($1, $2, $3, $4, $5)",
            mark.seq, service, batch.topic, batch.partition, pack(messages),
        )  # fmt: skip
    if forget:
        await forget_published(connection, forget)
    return OutboxRow(mark.seq, messages) if messages else None


def _kept(record: Record, unread: bool) -> Record:
    return Record(record.offset, record.timestamp, None, None, ()) if unread else record


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
