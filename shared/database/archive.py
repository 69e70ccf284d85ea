"""The archive's one writer. Its rows, in the order of ``seq``, are the history that a replay goes through again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from shared.database.pool import Connection

_INSERT = """
insert into archive (seq, kind, service, topic, partition, epoch, first_offset, next_offset, records,
    accepted, duplicates, refused, ignored, judged_at, recorded_at, body, facts)
values (coalesce($1, nextval('archive_seq')), $2, $3, $4, $5, $6, $7, $8, $9,
    $10, $11, $12, $13, coalesce($14, now()), coalesce($15, now()), $16, $17)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Archived:
    """One row.

    Attributes:
        kind: What happened: records were handled, time did something, a program was published, the clock was moved.
        seq: Its place in the history; None: the next one.
        service: Who handled the batch, or swept; empty where it was an operator.
        next_offset: Where the partition goes on.
        records: How many; ``accepted``, ``duplicates``, ``refused`` and ``ignored`` add up to it.
        judged_at: The instant by which it was judged; None: the transaction's.
        recorded_at: The wall clock of Postgres; None: the transaction's.
        body: The records, packed; of a program, its text.
        facts: What a replay must know beside the body.
    """

    kind: Literal["batch", "sweep", "program", "clock"]
    seq: int | None = None
    service: str = ""
    topic: str = ""
    partition: int = 0
    epoch: int = 0
    first_offset: int = 0
    next_offset: int = 0
    records: int = 0
    accepted: int = 0
    duplicates: int = 0
    refused: int = 0
    ignored: int = 0
    judged_at: int | None = None
    recorded_at: int | None = None
    body: bytes = b""
    facts: bytes = b""


async def append(connection: Connection, row: Archived) -> None:
    """Write a row, in the transaction of what it tells."""
    await connection.execute(
        _INSERT,
        row.seq,
        row.kind,
        row.service,
        row.topic,
        row.partition,
        row.epoch,
        row.first_offset,
        row.next_offset,
        row.records,
        row.accepted,
        row.duplicates,
        row.refused,
        row.ignored,
        row.judged_at,
        row.recorded_at,
        row.body,
        row.facts,
    )
