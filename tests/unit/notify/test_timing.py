"""When a member may be notified: quiet hours and send windows, in the right time zone."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notify.timing import not_before
from shared.contracts import rewards
from shared.instants import NEVER, microseconds
from shared.program.language.phrases_of_time import Hours
from tests.support.examples import examples
from tests.support.notify import (
    DAY,
    NOTIFICATIONS,
    NOW,
    decide,
    event,
    program,
    sent,
    state,
    with_profile,
)

# ---- timing

NEW_YORK = "America/New_York"
NIGHT = "21:00 to 08:00"


@pytest.mark.parametrize(
    ("zone", "quiet", "window", "at", "expected"),
    [
        # over midnight
        ("UTC", NIGHT, None, "2017-03-01T12:00:01Z", "2017-03-01T12:00:01Z"),
        ("UTC", NIGHT, None, "2017-03-01T20:59:59Z", "2017-03-01T20:59:59Z"),
        ("UTC", NIGHT, None, "2017-03-01T21:00:00Z", "2017-03-02T08:00:00Z"),
        ("UTC", NIGHT, None, "2017-03-02T00:00:00Z", "2017-03-02T08:00:00Z"),
        ("UTC", NIGHT, None, "2017-03-02T07:59:59Z", "2017-03-02T08:00:00Z"),
        ("UTC", NIGHT, None, "2017-03-02T08:00:00Z", "2017-03-02T08:00:00Z"),
        # where the member lives
        (NEW_YORK, NIGHT, None, "2017-03-02T04:00:00Z", "2017-03-02T13:00:00Z"),
        ("Asia/Kolkata", NIGHT, None, "2017-03-01T20:00:00Z", "2017-03-02T02:30:00Z"),
        # within a day, and a window
        ("UTC", "12:00 to 14:00", None, "2017-03-01T13:00:00Z", "2017-03-01T14:00:00Z"),
        ("UTC", None, "09:00 to 17:00", "2017-03-01T08:00:00Z", "2017-03-01T09:00:00Z"),
        ("UTC", None, "09:00 to 17:00", "2017-03-01T17:00:00Z", "2017-03-02T09:00:00Z"),
        ("UTC", None, "22:00 to 02:00", "2017-03-01T12:00:00Z", "2017-03-01T22:00:00Z"),
        ("UTC", None, "22:00 to 02:00", "2017-03-01T01:59:00Z", "2017-03-01T01:59:00Z"),
        ("UTC", NIGHT, "06:00 to 20:00", "2017-03-01T05:00:00Z", "2017-03-01T08:00:00Z"),
        ("UTC", "08:00 to 12:00", "09:00 to 17:00", "2017-03-01T18:00:00Z", "2017-03-02T12:00:00Z"),
        # 12 March 2017: 02:00 to 03:00 is skipped in New York
        (NEW_YORK, "23:00 to 02:30", None, "2017-03-12T05:00:00Z", "2017-03-12T07:00:00Z"),
        (NEW_YORK, "23:00 to 03:30", None, "2017-03-12T05:00:00Z", "2017-03-12T07:30:00Z"),
        (NEW_YORK, NIGHT, None, "2017-03-12T05:00:00Z", "2017-03-12T12:00:00Z"),
        (NEW_YORK, None, "02:10 to 02:50", "2017-03-12T05:00:00Z", "2017-03-13T06:10:00Z"),
        # 5 November 2017: 01:00 to 02:00 is shown twice
        (NEW_YORK, "23:00 to 01:30", None, "2017-11-05T04:30:00Z", "2017-11-05T05:30:00Z"),
        (NEW_YORK, "23:00 to 01:30", None, "2017-11-05T06:10:00Z", "2017-11-05T06:30:00Z"),
        (NEW_YORK, NIGHT, None, "2017-11-05T04:00:00Z", "2017-11-05T13:00:00Z"),
        (NEW_YORK, None, "00:30 to 01:30", "2017-11-05T05:45:00Z", "2017-11-05T06:00:00Z"),
        (NEW_YORK, None, "01:00 to 01:30", "2017-11-05T05:45:00Z", "2017-11-05T06:00:00Z"),
        # a whole day that Samoa skipped: 30 December 2011; and half an hour at Lord Howe
        ("Pacific/Apia", NIGHT, None, "2011-12-30T09:30:00Z", "2011-12-30T18:00:00Z"),
        ("Australia/Lord_Howe", "23:00 to 02:15", None, "2017-09-30T14:00:00Z", "2017-09-30T15:30:00Z"),
    ],
)  # fmt: skip
def test_when_it_may_be_sent(zone: str, quiet: str | None, window: str | None, at: str, expected: str) -> None:
    found = not_before(
        microseconds(datetime.fromisoformat(at)), ZoneInfo(zone),
        Hours.parse(quiet) if quiet else None, Hours.parse(window) if window else None,
    )  # fmt: skip
    assert datetime.fromtimestamp(found / 1e6, UTC) == datetime.fromisoformat(expected)


def test_never() -> None:
    assert not_before(NOW, ZoneInfo("UTC"), Hours.parse("07:00 to 10:00"), Hours.parse("08:00 to 09:00")) == NEVER


def shown(part: Hours) -> set[int]:
    """Every minute of the day that belongs to it."""
    return {minute % 1440 for minute in range(part.first, part.last + 1440 * (part.last < part.first))}


minutes = st.integers(0, 1439)
hours = st.none() | st.tuples(minutes, minutes).filter(lambda pair: pair[0] != pair[1]).map(lambda p: Hours(*p))


@examples(25)
@given(
    zone=st.sampled_from([NEW_YORK, "Europe/London", "Australia/Lord_Howe", "America/Sao_Paulo", "Africa/Cairo"]),
    day=st.sampled_from(["2017-03-12", "2017-11-05", "2017-03-26", "2017-10-29", "2017-10-15", "2024-04-26"]),
    minute=st.integers(-1440, 1440), quiet=hours, window=hours,
)  # fmt: skip
def test_the_first_minute_that_the_wall_clock_allows(
    zone: str, day: str, minute: int, quiet: Hours | None, window: Hours | None
) -> None:
    """Compare with the slowest and simplest way: check every minute."""
    here = ZoneInfo(zone)
    start = microseconds(datetime.fromisoformat(f"{day}T00:00:00Z")) + minute * 60_000_000

    def allowed(at: int) -> bool:
        local = datetime.fromtimestamp(at // 1_000_000, UTC).astimezone(here)
        now = local.hour * 60 + local.minute
        return (quiet is None or now not in shown(quiet)) and (window is None or now in shown(window))

    expected = next((at for at in range(start, start + 3 * DAY, 60_000_000) if allowed(at)), NEVER)
    assert not_before(start, here, quiet, window) == expected


def test_not_before_goes_out_in_the_members_zone() -> None:
    known = with_profile(state(program(f"{NOTIFICATIONS}, quiet_hours: '{NIGHT}'")), time_zone="Asia/Tokyo")
    [told] = sent(decide(known, event(rewards.REDEEMED)))
    assert (told["not_before"], told["use_by"]) == ("2017-03-01T23:00:00Z", "2017-03-04T12:00:00Z")
    json.dumps(told)
