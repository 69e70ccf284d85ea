"""The rows about purchases only: the naive version and earn, always with the same program and the same orders."""

from __future__ import annotations

import statistics
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from bench import latency
from bench.deployment import Deployment, Servers
from bench.load import PURCHASES, purchases
from bench.running import Process, Usage, check_alive, workers
from bench.sizes import Sizes
from shared.contracts import points

EARN, NAIVE = "services.earn.app", "bench.naive"
_WARM_UP = 500
_FIRST = 1_000_000


@dataclass(frozen=True, slots=True)
class Result:
    """What was measured for one contestant.

    Attributes:
        per_second: Events per second from the first to the last commit.
        worker_us: CPU of all workers per event, in microseconds; ``postgres_us`` is that of Postgres.
        peak_mb: The largest resident memory of any worker.
        checksum: A checksum of all balances.
    """

    per_second: float
    worker_us: float
    postgres_us: float
    peak_mb: float
    checksum: str


async def backlog(servers: Servers, app: str, number: int, events: int, members: int) -> Result:
    """Let a number of workers process a backlog that exists when they start."""
    made = await servers.deploy(PURCHASES)
    await made.send(purchases(events, members))
    with workers(made.settings, [app] * number) as processes:
        usage = Usage(processes, servers.postgres, with_start=True)
        usage.start()
        await _until_done(made, events, processes)
        used = usage.stop()
    checksum = await made.value(
        "select md5(string_agg(concat_ws(' ', member, wallet, available, lifetime, version), ',' "
        "order by member, wallet)) from account"
    )
    return Result(
        events / (await made.span()).seconds,
        sum(used.workers) / events * 1e6,
        used.postgres / events * 1e6,
        used.peak_mb,
        checksum,
    )


async def _until_done(made: Deployment, events: int, processes: list[Process]) -> None:
    done = "select (select coalesce(sum(next_offset), 0) from watermark) >= $1 and not exists (select from outbox)"
    await made.until(done, processes, events)


async def time_to_points(servers: Servers, rate: float, sizes: Sizes) -> latency.Latencies:
    """Publish purchases at a rate, and measure the time to their points events."""
    made = await servers.deploy(PURCHASES)
    with workers(made.settings, [EARN]) as processes:
        await made.send(purchases(_WARM_UP, sizes.members))
        await _until_done(made, _WARM_UP, processes)
        prepared = purchases(int(rate * sizes.latency_seconds), sizes.members, first=_FIRST)
        named = [(f"{number:010d}", event) for number, event in enumerate(prepared, start=_FIRST)]
        found = await latency.measure(made.settings, named, rate, points.TOPIC, _order_id)
        check_alive(processes)
    return found


def _order_id(record: Any) -> str:
    return points.POINTS_EARNED.validate_json(record.value)["order_id"]


async def run(servers: Servers, sizes: Sizes, console: Console) -> bool:
    """Run all contestants in turn for several rounds, and print medians; return whether their results agree."""
    same = await _check_same(servers, sizes, console)
    results = await _rounds(servers, sizes, console)
    _show(console, results)
    rate = statistics.median(result.per_second for result in results["earn, one worker"]) / 2
    found = await time_to_points(servers, rate, sizes)
    console.print(
        f"publish to points event at {rate:,.0f} events/s (half of one worker's rate): "
        f"p50 {found.p50 * 1000:.0f} ms, p99 {found.p99 * 1000:.0f} ms ({found.answered:,} events)"
    )
    return same


async def _check_same(servers: Servers, sizes: Sizes, console: Console) -> bool:
    """Let all contestants process the same events, and compare all balances."""
    console.print(f"checking that all end with identical balances ({sizes.same_events:,} events each)")
    checksums = {
        (await backlog(servers, app, number, sizes.same_events, sizes.members)).checksum
        for app, number in ((NAIVE, 1), (EARN, 1), (EARN, 2))
    }
    console.print("identical balances" if len(checksums) == 1 else "[red]BALANCES DIFFER[/red]")
    return len(checksums) == 1


async def _rounds(servers: Servers, sizes: Sizes, console: Console) -> dict[str, list[Result]]:
    """Run every contestant once per round."""
    contestants: dict[str, Callable[[], Awaitable[Result]]] = {
        "naive Faust agent": lambda: backlog(servers, NAIVE, 1, sizes.naive_events, sizes.members),
        "earn, one worker": lambda: backlog(servers, EARN, 1, sizes.events, sizes.members),
        "earn, two workers": lambda: backlog(servers, EARN, 2, sizes.events, sizes.members),
    }
    results: dict[str, list[Result]] = {name: [] for name in contestants}
    for number in range(1, sizes.rounds + 1):
        for name, contestant in contestants.items():
            result = await contestant()
            results[name].append(result)
            console.print(f"round {number} of {sizes.rounds}: {name}: {result.per_second:,.0f} events/s")
    return results


def _show(console: Console, results: dict[str, list[Result]]) -> None:
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
