"""The order in which two sides run, and the comparison of their figures. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Literal, NamedTuple

from bench.figures import Figure
from bench.load import Event

Side = Literal["new", "old"]


class Pair(NamedTuple):
    """What one pair measured on each side."""

    new: Sequence[Figure]
    old: Sequence[Figure]


class Comparison(NamedTuple):
    """One figure over all pairs: the medians of both sides, and the ratio new to old within a pair.

    ``ratio`` is the median of the ratios, ``lowest`` and ``highest`` are their range; None if an old figure is 0.
    """

    new: Figure
    old: Figure
    ratio: float | None
    lowest: float | None
    highest: float | None


def turns(pair: int, parts: int) -> Iterator[tuple[int, Side]]:
    """Yield (part of the load, side) turn by turn: new, old, old, new, … in one pair, old, new, … in the next.

    So a drift of the machine affects both sides alike, within seconds as well as within minutes.
    """
    for part in range(parts):
        order: tuple[Side, Side] = ("new", "old") if (pair + part) % 2 else ("old", "new")
        yield from ((part, side) for side in order)


def parts_of(events: Sequence[Event], parts: int) -> list[Sequence[Event]]:
    """Split a load into parts of nearly the same size, in order."""
    ends = [round(len(events) * number / parts) for number in range(parts + 1)]
    return [events[begin:end] for begin, end in pairwise(ends)]


def compare(pairs: Sequence[Pair]) -> list[Comparison]:
    """Compare every figure; each run of a row has the same figures in the same order."""
    return [
        _compared([pair.new[number] for pair in pairs], [pair.old[number] for pair in pairs])
        for number in range(len(pairs[0].new))
    ]


def _compared(new: Sequence[Figure], old: Sequence[Figure]) -> Comparison:
    both = list(zip(new, old, strict=True))
    ratios = [of_new.value / of_old.value for of_new, of_old in both if of_old.value]
    if len(ratios) < len(both):
        return Comparison(_median(new), _median(old), None, None, None)
    return Comparison(_median(new), _median(old), statistics.median(ratios), min(ratios), max(ratios))


def _median(figures: Sequence[Figure]) -> Figure:
    return figures[0]._replace(value=statistics.median(figure.value for figure in figures))


def difference(expected: Mapping[str, int], found: Mapping[str, int]) -> str:
    """Return how a run's results differ from those of the runs before it; empty if they agree."""
    names = [name for name in {**expected, **found} if expected.get(name) != found.get(name)]
    return ", ".join(f"{name}: {found.get(name, 0):,} instead of {expected.get(name, 0):,}" for name in names)
