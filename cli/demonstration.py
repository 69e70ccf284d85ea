"""What ``make up`` does: start the stack, replay the year, and show what happened."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from cli import supervision
from cli.home import load_stack
from cli.output import console

#: What the year pays.
YEAR = 5_108_868


def main(
    home: Annotated[Path, typer.Option(resolve_path=True)] = Path(".loyalty"),
    broker: str = "embedded",
    detach: Annotated[bool, typer.Option("--detach")] = False,
) -> None:
    """Run the demonstration; with --detach return when it is done and leave the stack running."""
    if not supervision.is_running(home):
        _loyalty(home, "up", "--detach", "--broker", broker)
    try:
        started = time.monotonic()
        if _lifetime(home) < YEAR:
            _loyalty(home, "replay", "completejourney")
        else:
            console.print("the year is in the ledger already; replaying it again would change no balance")
        _loyalty(home, "status", "--wait-idle")
        seconds = time.monotonic() - started
        _loyalty(home, "audit")
        _show(home, seconds)
        if not detach:
            console.print("\nPress Ctrl-C to stop the stack.")
            while supervision.is_running(home):
                time.sleep(1)
    except KeyboardInterrupt:
        detach = False
    finally:
        if not detach:
            _loyalty(home, "down")


def _lifetime(home: Path) -> int:
    balances: list[dict[str, Any]] = json.loads(_loyalty(home, "balances", "--json", capture=True))
    return sum(balance["lifetime"] for balance in balances)


def _show(home: Path, seconds: float) -> None:
    balances: list[dict[str, Any]] = json.loads(_loyalty(home, "balances", "--json", capture=True))
    stack = load_stack(home)
    assert stack is not None
    points = sum(balance["lifetime"] for balance in balances)
    console.print(
        f"\n[bold]{points:,} points of {len(balances):,} members[/bold], replayed in {seconds:.0f} s; the largest:"
    )
    _loyalty(home, "balances", "--top", "5")
    at = "" if home == Path(".loyalty").resolve() else f" --home {home}"
    console.print(
        f"Metrics:   http://127.0.0.1:{stack.ports['earn']}/metrics\n"
        "Try next:\n"
        f"  .venv/bin/loyalty balances --as-of 2017-07-01T00:00:00-04:00 --top 5{at}\n"
        f"  .venv/bin/loyalty audit --replay{at}\n"
        f"  .venv/bin/loyalty replay completejourney --limit 2000 --no-barrier{at}   # again: no balance changes"
    )


def _loyalty(home: Path, *arguments: str, capture: bool = False) -> str:
    """Run a command as a user would; ends this process with its status if it fails."""
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-m", "cli", *arguments, "--home", str(home)],
        check=False, text=True, stdout=subprocess.PIPE if capture else None,
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(done.returncode)
    return done.stdout or ""


if __name__ == "__main__":
    typer.run(main)
