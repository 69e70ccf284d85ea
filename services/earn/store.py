"""The SQL that is earn's own: which orders are known, and what each order earned."""

from __future__ import annotations

from collections.abc import Sequence

from shared.database.pool import Connection
from shared.ledger import rows


async def known_orders(connection: Connection, keys: Sequence[bytes]) -> dict[bytes, bytes]:
    """Return the content hash of each order that was accepted before, by key.

    Must be a statement after the account locks: an order that another worker was storing is visible only then.
    """
    found = await connection.fetch("select key, content_hash from purchase where key = any($1::uuid[])", keys)
    return dict(found)


async def add_orders(connection: Connection, orders: Sequence[Sequence[object]]) -> None:
    """Store accepted orders, each in the order of ``rows.PURCHASE_COLUMNS``.

    Raises:
        asyncpg.UniqueViolationError: Another partition stored one of them meanwhile; load again and see it.
    """
    if orders:
        await connection.copy_to_table(
            "purchase", source=rows.purchases(orders), columns=rows.PURCHASE_COLUMNS, format="binary"
        )
