"""``loyalty up``, ``down``, ``status``: the embedded stack."""

from __future__ import annotations

import asyncio
import shutil
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from cli.home import Home
from cli.output import AsJson, command, console, print_json, say, show, unreachable
from devstack import supervision
from devstack.home import DEFAULT_HOME, Stack, database, load_stack, settings_for
from shared.clocks import Clock
from shared.errors import UsageError
from shared.instants import iso
from shared.program.shipped import program_file
from shared.queries.views.of_members import as_json as json_of

if TYPE_CHECKING:
    from shared.queries.views.of_lists import StatusView
    from shared.settings import Settings

#: Longer than a healthy stack ever needs, short enough for somebody who was just woken up.
_PROBE_SECONDS = 10.0
DEFAULT_PROGRAM = program_file(Path("fresh-market"))


def add_to(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command()(command(up))
    app.command()(command(down))
    app.command()(command(status))


def up(
    program: Annotated[
        Path | None,
        typer.Option(help="The program file to run; else the one that this home has, or fresh-market."),
    ] = None,
    broker: Annotated[
        Literal["embedded", "kafka"],
        typer.Option(help="embedded: in memory, only Python needed; kafka: needs Java and Maven."),
    ] = "embedded",
    clock: Annotated[
        Clock | None,
        typer.Option(help="wall, or manual: it stands until moved. Else as before; manual for fresh-market."),
    ] = None,
    detach: Annotated[
        bool, typer.Option("--detach", help="Return when the stack is ready, and leave it running.")
    ] = False,
    home: Home = DEFAULT_HOME,
) -> None:
    """Start PostgreSQL, a Kafka broker and the workers on this machine."""
    from devstack import stack

    started = stack.up(home, program, DEFAULT_PROGRAM, broker, clock, say)
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
        from devstack.embedded import postgres

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
    processes = supervision.states(home)
    if load_stack(home) is not None and not processes:
        raise UsageError(f"the stack in {home} does not run; start it with `loyalty up --home {home}`")
    settings = settings_for(home)
    found: dict[str, Any] = {
        "processes": {name: process["statename"].lower() for name, process in processes.items()},
        "kafka": settings.kafka_brokers,
    }
    try:
        async with asyncio.timeout(timeout if wait_idle else _PROBE_SECONDS):
            found |= json_of(await _progress_of(settings, wait_idle))
    except unreachable() as problem:
        found["unreachable"] = f"{type(problem).__name__}: {problem}".removesuffix(": ")
    running = all(state == "running" for state in found["processes"].values())
    found["idle"] = bool(running and found.get("idle"))
    _show_status(found, processes, as_json)
    if not running or "unreachable" in found or (wait_idle and not found["idle"]):
        raise typer.Exit(1)


async def _progress_of(settings: Settings, wait_idle: bool) -> StatusView:
    from devstack.progress import Watcher
    from shared.queries import clock
    from shared.queries.status import count_open_dead_letters
    from shared.queries.views.of_lists import StatusView

    async with database(settings) as connection, Watcher(settings, connection) as watcher:
        if wait_idle:
            await watcher.wait_idle()
        behind = await watcher.behind(thorough=False)
        refused = await count_open_dead_letters(connection)
        now = await clock.now(connection, settings)
    return StatusView(
        idle=behind.idle,
        waiting=behind.records,
        outbox_batches=behind.outbox,
        unclaimed_partitions=behind.unclaimed,
        due=behind.due,
        open_dead_letters=refused,
        clock=f"{iso(now)} ({settings.clock.value})",
    )


def _show_status(found: dict[str, Any], processes: dict[str, dict[str, Any]], as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    if processes:
        rows = [(name, found["processes"][name], process["description"]) for name, process in processes.items()]
        show(("process", "state", "detail"), rows)
    if "unreachable" in found:
        console.print(f"Kafka ({found['kafka']}) or PostgreSQL does not answer: {found['unreachable']}", markup=False)
        return
    show(("service", "records waiting"), list(found["waiting"].items()))
    console.print(
        f"batches waiting for Kafka: {found['outbox_batches']} · partitions that no worker has claimed: "
        f"{found['unclaimed_partitions']} · due and not swept: {found['due']} · "
        f"open dead letters: {found['open_dead_letters']}\n"
        f"idle: {found['idle']} · clock: {found['clock']} · Kafka: {found['kafka']}"
    )


def _show_addresses(started: Stack, home: Path) -> None:
    console.print(f"[bold]{started.program}[/bold] is up; its state is in {home}, its logs in {home}/logs")
    for service in [name for name in started.ports if name not in {"postgres", "broker"}]:
        console.print(f"  metrics of {service}: http://127.0.0.1:{started.ports[service]}/metrics")
    console.print(f"  Kafka: 127.0.0.1:{started.ports['broker']} · topic {started.program}.purchases")
