"""When points end: the first instant after the last local day on which they live, in UTC, worked out by hand."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.instants import microseconds
from shared.program.compiled.calendar import expiry_instant, start_of_day
from shared.program.language.grammar import Expiry
from tests.support.build import program
from tests.support.examples import examples

NEW_YORK = ZoneInfo("America/New_York")


def _ends(phrase: str, day: str, zone: ZoneInfo = NEW_YORK) -> str:
    at = expiry_instant(Expiry.parse(phrase), date.fromisoformat(day), zone)
    assert at is not None
    assert at.tzinfo is UTC
    return f"{at:%Y-%m-%d %H:%M}"


# New York is 5 hours behind UTC; from 12 March to 5 November 2017, and from 11 March to 4 November 2018, it is 4.
# Every month of 2016 and 2017, with the midnight after the end of the same month one year later:
TWELVE_MONTHS = {
    "2016-01": "2017-02-01 05:00",
    "2016-02": "2017-03-01 05:00",
    "2016-03": "2017-04-01 04:00",
    "2016-04": "2017-05-01 04:00",
    "2016-05": "2017-06-01 04:00",
    "2016-06": "2017-07-01 04:00",
    "2016-07": "2017-08-01 04:00",
    "2016-08": "2017-09-01 04:00",
    "2016-09": "2017-10-01 04:00",
    "2016-10": "2017-11-01 04:00",
    "2016-11": "2017-12-01 05:00",
    "2016-12": "2018-01-01 05:00",
    "2017-01": "2018-02-01 05:00",
    "2017-02": "2018-03-01 05:00",
    "2017-03": "2018-04-01 04:00",
    "2017-04": "2018-05-01 04:00",
    "2017-05": "2018-06-01 04:00",
    "2017-06": "2018-07-01 04:00",
    "2017-07": "2018-08-01 04:00",
    "2017-08": "2018-09-01 04:00",
    "2017-09": "2018-10-01 04:00",
    "2017-10": "2018-11-01 04:00",
    "2017-11": "2018-12-01 05:00",
    "2017-12": "2019-01-01 05:00",
}


def test_every_day_of_two_years_lives_twelve_months_to_the_end_of_that_month() -> None:
    days = [date(2016, 1, 1) + timedelta(days=number) for number in range(366 + 365)]
    assert date(2016, 2, 29) in days
    assert days[-1] == date(2017, 12, 31)
    for day in days:
        assert _ends("12 months, to the end of that month", day.isoformat()) == TWELVE_MONTHS[f"{day:%Y-%m}"], day


@pytest.mark.parametrize(
    ("phrase", "day", "ends"),
    [
        # Without a rounding: through the day that the count reaches, so they end at the midnight after it.
        ("1 day", "2017-06-01", "2017-06-03 04:00"),
        ("0 days", "2017-06-01", "2017-06-02 04:00"),
        ("90 days", "2017-01-01", "2017-04-02 04:00"),  # 1 January + 90 days = 1 April
        ("1 month", "2017-01-15", "2017-02-16 05:00"),
        ("12 months", "2017-06-01", "2018-06-02 04:00"),
        # Where the month has no such day, its last day is meant: 28 February, 29 February, 30 April.
        ("1 month", "2017-01-31", "2017-03-01 05:00"),
        ("1 month", "2017-01-28", "2017-03-01 05:00"),
        ("1 month", "2016-01-31", "2016-03-01 05:00"),
        ("1 month", "2016-01-29", "2016-03-01 05:00"),
        ("1 month", "2016-01-28", "2016-02-29 05:00"),
        ("1 month", "2017-03-31", "2017-05-01 04:00"),
        ("1 year", "2016-02-29", "2017-03-01 05:00"),
        ("4 years", "2016-02-29", "2020-03-01 05:00"),
        # 2000 was a leap year and 2100 is none.
        ("100 years", "2000-02-29", "2100-03-01 05:00"),
        ("1 month, to the end of that month", "2017-01-31", "2017-03-01 05:00"),
        ("0 days, to the end of that month", "2017-02-01", "2017-03-01 05:00"),
        # Quarters end in March, June, September and December.
        ("1 day, to the end of that quarter", "2017-03-30", "2017-04-01 04:00"),
        ("1 day, to the end of that quarter", "2017-03-31", "2017-07-01 04:00"),
        ("3 months, to the end of that quarter", "2017-01-01", "2017-07-01 04:00"),
        ("3 months, to the end of that quarter", "2017-05-31", "2017-10-01 04:00"),
        ("6 months, to the end of that quarter", "2017-06-30", "2018-01-01 05:00"),
        ("1 month, to the end of that quarter", "2017-10-31", "2018-01-01 05:00"),
        ("1 day, to the end of that year", "2017-12-30", "2018-01-01 05:00"),
        ("1 day, to the end of that year", "2017-12-31", "2019-01-01 05:00"),
        ("1 year, to the end of that year", "2016-02-29", "2018-01-01 05:00"),
        ("18 months, to the end of that year", "2017-07-01", "2020-01-01 05:00"),
    ],
)
def test_points_live_through_their_last_day(phrase: str, day: str, ends: str) -> None:
    assert _ends(phrase, day) == ends


@pytest.mark.parametrize(
    ("day", "ends"),
    [
        ("2017-03-11", "2017-03-12 05:00"),  # midnight is still winter time
        ("2017-03-12", "2017-03-13 04:00"),  # the day has 23 hours
        ("2017-11-04", "2017-11-05 04:00"),
        ("2017-11-05", "2017-11-06 05:00"),  # the day has 25 hours
    ],
)
def test_a_day_ends_at_midnight_however_many_hours_it_has(day: str, ends: str) -> None:
    assert _ends("0 days", day) == ends


@pytest.mark.parametrize(
    ("zone", "day", "starts"),
    [
        # Midnight does not exist; the day begins at 01:00 summer time, which is the moment when 00:00 would have been.
        ("America/Sao_Paulo", "2018-11-04", "2018-11-04 03:00"),
        ("Africa/Cairo", "2024-04-26", "2024-04-25 22:00"),
        ("Asia/Beirut", "2022-03-27", "2022-03-26 22:00"),
        ("America/Havana", "2024-03-10", "2024-03-10 05:00"),
        # Clocks go back from midnight to 23:00: the day before has 25 hours, and this one begins once.
        ("America/Sao_Paulo", "2018-02-18", "2018-02-18 03:00"),
        ("Africa/Cairo", "2024-11-01", "2024-10-31 22:00"),
        # Clocks go back from 01:00 to midnight: of two midnights the first begins the day.
        ("America/Havana", "2024-11-03", "2024-11-03 04:00"),
        # Samoa crossed the date line: 30 December 2011 never was, and ends when it would have begun.
        ("Pacific/Apia", "2011-12-30", "2011-12-30 10:00"),
        ("Pacific/Apia", "2011-12-31", "2011-12-30 10:00"),
        ("Europe/London", "2024-03-31", "2024-03-31 00:00"),
        ("Europe/London", "2024-04-01", "2024-03-31 23:00"),
        ("Asia/Kathmandu", "2024-04-01", "2024-03-31 18:15"),
        ("Pacific/Kiritimati", "2024-01-01", "2023-12-31 10:00"),
        ("UTC", "2024-02-29", "2024-02-29 00:00"),
    ],
)
def test_a_day_begins_at_its_first_instant(zone: str, day: str, starts: str) -> None:
    moment = start_of_day(date.fromisoformat(day), ZoneInfo(zone))
    assert f"{moment:%Y-%m-%d %H:%M}" == starts
    # The same as the end of points whose last day is the one before.
    before = date.fromisoformat(day) - timedelta(days=1)
    assert expiry_instant(Expiry.parse("0 days"), before, ZoneInfo(zone)) == moment


def test_never_is_never() -> None:
    assert expiry_instant(Expiry.parse("never"), date(2017, 1, 1), NEW_YORK) is None


def test_points_outlive_the_calendar() -> None:
    # Tills have been seen in the year 9999; nothing may break before the event is refused.
    assert expiry_instant(Expiry.parse("100 years"), date(9999, 12, 31), NEW_YORK) is None
    assert expiry_instant(Expiry.parse("100 years"), date(9898, 12, 31), NEW_YORK) is not None


def test_the_day_is_that_of_the_program_and_not_of_the_till() -> None:
    made = program(
        "give: 1 point per item",
        wallets="{p: {name: P, unit: point, expiry: '12 months, to the end of that month'}}",
    )
    # Half past eleven on 31 January in New York, told by a till that counts in UTC, and one in Tokyo.
    for told in ("2017-02-01T04:30:00+00:00", "2017-02-01T13:30:00+09:00", "2017-01-31T23:30:00-05:00"):
        day = made.day_of(datetime.fromisoformat(told))
        assert made.lifetimes["p"].of(day)[1] == microseconds(datetime(2018, 2, 1, 5, tzinfo=UTC))
        assert made.lifetimes["p"].of(day)[1] == microseconds(datetime(2018, 2, 1, 5, tzinfo=UTC)), "and from the cache"
    next_month = made.day_of(datetime(2017, 2, 1, 5, tzinfo=UTC))
    assert made.lifetimes["p"].of(next_month)[1] == microseconds(datetime(2018, 3, 1, 5, tzinfo=UTC))


EXPIRIES = st.builds(
    Expiry,
    st.integers(0, 100),
    st.sampled_from(["day", "month", "year"]),
    st.sampled_from(["day", "month", "quarter", "year"]),
)
ZONES = st.sampled_from(["America/New_York", "America/Sao_Paulo", "Africa/Cairo", "Asia/Beirut", "Pacific/Apia", "UTC"])


@examples(50)
@given(EXPIRIES, st.dates(date(1990, 1, 1), date(2040, 1, 1)), ZONES)
def test_points_live_through_the_day_they_were_earned_and_later_ones_no_shorter(
    expiry: Any, day: date, zone_name: str
) -> None:
    zone = ZoneInfo(zone_name)
    ends, next_ends = expiry_instant(expiry, day, zone), expiry_instant(expiry, day + timedelta(days=1), zone)
    assert ends is not None
    assert next_ends is not None
    assert start_of_day(day + timedelta(days=1), zone) <= ends <= next_ends
    # An instant before the end, the calendar in the shop still shows a day before; at the end it does not.
    last = (ends - timedelta(microseconds=1)).astimezone(zone).date()
    assert last < ends.astimezone(zone).date()
    if expiry.to_the_end_of == "month":
        assert (last + timedelta(days=1)).day == 1
