"""Phrases about time: waiting times, n-th purchases, visits in a row, days around a date, durations and hours.

As in ``grammar``, each class has ``FORM`` (what is allowed, for error messages), ``PATTERN`` and ``parse``.
"""

from __future__ import annotations

import re
from calendar import monthrange
from dataclasses import dataclass
from datetime import date
from typing import ClassVar, Literal, Self

from shared.program.language.grammar import matched


@dataclass(frozen=True, slots=True)
class Pending:
    """When points become available: ``14 days`` after the purchase, ``until fulfilled`` or ``until claimed``.

    They become available at the beginning of the day on which the waiting time ends, in the program's time zone.
    """

    days: int | None
    until: Literal["fulfilled", "claimed"] = "fulfilled"

    FORM: ClassVar[str] = '"14 days", "until fulfilled" (shipped, handed over) or "until claimed" (by the member)'
    PATTERN: ClassVar[str] = r"^(?:until (fulfilled|claimed)|(\d{1,3}) days?)$"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse the phrase.

        Raises:
            ValueError: It does not have the form, or is less than a day or more than a year.
        """
        match = matched(cls.PATTERN, " ".join(text.split()), "is not a waiting time")
        if match[1]:
            return cls(None, match[1])  # type: ignore[arg-type]  # the pattern allows nothing else
        if not 1 <= int(match[2]) <= 366:
            raise ValueError("must be 1 to 366 days")
        return cls(int(match[2]))


@dataclass(frozen=True, slots=True)
class Nth:
    """Which purchase of a member: ``first``, ``3rd``, ``every 10th``."""

    number: int
    every: bool

    FORM: ClassVar[str] = '"first", "3rd" or "every 10th"'
    PATTERN: ClassVar[str] = r"^\s*(?:(first)|(every\s+)?(\d{1,6})(?:st|nd|rd|th))\s*$"

    def __str__(self) -> str:
        suffix = "th" if self.number % 100 in {11, 12, 13} else {1: "st", 2: "nd", 3: "rd"}.get(self.number % 10, "th")
        return f"{'every ' if self.every else ''}{self.number}{suffix}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse the phrase.

        Raises:
            ValueError: It does not have the form, or there is no such purchase.
        """
        match = matched(cls.PATTERN, text, "is not a purchase by its number")
        number = 1 if match[1] else int(match[3])
        if number < (2 if match[2] else 1):
            raise ValueError("must be 1st or later, and after every: 2nd or later")
        return cls(number, bool(match[2]))

    def holds(self, number: int) -> bool:
        """Return whether the purchase with this number is meant."""
        return number % self.number == 0 if self.every else number == self.number


@dataclass(frozen=True, slots=True)
class Streak:
    """Periods in a row with a purchase: ``3 weeks in a row``. It holds in every third week of a streak."""

    length: int
    per: Literal["day", "week", "month"]

    FORM: ClassVar[str] = '"3 weeks in a row" (days, weeks, months)'
    PATTERN: ClassVar[str] = r"^\s*(\d{1,3})\s+(day|week|month)s?\s+in\s+a\s+row\s*$"

    def __str__(self) -> str:
        return f"{self.length} {self.per}s in a row"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse the phrase.

        Raises:
            ValueError: It does not have the form, or is less than 2 periods.
        """
        match = matched(cls.PATTERN, text, "is not a row of visits")
        if int(match[1]) < 2:
            raise ValueError("a row has 2 or more")
        return cls(int(match[1]), match[2])  # type: ignore[arg-type]  # the pattern allows nothing else


@dataclass(frozen=True, slots=True)
class Around:
    """Days around a yearly date: ``on the day``, ``in the month``, ``within 7 days``.

    Attributes:
        days: How many days before and after count; None: the whole month.
    """

    days: int | None

    FORM: ClassVar[str] = '"on the day", "in the month" or "within 7 days" (before and after)'
    PATTERN: ClassVar[str] = r"^\s*(?:(on the day)|(in the month)|within (\d{1,3}) days?)\s*$"

    def __str__(self) -> str:
        if self.days is None:
            return "in the month"
        return f"within {self.days} days" if self.days else "on the day"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse the phrase.

        Raises:
            ValueError: It does not have the form, or more than 60 days.
        """
        match = matched(cls.PATTERN, text, "is not a time around a day")
        if match[3] and not 1 <= int(match[3]) <= 60:
            raise ValueError("must be 1 to 60 days")
        return cls(None if match[2] else int(match[3] or 0))

    def holds(self, month: int, number: int, day: date) -> date | None:
        """Return the occurrence of the date that a day is around, or None; 29 February is 28 in most years."""
        if self.days is None:
            return _in_year(day.year, month, number) if day.month == month else None
        for year in (day.year - 1, day.year, day.year + 1):
            if date.min.year <= year <= date.max.year:
                that = _in_year(year, month, number)
                if abs((that - day).days) <= self.days:
                    return that
        return None


def _in_year(year: int, month: int, number: int) -> date:
    return date(year, month, min(number, monthrange(year, month)[1]))


@dataclass(frozen=True, slots=True)
class Duration:
    """How long something takes: ``15 minutes``, ``2 hours``, ``1 day``."""

    count: int
    unit: Literal["minute", "hour", "day"]

    FORM: ClassVar[str] = '"15 minutes", "2 hours" or "1 day"'
    PATTERN: ClassVar[str] = r"^\s*(\d{1,4})\s+(minute|hour|day)s?\s*$"
    _SECONDS: ClassVar[dict[str, int]] = {"minute": 60, "hour": 3600, "day": 86_400}

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse the phrase.

        Raises:
            ValueError: It does not have the form, or is no time at all.
        """
        match = re.fullmatch(cls.PATTERN, text)
        if match is None or not int(match[1]):
            raise ValueError("is not a duration")
        return cls(int(match[1]), match[2])  # type: ignore[arg-type]  # the pattern allows nothing else

    @property
    def microseconds(self) -> int:
        """The duration in microseconds; a day is 24 hours."""
        return self.count * self._SECONDS[self.unit] * 1_000_000


@dataclass(frozen=True, slots=True)
class Hours:
    """A part of every day: ``21:00 to 08:00`` (over midnight if the end is earlier than the start)."""

    first: int
    last: int

    FORM: ClassVar[str] = '"21:00 to 08:00"'
    PATTERN: ClassVar[str] = r"^\s*([01]?\d|2[0-3]):([0-5]\d)\s+to\s+([01]?\d|2[0-3]):([0-5]\d)\s*$"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse the phrase; both ends become minutes since midnight.

        Raises:
            ValueError: It does not have the form, or both ends are the same.
        """
        match = matched(cls.PATTERN, text, "is not a part of the day")
        first, last = (int(match[i]) * 60 + int(match[i + 1]) for i in (1, 3))
        if first == last:
            raise ValueError("begins when it ends")
        return cls(first, last)

    def __str__(self) -> str:
        return " to ".join(f"{minute // 60:02}:{minute % 60:02}" for minute in (self.first, self.last))

    def minutes(self) -> frozenset[int]:
        """Return the minutes since midnight that belong to it, without the end."""
        end = self.last if self.first < self.last else self.last + 1440
        return frozenset(minute % 1440 for minute in range(self.first, end))
