"""Figures of rows: measured once a round, shown as medians."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from rich.table import Table


class Figure(NamedTuple):
    """One number of a row, with what it counts; ``digits`` after the point are shown."""

    name: str
    value: float
    unit: str
    digits: int = 0

    @property
    def shown(self) -> str:
        """The number as people read it."""
        return f"{self.value:,.{self.digits}f}"


def percentile(ordered: Sequence[float], share: float) -> float:
    """Return the value below which a share of others lies; they are in order."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def table(rounds: Mapping[str, Sequence[Sequence[Figure]]]) -> Table:
    """Return the medians of all rounds, and between what they lie; ratios are medians of each round's ratio."""
    made = Table("row", "figure", "median", "unit", "lowest to highest")
    for row, found in rounds.items():
        for number, figures in enumerate(zip(*found, strict=True)):
            values = [figure.value for figure in figures]
            one = figures[0]
            middle, low, high = (
                one._replace(value=value).shown for value in (statistics.median(values), min(values), max(values))
            )
            made.add_row(row if number == 0 else "", one.name, middle, one.unit, f"{low} to {high}")
        made.add_section()
    return made
