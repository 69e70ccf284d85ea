"""Local days of a program: when they begin, and when points earned on them expire."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from datetime import MAXYEAR, UTC, date, datetime, time, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from dateutil.relativedelta import relativedelta

from shared.program.language.grammar import MONTHS, Expiry


def start_of_day(day: date, zone: ZoneInfo) -> datetime:
    """Return the first instant of a local day, in UTC."""
    return datetime.combine(day, time(), tzinfo=zone).astimezone(UTC)


def expiry_instant(expiry: Expiry, day: date, zone: ZoneInfo, joined_on: date | None = None) -> datetime | None:
    """Return when points earned on a local day expire, in UTC; None if they do not expire by these terms.

    It is the beginning of the day after their last day. 31 January + 1 month is the last day of February
    (``relativedelta``). Where a zone skips midnight (Cairo, Beirut), a day begins at the first instant that exists. A
    membership year ends on the day before the anniversary of joining; where that day is unknown, the calendar year
    is used.
    """
    if expiry.count is None or expiry.idle:
        return None
    if not _expressible(expiry, day):
        return None
    return start_of_day(_last_day(expiry, day, joined_on) + timedelta(days=1), zone)


def _expressible(expiry: Expiry, day: date) -> bool:
    """Return whether the expiry is surely not after the last date that the calendar can express."""
    return day.year <= MAXYEAR - (102 if expiry.anchor else 101)


def idle_words(expiry: Expiry, activities: Iterable[str]) -> str:
    """Return the inactivity term that is stored with the points: ``18 months without earn or redeem``."""
    return f"{expiry.count} {expiry.unit}s without {' or '.join(sorted(activities))}" if expiry.idle else ""


@functools.lru_cache(maxsize=1_000)
def idle_terms(words: str) -> tuple[Expiry, bool]:
    """Parse what ``idle_words`` wrote: the period, and whether redeeming is an activity; earning always is."""
    count, unit, _without, *activities = words.split()
    return Expiry(int(count), unit.removesuffix("s"), idle=True), "redeem" in activities  # type: ignore[arg-type]


def idle_instant(expiry: Expiry, day: date, zone: ZoneInfo) -> datetime | None:
    """Return when points expire if a local day was the last activity, in UTC; None: after the end of the calendar."""
    if day.year > MAXYEAR - 102:
        return None
    return start_of_day(_last_day(expiry, day, None) + timedelta(days=1), zone)


class Life(NamedTuple):
    """How points live that waited for an event: from the day on which they become available, or to a day.

    Attributes:
        joined_on: The day from which membership years count.
        last_day: Their last day, if it was known when they were earned.
    """

    expiry: Expiry
    joined_on: date | None = None
    last_day: date | None = None


def life_words(expiry: Expiry, joined_on: date | None, earned_on: date | None) -> str:
    """Return how points live that wait for an event, as it is stored with them.

    Such as ``30 days``; ``0 days, to the end of that membership year, joined on 2016-02-29``; ``until 2026-03-31``.
    Empty: they do not expire by these terms.

    Args:
        expiry: What the program says.
        joined_on: The day from which the member's membership years count.
        earned_on: The day from which their life counts; None: from the day on which they become available.
    """
    if expiry.count is None or expiry.idle:
        return ""
    if earned_on is not None:
        return f"until {_last_day(expiry, earned_on, joined_on)}" if _expressible(expiry, earned_on) else ""
    words = f"{expiry.count} {expiry.unit}s"
    if expiry.anchor is not None:
        words += f", then the next {expiry.anchor[1]} {MONTHS[expiry.anchor[0] - 1]}"
    elif expiry.to_the_end_of != "day":
        words += f", to the end of that {expiry.to_the_end_of}"
    return f"{words}, joined on {joined_on}" if expiry.to_the_end_of == "membership year" and joined_on else words


@functools.lru_cache(maxsize=10_000)
def life_terms(words: str) -> Life:
    """Parse what ``life_words`` wrote."""
    phrase, _, joined_on = words.partition(", joined on ")
    if phrase.startswith("until "):
        return Life(Expiry(None), last_day=date.fromisoformat(phrase.removeprefix("until ")))
    return Life(Expiry.parse(phrase), date.fromisoformat(joined_on) if joined_on else None)


def life_instant(words: str, day: date, zone: ZoneInfo) -> datetime | None:
    """Return when points with a life in words expire that become available on a local day, in UTC; None: never.

    They live at least to the end of that day.
    """
    if not words:
        return None
    life = life_terms(words)
    if life.last_day is not None:
        return start_of_day(max(life.last_day, day) + timedelta(days=1), zone)
    return expiry_instant(life.expiry, day, zone, life.joined_on)


def _last_day(expiry: Expiry, day: date, joined_on: date | None) -> date:
    assert expiry.count is not None, "never has no last day"
    last = day + relativedelta(**{f"{expiry.unit}s": expiry.count})  # type: ignore[arg-type]
    if expiry.anchor is not None:
        return _next(expiry.anchor, last)
    if expiry.to_the_end_of == "membership year" and joined_on is not None:
        return _next((joined_on.month, joined_on.day), last + timedelta(days=1)) - timedelta(days=1)
    if expiry.to_the_end_of == "month":
        return last + relativedelta(day=31)
    if expiry.to_the_end_of == "quarter":
        return last + relativedelta(months=(3 - last.month) % 3) + relativedelta(day=31)
    if expiry.to_the_end_of in {"year", "membership year"}:
        return date(last.year, 12, 31)
    return last


def _next(anchor: tuple[int, int], day: date) -> date:
    """Return the first date with a month and day on or after ``day``; 29 February is 28 in most years."""
    month, number = anchor
    this_year = date(day.year, month, 1) + relativedelta(day=number)
    return this_year if this_year >= day else date(day.year + 1, month, 1) + relativedelta(day=number)
