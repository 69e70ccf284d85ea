"""Applies the numbered SQL files, each once, in one transaction; workers that start together take turns."""

from __future__ import annotations

import hashlib
import importlib.resources

import asyncpg

from shared.database.pool import Connection
from shared.errors import UsageError

_OLDEST_POSTGRES = 17
#: The first migration since which events mean what they mean now. A ledger from before it is not carried over.
_PRESENT_MEANING = "0011_lots_and_windows"


async def migrate(connection: Connection, schema: str) -> list[str]:
    """Bring the schema up to date, and return the names of the migrations that this call applied.

    Raises:
        UsageError: The server is too old, an applied migration differs from the one that this version ships, or the
            ledger was written when events meant something else.
    """
    if connection.get_server_version().major < _OLDEST_POSTGRES:
        raise UsageError(f"PostgreSQL {_OLDEST_POSTGRES} or newer is needed (transaction_timeout)")
    async with connection.transaction():
        await connection.execute("select pg_advisory_xact_lock(hashtext($1))", f"loyalty migrate {schema}")
        await connection.execute(f'create schema if not exists "{schema}"')
        await connection.execute(
            "create table if not exists schema_migration "
            "(name text primary key, checksum text not null, applied_at timestamptz not null default now())"
        )
        applied = {row["name"]: row["checksum"] for row in await connection.fetch("select * from schema_migration")}
        fresh = []
        if applied and _PRESENT_MEANING not in applied:
            await _refuse_older_meaning(connection, schema)
        if applied and any(name not in applied for name, _sql in shipped()):
            # Batches and sweeps begin with a lock here, so none of them holds, or waits for, what a migration locks.
            await connection.execute("lock table watermark in exclusive mode")
        for name, sql in shipped():
            checksum = hashlib.sha256(sql.encode()).hexdigest()
            if name in applied:
                if applied[name] != checksum:
                    raise UsageError(f"migration {name} was changed after it was applied; restore the shipped file")
                continue
            await connection.execute(sql)
            await connection.execute("insert into schema_migration (name, checksum) values ($1, $2)", name, checksum)
            fresh.append(name)
        return fresh


async def _refuse_older_meaning(connection: Connection, schema: str) -> None:
    """Refuse a ledger with batches from before: what changes an order took back other points then.

    Raises:
        UsageError: The schema has one.
    """
    if await connection.fetchval("select exists (select from archive where kind <> 'program')"):
        raise UsageError(
            f"schema {schema} holds a ledger of an earlier version, in which returns, expiry and tiers meant something "
            "else; it is not carried over. Choose another schema (LOYALTY_DATABASE_SCHEMA) and topic prefix "
            "(LOYALTY_TOPIC_PREFIX), run `loyalty database migrate`, and send the events again"
        )


async def check_schema(connection: Connection) -> None:
    """Check that every migration that this version ships has been applied.

    Raises:
        UsageError: One is missing; the message names it.
    """
    try:
        applied = {row["name"] for row in await connection.fetch("select name from schema_migration")}
    except (asyncpg.UndefinedTableError, asyncpg.InsufficientPrivilegeError) as problem:
        raise UsageError(
            f"the tables are not those of this version ({problem}): run `loyalty database migrate`"
        ) from None
    missing = [name for name, _sql in shipped() if name not in applied]
    if missing:
        raise UsageError(
            f"the database is older than this version: migration {', '.join(missing)} is missing; "
            "run `loyalty database migrate`, then start the workers again"
        )


def shipped() -> list[tuple[str, str]]:
    """Return (name, SQL) of every migration, in order."""
    folder = importlib.resources.files("shared.database.migrations")
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".sql")), key=lambda file: file.name)
    return [(file.name.removesuffix(".sql"), file.read_text()) for file in files]
