"""The program's present time: the wall clock's, or that of the manual clock, which stands in Postgres."""

from __future__ import annotations

from datetime import UTC, datetime

from shared.database.pool import Connection
from shared.instants import microseconds
from shared.settings import Clock, Settings

_MANUAL = "select now from clock"


async def now(connection: Connection, settings: Settings) -> int:
    """Return the program's present instant; a manual clock that was never set says the beginning of time."""
    if settings.clock is Clock.WALL:
        return microseconds(datetime.now(UTC))
    manual: int | None = await connection.fetchval(_MANUAL)
    return manual if manual is not None else microseconds(datetime(1970, 1, 1, tzinfo=UTC))
