"""A row: a program, a load, and what is measured of a tree under that load."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from bench.against.pairs import Side, parts_of, turns
from bench.against.site import Site
from bench.against.stage import Measured, Stage, staged
from bench.against.tree import Tree
from bench.figures import Figure
from bench.load import Event
from bench.running import RunFailed
from bench.servers import running_servers

#: A pair that takes longer than this, and longer than its load takes at this rate, has failed.
_LEAST_SECONDS = 300
_LEAST_RATE = 100


class Load(NamedTuple):
    """What both trees process, in this order.

    Attributes:
        first: Events that warm the workers up and prepare members.
        events: The events that are measured.
        rate: Events per second; None for a backlog.
    """

    first: Sequence[Event]
    events: Sequence[Event]
    rate: float | None = None


class Outcome(NamedTuple):
    """The results of one tree in one pair.

    Attributes:
        figures: The figures to compare.
        results: How many outputs there were of each kind: every run must have the same.
        others: The share of the machine's CPU that went to processes outside the run.
    """

    figures: list[Figure]
    results: dict[str, int]
    others: float


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the comparison.

    Attributes:
        says: What it measures.
        size: How many events are measured; in rows with a rate, for how many seconds.
        clock: The clock that the program uses.
        wait_ms: See ``Outputs``.
        program: Returns the program file; its argument is a folder for a file that must be written.
        load: Returns the load for a number of events and a rate.
        prepare: Starts workers and warms them up.
        measure: Measures a part of the load.
        outcome: Computes the figures of all turns, and checks that no output is missing.
        parts: How many turns each side has within a pair, each with a part of the load.
        rate: Events per second; None for a backlog, or if the rate is measured first.
        half_rate_of: The row whose rate, halved, is the rate of this one.
    """

    says: str
    size: int
    clock: str
    wait_ms: int
    program: Callable[[Path], Path]
    load: Callable[[int, float | None], Load]
    prepare: Callable[[Stage, Load], Awaitable[None]]
    measure: Callable[[Stage, Load, Sequence[Event]], Awaitable[Measured]]
    outcome: Callable[[Stage, Load, Sequence[Measured]], Awaitable[Outcome]]
    parts: int = 4
    rate: float | None = None
    half_rate_of: str = ""


def run_pair(
    row: Row, trees: Mapping[Side, Tree], load: Load, pair: int, say: Callable[[str], None]
) -> dict[Side, Outcome]:
    """Run a row once on both trees, each on its own servers, in turns of seconds.

    Args:
        row: The row to run.
        trees: Both trees.
        load: The load.
        pair: The number of the pair, from 1; it decides which side begins.
        say: Called when the workers are ready, which takes as long as the turns.

    Raises:
        RunFailed: A worker ended, something is missing in the outputs, or it took too long.
    """
    with ExitStack() as stack:
        sites: dict[Side, Site] = {}
        for side, tree in trees.items():
            servers = stack.enter_context(running_servers())
            sites[side] = Site.of(tree, servers, row.clock)
            sites[side].deploy(row.program(servers.folder))
        return asyncio.run(_bounded(row, sites, load, pair, say))


async def _bounded(
    row: Row, sites: Mapping[Side, Site], load: Load, pair: int, say: Callable[[str], None]
) -> dict[Side, Outcome]:
    seconds = _LEAST_SECONDS + 2 * (len(load.first) + len(load.events)) / min(load.rate or _LEAST_RATE, _LEAST_RATE)
    try:
        async with asyncio.timeout(seconds):
            return await _in_turns(row, sites, load, pair, say)
    except TimeoutError:
        raise RunFailed(f"a pair was not done within {seconds:,.0f} seconds") from None


async def _in_turns(
    row: Row, sites: Mapping[Side, Site], load: Load, pair: int, say: Callable[[str], None]
) -> dict[Side, Outcome]:
    stages: dict[Side, Stage] = {}
    measured: dict[Side, list[Measured]] = {side: [] for side in sites}
    async with AsyncExitStack() as stack:
        # By turns: whoever is warmed up first has the older PostgreSQL.
        for side, site in sorted(sites.items(), reverse=bool(pair % 2)):
            stages[side] = await stack.enter_async_context(staged(site, row.wait_ms))
            with _named(site.tree):
                await row.prepare(stages[side], load)
                stages[side].rest()
        say("both are warm")
        parts = parts_of(load.events, row.parts)
        for part, side in turns(pair, row.parts):
            with _named(sites[side].tree):
                measured[side].append(await row.measure(stages[side], load, parts[part]))
        outcomes: dict[Side, Outcome] = {}
        for side, stage in stages.items():
            with _named(sites[side].tree):
                outcomes[side] = await row.outcome(stage, load, measured[side])
        return outcomes


@contextmanager
def _named(tree: Tree) -> Iterator[None]:
    """Add the tree's name to errors."""
    try:
        yield
    except RunFailed as problem:
        raise RunFailed(f"{tree.name}: {problem}") from problem
