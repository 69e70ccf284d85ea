"""The phrases of earning: rates, expiries, roundings and factors.

Each class has ``FORM`` (what is allowed, for error messages), ``PATTERN`` (for editors) and ``parse``. The other
phrases are in ``phrases`` and ``phrases_of_time``.
"""

from __future__ import annotations

import re
from calendar import monthrange
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar, Literal, Self

#: A higher rate is a typing mistake, and an order could overflow a balance.
POINTS_MAX = 1_000_000
MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
#: Phrases are short; on a very long text the pattern would take too much time.
_LENGTH_MAX = 200
_NUMBER = r"\d+(?:\.\d+)?(?:/\d+)?"


def _number(text: str) -> Fraction:
    """Parse ``2``, ``1.25`` or ``1/3`` exactly."""
    whole, _, below = text.partition("/")
    if below and int(below) == 0:
        raise ValueError("a fraction cannot have 0 below the line")
    return Fraction(whole) / int(below or 1)


def matched(pattern: str, text: str, otherwise: str) -> re.Match[str]:
    """Match a whole phrase.

    Raises:
        ValueError: It does not match; ``otherwise`` is the message.
    """
    match = re.fullmatch(pattern, text)
    if match is None:
        raise ValueError(otherwise)
    return match


@dataclass(frozen=True, slots=True)
class Give:
    """What a rule pays: ``1 point per whole USD``, ``1.25 points per USD``, ``50 points per item``, ``2% back``.

    Attributes:
        points: Exact units of the wallet; 1/50 for ``2% back``.
        unit: The wallet's unit as written; empty for ``back``.
        per: What it is paid for: an amount of money, an item (by quantity), the whole order, or ``back``: a share of
            the money, into a wallet that holds money.
        whole: True if only whole multiples of ``amount`` count.
        amount: Major units of ``currency`` (0 where ``per`` is not money).
    """

    points: Fraction
    unit: str
    per: Literal["money", "item", "order", "back"]
    whole: bool = False
    amount: Fraction = Fraction(0)
    currency: str = ""

    FORM: ClassVar[str] = (
        '"1 point per whole USD", "5 points per whole 10 USD", "1.25 points per USD", '
        '"50 points per item", "100 points per order" or "2% back"'
    )
    PATTERN: ClassVar[str] = (
        rf"^\s*(?:({_NUMBER})\s+(\S.*?)\s+(?:per|a|for every)\s+"
        rf"(?:(item|order)|(whole\s+)?(?:({_NUMBER})\s+)?([A-Z]{{3}}))|({_NUMBER})\s*%\s+back)\s*$"
    )

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse the phrase.

        Raises:
            ValueError: It does not have the form, or its numbers make no sense.
        """
        match = re.fullmatch(cls.PATTERN, text) if len(text) <= _LENGTH_MAX else None
        if match is None:
            raise ValueError("is not a rate")
        if match[7]:
            share = _number(match[7])
            if not 0 < share <= 100:
                raise ValueError("must be more than 0% and at most 100%")
            return cls(share / 100, "", "back")
        points, unit = _number(match[1]), match[2]
        if not 0 < points <= POINTS_MAX:
            raise ValueError(f"the points must be more than 0 and at most {POINTS_MAX:,}")
        if match[3]:
            return cls(points, unit, "item" if match[3] == "item" else "order")
        amount = _number(match[5]) if match[5] else Fraction(1)
        if amount <= 0:
            raise ValueError("the amount of money must be more than 0")
        return cls(points, unit, "money", bool(match[4]), amount, match[6])


@dataclass(frozen=True, slots=True)
class Expiry:
    """How long points live: ``never``, ``12 months, to the end of that month``, ``on 31 December``.

    Points live to the end of their last day: without a rounding, the day on which the period ends.

    Attributes:
        anchor: (month, day) of ``36 months, then the next 30 September``: they live on to the next such day.
        idle: Whether the period counts from the member's last activity: ``after 18 months without activity``.
    """

    count: int | None
    unit: Literal["day", "month", "year"] = "day"
    to_the_end_of: Literal["day", "month", "quarter", "year", "membership year"] = "day"
    anchor: tuple[int, int] | None = None
    idle: bool = False

    FORM: ClassVar[str] = (
        '"never", "90 days", "18 months", "12 months, to the end of that month" (day, quarter, year, membership year), '
        '"at the end of the membership year", "after 18 months without activity", "on 31 December" or '
        '"36 months, then the next 30 September"'
    )
    PATTERN: ClassVar[str] = (
        r"^(?:never|(at the end of the membership year)|after (?P<idle>\d+) (?P<unit>day|month|year)s? without activity"
        r"|(\d+) (day|month|year)s?(?:, to the end of that (day|month|quarter|year|membership year))?"
        rf"|(?:on|(\d+) (day|month|year)s?, then the next) (\d{{1,2}}) ({'|'.join(MONTHS)}))$"
    )
    _LONGEST: ClassVar[dict[str, int]] = {"day": 36_500, "month": 1_200, "year": 100}

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse the phrase.

        Raises:
            ValueError: It does not have the form, or is longer than a hundred years.
        """
        match = matched(cls.PATTERN, " ".join(text.split()), "is not an expiry")
        if text.split() == ["never"]:
            return cls(None)
        if match[1]:
            return cls(0, to_the_end_of="membership year")
        if match["idle"]:
            if not 1 <= int(match["idle"]) <= cls._LONGEST[match["unit"]]:
                raise ValueError("must be at least 1 and at most a hundred years")
            return cls(int(match["idle"]), match["unit"], idle=True)  # type: ignore[arg-type]  # as the pattern allows
        count, unit = int(match[4] or match[7] or 0), match[5] or match[8] or "day"
        if count > cls._LONGEST[unit]:
            raise ValueError('longer than a hundred years; write "never"')
        anchor = (MONTHS.index(match[10]) + 1, int(match[9])) if match[10] else None
        if anchor is not None and not 1 <= anchor[1] <= monthrange(2024, anchor[0])[1]:
            raise ValueError(f"{match[10]} has no day {anchor[1]}")
        return cls(count, unit, match[6] or "day", anchor)  # type: ignore[arg-type]  # as the pattern allows


@dataclass(frozen=True, slots=True)
class Rounding:
    """How points are rounded: ``down per order`` (the default), ``half-up per line``, ``half-even per line``."""

    mode: Literal["down", "half-up", "half-even"] = "down"
    scope: Literal["order", "line"] = "order"

    FORM: ClassVar[str] = '"down per order", "half-up per order", "half-even per order", or one of them "per line"'
    PATTERN: ClassVar[str] = r"^(down|half-up|half-even) per (order|line)$"

    def __str__(self) -> str:
        return f"{self.mode} per {self.scope}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse the phrase.

        Raises:
            ValueError: It does not have the form.
        """
        match = matched(cls.PATTERN, " ".join(text.split()), "is not a rounding")
        return cls(match[1], match[2])  # type: ignore[arg-type]  # the pattern allows nothing else

    def apply(self, exact: Fraction) -> int:
        """Round a non-negative number of points."""
        if self.mode == "down":
            return exact.numerator // exact.denominator
        if self.mode == "half-even":
            return round(exact)
        return (2 * exact.numerator + exact.denominator) // (2 * exact.denominator)


@dataclass(frozen=True, slots=True)
class Factor:
    """A factor: ``2``, ``1.5 times``, ``3/2``."""

    factor: Fraction

    FORM: ClassVar[str] = '"2 times" or "1.5 times"'
    TYPES: ClassVar[list[str]] = ["string", "number"]
    PATTERN: ClassVar[str] = rf"^\s*({_NUMBER})(?:\s+times)?\s*$"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse the phrase.

        Raises:
            ValueError: It does not have the form, or multiplies by 1 or less, or by more than 100.
        """
        match = re.fullmatch(cls.PATTERN, text) if len(text) <= _LENGTH_MAX else None
        if match is None:
            raise ValueError("is not a factor")
        factor = _number(match[1])
        if not 1 < factor <= 100:
            raise ValueError("must be more than 1 and at most 100")
        return cls(factor)
