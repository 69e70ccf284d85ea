"""Every n-th unit is free: the price of the cheapest of each n units is paid back as points."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Annotated, Literal

from pydantic import Field

from shared.program.calculations.base import Basket, CalculationKind, Rate, rate_of
from shared.program.language.fields import phrase
from shared.program.language.grammar import Give
from shared.program.language.source import Path


class EveryNthUnit(CalculationKind):
    """``kind: every-nth-unit``. Of ten coffees with ``n: 5``, the two cheapest are free."""

    kind: Literal["every-nth-unit"]
    n: Annotated[int, Field(ge=2, le=1000, description="One of this many units of the rule's lines is free")]
    give: phrase(Give) = Field(description="Paid for the price of the free units")  # type: ignore[valid-type]

    def gives(self) -> Iterator[tuple[Path, Give]]:
        """Yield the only rate phrase."""
        yield ("give",), self.give

    def compile(self, scale: int, wallet_currency: str | None) -> _Compiled:
        """Compile the section."""
        currency = wallet_currency if self.give.per == "back" else self.give.currency
        return _Compiled(self.n, rate_of(self.give, scale), frozenset({currency}) if currency else None)


class _Compiled:
    def __init__(self, n: int, rate: Rate, currencies: frozenset[str] | None) -> None:
        self._n = n
        self._rate = rate
        self.currencies = currencies

    def exact(self, basket: Basket, matched: Sequence[int]) -> Fraction:
        """Return the points for the price of the free units.

        A unit's price is its line's amount divided by its quantity. The sum of the free units' prices is rounded down
        to a whole minor unit.
        """
        units = sorted(
            (Fraction(basket.amounts[i], line.quantity), line.quantity)
            for i in matched
            if (line := basket.lines[i]).quantity
        )
        free = sum(quantity for _price, quantity in units) // self._n
        left, price = free, Fraction(0)
        for unit_price, quantity in units:
            taken = min(left, quantity)
            price += unit_price * taken
            left -= taken
        return self._rate(int(price), free) if free else Fraction(0)
