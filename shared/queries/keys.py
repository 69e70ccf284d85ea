"""Finds what an id names: orders, returns, referrals, redemptions, what waits for its order, and dead letters."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import jiter

from services.earn.handler import EarnHandler
from shared.contracts.catalogue import EVENTS, own_ids
from shared.contracts.contract import business_key
from shared.database.pool import Connection
from shared.queries.words import Json, instant
from shared.runtime.decode import decode
from shared.runtime.packed import unpack_records
from shared.runtime.records import Record

#: The name of each kind's id in its event; a dead letter is found by any of them.
IDS = tuple(event.own_id for event in EVENTS.values() if event.own_id)
#: Dead letters and waiting records are packed, so each is opened: the newest ones, up to so many.
_OPENED = 10_000

_BY_ID = """
select 'order' as kind, source, key, member from purchase where order_id = $1
union all select kind, source, key, member from purchase_return where return_id = $1
union all select 'amendment', source, key, member from amendment where amendment_id = $1
union all select 'claim', source, key, member from fulfilment where kind = 'claim' and claim_id = $1
union all select 'referral', source, key, friend from referral where referral_id = $1
union all select 'redemption', source, key, member from redemption where redemption_id = $1
order by 1, 2
"""
_BY_KEY = """
select 'order' as kind, source, key, member from purchase where key = any($1::uuid[])
union all select kind, source, key, member from purchase_return where key = any($1::uuid[])
union all select 'amendment', source, key, member from amendment where key = any($1::uuid[])
union all select 'referral', source, key, friend from referral where key = any($1::uuid[])
union all select 'redemption', source, key, member from redemption where key = any($1::uuid[])
union all select 'claim', source, key, member from fulfilment where key = any($1::uuid[])
order by 1, 2
"""
_WAITING = """
select parked_at, record from parked where state = 'waiting' order by parked_at desc limit $1
"""
_LETTERS = """
select id, reason, detail, state, event_id, event_type, event_source, recorded_at, record
from dead_letter order by recorded_at desc, id limit $1
"""


class Match(NamedTuple):
    """Something that an id names."""

    kind: str
    source: str
    key: bytes
    member: str


async def matches(connection: Connection, name: str, source: str | None) -> list[Match]:
    """Return what goes by an id; with its source it is found by its key, without it by looking through the tables."""
    if source is None:
        return [Match(*row) for row in await connection.fetch(_BY_ID, name)]
    # Keys of different kinds of events differ, so each table may be asked for all of them.
    keys = [business_key(source, own.of(name)) for own in own_ids()]
    return [Match(*row) for row in await connection.fetch(_BY_KEY, keys)]


async def waiting(connection: Connection, name: str, source: str | None) -> list[Json]:
    """Return what waits for its order: a return or a change of this id, or anything about an order of this id."""
    found = []
    async for row, record in _opened(connection, _WAITING):
        for received in decode([record], EarnHandler.contracts, 2**31).events:
            event, order_source = received.event, received.event.order_source or received.source
            kind, own = EVENTS[received.type].word, EVENTS[received.type].own_id
            its_id = getattr(event, own) if own else None
            named = its_id == name and source in {None, received.source}
            if named or (event.order_id == name and source in {None, order_source}):
                found.append({
                    "kind": kind, "id": its_id, "source": received.source, "member_id": event.member_id,
                    "order_id": event.order_id, "order_source": order_source, "since": instant(row["parked_at"]),
                })  # fmt: skip
    return found


async def dead_letters(connection: Connection, name: str, source: str | None) -> list[Json]:
    """Return the dead letters whose event has this id, or is about what has this id; the newest first."""
    fields = ("id", "reason", "detail", "state", "event_id", "event_type", "event_source")
    return [
        {**{field: row[field] for field in fields}, "recorded_at": instant(row["recorded_at"])}
        async for row, record in _opened(connection, _LETTERS)
        if (row["event_id"] == name or name in _ids(record, name)) and source in {None, row["event_source"]}
    ]


async def _opened(connection: Connection, sql: str) -> AsyncIterator[tuple[Any, Record]]:
    """Yield rows with their records, a few at a time: a record may have megabytes."""
    async with connection.transaction(readonly=True):
        async for row in connection.cursor(sql, _OPENED, prefetch=50):
            (record,) = unpack_records(row["record"])
            yield row, record


def _ids(record: Record, name: str) -> set[str]:
    """Return the ids that a record's data names, if it could be the one that is looked for."""
    value = record.value or b""
    if name.isascii() and name.encode() not in value:
        return set()
    try:
        data = jiter.from_json(value)
    except ValueError:
        return set()
    if isinstance(data, dict) and isinstance(data.get("data"), dict):
        data = data["data"]  # a structured event
    return {data[field] for field in IDS if isinstance(data.get(field), str)} if isinstance(data, dict) else set()
