"""The program's clock: the wall's, or the manual one that stands in Postgres and only moves forward."""

from __future__ import annotations

from datetime import UTC, datetime

from shared.database import archive
from shared.database.archive import Archived
from shared.database.pool import Connection
from shared.errors import UsageError
from shared.instants import iso, microseconds
from shared.runtime.clock import CHANNEL
from shared.settings import Clock, Settings


async def now(connection: Connection, settings: Settings) -> int:
    """Return the program's present instant; a manual clock that was never set says the beginning of time."""
    if settings.clock is Clock.WALL:
        return microseconds(datetime.now(UTC))
    manual: int | None = await connection.fetchval("select now from clock")
    return manual if manual is not None else microseconds(datetime(1970, 1, 1, tzinfo=UTC))


async def move(connection: Connection, settings: Settings, instant: int) -> None:
    """Move the manual clock forward and record that it was moved.

    Raises:
        UsageError: The deployment runs on the wall clock, or the instant lies before the clock.
    """
    if settings.clock is Clock.WALL:
        raise UsageError("this deployment runs on the wall clock (LOYALTY_CLOCK=wall)")
    async with connection.transaction():
        await connection.execute("select pg_advisory_xact_lock(hashtext('loyalty clock'))")
        present = await connection.fetchval("select now from clock")
        if present is not None and instant < present:
            raise UsageError(f"the clock stands at {iso(present)} and moves forward only")
        await connection.execute(
            "insert into clock (now) values ($1) on conflict (one) do update set now = excluded.now", instant
        )
        await archive.append(connection, Archived(kind="clock", judged_at=instant))
        # Heard by the workers when this is committed; they look by themselves, too, only less often.
        await connection.execute("select pg_notify($1, current_schema())", CHANNEL)
