"""The demonstration (``make up``): starts the stack, replays the year, and shows what happened."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from devstack import supervision
from devstack.home import database, load_stack, settings_for

console = Console(highlight=False)
#: How often a step that takes long says how far it is.
_LINE_SECONDS = 5.0

_EXTRAS = "returns,referrals,redemptions,profiles"
#: After the year: points expire, the windows of the tiers move on, reminders are due.
_AFTERWARDS = "2018-03-01T12:00:00Z"
_SUBSCRIBER = Path(__file__).parents[1] / "examples" / "email_subscriber.py"


def main(
    home: Annotated[Path, typer.Option(resolve_path=True)] = Path(".loyalty"),
    broker: str = "embedded",
    program: Annotated[str, typer.Option(help="A file in programs/, without its ending.")] = "fresh-market",
    last: Annotated[str, typer.Option(help="Replay up to this day only.")] = "2017-12-31",
    detach: Annotated[bool, typer.Option("--detach")] = False,
) -> None:
    """Run the demonstration; with --detach, return when it is done and leave the stack running."""
    started = time.monotonic()
    if not supervision.is_running(home):
        chosen = [] if load_stack(home) else ["--program", program, "--clock", "manual"]
        _loyalty(home, "up", "--detach", "--broker", broker, *chosen)
    try:
        if _clock(home) < _AFTERWARDS:
            _loyalty(home, "replay", "completejourney", "--with", _EXTRAS, "--to", last)
            _loyalty(home, "clock", "set", _AFTERWARDS, "--slowly")
        else:
            console.print("the year is in the ledger already; replaying it again would change no balance")
        _loyalty(home, "status", "--wait-idle")
        asyncio.run(_analyze(home))
        _loyalty(home, "audit")
        _write_mail(home)
        _loyalty(home, "summary")
        _show_next(home, time.monotonic() - started)
        if not detach:
            console.print("\nPress Ctrl-C to stop the stack.")
            while supervision.is_running(home):
                time.sleep(1)
    except KeyboardInterrupt:
        detach = False
    finally:
        if not detach:
            _loyalty(home, "down")


def _clock(home: Path) -> str:
    """Return the manual clock as RFC 3339 in UTC."""
    return str(json.loads(_loyalty(home, "status", "--json", capture=True))["clock"]).split()[0]


async def _analyze(home: Path) -> None:
    """Update the planner's statistics: otherwise the audit would use plans made for empty tables."""
    async with database(settings_for(home)) as connection:
        await connection.execute("analyze")


def _write_mail(home: Path) -> None:
    """Let the example subscriber write the mails that it would send into a folder."""
    if not _SUBSCRIBER.exists():
        console.print("no mails are written: the example of a subscriber is in the repository only")
        return
    settings = settings_for(home)
    console.print("writing mails")
    writing = subprocess.Popen(  # noqa: S603
        [
            sys.executable,
            str(_SUBSCRIBER),
            f"--brokers={settings.kafka_brokers}",
            f"--prefix={settings.topic_prefix}",
            f"--mail-folder={home / 'mail'}",
            f"--state={home / 'mail.db'}",
            "--now",
            "--until-idle=3",
        ]
    )
    while (status := _within(writing, _LINE_SECONDS)) is None:
        console.print(f"writing mails: {len(list((home / 'mail').glob('*.eml'))):,}")
    if status:
        raise SystemExit(status)


def _within(process: subprocess.Popen[bytes], seconds: float) -> int | None:
    """Return the exit status of a process that ends within some seconds; None if it goes on."""
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        return None


def _show_next(home: Path, seconds: float) -> None:
    stack = load_stack(home)
    assert stack is not None
    mails = len(list((home / "mail").glob("*.eml")))
    shown = home.relative_to(Path.cwd()) if home.is_relative_to(Path.cwd()) else home
    at = "" if home == Path(".loyalty").resolve() else f" --home {shown}"
    console.print(
        f"\nDone in {seconds:.0f} s. {mails:,} mails to open: {shown / 'mail'}\n"
        f"Metrics:   http://127.0.0.1:{stack.ports['earn']}/metrics\n"
        "Try next:\n"
        f"  .venv/bin/loyalty member 1000{at}\n"
        f"  .venv/bin/loyalty balances --as-of 2017-07-01T00:00:00-04:00 --top 5{at}\n"
        f"  .venv/bin/loyalty audit --replay{at}\n"
        f"  .venv/bin/loyalty replay completejourney --limit 2000 --no-barrier{at}   # again: no balance changes"
    )


def _loyalty(home: Path, *arguments: str, capture: bool = False) -> str:
    """Run a command as a user would; ends this process with its status if it fails."""
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-m", "cli", *arguments, "--home", str(home)],
        check=False,
        text=True,
        stdout=subprocess.PIPE if capture else None,
    )
    if done.returncode:
        raise SystemExit(done.returncode)
    return done.stdout or ""


if __name__ == "__main__":
    typer.run(main)
