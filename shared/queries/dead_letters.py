"""Records that were refused: listed, the newest first; looked at; and those that are to be sent again."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from typing import Any, NamedTuple

from shared.database.pool import Connection
from shared.errors import UsageError
from shared.instants import BEGINNING, iso
from shared.queries.pages import Page, page_of
from shared.queries.views.of_lists import DeadLetterView, RefusedRecordView
from shared.runtime.packed import unpack_records
from shared.runtime.records import Record

# Positions of one instant in their order: negated where the newest comes first, so that one comparison of rows does.
_LIST = """
select id, reason, service, topic, partition, epoch, record_offset, recorded_at, state, detail
from dead_letter
where ($1::text is null or reason = $1) and ($2 or state = 'open')
  and ($4::timestamptz is null or (recorded_at <= $4 and (
      recorded_at < $4 or (topic, partition, -epoch, -record_offset, service) > ($5::text, $6::int, $7::int, $8, $9))))
order by recorded_at desc, topic, partition, -epoch, -record_offset, service limit $3
"""
# Ids are hexadecimal, so whatever begins like this lies between it and it with a "g".
_FIND = """
select id, state, reason, detail, service, topic, partition, epoch, recorded_at, record from dead_letter
where id >= $1 and id < $1 || 'g' and starts_with(id, $1) limit 2
"""
_OPEN = """
select id, state, reason, topic, recorded_at, record from dead_letter
where state = 'open' and ($1::text is null or reason = $1) and reason <> all($2::text[])
  and recorded_at >= $3 and (recorded_at, id) > ($3, $4::text)
order by recorded_at, id limit $5
"""
#: Records that are in memory at a time where all of them are sent again: one may have megabytes.
_PAGE = 50


class DeadLetterCursor(NamedTuple):
    """Where a list of dead letters goes on: epoch and offset count downwards."""

    recorded_at: int
    topic: str
    partition: int
    epoch: int
    offset: int
    service: str


class Refused(NamedTuple):
    """A dead letter with its record."""

    id: str
    state: str
    reason: str
    topic: str
    record: Record


async def list_dead_letters(
    connection: Connection,
    *,
    reason: str | None = None,
    everything: bool = False,
    limit: int,
    after: DeadLetterCursor | None = None,
) -> Page[DeadLetterView, DeadLetterCursor]:
    """Return a page of dead letters, the newest first; ``everything``: also those that were replayed or closed."""
    rows = await connection.fetch(_LIST, reason, everything, limit + 1, *(after or (None,) * 6))
    return page_of(rows, limit, _view, _cursor)


async def dead_letter(connection: Connection, letter: str) -> tuple[Refused, RefusedRecordView]:
    """Return one dead letter by its id, or the beginning of it.

    Raises:
        UsageError: There is none, or several begin like this.
    """
    rows = await connection.fetch(_FIND, letter)
    if not rows:
        raise UsageError(f"no dead letter {letter}; `loyalty dead-letters list --all` shows them")
    if len(rows) > 1:
        raise UsageError(f"{letter} is the beginning of several ids; write more of it")
    (row,) = rows
    (record,) = unpack_records(row["record"])
    view = RefusedRecordView(
        **{name: row[name] for name in ("id", "state", "reason", "detail", "service", "topic", "partition", "epoch")},
        offset=record.offset,
        recorded_at=iso(row["recorded_at"]),
        key=(record.key or b"").decode(errors="backslashreplace"),
        headers={name: (content or b"").decode(errors="backslashreplace") for name, content in record.headers},
        value="(null)" if record.value is None else record.value.decode(errors="backslashreplace"),
    )
    return Refused(row["id"], row["state"], row["reason"], row["topic"], record), view


async def open_dead_letters(
    connection: Connection, *, reason: str | None, without: Collection[str]
) -> AsyncIterator[Refused]:
    """Yield open dead letters, the oldest first: with a reason or all, but for some reasons.

    Those that come to be while this runs are not yielded for ever: only what is older than the first look.
    """
    until = await connection.fetchval("select clock_timestamp()")
    after = (BEGINNING, "")
    while rows := await connection.fetch(_OPEN, reason, list(without), *after, _PAGE):
        for row in rows:
            after = (row["recorded_at"], row["id"])
            if row["recorded_at"] > until:
                return
            (record,) = unpack_records(row["record"])
            yield Refused(row["id"], row["state"], row["reason"], row["topic"], record)


def _view(row: Any) -> DeadLetterView:
    return DeadLetterView(
        id=row["id"],
        reason=row["reason"],
        topic=row["topic"],
        partition=row["partition"],
        epoch=row["epoch"],
        offset=row["record_offset"],
        recorded_at=iso(row["recorded_at"]),
        state=row["state"],
        detail=row["detail"],
    )


def _cursor(row: Any) -> DeadLetterCursor:
    return DeadLetterCursor(
        row["recorded_at"], row["topic"], row["partition"], -row["epoch"], -row["record_offset"], row["service"]
    )
