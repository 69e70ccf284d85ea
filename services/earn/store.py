"""The SQL that is earn's own: which orders are known, and what each order earned."""

from __future__ import annotations

from collections.abc import Sequence

from shared.database.pool import Connection


async def known_orders(connection: Connection, keys: Sequence[bytes]) -> dict[bytes, bytes]:
    """Return the content hash of each order that was accepted before, by key.

    Must be a statement after the account locks: an order that another worker was storing is visible only then.
    """
    found = await connection.fetch("select key, content_hash from purchase where key = any($1::uuid[])", keys)
    return dict(found)


_ADD = """
insert into purchase (key, content_hash, archive_seq, archive_index, program_version, occurred_at, source, order_id,
                      member, result)
select * from unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::int[], $5::int[], $6::timestamptz[], $7::text[],
                     $8::text[], $9::text[], $10::text[])
"""


async def add_orders(connection: Connection, orders: Sequence[Sequence[object]]) -> None:
    """Store accepted orders, each in the order of the columns above.

    Raises:
        asyncpg.UniqueViolationError: Another partition stored one of them meanwhile; load again and see it.
    """
    if orders:
        await connection.execute(_ADD, *zip(*orders, strict=True))
