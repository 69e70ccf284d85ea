"""What every calculation shares: the lines that it is asked about, and how a phrase of pay becomes a number."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from typing import NamedTuple, Protocol

from shared.contracts.fields import minor_digits
from shared.contracts.order_lines import Line
from shared.program.language.fields import Part
from shared.program.language.grammar import Give
from shared.program.language.source import Path

#: Points that are not rounded yet, from (minor units, items) of the lines that count.
Rate = Callable[[int, int], Fraction]


class Basket(NamedTuple):
    """An order as calculations see it.

    Attributes:
        lines: All of them.
        amounts: Minor units of each line that count: what was paid for it, unless the program's ``spend:`` says more.
    """

    lines: Sequence[Line]
    amounts: Sequence[int]
    currency: str


class Calculation(Protocol):
    """Works out points, exactly. The rounding is the rule's."""

    @property
    def currencies(self) -> frozenset[str] | None:
        """The currencies of orders that it can pay for; None: any."""

    def exact(self, basket: Basket, matched: Sequence[int]) -> Fraction:
        """Return the points for the lines at some positions, taken together; not negative."""


class CalculationKind(Part):
    """The section of a rule that describes a calculation. A subclass has a ``kind`` of its own."""

    def gives(self) -> Iterator[tuple[Path, Give]]:
        """Yield every phrase of pay in it with its place; their units say which wallet is paid."""
        raise NotImplementedError

    def amounts(self) -> Iterator[tuple[Path, Fraction, str]]:
        """Yield every other amount of money in it with its place."""
        return iter(())

    def compile(self, scale: int, wallet_currency: str | None) -> Calculation:
        """Make it ready.

        Args:
            scale: Smallest units of the wallet in one of what the file writes: 100 where it holds dollars and cents.
            wallet_currency: Of a wallet that holds money: only orders in it can be paid back in part.
        """
        raise NotImplementedError


def rate_of(give: Give, scale: int) -> Rate:
    """Return what a phrase pays for (minor units, items), exactly."""
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
