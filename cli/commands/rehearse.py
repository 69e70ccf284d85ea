"""``loyalty rehearse PROGRAM EVENTS``: run a program over events in memory, touching nothing."""

from __future__ import annotations

from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from cli.commands.clock import parse_instant
from cli.home import Home
from cli.output import AsJson, command
from devstack.home import DEFAULT_HOME
from shared.errors import UsageError


def add_to(app: typer.Typer) -> None:
    """Add this command."""
    app.command()(command(rehearse))


def rehearse(
    program: Annotated[Path, typer.Argument(help="A program file (YAML), its templates in the folder beside it.")],
    events: Annotated[
        Path | None, typer.Argument(help="JSON Lines: one structured CloudEvent a line, of any topic.")
    ] = None,
    source: Annotated[
        Literal["archive"] | None,
        typer.Option("--from", help="Instead of EVENTS: everything that happened in this deployment, and compare."),
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(help="With --from archive: draw the comparison into a .png or .svg file.")
    ] = None,
    until: Annotated[
        str | None,
        typer.Option(help="Let time go on to an instant after the last event: RFC 3339 with an offset."),
    ] = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Say of every event what it earned, and of every rule why, or why not.")
    ] = False,
    as_json: AsJson = False,
    home: Home = DEFAULT_HOME,
) -> Coroutine[Any, Any, None] | None:
    """Run a program over events in memory and show all that comes of it; nothing is changed.

    Of a file of events, everything: entries, balances, tiers, messages; no server is needed. Of the archive, by how
    much the program would have paid more or less than was really earned: by rule, tier and month.
    """
    if (events is None) == (source is None):
        raise UsageError("say what to rehearse: a file of EVENTS, or --from archive")
    if source is not None and (until or explain):
        raise UsageError("--until and --explain go with a file of EVENTS")
    if source is None and plot:
        raise UsageError("--plot goes with --from archive")
    horizon = None if until is None else parse_instant(until)
    from cli.render.rehearsal import show_archive, show_events

    if events is None:
        return show_archive(program, home, plot, in_json=as_json)
    show_events(program, events, horizon, explain=explain, in_json=as_json)
    return None
