"""Every n-th unit is on the house: the cheapest of each n units come back as points."""

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
    """``kind: every-nth-unit``. Of ten coffees with ``n: 5``, the price of the two cheapest is paid for."""

    kind: Literal["every-nth-unit"]
    n: Annotated[int, Field(ge=2, le=1000, description="So many units of the rule's lines make one free")]
    give: phrase(Give) = Field(description="Paid for the price of the free units")  # type: ignore[valid-type]

    def gives(self) -> Iterator[tuple[Path, Give]]:
        """Yield the one phrase."""
        yield ("give",), self.give

    def compile(self, scale: int, wallet_currency: str | None) -> _Compiled:
        """Make it ready."""
        currency = wallet_currency if self.give.per == "back" else self.give.currency
        return _Compiled(self.n, rate_of(self.give, scale), frozenset({currency}) if currency else None)


class _Compiled:
    def __init__(self, n: int, rate: Rate, currencies: frozenset[str] | None) -> None:
        self._n = n
        self._rate = rate
        self.currencies = currencies

    def exact(self, basket: Basket, matched: Sequence[int]) -> Fraction:
        """Return the pay for the free units' price.

        A unit's price is its line's amount by its quantity. A free unit that is a part of a cent more than a whole one
        is priced down: money has no smaller parts.
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
