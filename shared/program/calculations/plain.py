"""The calculation behind ``give:``: one phrase for all orders, or one for each currency."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction

from shared.program.calculations.base import Basket, Rate, rate_of
from shared.program.language.grammar import Give


class Plain:
    """Pays per amount of money, per item or per order."""

    def __init__(self, gives: Sequence[Give], scale: int, wallet_currency: str | None) -> None:
        """Compile the phrases of ``give:``.

        Args:
            gives: One phrase for orders of any currency, or one for each currency.
            scale: See ``CalculationKind.compile``.
            wallet_currency: See ``CalculationKind.compile``.
        """
        by_currency: dict[str, Rate] = {}
        self._anywhere: Rate | None = None
        for give in gives:
            rate = rate_of(give, scale)
            currency = wallet_currency if give.per == "back" else give.currency
            if currency:
                by_currency[currency] = rate
            else:
                self._anywhere = rate
        self._by_currency: Mapping[str, Rate] = by_currency
        self.currencies = None if self._anywhere else frozenset(by_currency)

    def exact(self, basket: Basket, matched: Sequence[int]) -> Fraction:
        """Return the points for the matched lines, taken together."""
        rate = self._by_currency.get(basket.currency) or self._anywhere
        assert rate is not None, "rules do not pay for orders in currencies that they have no rate for"
        amounts, lines = basket.amounts, basket.lines
        return rate(sum([amounts[i] for i in matched]), sum([lines[i].quantity for i in matched]))
