"""``loyalty clock show | set``: the manual clock."""

from __future__ import annotations

import functools
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from cli.home import Home
from cli.output import command, console, say_if
from devstack.home import DEFAULT_HOME, database, settings_for
from shared.errors import UsageError
from shared.instants import iso, microseconds

if TYPE_CHECKING:
    from shared.database.pool import Connection
    from shared.settings import Settings

_HALF_A_DAY = 43_200_000_000

app = typer.Typer(help="The program's clock: show it, or move the manual one forward.", no_args_is_help=True)


def parse_instant(text: str) -> int:
    """Read an RFC 3339 time with an offset.

    Raises:
        UsageError: It is not one.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise UsageError(f"{text!r} is not a time with an offset, such as 2017-12-31T23:59:59-05:00")
    return microseconds(moment)


@app.command()
@command
async def show(home: Home = DEFAULT_HOME) -> None:
    """Show the program's present time."""
    from shared.queries import clock

    settings = settings_for(home)
    async with database(settings) as connection:
        console.print(f"{iso(await clock.now(connection, settings))} ({settings.clock.value} clock)")


@app.command("set")
@command
async def set_clock(
    instant: Annotated[str, typer.Argument(help="RFC 3339 with an offset: 2017-12-31T23:59:59-05:00")],
    slowly: Annotated[
        bool,
        typer.Option("--slowly", help="Half a day at a time, each when all services are done: reminders come in time."),
    ] = False,
    home: Home = DEFAULT_HOME,
) -> None:
    """Move the manual clock forward."""
    from shared.admin import clock
    from shared.admin.hints import send_hint
    from shared.contracts import control

    settings = settings_for(home)
    wanted = parse_instant(instant)
    async with database(settings) as connection:
        if slowly:
            await _move_slowly(connection, settings, wanted)
        await clock.move(connection, settings, wanted)
    say_if(await send_hint(settings, control.CLOCK_MOVED, {"now": iso(wanted)}))
    console.print(f"the clock stands at {iso(wanted)}")


async def _move_slowly(connection: Connection, settings: Settings, wanted: int) -> None:
    from cli.render.progress import Report
    from devstack.progress import Watcher
    from shared.admin import clock
    from shared.queries.clock import now

    present = await now(connection, settings)
    steps = range(present + _HALF_A_DAY, wanted, _HALF_A_DAY)
    async with Watcher(settings, connection) as watcher:
        with Report("moving the clock to", len(steps), "half days", connection) as report:
            for instant in steps:
                tell = functools.partial(report.tell, iso(instant))
                await clock.move(connection, settings, instant)
                await watcher.settled(meanwhile=tell)
                report.advance()
                await tell()
