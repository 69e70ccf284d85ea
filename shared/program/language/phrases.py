"""Phrases about amounts: points, caps, conversions, percentages, money and thresholds.

As in ``grammar``, each class has ``FORM`` (what is allowed, for error messages), ``PATTERN`` and ``parse``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar, Self

from shared.contracts.fields import minor_digits
from shared.program.compiled.tallies import Per
from shared.program.language.grammar import POINTS_MAX, matched

#: A whole number, with or without commas: 1000000, 1,000,000.
_WHOLE = r"\d{1,12}|\d{1,3}(?:,\d{3}){1,3}"


@dataclass(frozen=True, slots=True)
class Points:
    """A number of points: ``500 points``."""

    points: int
    unit: str

    FORM: ClassVar[str] = '"500 points"'
    PATTERN: ClassVar[str] = rf"^\s*({_WHOLE})\s+(\S.{{0,40}}?)\s*$"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse the phrase.

        Raises:
            ValueError: It does not have the form, or the number is 0 or too large.
        """
        match = matched(cls.PATTERN, text, "is not a number of points")
        points = int(match[1].replace(",", ""))
        if not 0 < points <= POINTS_MAX:
            raise ValueError(f"must be more than 0 and at most {POINTS_MAX:,}")
        return cls(points, match[2])


@dataclass(frozen=True, slots=True)
class Cap:
    """The most that is paid: ``500 points per month``; ``per order``, or ``in all``."""

    points: int
    unit: str
    per: Per

    FORM: ClassVar[str] = '"500 points per month" (order, day, week, month, quarter, year) or "500 points in all"'
    PATTERN: ClassVar[str] = (
        rf"^\s*({_WHOLE})\s+(\S.{{0,40}}?)\s+(?:(?:per|an?)\s+(order|day|week|month|quarter|year)|(in all))\s*$"
    )

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse the phrase.

        Raises:
            ValueError: It does not have the form, or the number is 0.
        """
        match = matched(cls.PATTERN, text, "is not a cap")
        points = int(match[1].replace(",", ""))
        if not points:
            raise ValueError("a cap of 0 would pay nothing; take the rule out")
        return cls(points, match[2], match[3] or match[4])  # type: ignore[arg-type]  # as the pattern allows


@dataclass(frozen=True, slots=True)
class Into:
    """What points are converted into: ``10 USD voucher, valid 30 days``, or points of another wallet: ``500 miles``.

    Attributes:
        unit: A currency for a voucher, else a wallet's unit.
        valid_days: How long a voucher is valid; None: it is not a voucher.
    """

    amount: Fraction
    unit: str
    valid_days: int | None = None

    FORM: ClassVar[str] = '"10 USD voucher, valid 30 days" or "500 miles"'
    PATTERN: ClassVar[str] = (
        r"^\s*(?:(\d{1,9}(?:\.\d{1,4})?) ([A-Z]{3}) voucher, valid (\d{1,4}) days?|(\d{1,9}) (\S.{0,40}?))\s*$"
    )

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse the phrase.

        Raises:
            ValueError: It does not have the form, is worth nothing, or has a validity of 0 days or over ten years.
        """
        match = matched(cls.PATTERN, text, "is not what points can become")
        amount = Fraction(match[1] or match[4])
        if not amount:
            raise ValueError("points would become nothing")
        if match[3] is None:
            return cls(amount, match[5])
        if not 1 <= int(match[3]) <= 3_660:
            raise ValueError("a voucher is valid for 1 to 3660 days")
        return cls(amount, match[2], int(match[3]))


@dataclass(frozen=True, slots=True)
class Percent:
    """A share: ``60%``."""

    share: Fraction

    FORM: ClassVar[str] = '"60%"'
    PATTERN: ClassVar[str] = r"^\s*(\d{1,3}(?:\.\d{1,4})?)\s*%\s*$"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse the phrase.

        Raises:
            ValueError: It does not have the form, or is 0, or more than 100%.
        """
        match = matched(cls.PATTERN, text, "is not a part in percent")
        share = Fraction(match[1]) / 100
        if not 0 < share <= 1:
            raise ValueError("must be more than 0% and at most 100%")
        return cls(share)


@dataclass(frozen=True, slots=True)
class Money:
    """An amount of money in major units: ``25 USD``."""

    amount: Fraction
    currency: str

    @property
    def minor(self) -> int:
        """The amount in minor units of its currency; validation has made sure that it is a whole number of them."""
        return int(self.amount * 10 ** minor_digits(self.currency))

    def __str__(self) -> str:
        return f"{float(self.amount):,.2f} {self.currency}".replace(".00 ", " ")

    FORM: ClassVar[str] = '"25 USD"'
    PATTERN: ClassVar[str] = r"^\s*(\d{1,12}(?:\.\d{1,4})?)\s+([A-Z]{3})\s*$"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse the phrase.

        Raises:
            ValueError: It does not have the form.
        """
        match = matched(cls.PATTERN, text, "is not an amount of money")
        return cls(Fraction(match[1]), match[2])


@dataclass(frozen=True, slots=True)
class Threshold:
    """The metric at which a tier begins: ``0``, ``500 USD`` or ``500 points``."""

    amount: Fraction
    unit: str

    FORM: ClassVar[str] = '"0", "500 USD" or "500 points"'
    #: An editor takes a bare 0 for a number.
    TYPES: ClassVar[list[str]] = ["string", "number"]
    PATTERN: ClassVar[str] = r"^\s*(\d{1,12}(?:\.\d{1,4})?)(?:\s+(\S.{0,40}?))?\s*$"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse the phrase.

        Raises:
            ValueError: It does not have the form.
        """
        match = re.fullmatch(cls.PATTERN, text)
        if match is None or (match[2] is None and Fraction(match[1])):
            raise ValueError("is not a threshold")
        return cls(Fraction(match[1]), match[2] or "")
