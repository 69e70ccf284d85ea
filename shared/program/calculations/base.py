"""What all calculations share: the order that they calculate for, and how a rate phrase becomes a number."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from typing import NamedTuple, Protocol

from shared.contracts.fields import minor_digits
from shared.contracts.order_lines import Line
from shared.program.language.fields import Part
from shared.program.language.grammar import Give
from shared.program.language.source import Path

#: Unrounded points for (minor units, items) of the lines that count.
Rate = Callable[[int, int], Fraction]


class Basket(NamedTuple):
    """An order as calculations see it.

    Attributes:
        lines: All lines of the order.
        amounts: What counts of each line, in minor units: what was paid for it, adjusted by the program's ``spend:``.
    """

    lines: Sequence[Line]
    amounts: Sequence[int]
    currency: str


class Calculation(Protocol):
    """Calculates exact points. The rule rounds them."""

    @property
    def currencies(self) -> frozenset[str] | None:
        """The currencies of the orders that it can pay for; None: any currency."""

    def exact(self, basket: Basket, matched: Sequence[int]) -> Fraction:
        """Return the points for the lines at the matched positions, taken together; not negative."""


class CalculationKind(Part):
    """The section of a rule that describes a calculation. A subclass has a ``kind`` of its own."""

    def gives(self) -> Iterator[tuple[Path, Give]]:
        """Yield every rate phrase of the section and its path; the units say which wallet is paid."""
        raise NotImplementedError

    def amounts(self) -> Iterator[tuple[Path, Fraction, str]]:
        """Yield every other amount of money in the section and its path."""
        return iter(())

    def compile(self, scale: int, wallet_currency: str | None) -> Calculation:
        """Compile the section.

        Args:
            scale: How many of the wallet's smallest units make one unit of the file: 100 in a wallet of dollars.
            wallet_currency: The currency of a wallet that holds money: ``2% back`` works only for orders in it.
        """
        raise NotImplementedError


def rate_of(give: Give, scale: int) -> Rate:
    """Return the exact rate of a phrase."""
    points = give.points * scale
    if give.per == "item":
        return lambda _amount, items: points * items
    if give.per == "order":
        return lambda _amount, _items: points
    if give.per == "back":
        share = give.points
        return lambda amount, _items: share * amount
    minor = int(give.amount * 10 ** minor_digits(give.currency))
    if give.whole:
        return lambda amount, _items: points * (amount // minor)
    return lambda amount, _items: points * amount / minor
