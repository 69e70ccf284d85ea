"""Connections to Postgres, all configured alike.

On the Python side instants are microseconds since 1970 (``shared.instants``): exact and cheap, and unlike datetime they
can express "never" and "from the beginning".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import asyncpg

from shared.instants import BEGINNING, NEVER

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

#: A connection of its own, or one that a pool lends. (asyncpg's classes have parameters for its stubs only.)
Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]"
Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"
#: A row, or what a test gives for one.
Row: TypeAlias = "asyncpg.Record | Sequence[Any]"

_PG_EPOCH = 946_684_800_000_000
_INFINITY = 2**63 - 1
_MINUS_INFINITY = -(2**63)


def _encode(instant: int) -> tuple[int]:
    if instant >= NEVER:
        return (_INFINITY,)
    return (_MINUS_INFINITY,) if instant <= BEGINNING else (instant - _PG_EPOCH,)


def _decode(value: tuple[int]) -> int:
    (instant,) = value
    if instant == _INFINITY:
        return NEVER
    return BEGINNING if instant == _MINUS_INFINITY else instant + _PG_EPOCH


async def _set_up(connection: Connection) -> None:
    await connection.set_type_codec(
        "timestamptz", schema="pg_catalog", encoder=_encode, decoder=_decode, format="tuple"
    )
    # Keys and hashes are 16 bytes; UUID objects would only be converted back.
    await connection.set_type_codec("uuid", schema="pg_catalog", encoder=bytes, decoder=bytes, format="binary")


async def _keep(_connection: Connection) -> None:
    """Do not reset connections that return to the pool: nothing changes their session, and a reset costs a query."""


def _settings(schema: str, transaction_seconds: float | None) -> dict[str, str]:
    settings = {
        "search_path": schema,
        "application_name": "loyalty",
        "timezone": "UTC",
        # The best plans for a few rows and for thousands differ; a generic plan made early would stay wrong.
        "plan_cache_mode": "force_custom_plan",
        "jit": "off",
    }
    if transaction_seconds is not None:
        # A frozen worker must not hold its locks for ever. transaction_timeout exists since PostgreSQL 17.
        settings["transaction_timeout"] = f"{round(transaction_seconds * 1000)}"
    return settings


async def open_pool(url: str, schema: str, *, size: int, transaction_seconds: float | None = None) -> Pool:
    """Open a pool of connections whose search path is ``schema``.

    Args:
        url: ``postgresql://user@host:port/database``.
        schema: The deployment's schema.
        size: The maximum number of connections; they are opened when needed.
        transaction_seconds: Postgres ends a transaction that lasts longer.
    """
    return await asyncpg.create_pool(
        url,
        min_size=0,
        max_size=size,
        init=_set_up,
        reset=_keep,
        server_settings=_settings(schema, transaction_seconds),
        timeout=10,
        command_timeout=transaction_seconds,
    )


async def connect(url: str, schema: str) -> Connection:
    """Open one connection, configured like those of a pool."""
    connection = await asyncpg.connect(url, server_settings=_settings(schema, None), timeout=10)
    await _set_up(connection)
    return connection


async def only_row(connection: Connection, sql: str, *values: object) -> asyncpg.Record:
    """Return the row of a query that has one whatever happens."""
    row = await connection.fetchrow(sql, *values)
    assert row is not None, "the query has a row whatever happens"
    return row


async def fetch_map(connection: Connection, sql: str, *values: object) -> dict[Any, Any]:
    """Return the second column of a query by its first."""
    return {key: value for key, value in await connection.fetch(sql, *values)}  # noqa: C416 - rows are no tuples
