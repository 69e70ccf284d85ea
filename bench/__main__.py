"""``python -m bench``: the table of ``make bench``."""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import tempfile
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.contest import Contest, Result
from cli.embedded import postgres
from cli.embedded.servers import broker_server, start_postgres

MEMBERS = 10_000
#: The naive contestant gets fewer events, or it would run for minutes; its rate does not depend on the number.
NAIVE_EVENTS, EVENTS, SAME_EVENTS = 3_000, 120_000, 3_000
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
LATENCY_SECONDS = 10.0

Run = Callable[[], Coroutine[Any, Any, Result]]


async def main() -> int:
    """Run all contestants in turn, several rounds, and print medians; exit status 1 if results differ."""
    console = Console(width=130)
    with tempfile.TemporaryDirectory(prefix="loyalty-bench-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        database, url = await asyncio.to_thread(start_postgres, folder)
        broker = await asyncio.to_thread(broker_server("tansu", folder).start)
        try:
            contest = Contest(broker, database, url, folder)
            same = await check_same(contest, console)
            results = await rounds(contest, console)
            show(console, results)
            rate = statistics.median(result.per_second for result in results["earn, one worker"]) / 2
            p50, p99, measured = await contest.latency(rate, LATENCY_SECONDS, MEMBERS)
            console.print(
                f"publish to points event at {rate:,.0f} events/s (half of one worker's rate): "
                f"p50 {p50 * 1000:.0f} ms, p99 {p99 * 1000:.0f} ms ({measured:,} events)"
            )
        finally:
            broker.stop()
            database.stop()
            postgres.remove(folder)
    return 0 if same else 1


async def check_same(contest: Contest, console: Console) -> bool:
    """Let all contestants handle the same events and compare all balances."""
    console.print(f"checking that all end with identical balances ({SAME_EVENTS:,} events each)")
    checksums = {
        (await contest.backlog(app, workers, SAME_EVENTS, MEMBERS)).checksum
        for app, workers in (("bench.naive", 1), ("services.earn.app", 1), ("services.earn.app", 2))
    }
    console.print("identical balances" if len(checksums) == 1 else "[red]BALANCES DIFFER[/red]")
    return len(checksums) == 1


async def rounds(contest: Contest, console: Console) -> dict[str, list[Result]]:
    """Run every contestant once a round."""
    contestants: dict[str, Run] = {
        "naive Faust agent": lambda: contest.backlog("bench.naive", 1, NAIVE_EVENTS, MEMBERS),
        "earn, one worker": lambda: contest.backlog("services.earn.app", 1, EVENTS, MEMBERS),
        "earn, two workers": lambda: contest.backlog("services.earn.app", 2, EVENTS, MEMBERS),
    }
    results: dict[str, list[Result]] = {name: [] for name in contestants}
    for number in range(1, ROUNDS + 1):
        for name, run in contestants.items():
            result = await run()
            results[name].append(result)
            console.print(f"round {number} of {ROUNDS}: {name}: {result.per_second:,.0f} events/s")
    return results


def show(console: Console, results: dict[str, list[Result]]) -> None:
    """Print medians; ratios are medians of the ratios within each round."""
    table = Table("contestant", "events/s", "x naive", "worker CPU µs/event", "Postgres CPU µs/event", "peak worker MB")
    naive = results["naive Faust agent"]
    for name, found in results.items():
        ratio = statistics.median(r.per_second / n.per_second for r, n in zip(found, naive, strict=True))
        table.add_row(
            name,
            f"{statistics.median(r.per_second for r in found):,.0f}",
            f"{ratio:.1f}",
            f"{statistics.median(r.worker_us for r in found):.0f}",
            f"{statistics.median(r.postgres_us for r in found):.0f}",
            f"{max(r.peak_mb for r in found):.0f}",
        )
    console.print(table)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
