"""Runs a row in pairs, and prints the comparison."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from bench.against.backlog_rows import FLOW_ROW, PURCHASES_ROW, RICH_ROW
from bench.against.paced_rows import LATENCY_ROW, REDEMPTIONS_ROW
from bench.against.pairs import Comparison, Pair, Side, compare, difference
from bench.against.row import Load, Outcome, Row, run_pair
from bench.against.tree import Tree
from bench.running import RunFailed

ROWS: Mapping[str, Row] = {
    "purchases": PURCHASES_ROW,
    "latency": LATENCY_ROW,
    "flow": FLOW_ROW,
    "rich": RICH_ROW,
    "redemptions": REDEMPTIONS_ROW,
}
_HALF_OF_THIS_MANY = 10_000


@dataclass(frozen=True, slots=True)
class Wanted:
    """The number of pairs, and numbers that replace the row's own."""

    pairs: int
    events: int | None = None
    rate: float | None = None


def compare_trees(name: str, trees: Mapping[Side, Tree], wanted: Wanted, console: Console) -> None:
    """Run a row on both trees in turns, and print medians and ratios.

    Raises:
        RunFailed: A run went wrong, or the trees' results differ.
    """
    row = ROWS[name]
    rate = _rate(row, trees, wanted, console)
    events = wanted.events or (row.size if rate is None else round(row.size * rate))
    load = row.load(events, rate)
    paced = f" at {rate:,.0f} a second" if rate else ""
    console.print(f"{name}: {row.says}; {events:,} events a run{paced}", highlight=False)
    found = _run_all(row, trees, load, wanted.pairs, console)
    console.print(_table(compare([Pair(both["new"].figures, both["old"].figures) for both in found]), trees))
    _print_notes([outcome for both in found for outcome in both.values()], console)


def _rate(row: Row, trees: Mapping[Side, Tree], wanted: Wanted, console: Console) -> float | None:
    """Return the rate at which a row runs; None for a backlog."""
    if row.rate is None and not row.half_rate_of:
        return None
    return wanted.rate or row.rate or _half_rate(ROWS[row.half_rate_of], trees, console)


def _half_rate(row: Row, trees: Mapping[Side, Tree], console: Console) -> float:
    """Return half of the rate that the slower tree reaches: both trees get the same rate."""
    outcomes = _run(row, trees, row.load(_HALF_OF_THIS_MANY, None), 1, "finding a rate", console)
    return min(outcome.figures[0].value for outcome in outcomes.values()) / 2


def _run_all(
    row: Row, trees: Mapping[Side, Tree], load: Load, pairs: int, console: Console
) -> list[dict[Side, Outcome]]:
    found: list[dict[Side, Outcome]] = []
    for pair in range(1, pairs + 1):
        found.append(_run(row, trees, load, pair, f"pair {pair} of {pairs}", console))
        for side, outcome in found[-1].items():
            if problem := difference(found[0]["new"].results, outcome.results):
                raise RunFailed(f"{trees[side].name} does not produce what this tree did at first: {problem}")
    return found


def _run(
    row: Row, trees: Mapping[Side, Tree], load: Load, pair: int, name: str, console: Console
) -> dict[Side, Outcome]:
    """Run one pair, and report its figures."""
    began = time.monotonic()

    def say(text: str) -> None:
        console.print(f"{name}, after {time.monotonic() - began:.0f} s: {text}", highlight=False)

    with console.status(name):
        outcomes = run_pair(row, trees, load, pair, say)
    for side, outcome in outcomes.items():
        figures = ", ".join(f"{figure.name} {figure.shown} {figure.unit}" for figure in outcome.figures)
        say(f"{trees[side].name}: {figures}")
    return outcomes


def _table(comparisons: Sequence[Comparison], trees: Mapping[Side, Tree]) -> Table:
    made = Table("figure", "unit", trees["new"].name, trees["old"].name, "ratio", "lowest to highest")
    for found in comparisons:
        ratio, spread = "", ""
        if found.ratio is not None:
            ratio, spread = f"{found.ratio:.3f}", f"{found.lowest:.3f} to {found.highest:.3f}"
        made.add_row(found.new.name, found.new.unit, found.new.shown, found.old.shown, ratio, spread)
    return made


def _print_notes(outcomes: Sequence[Outcome], console: Console) -> None:
    results = ", ".join(f"{_short(name)} {count:,}" for name, count in sorted(outcomes[0].results.items()))
    console.print(f"the same in every run: {results}", highlight=False)
    shares = [100 * outcome.others for outcome in outcomes]
    console.print(
        f"other processes had {statistics.median(shares):.0f} % of the machine's CPU "
        f"({min(shares):.0f} to {max(shares):.0f} %)",
        highlight=False,
    )


def _short(name: str) -> str:
    return name.replace("loyalty.", "").replace(".v1", "")
