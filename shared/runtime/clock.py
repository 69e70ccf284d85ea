"""What the program's clock says is due, and hearing at once that the manual one was moved.

Sweeps look at the clock anyway; a call that is missed delays them.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

from shared.database.pool import Connection, connect, only_row
from shared.instants import BEGINNING
from shared.logs import logger
from shared.settings import Clock, Settings

#: Of Postgres: it is called with the name of the schema whose clock was moved, when that is committed.
CHANNEL = "loyalty_clock"
_AGAIN_SECONDS = 3.0
_log = logger(__name__)


async def horizon(connection: Connection, clock: Clock, lateness: int) -> tuple[int, int]:
    """Return up to when things are due (the program's clock less ``lateness`` microseconds), and the wall clock."""
    recorded_at, manual = await only_row(connection, "select clock_timestamp(), (select now from clock)")
    now = recorded_at if clock is Clock.WALL else BEGINNING if manual is None else manual
    return (now - lateness if now > BEGINNING else BEGINNING), recorded_at


async def hear_clock(settings: Settings, moved: Callable[[], None], halt: asyncio.Event) -> None:
    """Call ``moved`` each time the clock of this deployment was moved, until ``halt``."""
    while not halt.is_set():
        try:
            await _listen(settings, moved, halt)
        except Exception as problem:  # noqa: BLE001 - the database is away; batches retry by themselves
            _log.info("not listening to the clock", cause=repr(problem))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(halt.wait(), _AGAIN_SECONDS)


async def _listen(settings: Settings, moved: Callable[[], None], halt: asyncio.Event) -> None:
    def called(_connection: Any, _pid: int, _channel: str, schema: object) -> None:
        if schema == settings.database_schema:
            moved()

    lost = asyncio.Event()
    connection = await connect(settings.database_url.get_secret_value(), settings.database_schema)
    try:
        connection.add_termination_listener(lambda _connection: lost.set())
        await connection.add_listener(CHANNEL, called)
        # Whatever happened before is found now.
        moved()
        waits = [asyncio.ensure_future(event.wait()) for event in (halt, lost)]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
    finally:
        connection.terminate()
