"""Local days and periods. A day is a proleptic ordinal; a period is (its first day, the day after its last)."""

from __future__ import annotations

import functools
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from dateutil.relativedelta import relativedelta

from shared.instants import microseconds
from shared.program.compiled.calendar import start_of_day
from shared.program.compiled.ladder import Ladder

Period = tuple[int, int]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: The bucket of amounts that are so old that only a lifetime metric still counts them.
LONG_AGO = 1


def day_of(instant: int, zone: ZoneInfo) -> int:
    """Return the local day of an instant (microseconds since 1970)."""
    return (_EPOCH + timedelta(microseconds=instant)).astimezone(zone).toordinal()


@functools.lru_cache(maxsize=20_000)
def beginning(day: int, zone: ZoneInfo) -> int:
    """Return the first instant of a local day."""
    return microseconds(start_of_day(date.fromordinal(day), zone))


def gone(day: int, zone: ZoneInfo) -> int:
    """Return when a day's amount leaves the rolling window: the beginning of the local day 12 months later."""
    return beginning(_year_later(day), zone)


@functools.lru_cache(maxsize=20_000)
def _year_later(day: int) -> int:
    return (date.fromordinal(day) + relativedelta(months=12)).toordinal()


@functools.lru_cache(maxsize=20_000)
def oldest(day: int) -> int:
    """Return the first day whose amount the rolling window of a local day still counts."""
    first = (date.fromordinal(day) - relativedelta(months=12)).toordinal()
    while _year_later(first) <= day:  # two steps around a 29 February
        first += 1
    return first


@functools.lru_cache(maxsize=20_000)
def _calendar_year(day: int) -> Period:
    year = date.fromordinal(day).year
    return date(year, 1, 1).toordinal(), date(year + 1, 1, 1).toordinal()


@functools.lru_cache(maxsize=20_000)
def _anniversary(first: int, years: int) -> int:
    """Return an anniversary, counted from the first day so that a 29 February returns in every leap year."""
    return (date.fromordinal(first) + relativedelta(years=years)).toordinal()


def period(ladder: Ladder, day: int, first_at: int) -> Period:
    """Return the calendar or membership year that contains a local day.

    Args:
        ladder: A ladder whose window is a year.
        day: The local day.
        first_at: When the member's first entry happened; membership years are counted from its local day.
    """
    if ladder.window == "calendar year":
        return _calendar_year(day)
    first = day_of(first_at, ladder.zone)
    years = date.fromordinal(day).year - date.fromordinal(first).year
    if _anniversary(first, years) > day:
        years -= 1
    return _anniversary(first, years), _anniversary(first, years + 1)


def bucket(ladder: Ladder, day: int, first_at: int) -> int:
    """Return the day under which an amount is stored, as coarse as the window allows."""
    if ladder.window == "rolling 12 months":
        return day
    return LONG_AGO if ladder.window == "lifetime" else period(ladder, day, first_at)[0]


def in_words(ladder: Ladder, this: Period | None) -> str:
    """Return the name of a window in a reason, such as "in 2017"; ``this`` is None where there are no periods."""
    if this is None:
        return "in all" if ladder.window == "lifetime" else "in the last 12 months"
    first = date.fromordinal(this[0])
    return f"in {first.year}" if ladder.window == "calendar year" else f"in the membership year from {first}"
