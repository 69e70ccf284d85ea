"""The outbox: messages that were decided and that Kafka has not acknowledged yet, one row a batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from shared.database.pool import Connection
from shared.runtime.packed import pack, unpack_messages
from shared.runtime.records import Message


class OutboxRow(NamedTuple):
    """Messages of one batch that wait for their acknowledgement."""

    seq: int
    messages: list[Message]


async def add_to_outbox(
    connection: Connection, service: str, topic: str, partition: int, seq: int, messages: list[Message]
) -> OutboxRow | None:
    """Write down what a batch wants to publish, in the batch's transaction; None if that is nothing."""
    if not messages:
        return None
    await connection.execute(
        "insert into outbox (seq, service, topic, partition, body) values ($1, $2, $3, $4, $5)",
        seq,
        service,
        topic,
        partition,
        pack(messages),
    )
    return OutboxRow(seq, messages)


async def forget_published(connection: Connection, seqs: Sequence[int]) -> None:
    """Delete outbox rows whose messages Kafka has acknowledged."""
    if seqs:
        await connection.execute("delete from outbox where seq = any($1::bigint[])", list(seqs))


async def left_behind(connection: Connection, service: str, topic: str, partition: int) -> list[OutboxRow]:
    """Return the partition's outbox rows, oldest first: what a crash left unpublished, or unforgotten."""
    rows = await connection.fetch(
        "select seq, body from outbox where service = $1 and topic = $2 and partition = $3 order by seq",
        service,
        topic,
        partition,
    )
    return [OutboxRow(row["seq"], unpack_messages(row["body"])) for row in rows]
