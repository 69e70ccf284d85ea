"""Timed effects, worked out by hand: pending points, expiries, reminders, in the program's own zone."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from tests.support.shop import Shop


def _utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


# ---- pending


@pytest.mark.parametrize(
    ("days", "bought", "available"),
    [
        # New York is 5 hours behind UTC; from 12 March to 5 November 2017 it is 4.
        (14, "2017-03-20T09:00:00-04:00", "2017-04-03T04:00:00"),
        (14, "2017-01-31T23:59:59-05:00", "2017-02-14T05:00:00"),
        (29, "2017-01-31T00:00:00-05:00", "2017-03-01T05:00:00"),
        (1, "2016-02-28T12:00:00-05:00", "2016-02-29T05:00:00"),
        (
            1,
            "2017-03-11T12:00:00-05:00",
            "2017-03-12T05:00:00",
        ),  # the day that will have 23 hours begins in winter time
        (1, "2017-03-12T12:00:00-04:00", "2017-03-13T04:00:00"),
        (1, "2017-11-05T00:30:00-04:00", "2017-11-06T05:00:00"),  # the day that has 25 hours
    ],
)
def test_points_wait_to_the_beginning_of_the_day_that_the_count_reaches(days: int, bought: str, available: str) -> None:
    shop = Shop(f"expiry: never, pending: {days} days")
    shop.buy("o1", 1000, at=bought)
    assert shop.balance() == (0, 10, 0, 0)
    just_before = _utc(available).replace(tzinfo=UTC).timestamp() - 0.000001
    shop.until(datetime.fromtimestamp(just_before, UTC).isoformat())
    assert shop.balance() == (0, 10, 0, 0)
    shop.until(available + "+00:00")
    assert shop.balance() == (10, 0, 0, 0)
    assert shop.posted_at() == available + "Z"


def test_a_return_meanwhile_takes_from_pending_points() -> None:
    shop = Shop("expiry: never, pending: 14 days")
    shop.buy("o1", 1000, at="2017-03-20T09:00:00-04:00")
    shop.buy("o2", 5000, at="2017-03-21T09:00:00-04:00")
    # floor(10 x 250/1000) = 2
    assert shop.back("r1", "o1", (0, 0, 250), at="2017-03-22T09:00:00-04:00").reversed == [("o1", 2, 2, 0)]
    assert shop.entries()[-1] == ("reverse-pending", 2)
    shop.until("2017-04-03T04:00:00+00:00")
    assert shop.balance() == (8, 50, 0, 0)
    # The 8 that are left are available, and are taken first although the other lot is pending.
    shop.back("r2", "o1", at="2017-04-03T12:00:00-04:00")
    assert shop.balance() == (0, 50, 0, 0)


def test_available_points_of_others_go_before_pending_ones() -> None:
    shop = Shop(
        "expiry: 1 month, pending: 3 days", "rewards:\n  - {reward: mug, name: Mug, cost: 10 points, worth: 1 USD}"
    )
    shop.buy("o1", 1000, at="2017-03-01T09:00:00-05:00")  # available on the 4th
    shop.buy("o2", 1500, at="2017-03-02T09:00:00-05:00")  # on the 5th
    shop.buy("o3", 2000, at="2017-03-04T09:00:00-05:00")  # on the 7th
    shop.ask("r1", "mug", at="2017-03-05T09:00:00-05:00", confirm=True)  # spends the first lot
    assert shop.balance() == (15, 20, 0, 0)
    # 10 are wanted back: none in their own lot, so 10 of the second's 15, and no pending one.
    shop.back("b1", "o1", at="2017-03-05T10:00:00-05:00")
    assert shop.balance() == (5, 20, 0, 0)
    # 15 of the second: 5 of its own, 10 of the pending ones.
    assert shop.back("b2", "o2", at="2017-03-05T10:00:00-05:00").reversed == [("o2", 15, 15, 0)]
    assert shop.balance() == (0, 10, 0, 0)


def test_points_wait_until_the_order_is_fulfilled() -> None:
    shop = Shop("expiry: 1 month, pending: until fulfilled")
    shop.buy("o1", 1000, at="2017-03-01T09:00:00-05:00")
    shop.buy("o2", 1500, at="2017-03-01T09:00:00-05:00")
    shop.until("2017-03-30T09:00:00-05:00")
    assert shop.balance() == (0, 25, 0, 0)
    shop.fulfil("o2", at="2017-03-30T09:00:00-05:00")
    assert shop.balance() == (15, 10, 0, 0)
    shop.fulfil("o2", at="2017-03-30T09:00:00-05:00")
    # The month counts from the day of each fulfilment: those of o2 live through 30 April (4 hours behind UTC).
    shop.until("2017-05-01T03:59:59+00:00")
    assert shop.balance() == (15, 10, 0, 0)
    shop.until("2017-05-01T04:00:00+00:00")
    assert shop.balance() == (0, 10, 0, 0)
    # Those of o1 through 2 June.
    shop.fulfil("o1", at="2017-05-02T09:00:00-04:00")
    shop.until("2017-06-03T03:59:59+00:00")
    assert shop.balance() == (10, 0, 0, 0)
    shop.until("2017-06-03T04:00:00+00:00")
    assert shop.balance() == (0, 0, 0, 0)
    assert shop.entries()[-2:] == [("activate", 10), ("expire", 10)]


def test_a_fulfilment_before_its_purchase_waits_for_it() -> None:
    shop = Shop("expiry: never, pending: until fulfilled")
    shop.fulfil("o1", at="2017-03-02T09:00:00-05:00")
    shop.buy("o1", 1000, at="2017-03-01T09:00:00-05:00")
    assert shop.balance() == (10, 0, 0, 0)
    assert shop.entries() == [("earn-pending", 10), ("activate", 10)]


def test_what_becomes_available_repays_a_debt() -> None:
    shop = Shop(
        "expiry: never, pending: 3 days", "rewards:\n  - {reward: mug, name: Mug, cost: 10 points, worth: 1 USD}"
    )
    shop.buy("o1", 1000, at="2017-03-01T09:00:00-05:00")
    shop.ask("r1", "mug", at="2017-03-05T09:00:00-05:00", confirm=True)
    shop.back("b1", "o1", at="2017-03-05T09:00:00-05:00")
    shop.buy("o2", 1500, at="2017-03-05T09:00:00-05:00")
    assert shop.balance() == (0, 15, 0, 10)
    shop.until("2017-03-08T05:00:00+00:00")
    assert shop.balance() == (5, 0, 0, 0)


def test_a_fulfilment_opens_only_what_waits_for_it() -> None:
    shop = Shop("expiry: never, pending: 14 days")
    shop.buy("o1", 1000, at="2017-03-01T09:00:00-05:00")
    shop.buy("o2", 1500, at="2017-03-01T10:00:00-05:00")  # the same lot: available on the 15th
    shop.fulfil("o1", at="2017-03-02T09:00:00-05:00")
    assert shop.balance() == (0, 25, 0, 0)
    # One more of the same terms, late: if the lot had been opened, activation would now activate too much and stop.
    shop.buy("o3", 500, at="2017-03-01T11:00:00-05:00")
    shop.until("2017-03-15T04:00:00+00:00")
    shop.until("2017-03-16T04:00:00+00:00")
    assert shop.balance() == (30, 0, 0, 0)


# ---- expiry


@pytest.mark.parametrize(
    ("expiry", "zone", "bought", "gone"),
    [
        # The last second of a year where the program lives; in UTC the next year has begun.
        ("0 days, to the end of that year", "America/New_York", "2018-01-01T04:59:59+00:00", "2018-01-01T05:00:00"),
        ("0 days, to the end of that year", "America/New_York", "2018-01-01T05:00:00+00:00", "2019-01-01T05:00:00"),
        ("12 months", "America/New_York", "2016-02-29T12:00:00-05:00", "2017-03-01T05:00:00"),  # through 28 February
        ("1 month", "America/New_York", "2017-01-31T12:00:00-05:00", "2017-03-01T05:00:00"),
        ("1 month", "America/New_York", "2016-01-31T12:00:00-05:00", "2016-03-01T05:00:00"),
        # Summer time begins within the last day: midnight after it is 4 hours behind.
        ("0 days", "America/New_York", "2017-03-12T00:30:00-05:00", "2017-03-13T04:00:00"),
        ("0 days", "America/New_York", "2017-11-05T01:30:00-04:00", "2017-11-06T05:00:00"),
        ("0 days", "America/New_York", "2017-11-05T01:30:00-05:00", "2017-11-06T05:00:00"),
        # Cairo skipped the midnight of 28 April 2023: the day began at 01:00 (+3), which is 22:00 UTC.
        ("0 days", "Africa/Cairo", "2023-04-27T12:00:00+02:00", "2023-04-27T22:00:00"),
        # And had the last hour of 26 October 2023 twice: 23:30 (+3) and 23:30 (+2) are the same day.
        ("0 days", "Africa/Cairo", "2023-10-26T23:30:00+03:00", "2023-10-26T22:00:00"),
        ("0 days", "Africa/Cairo", "2023-10-26T23:30:00+02:00", "2023-10-26T22:00:00"),
        # Tokyo, 9 hours ahead: half an hour before and after the end of March there, in March here.
        ("0 days, to the end of that month", "Asia/Tokyo", "2017-03-31T14:30:00+00:00", "2017-03-31T15:00:00"),
        ("0 days, to the end of that month", "Asia/Tokyo", "2017-03-31T15:30:00+00:00", "2017-04-30T15:00:00"),
    ],
)
def test_points_lapse_at_the_midnight_after_their_last_day(expiry: str, zone: str, bought: str, gone: str) -> None:
    shop = Shop(f'expiry: "{expiry}"', zone=zone)
    shop.buy("o1", 1000, at=bought)
    shop.until(datetime.fromtimestamp(_utc(gone).timestamp() - 0.000001, UTC).isoformat())
    assert shop.balance() == (10, 0, 0, 0)
    shop.until("2030-01-01T00:00:00+00:00")
    assert shop.balance() == (0, 0, 0, 0)
    assert shop.posted_at() == gone + "Z"


@pytest.fixture(params=["Pacific/Kiritimati", "America/Los_Angeles"])
def server_zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield request.param
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("server_zone")
def test_the_servers_zone_has_no_say() -> None:
    shop = Shop('expiry: "2 days, to the end of that month", pending: 1 day')
    shop.buy("o1", 1000, at="2017-03-29T23:59:59-04:00")
    shop.until("2017-03-30T04:00:00+00:00")
    assert shop.posted_at() == "2017-03-30T04:00:00Z"
    shop.until("2017-04-01T04:00:00+00:00")
    assert (shop.balance(), shop.posted_at()) == ((0, 0, 0, 0), "2017-04-01T04:00:00Z")


def test_an_event_at_the_instant_of_an_expiry_comes_after_it() -> None:
    shop = Shop("expiry: 0 days", "rewards:\n  - {reward: mug, name: Mug, cost: 10 points, worth: 1 USD}")
    shop.buy("o1", 1000, at="2017-03-01T12:00:00-05:00")
    said = shop.ask("r1", "mug", at="2017-03-02T00:00:00-05:00")
    assert said.answers == [("rejected", "not-enough-points", "r1", 0)]
    assert shop.entries() == [("earn", 10), ("expire", 10)]


def test_a_late_event_is_posted_at_the_latest_instant_seen() -> None:
    shop = Shop("expiry: never")
    shop.buy("o1", 1000, at="2017-03-01T12:00:00-05:00")
    shop.buy("o2", 1000, at="2017-03-01T11:00:00-05:00")
    first, second = shop.rehearsal.entries
    assert first.occurred_at == second.occurred_at == second.event_at + 3_600_000_000


def test_points_that_have_lapsed_when_their_order_comes_cannot_be_spent() -> None:
    shop = Shop("expiry: 0 days", "rewards:\n  - {reward: mug, name: Mug, cost: 10 points, worth: 1 USD}")
    shop.buy("o1", 500, at="2017-03-02T02:00:00-05:00")  # 5 points; the account is at 2 March, 02:00
    shop.buy("o2", 1000, at="2017-03-01T23:00:00-05:00")  # 10 points that expired at midnight
    # A redemption of 23:30 that comes late, too, is judged by what is left at 02:00: 5 points.
    said = shop.ask("r1", "mug", at="2017-03-01T23:30:00-05:00")
    assert said.answers == [("rejected", "not-enough-points", "r1", 5)]


# ---- reminders


def test_what_will_lapse_is_announced_30_7_and_1_days_before() -> None:
    # Lots of two days that expire together: through 31 March, gone on 1 April, 04:00 UTC.
    shop = Shop(
        'expiry: "2 months, to the end of that month", pending: 1 day, remind: [30, 7, 1]',
        "rewards:\n  - {reward: mug, name: Mug, cost: 40 points, worth: 1 USD}",
    )
    gone = _utc("2017-04-01T04:00:00")
    shop.buy("o1", 10_000, at="2017-01-10T12:00:00-05:00")
    shop.buy("o2", 5000, at="2017-01-20T12:00:00-05:00")
    assert shop.until("2017-03-02T04:59:59+00:00").reminders == []
    # 30 days before 1 April: 2 March, still in winter time. 100 + 50 points.
    first = [("ann", 150, 30, gone, _utc("2017-03-02T05:00:00"))]
    assert shop.until("2017-03-02T05:00:00+00:00").reminders == first
    assert shop.until("2017-03-02T05:00:00+00:00").reminders == []
    # 40 are spent. A week and a day before, in summer time, both found by one late sweep; each at its own instant.
    shop.ask("r1", "mug", at="2017-03-10T12:00:00-05:00", confirm=True)
    assert shop.until("2017-03-31T12:00:00+00:00").reminders == [
        ("ann", 110, 7, gone, _utc("2017-03-25T04:00:00")),
        ("ann", 110, 1, gone, _utc("2017-03-31T04:00:00")),
    ]
    assert shop.until("2017-05-01T12:00:00+00:00").reminders == []
    assert shop.entries()[-2:] == [("expire", 60), ("expire", 50)]


def test_a_lot_that_is_made_after_a_reminder_has_only_the_later_ones() -> None:
    shop = Shop('expiry: "0 days, to the end of that month", remind: [30, 7, 1]')
    gone = _utc("2017-04-01T04:00:00")
    # 2 March would be 30 days before; this one is later. And the last one comes after "7 days before".
    shop.buy("o1", 1000, at="2017-03-02T00:00:01-05:00")
    assert shop.until("2017-03-24T12:00:00+00:00").reminders == []
    # At the very instant of the reminder: what is due comes first, so the new points are not in it.
    assert shop.buy("o2", 500, at="2017-03-25T00:00:00-04:00").reminders == [
        ("ann", 10, 7, gone, _utc("2017-03-25T04:00:00"))
    ]
    assert shop.until("2017-04-02T00:00:00+00:00").reminders == [("ann", 15, 1, gone, _utc("2017-03-31T04:00:00"))]


def test_nothing_is_announced_where_nothing_is_left() -> None:
    shop = Shop('expiry: "0 days, to the end of that month", remind: 7')
    shop.buy("o1", 1000, at="2017-03-02T12:00:00-05:00")
    shop.back("r1", "o1", at="2017-03-03T12:00:00-05:00")
    assert shop.until("2017-04-02T00:00:00+00:00").reminders == []


def test_a_reminder_that_passed_while_points_were_pending_is_not_told_later() -> None:
    shop = Shop("expiry: 20 days, pending: 3 days, remind: [19, 18, 1]")
    shop.buy("o1", 1000, at="2017-05-01T12:00:00-04:00")  # gone on the 22nd; 19 days before: the 3rd; 18: the 4th
    # Available on the 4th, so the reminder of the 3rd told of nothing, and would be wrong on the 4th.
    gone = _utc("2017-05-22T04:00:00")
    assert shop.until("2017-05-10T00:00:00+00:00").reminders == [("ann", 10, 18, gone, _utc("2017-05-04T04:00:00"))]
