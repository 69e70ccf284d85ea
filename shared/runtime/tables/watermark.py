"""Watermarks: how far a service has come in each partition, and who may move it on. Offsets in Kafka are a hint."""

from __future__ import annotations

from dataclasses import dataclass

from shared.database.locks import PUBLISHING
from shared.database.pool import Connection
from shared.errors import Fenced
from shared.runtime.handler import Mark
from shared.runtime.records import Batch


@dataclass(slots=True)
class Lease:
    """What a worker knows of a partition that it owns; ``number`` counts the take-overs."""

    topic: str
    partition: int
    epoch: int
    next_offset: int
    topic_id: str
    number: int = 0


async def read_watermark(connection: Connection, service: str, topic: str, partition: int) -> Lease | None:
    """Return where the service stands in a partition; None if it was never there."""
    row = await connection.fetchrow(
        "select epoch, next_offset, topic_id from watermark where service = $1 and topic = $2 and partition = $3",
        service,
        topic,
        partition,
    )
    return Lease(topic, partition, *row) if row else None


async def read_watermarks(connection: Connection, service: str) -> dict[tuple[str, int], Lease]:
    """Return where the service stands in all partitions where it ever was, by topic and partition."""
    rows = await connection.fetch(
        "select topic, partition, epoch, next_offset, topic_id from watermark where service = $1", service
    )
    return {(topic, partition): Lease(topic, partition, *rest) for topic, partition, *rest in rows}


async def write_lease(connection: Connection, service: str, lease: Lease) -> None:
    """Store a lease that is new, or whose topic was recreated; waits while a program is being published."""
    async with connection.transaction():
        await connection.execute(f"select pg_advisory_xact_lock_shared({PUBLISHING})")
        await connection.execute(
            "insert into watermark (service, topic, partition, epoch, next_offset, topic_id) "
            "values ($1, $2, $3, $4, $5, $6) "
            "on conflict (service, topic, partition) do update set epoch = excluded.epoch, "
            "next_offset = excluded.next_offset, topic_id = excluded.topic_id, updated_at = now() "
            "where watermark.epoch < excluded.epoch",
            service,
            lease.topic,
            lease.partition,
            lease.epoch,
            lease.next_offset,
            lease.topic_id,
        )


async def take_over(connection: Connection, service: str, lease: Lease) -> None:
    """Take a number: whoever owned the partition before is fenced from now on; waits for a batch that is in hand."""
    lease.number = await connection.fetchval(
        "update watermark set claim = claim + 1 where service = $1 and topic = $2 and partition = $3 returning claim",
        service,
        lease.topic,
        lease.partition,
    )


async def lock_watermark(connection: Connection, service: str, lease: Lease) -> None:
    """Lock the partition's watermark and compare it with what this worker believes.

    Raises:
        Fenced: Another worker moved it.
    """
    row = await connection.fetchrow(
        "select epoch, next_offset, claim from watermark "
        "where service = $1 and topic = $2 and partition = $3 for update",
        service,
        lease.topic,
        lease.partition,
    )
    if row is None or tuple(row) != (lease.epoch, lease.next_offset, lease.number):
        raise Fenced(f"{lease.topic}[{lease.partition}] is at {row and tuple(row)}, not at {lease.next_offset}")


async def move_watermark(connection: Connection, service: str, batch: Batch, mark: Mark, latest_at: int) -> None:
    """Move the watermark, which is locked, past a batch; ``latest_at`` is its latest accepted ``occurred_at``.

    Raises:
        Fenced: It moved under the lock, which only a bug or a restored backup can do.
    """
    moved = await connection.execute(
        "update watermark set next_offset = $5, updated_at = $6, latest_at = greatest(latest_at, $7) "
        "where service = $1 and topic = $2 and partition = $3 and epoch = $4 and next_offset < $5",
        service,
        batch.topic,
        batch.partition,
        batch.epoch,
        batch.next_offset,
        mark.recorded_at,
        latest_at,
    )
    if moved != "UPDATE 1":
        raise Fenced(f"{batch.topic}[{batch.partition}] was moved while it was locked")
