"""What is counted of a member, and in which period: caps, purchases, visits in a row.

A tally's name is made of names of the program file that never change, so it goes on counting under a new version.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from typing import Literal, NamedTuple

Per = Literal["order", "day", "week", "month", "quarter", "year", "in all"]
#: (name, period) of one tally of a member.
Key = tuple[str, int]
#: How much was counted under a key before the purchase.
Count = Callable[[Key], int]

PURCHASES: Key = ("purchases", 0)
_BUDGET = "budget of "


class Limit(NamedTuple):
    """A cap, compiled: at most so many of the wallet's smallest units a period.

    Attributes:
        name: Of the tally; unused where ``per`` is an order.
    """

    name: str
    most: int
    per: Per

    @property
    def is_budget(self) -> bool:
        """Whether all members share it."""
        return self.name.startswith(_BUDGET)

    def key(self, day: date) -> Key:
        """Return the tally that a purchase of a local day counts in."""
        return self.name, period_of(self.per, day)


def period_of(per: Per, day: date) -> int:
    """Return the number of the period that a local day belongs to; weeks begin on Monday."""
    if per == "day":
        return day.toordinal()
    if per == "week":
        return (day - timedelta(days=day.weekday())).toordinal()
    if per == "month":
        return day.year * 12 + day.month - 1
    if per == "quarter":
        return day.year * 4 + (day.month - 1) // 3
    return day.year if per == "year" else 0


def visits_key(per: Literal["day", "week", "month"], day: date) -> Key:
    """Return the tally of how many periods in a row, up to the one of a local day, saw a purchase."""
    return f"visits per {per}", period_of(per, day)


def before(per: Literal["day", "week", "month"], key: Key) -> Key:
    """Return the key of the period before."""
    return key[0], key[1] - (7 if per == "week" else 1)


def budget_of(name: str) -> str:
    """Return the name of a tally that stands under no member."""
    return f"{_BUDGET}{name}"


def is_budget(key: Key) -> bool:
    """Return whether a tally is the whole program's: then it stands under no member."""
    return key[0].startswith(_BUDGET)


def owner_of(key: Key, member: str) -> str:
    """Return under whose id a tally stands: a budget under nobody's, which no member can have."""
    return "" if is_budget(key) else member


def noting(count: Count, noted: dict[Key, int]) -> Count:
    """Return a count that notes what it was asked, where it was not 0."""

    def look(key: Key) -> int:
        number = count(key)
        if number:
            noted[key] = number
        return number

    return look


def never_counted(_key: Key) -> int:
    """Count nothing: for programs that have no use for it."""
    return 0
