"""A year under a program with most of the language, its workers killed on the way: the archive explains it.

By default a quarter of it; RICH_YEAR_TO=2017-12-31 runs the whole year, which takes a quarter of an hour.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from devstack import supervision
from shared.contracts.catalogue import SERVICES
from tests.conftest import BROKER
from tests.support.commands import ROOT, loyalty_process

pytestmark = pytest.mark.crash
EXTRAS = "returns,referrals,redemptions,profiles,amendments,cancellations,members"
LAST = os.environ.get("RICH_YEAR_TO", "2017-03-31")
KILL_EVERY_SECONDS = 8


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    broker = "kafka" if BROKER == "kafka" else "embedded"
    program = ROOT / "programs" / "fresh-market-rich.yaml"
    loyalty(tmp_path, "up", "--detach", "--broker", broker, "--program", str(program), "--clock", "manual")
    try:
        yield tmp_path
    finally:
        loyalty(tmp_path, "down", "--purge")


def loyalty(home: Path, *arguments: str, seconds: float = 280) -> str:
    return loyalty_process(*arguments, "--home", str(home), seconds=seconds)


def kill_a_worker(home: Path, number: int) -> bool:
    """Kill -9 one service after the other; return whether it was running."""
    found = supervision.states(home).get(SERVICES[number % len(SERVICES)])
    if found is None or found["statename"] != "RUNNING":
        return False
    os.kill(int(found["pid"]), signal.SIGKILL)
    return True


def wait_until_all_run(home: Path) -> None:
    """Wait: the last one that was killed may still be starting."""
    until = time.monotonic() + 60
    while any(one["statename"] != "RUNNING" for one in supervision.states(home).values()):
        assert time.monotonic() < until, supervision.states(home)
        time.sleep(0.2)


@pytest.mark.timeout(2400)
def test_a_year_of_everything_with_kills(home: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LOYALTY_")}
    replay = subprocess.Popen(
        [sys.executable, "-m", "cli", "replay", "completejourney", "--no-barrier", "--with", EXTRAS, "--to", LAST,
         "--home", str(home)],
        cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip
    kills, due = 0, time.monotonic() + KILL_EVERY_SECONDS
    try:
        while replay.poll() is None:
            if time.monotonic() >= due:
                kills += kill_a_worker(home, kills)
                due = time.monotonic() + KILL_EVERY_SECONDS
            time.sleep(0.2)
    finally:
        replay.kill()
        replay.wait()
    assert replay.returncode == 0, replay.stderr.read() if replay.stderr else ""
    assert kills >= len(SERVICES), "every service was killed"
    wait_until_all_run(home)
    loyalty(home, "status", "--wait-idle", seconds=1500)
    said = loyalty(home, "audit", "--replay", seconds=1500)
    assert "the ledger is clean" in said
