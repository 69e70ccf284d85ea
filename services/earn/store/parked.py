"""What waits for its order, as the tables have it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import asyncpg

from services.earn.state import Parked, Place
from shared.contracts.contract import Contract
from shared.database.pool import Connection, fetch_map
from shared.runtime.batch.decode import decode
from shared.runtime.packed import unpack_records

_PARKED = """
select order_key, parked_at, archive_seq, archive_index, topic, partition, epoch, record from parked
"""


async def load_parked(
    connection: Connection, contracts: Mapping[str, Contract], orders: Sequence[bytes]
) -> dict[bytes, list[Parked]]:
    """Return what waits for some orders."""
    # Locked: a sweep that gives up on one of them meanwhile is waited for.
    where = "where order_key = any($1::uuid[]) and state = 'waiting' order by archive_seq, archive_index for update"
    return _parked(await connection.fetch(_PARKED + where, orders), contracts)


async def parked_too_long(connection: Connection, before: int, shards: int, shard: int, limit: int) -> list[str]:
    """Return members with something that was parked before an instant."""
    rows = await connection.fetch(
        "select distinct p.member from (select member from parked where state = 'waiting' and parked_at < $1 "
        "and (hashtext(member) & 2147483647) % $2 = $3 order by parked_at limit $4) p",
        before,
        shards,
        shard,
        limit,
    )
    return [member for (member,) in rows]


async def count_waiting(connection: Connection, orders: Sequence[bytes]) -> dict[bytes, int]:
    """Return how many returns and fulfilments wait for some orders, by the order's key."""
    return await fetch_map(
        connection,
        "select order_key, count(*) from parked where order_key = any($1::uuid[]) and state = 'waiting' "
        "group by order_key",
        orders,
    )


async def parked_of(
    connection: Connection, contracts: Mapping[str, Contract], members: Sequence[str], before: int, limit: int
) -> dict[bytes, list[Parked]]:
    """Return what members have parked before an instant, the oldest first, at most so many."""
    rows = await connection.fetch(
        _PARKED + "where member = any($1::text[]) and state = 'waiting' and parked_at < $2 "
        "order by archive_seq, archive_index limit $3 for update",
        members,
        before,
        limit,
    )
    return _parked(rows, contracts)


def _parked(rows: Sequence[asyncpg.Record], contracts: Mapping[str, Contract]) -> dict[bytes, list[Parked]]:
    found: dict[bytes, list[Parked]] = defaultdict(list)
    for row in rows:
        origin = (row["topic"], row["partition"], row["epoch"])
        events = decode(unpack_records(row["record"]), contracts, 2**31, origin).events
        if not events:
            continue  # a later release does not accept it any more; it goes on waiting for a person
        received = events[0]._replace(position=-1)
        place = Place(row["archive_seq"], row["archive_index"])
        found[row["order_key"]].append(Parked(row["order_key"], received, row["parked_at"], place))
    return dict(found)
