"""Finds records that were not handled by the ids in them: what waits for its order, and dead letters.

Records are packed; what each names stands beside it. Those that an earlier release wrote do not say what they name:
the newest of them are opened.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from services.earn.handler import EarnHandler
from shared.contracts.catalogue import EVENTS
from shared.contracts.ids import ids_in
from shared.database.pool import Connection
from shared.queries.views.of_causes import LetterAbout, WaitingView
from shared.queries.words import instant
from shared.runtime.batch.decode import decode
from shared.runtime.packed import unpack_records
from shared.runtime.records import Record

#: Records of an id, the newest ones; and records that are opened to see what they name.
_SHOWN, _OPENED = 1_000, 10_000

_LETTER = "select id, reason, detail, state, event_id, event_type, event_source, recorded_at, record from dead_letter "
_LETTERS = (
    _LETTER + "where names @> array[$1::text] and ($2::text is null or event_source = $2) "
    "order by recorded_at desc, id limit $3"
)
_UNNAMED_LETTERS = (
    _LETTER + "where names is null and ($1::text is null or event_source = $1) order by recorded_at desc, id limit $2"
)
_PARKED = "select parked_at, record from parked where state = 'waiting' "
_WAITING = _PARKED + "and names @> array[$1::text] order by parked_at desc limit $2"
_UNNAMED_WAITING = _PARKED + "and names is null order by parked_at desc limit $1"


async def waiting(connection: Connection, name: str, source: str | None) -> list[WaitingView]:
    """Return what waits for its order: a return or a change of this id, or anything about an order of this id."""
    return [
        view
        async for row, record in _records(connection, (_WAITING, (name, _SHOWN)), (_UNNAMED_WAITING, (_OPENED,)))
        for view in _waiting_in(record, row["parked_at"], name, source)
    ]


def _waiting_in(record: Record, since: int, name: str, source: str | None) -> list[WaitingView]:
    found = []
    for received in decode([record], EarnHandler.contracts, 2**31).events:
        event, order_source = received.event, received.event.order_source or received.source
        kind, own = EVENTS[received.type].word, EVENTS[received.type].own_id
        its_id = getattr(event, own) if own else None
        named = its_id == name and source in {None, received.source}
        if named or (event.order_id == name and source in {None, order_source}):
            found.append(
                WaitingView(
                    kind=kind,
                    id=its_id,
                    source=received.source,
                    member_id=event.member_id,
                    order_id=event.order_id,
                    order_source=order_source,
                    since=instant(since),
                )
            )
    return found


async def dead_letters_about(connection: Connection, name: str, source: str | None) -> list[LetterAbout]:
    """Return the dead letters whose event has this id, or is about what has this id; the newest first."""
    found = [
        row
        async for row, record in _records(
            connection, (_LETTERS, (name, source, _SHOWN)), (_UNNAMED_LETTERS, (source, _OPENED))
        )
        if row["event_id"] == name or name in _ids(record, name)
    ]
    found.sort(key=lambda row: row["recorded_at"], reverse=True)
    return [
        LetterAbout(
            id=row["id"],
            reason=row["reason"],
            detail=row["detail"],
            state=row["state"],
            event_id=row["event_id"],
            event_type=row["event_type"],
            event_source=row["event_source"],
            recorded_at=instant(row["recorded_at"]),
        )
        for row in found
    ]


async def _records(
    connection: Connection, *queries: tuple[str, tuple[object, ...]]
) -> AsyncIterator[tuple[Any, Record]]:
    """Yield rows with their records, a few at a time: a record may have megabytes."""
    async with connection.transaction(readonly=True):
        for sql, arguments in queries:
            async for row in connection.cursor(sql, *arguments, prefetch=50):
                (record,) = unpack_records(row["record"])
                yield row, record


def _ids(record: Record, name: str) -> set[str]:
    """Return the ids that a record's data names, if it could be the one that is looked for."""
    if name.isascii() and name.encode() not in (record.value or b""):
        return set()
    return ids_in(record.value)
