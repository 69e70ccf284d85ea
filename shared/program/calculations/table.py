"""Points by product and amount: a table with a row for each kind of product, and bands of amounts in each row."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Annotated, Literal

from pydantic import Field

from shared.program.calculations.base import Basket, CalculationKind, Rate, rate_of
from shared.program.compiled.matching import LineTest, any_of
from shared.program.language.fields import Part, phrase
from shared.program.language.grammar import Give
from shared.program.language.phrases import Money
from shared.program.language.products import ProductMatches
from shared.program.language.source import Path


class Band(Part):
    """The amount from which a band applies, and what it pays for the whole amount."""

    from_: phrase(Money) = Field(alias="from")  # type: ignore[valid-type]
    give: phrase(Give)  # type: ignore[valid-type]


class Row(Part):
    """The bands of one kind of product."""

    for_: ProductMatches = Field(alias="for")
    bands: Annotated[tuple[Band, ...], Field(min_length=1, max_length=100)]


class Table(CalculationKind):
    """``kind: table``. A line belongs to the first row that matches it; the sum of a row's lines selects the band."""

    kind: Literal["table"]
    rows: Annotated[tuple[Row, ...], Field(min_length=1, max_length=1000)]

    def gives(self) -> Iterator[tuple[Path, Give]]:
        """Yield the rate phrase of every band."""
        for index, row in enumerate(self.rows):
            for number, band in enumerate(row.bands):
                yield ("rows", index, "bands", number, "give"), band.give

    def amounts(self) -> Iterator[tuple[Path, Fraction, str]]:
        """Yield the threshold of every band."""
        for index, row in enumerate(self.rows):
            for number, band in enumerate(row.bands):
                yield ("rows", index, "bands", number, "from"), band.from_.amount, band.from_.currency

    def compile(self, scale: int, wallet_currency: str | None) -> _CompiledTable:  # noqa: ARG002
        """Compile the table; it pays for orders in the currency of its bands."""
        currency = self.rows[0].bands[0].from_.currency
        return _CompiledTable([_CompiledRow(row, scale) for row in self.rows], currency)


class _CompiledRow:
    def __init__(self, row: Row, scale: int) -> None:
        self.takes: LineTest = any_of(row.for_)
        bands = [(band.from_.minor, rate_of(band.give, scale)) for band in row.bands]
        bands.sort(key=lambda band: band[0])
        self._starts = [start for start, _rate in bands]
        self._rates: list[Rate] = [rate for _start, rate in bands]

    def pay(self, amount: int, items: int) -> Fraction:
        """Return what the band of an amount pays; 0 below the first band."""
        number = bisect_right(self._starts, amount)
        return self._rates[number - 1](amount, items) if number else Fraction(0)


class _CompiledTable:
    def __init__(self, rows: Sequence[_CompiledRow], currency: str) -> None:
        self._rows = rows
        self.currencies = frozenset({currency})

    def exact(self, basket: Basket, matched: Sequence[int]) -> Fraction:
        """Return the sum of what each row pays for its lines."""
        sums: dict[int, tuple[int, int]] = {}
        for i in matched:
            line = basket.lines[i]
            row = next((number for number, row in enumerate(self._rows) if row.takes(line)), None)
            if row is not None:
                amount, items = sums.get(row, (0, 0))
                sums[row] = amount + basket.amounts[i], items + line.quantity
        return sum((self._rows[row].pay(*both) for row, both in sums.items()), Fraction(0))
