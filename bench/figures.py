"""Figures of rows: measured once per round, shown as medians."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from rich.table import Table


class Figure(NamedTuple):
    """One number of a row, and what it counts; it is shown with ``digits`` decimals."""

    name: str
    value: float
    unit: str
    digits: int = 0

    @property
    def shown(self) -> str:
        """The number for people."""
        return f"{self.value:,.{self.digits}f}"


def percentile(ordered: Sequence[float], share: float) -> float:
    """Return the value below which a share of the sorted values lies."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def table(rounds: Mapping[str, Sequence[Sequence[Figure]]]) -> Table:
    """Return the medians of all rounds with their ranges; ratios are medians of the ratio of each round."""
    made = Table("row", "figure", "median", "unit", "lowest to highest")
    for row, found in rounds.items():
        for number, figures in enumerate(zip(*found, strict=True)):
            values = [figure.value for figure in figures]
            first = figures[0]
            middle, low, high = (
                first._replace(value=value).shown for value in (statistics.median(values), min(values), max(values))
            )
            made.add_row(row if number == 0 else "", first.name, middle, first.unit, f"{low} to {high}")
        made.add_section()
    return made
