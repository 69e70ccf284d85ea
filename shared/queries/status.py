"""How far the services are, as the tables have it; what waits in Kafka, whoever asks Kafka adds.

Cheap however much there is: what is due is counted along an index. Only ``overtaken`` reads a whole table.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from shared.database.pool import Connection

#: What time alone has still to do, by the service whose sweep does it.
_DUE = {
    "redeem": "select count(*) from account where next_due <= $1 and next_due < 'infinity'",
    "tiers": "select count(*) from standing where next_due <= $1 and next_due < 'infinity'",
}
# Tiers that entries were added to since. Messages about entries tell the service, so this finds nothing but what a
# broker lost with its topics; the service itself finds it within a minute.
_OVERTAKEN = "select count(*) from standing s join account a using (account) where a.version > s.version"
_MARKS = "select service, topic, partition, next_offset, topic_id from watermark"
_OUTBOX = "select count(*) from outbox"
#: Something was sent that is not handled, or handled and not published: cheap to ask, and mostly so.
_BUSY = """
select exists(select from outbox) or exists(
    select from unnest($1::text[], $2::text[], $3::int[], $4::bigint[]) as sent(service, topic, partition, next_offset)
    left join watermark w using (service, topic, partition)
    where w.next_offset is null or w.next_offset < sent.next_offset)
"""
_OPEN_DEAD_LETTERS = "select count(*) from dead_letter where state = 'open'"
_EARNED = "select count(*) filter (where lifetime > 0), coalesce(sum(lifetime), 0)::bigint from account"
_SIZE = "select count(*), (select count(*) from account) from entry"
_ARCHIVED = """
select coalesce(sum(records), 0)::bigint from archive where kind = 'batch' and ($1::text[] is null or service = any($1))
"""


class Watermark(NamedTuple):
    """Where a service stands in a partition, and of which topic."""

    service: str
    topic: str
    partition: int
    next_offset: int
    topic_id: str


class Backlog(NamedTuple):
    """What is left to do, as of one instant.

    Attributes:
        outbox: Batches whose messages Kafka has not acknowledged.
        due: Accounts and tiers that a sweep has not treated.
    """

    watermarks: list[Watermark]
    outbox: int
    due: int


class Size(NamedTuple):
    """How much the ledger holds."""

    entries: int
    accounts: int


async def backlog(connection: Connection, services: Collection[str], until: int, *, overtaken: bool) -> Backlog:
    """Return what some services have still to do up to an instant.

    Args:
        connection: Not in a transaction.
        services: Those that run.
        until: The instant up to which sweeps apply what is due.
        overtaken: Whether to compare all tiers with the ledger, too: a join of two tables that grow.
    """
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        marks = [Watermark(*row) for row in await connection.fetch(_MARKS)]
        outbox = await connection.fetchval(_OUTBOX)
        due = sum([await connection.fetchval(sql, until) for service, sql in _DUE.items() if service in services])
        if overtaken and "tiers" in services:
            due += await connection.fetchval(_OVERTAKEN)
    return Backlog(marks, outbox, due)


async def is_busy(connection: Connection, sent: Sequence[tuple[str, str, int, int]]) -> bool:
    """Tell whether something that was sent is not handled yet, or something that was decided not published.

    Args:
        connection: To the deployment's schema.
        sent: (service that reads it, topic, partition, offset after the last record).
    """
    columns = [list(column) for column in zip(*sent, strict=True)] or [[], [], [], []]
    busy: bool = await connection.fetchval(_BUSY, *columns)
    return busy


async def count_open_dead_letters(connection: Connection) -> int:
    """Return how many dead letters wait for somebody."""
    number: int = await connection.fetchval(_OPEN_DEAD_LETTERS)
    return number


async def earned_so_far(connection: Connection) -> tuple[int, int]:
    """Return how many members have earned, and how many points; reads all accounts."""
    row: Any = await connection.fetchrow(_EARNED)
    return row[0], row[1]


async def ledger_size(connection: Connection) -> Size:
    """Return how many entries and accounts there are; reads all of them."""
    row: Any = await connection.fetchrow(_SIZE)
    return Size(*row)


async def archived_records(connection: Connection, services: Sequence[str] | None = None) -> int:
    """Return how many records the archive holds, of some services or of all; reads all of it."""
    number: int = await connection.fetchval(_ARCHIVED, services)
    return number
