"""Tallies: what is counted per member and period, for caps, n-th purchases and visits in a row.

A tally's name consists of names in the program file that never change, so a new version goes on counting.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from typing import Literal, NamedTuple

Per = Literal["order", "day", "week", "month", "quarter", "year", "in all"]
#: (name, period) of one tally of a member.
Key = tuple[str, int]
#: Returns what was counted under a key before the purchase.
Count = Callable[[Key], int]

PURCHASES: Key = ("purchases", 0)
_BUDGET = "budget of "


class Limit(NamedTuple):
    """A compiled cap or budget: the most that is paid in a period, in the wallet's smallest units.

    Attributes:
        name: The tally's name; unused where ``per`` is an order.
    """

    name: str
    most: int
    per: Per

    @property
    def is_budget(self) -> bool:
        """Whether all members share the limit."""
        return self.name.startswith(_BUDGET)

    def key(self, day: date) -> Key:
        """Return the tally to which a purchase on a local day counts."""
        return self.name, period_of(self.per, day)


def period_of(per: Per, day: date) -> int:
    """Return the number of the period to which a local day belongs; weeks begin on Monday."""
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
    """Return the tally of how many periods in a row, up to that of a local day, had a purchase."""
    return f"visits per {per}", period_of(per, day)


def before(per: Literal["day", "week", "month"], key: Key) -> Key:
    """Return the key of the previous period."""
    return key[0], key[1] - (7 if per == "week" else 1)


def budget_of(name: str) -> str:
    """Return the name of a tally that belongs to no member."""
    return f"{_BUDGET}{name}"


def is_budget(key: Key) -> bool:
    """Return whether a tally belongs to the whole program and to no member."""
    return key[0].startswith(_BUDGET)


def owner_of(key: Key, member: str) -> str:
    """Return the member id under which a tally is stored; budgets have one that no member can have."""
    return "" if is_budget(key) else member


def noting(count: Count, noted: dict[Key, int]) -> Count:
    """Return a count that also stores every non-zero answer in ``noted``."""

    def look(key: Key) -> int:
        number = count(key)
        if number:
            noted[key] = number
        return number

    return look


def never_counted(_key: Key) -> int:
    """Return 0: the count for programs that count nothing."""
    return 0
