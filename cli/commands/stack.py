"""``loyalty up``, ``down``, ``status``: the embedded stack."""

from __future__ import annotations

import shutil
import signal
import time
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from cli import stack, supervision
from cli.embedded import postgres
from cli.home import DEFAULT_HOME, Home, Stack, database, load_stack, settings_for
from cli.output import AsJson, command, console, print_json, say, show
from cli.progress import Behind, Watcher
from shared.errors import UsageError

DEFAULT_PROGRAM = Path(__file__).parents[2] / "programs" / "fresh-market.yaml"


def add_to(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command()(command(up))
    app.command()(command(down))
    app.command()(command(status))


def up(
    program: Annotated[Path, typer.Option(help="The program file to run.")] = DEFAULT_PROGRAM,
    broker: Annotated[
        Literal["embedded", "kafka"],
        typer.Option(help="embedded: in memory, only Python needed; kafka: needs Java and Maven."),
    ] = "embedded",
    detach: Annotated[
        bool, typer.Option("--detach", help="Return when the stack is ready, and leave it running.")
    ] = False,
    home: Home = DEFAULT_HOME,
) -> None:
    """Start PostgreSQL, a Kafka broker and the workers on this machine."""
    started = stack.up(home, program, broker, say)
    _show_addresses(started, home)
    if detach:
        return
    console.print("Press Ctrl-C to stop.")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        while supervision.is_running(home):
            time.sleep(1)
    except KeyboardInterrupt:
        say("stopping")
        supervision.stop(home)


def down(
    purge: Annotated[bool, typer.Option("--purge", help="Delete the data, too. There is no way back.")] = False,
    home: Home = DEFAULT_HOME,
) -> None:
    """Stop the stack; its data stays unless you say --purge."""
    if supervision.is_running(home):
        say("stopping")
        supervision.stop(home)
    else:
        say(f"nothing runs in {home}")
    if purge and home.exists():
        postgres.remove(home)
        shutil.rmtree(home)
        say(f"deleted {home}")


async def status(
    wait_idle: Annotated[bool, typer.Option("--wait-idle", help="Wait until nothing is left to do.")] = False,
    timeout: Annotated[float, typer.Option(help="With --wait-idle: seconds before giving up (exit status 1).")] = 600,
    as_json: AsJson = False,
    home: Home = DEFAULT_HOME,
) -> None:
    """Show what runs and how far behind it is."""
    import asyncio  # noqa: PLC0415 - only here

    processes = supervision.states(home)
    if load_stack(home) is not None and not processes:
        raise UsageError(f"the stack in {home} does not run; start it with `loyalty up`")
    settings = settings_for(home)
    async with database(settings) as connection:
        async with Watcher(settings, connection) as watcher:
            if wait_idle:
                try:
                    async with asyncio.timeout(timeout):
                        await watcher.wait_idle()
                except TimeoutError:
                    say(f"still busy after {timeout:.0f} seconds")
            behind = await watcher.behind()
        refused = await connection.fetchval("select count(*) from dead_letter where state = 'open'")
    _show_status(processes, behind, refused, as_json)
    if wait_idle and not behind.idle:
        raise typer.Exit(1)


def _show_status(processes: dict[str, dict[str, Any]], behind: Behind, refused: int, as_json: bool) -> None:
    running = {name: process["statename"].lower() for name, process in processes.items()}
    if as_json:
        print_json({
            "idle": behind.idle, "processes": running, "waiting": behind.records, "outbox_batches": behind.outbox,
            "unclaimed_partitions": behind.unclaimed, "open_dead_letters": refused,
        })  # fmt: skip
        return
    if processes:
        show(("process", "state", "detail"), [(n, running[n], p["description"]) for n, p in processes.items()])
    show(("service", "records waiting"), list(behind.records.items()))
    console.print(f"batches waiting for Kafka: {behind.outbox} · open dead letters: {refused} · idle: {behind.idle}")


def _show_addresses(started: Stack, home: Path) -> None:
    console.print(f"[bold]{started.program}[/bold] is up; its state is in {home}, its logs in {home}/logs")
    for service in stack.SERVICES:
        console.print(f"  metrics of {service}: http://127.0.0.1:{started.ports[service]}/metrics")
    console.print(f"  Kafka: 127.0.0.1:{started.ports['broker']} · topic {started.program}.purchases")
