"""A batch's or a sweep's place in the history, and its row in the archive."""

from __future__ import annotations

from collections.abc import Set
from typing import NamedTuple

from shared.database import archive
from shared.database.archive import Archived
from shared.database.pool import Connection, only_row
from shared.runtime.handler import Mark
from shared.runtime.packed import pack
from shared.runtime.records import Batch, Record
from shared.runtime.tables.watermark import Lease


class Counts(NamedTuple):
    """What became of a batch's records; together with ``records`` they must add up."""

    accepted: int
    duplicates: int
    refused: int
    ignored: int


async def read_clock(connection: Connection) -> int:
    """Return the later of the wall clock and the manual clock: what is beyond it lies in the future."""
    now, manual = await only_row(connection, "select clock_timestamp(), (select now from clock)")
    judged_at: int = now if manual is None else max(now, manual)
    return judged_at


async def take_mark(connection: Connection, judged_at: int) -> Mark:
    """Take the batch's place in the history; call it after the account locks."""
    seq, recorded_at = await only_row(connection, "select nextval('archive_seq'), clock_timestamp()")
    return Mark(seq, recorded_at, judged_at)


async def archive_batch(
    connection: Connection,
    service: str,
    batch: Batch,
    mark: Mark,
    counts: Counts,
    facts: bytes,
    *,
    private: bool,
    unread: Set[int],
) -> None:
    """Write down what was handled.

    Args:
        connection: In the batch's transaction.
        service: Who handled the batch.
        batch: The records.
        mark: The batch's place in the history.
        counts: What became of the records.
        facts: What a replay must know beside the records.
        private: The records hold personal data: they are counted, not kept.
        unread: Positions of records that the service does not read: nobody knows what they hold, nobody needs it.
    """
    kept = [] if private else [_kept(record, position in unread) for position, record in enumerate(batch.records)]
    await archive.append(
        connection,
        Archived(
            kind="batch",
            seq=mark.seq,
            service=service,
            topic=batch.topic,
            partition=batch.partition,
            epoch=batch.epoch,
            first_offset=batch.first_offset,
            next_offset=batch.next_offset,
            records=len(batch.records),
            accepted=counts.accepted,
            duplicates=counts.duplicates,
            refused=counts.refused,
            ignored=counts.ignored,
            judged_at=mark.judged_at,
            recorded_at=mark.recorded_at,
            body=pack(kept),
            facts=facts,
        ),
    )


def _kept(record: Record, unread: bool) -> Record:
    return Record(record.offset, record.timestamp, None, None, ()) if unread else record


async def archive_sweep(
    connection: Connection, service: str, lease: Lease, mark: Mark, facts: bytes, horizon: int
) -> None:
    """Write down what time alone made happen up to the horizon; the lease's watermark is locked and stays.

    Args:
        connection: In the sweep's transaction.
        service: Who swept.
        lease: The partition in whose name the sweep publishes.
        mark: The sweep's place in the history.
        facts: What was swept; the replay applies it.
        horizon: Up to when.
    """
    await archive.append(
        connection,
        Archived(
            kind="sweep",
            seq=mark.seq,
            service=service,
            topic=lease.topic,
            partition=lease.partition,
            epoch=lease.epoch,
            first_offset=lease.next_offset,
            next_offset=lease.next_offset,
            judged_at=horizon,
            recorded_at=mark.recorded_at,
            facts=facts,
        ),
    )
