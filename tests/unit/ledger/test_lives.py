"""How long points live that wait: from the purchase, or from the day on which they become available; by hand."""

from __future__ import annotations

from datetime import date, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.instants import BEGINNING, NEVER, iso, microseconds
from shared.ledger.book import Book
from shared.ledger.model import Account, Terms
from shared.ledger.posting import Posting
from shared.program.compiled.calendar import expiry_instant, life_instant, life_words
from shared.program.compiled.lifetimes import Lifespan, Lifetime
from shared.program.language.grammar import Expiry
from shared.program.language.phrases_of_time import Pending
from tests.support.build import program
from tests.support.examples import examples
from tests.support.shop import Shop

NEW_YORK = ZoneInfo("America/New_York")
WAITS = Pending.parse("until fulfilled")


def _instant(text: str) -> int:
    return microseconds(datetime.fromisoformat(text))


def _lifetime(expiry: str, pending: str | None, counts_from: str | None = None) -> Lifetime:
    waits = Pending.parse(pending) if pending else None
    return Lifetime(waits, Expiry.parse(expiry), NEW_YORK, counts_from=counts_from)  # type: ignore[arg-type]


def _gone(life: str, day: str) -> str:
    at = life_instant(life, date.fromisoformat(day), NEW_YORK)
    assert at is not None
    return f"{at:%Y-%m-%d %H:%M}"


# ---- points that wait for an event


def test_points_that_are_shipped_late_live_from_then_on() -> None:
    shop = Shop("expiry: 30 days, remind: 7, pending: until fulfilled")
    shop.buy("o2", 6000, 4000, at="2026-03-01T12:00:00-05:00")
    shop.fulfil("o2", at="2026-04-15T12:00:00-04:00")
    assert shop.balance() == (100, 0, 0, 0)
    # To the end of 15 May: 30 days after 15 April. 7 days before the day after it, they are announced.
    said = shop.until("2026-05-16T03:59:59+00:00").reminders
    assert [(points, days, f"{at:%m-%d %H:%M}") for _member, points, days, _gone, at in said] == [
        (100, 7, "05-09 04:00")
    ]
    assert shop.balance() == (100, 0, 0, 0)
    shop.until("2026-05-16T04:00:00+00:00")
    assert shop.balance() == (0, 0, 0, 0)
    assert shop.posted_at() == "2026-05-16T04:00:00Z"


def test_points_that_are_shipped_before_their_order_came_live_from_the_purchase_on() -> None:
    shop = Shop("expiry: 30 days, pending: until fulfilled")
    shop.fulfil("o3", at="2026-03-01T11:00:00-05:00")
    shop.buy("o3", 6000, at="2026-03-01T12:00:00-05:00")
    assert shop.balance() == (60, 0, 0, 0)
    shop.until("2026-04-01T03:59:59+00:00")
    assert shop.balance() == (60, 0, 0, 0)
    shop.until("2026-04-01T04:00:00+00:00")  # 1 March and 30 days: through 31 March
    assert shop.balance() == (0, 0, 0, 0)


def test_points_that_wait_do_not_say_when_they_expire() -> None:
    shop = Shop("expiry: 30 days, pending: until fulfilled")
    shop.buy("o1", 1000, at="2026-03-01T12:00:00-05:00")
    earned = next(data for _id, data in shop.messages if data.get("operation") == "earn-pending")
    assert (earned["available_at"], earned["expires_at"]) == ("never", None)


def test_the_lot_keeps_its_id_and_gets_its_instants() -> None:
    shop = Shop("expiry: 30 days, pending: until fulfilled")
    shop.buy("o1", 1000, at="2026-03-01T12:00:00-05:00")
    account = shop.rehearsal.accounts["ann", "points"]
    (lot,) = account.lots
    # While they wait: what it would be if they had been shipped at once, for the order of lots; nothing expires.
    assert account.lots[lot].terms[:2] == (NEVER, _instant("2026-04-01T00:00:00-04:00"))
    assert account.lots[lot].terms.life == "30 days"
    shop.fulfil("o1", at="2026-04-15T12:00:00-04:00")
    assert account.lots[lot].terms[:2] == (
        _instant("2026-04-15T12:00:00-04:00"), _instant("2026-05-16T00:00:00-04:00")
    )  # fmt: skip
    assert [entry.lot for entry in shop.rehearsal.entries] == [lot, lot]


def test_of_points_that_wait_the_oldest_go_first() -> None:
    shop = Shop(
        "expiry: 30 days, pending: until fulfilled",
        "rewards:\n  - {reward: mug, name: Mug, cost: 10 points, worth: 1 USD}",
    )
    shop.buy("o1", 1000, at="2026-03-03T12:00:00-05:00")
    shop.fulfil("o1", at="2026-03-03T13:00:00-05:00")
    shop.ask("r1", "mug", at="2026-03-03T14:00:00-05:00", confirm=True)
    for day in (5, 4, 6):
        shop.buy(f"of-{day}", 1000, at=f"2026-03-0{day}T12:00:00-05:00")
    shop.back("b1", "o1", at="2026-03-07T12:00:00-05:00")  # spent: taken from what was bought on the 4th
    shop.fulfil("of-4", at="2026-03-08T12:00:00-04:00")
    assert shop.balance() == (0, 20, 0, 0)


def test_what_is_earned_after_the_event_lives_from_now_on_in_another_lot() -> None:
    newest = program("give: 1 point per whole USD")
    account = Account(1, "ann", "points")
    book = Book({("ann", "points"): account}, Posting(), newest)
    book.advance_to(account, _instant("2026-04-20T12:00:00-04:00"))
    waits = Terms(NEVER, _instant("2026-04-01T00:00:00-04:00"), b"o" * 16, life="30 days")
    # 20 April and 30 days: through 20 May.
    assert book.spendable(account, waits) == Terms(BEGINNING, _instant("2026-05-21T00:00:00-04:00"))
    assert book.spendable(account, waits._replace(life="until 2026-06-01")) == Terms(
        BEGINNING, _instant("2026-06-02T00:00:00-04:00")
    )
    assert book.spendable(account, Terms(5, 10)) == Terms(5, 10)
    idle = Terms(NEVER, NEVER, b"o" * 16, idle="2 months without earn")
    assert book.spendable(account, idle) == Terms(BEGINNING, NEVER, idle="2 months without earn")


def test_a_late_event_makes_available_at_the_latest_instant_seen() -> None:
    shop = Shop("expiry: 3 days, pending: until fulfilled")
    shop.buy("o1", 1000, at="2026-03-01T12:00:00-05:00")
    shop.buy("o2", 1000, at="2026-03-10T12:00:00-04:00")
    shop.fulfil("o1", at="2026-03-02T12:00:00-05:00")
    assert shop.balance() == (10, 10, 0, 0), "shipped on the 2nd, known on the 10th: they can be spent for 3 days"
    shop.until("2026-03-14T03:59:59+00:00")
    assert shop.balance() == (10, 10, 0, 0)
    shop.until("2026-03-14T04:00:00+00:00")
    assert shop.balance() == (0, 10, 0, 0)


# ---- from which day a life counts


@pytest.mark.parametrize(
    ("counts_from", "life", "available", "gone"),
    [
        # 1 March and 30 days is 31 March; New York is 4 hours behind by then.
        (None, "30 days", "2026-04-15", "2026-05-16 04:00"),
        ("available", "30 days", "2026-04-15", "2026-05-16 04:00"),
        ("purchase", "until 2026-03-31", "2026-03-10", "2026-04-01 04:00"),
        ("purchase", "until 2026-03-31", "2026-03-31", "2026-04-01 04:00"),
        # Never before they could be spent: to the end of the day itself.
        ("purchase", "until 2026-03-31", "2026-04-15", "2026-04-16 04:00"),
    ],
)
def test_the_life_of_points_that_wait_for_an_event(
    counts_from: str | None, life: str, available: str, gone: str
) -> None:
    lifespan = _lifetime("30 days", "until fulfilled", counts_from).of(date(2026, 3, 1))
    assert lifespan == Lifespan(NEVER, _instant("2026-04-01T00:00:00-04:00"), life)
    assert _gone(life, available) == gone


@pytest.mark.parametrize(
    ("expiry", "counts_from", "expires_at"),
    [
        # Bought on 1 March, available on the 15th.
        ("30 days", None, "2026-04-01"),  # 31 March is the last day
        ("30 days", "purchase", "2026-04-01"),
        ("30 days", "available", "2026-04-15"),  # 15 March and 30 days is 14 April
        # They would be gone before they can be spent: they live through the 15th.
        ("10 days", None, "2026-03-16"),
        ("14 days", None, "2026-03-16"),
        ("15 days", None, "2026-03-17"),
        ("0 days", "available", "2026-03-16"),
        ("on 5 March", None, "2026-03-16"),
    ],
)
def test_the_life_of_points_that_wait_for_a_day(expiry: str, counts_from: str | None, expires_at: str) -> None:
    lifespan = _lifetime(expiry, "14 days", counts_from).of(date(2026, 3, 1))
    assert lifespan == Lifespan(
        _instant("2026-03-15T00:00:00-04:00"), _instant(f"{expires_at}T00:00:00-04:00")
    )  # fmt: skip


def test_points_that_do_not_expire_have_no_life_in_words() -> None:
    assert _lifetime("never", "until fulfilled").of(date(2026, 3, 1)) == Lifespan(NEVER, NEVER, "")
    assert _lifetime("after 2 months without activity", "until claimed").of(date(2026, 3, 1)) == Lifespan(NEVER, NEVER)
    assert life_instant("", date(2026, 3, 1), NEW_YORK) is None


def test_points_that_do_not_wait_after_all() -> None:
    lifetime = _lifetime("30 days", "until fulfilled")
    assert lifetime.waits
    assert lifetime.at_once(date(2026, 3, 1)) == Lifespan(BEGINNING, _instant("2026-04-01T00:00:00-04:00"))


def test_a_membership_year_counts_from_the_day_of_joining_for_points_that_wait_too() -> None:
    joined_on = date(2024, 2, 29)
    lifetime = _lifetime("at the end of the membership year", "until fulfilled")
    lifespan = lifetime.of(date(2026, 1, 10), joined_on)
    assert lifespan.life == "0 days, to the end of that membership year, joined on 2024-02-29"
    # The year that began on 28 February 2025 ends on 27 February 2026; shipped in March, they live to 27 February 2027.
    assert lifespan.expires_at == _instant("2026-02-28T00:00:00-05:00")
    assert _gone(lifespan.life, "2026-03-10") == "2027-02-28 05:00"
    counted = _lifetime("at the end of the membership year", "until fulfilled", "purchase").of(
        date(2026, 1, 10), joined_on
    )
    assert counted.life == "until 2026-02-27"
    assert _gone(counted.life, "2026-03-10") == "2026-03-11 04:00"


def test_a_membership_year_that_ends_while_points_wait_for_a_day() -> None:
    lifetime = _lifetime("at the end of the membership year", "14 days")
    # Joined on 5 March: their year ends on 4 March 2026, they are available on the 15th, and live through it.
    assert lifetime.of(date(2026, 3, 1), date(2020, 3, 5)) == Lifespan(
        _instant("2026-03-15T00:00:00-04:00"), _instant("2026-03-16T00:00:00-04:00")
    )


PHRASES = st.sampled_from(
    [
        "0 days",
        "90 days",
        "1 month",
        "18 months",
        "2 years",
        "12 months, to the end of that month",
        "1 year, to the end of that quarter",
        "0 days, to the end of that year",
        "at the end of the membership year",
        "12 months, to the end of that membership year",
        "on 31 December",
        "36 months, then the next 29 February",
    ]
)


@examples(100)
@given(PHRASES, st.dates(date(2016, 1, 1), date(2030, 1, 1)), st.none() | st.dates(date(2000, 1, 1), date(2015, 1, 1)))
def test_words_say_the_same_as_the_phrase(phrase: str, day: date, joined_on: date | None) -> None:
    expiry = Expiry.parse(phrase)
    expected = expiry_instant(expiry, day, NEW_YORK, joined_on)
    assert life_instant(life_words(expiry, joined_on, None), day, NEW_YORK) == expected
    assert life_instant(life_words(expiry, joined_on, day), day, NEW_YORK) == expected


# ---- points that expire without activity


def test_whoever_did_nothing_while_points_waited_can_still_spend_them() -> None:
    shop = Shop("expiry: after 2 months without activity, pending: until fulfilled")
    shop.buy("o1", 1000, at="2017-01-10T12:00:00-05:00")
    # The last activity is of 10 January, so they would have been gone after 10 March: they live through 1 June.
    shop.fulfil("o1", at="2017-06-01T12:00:00-04:00")
    assert shop.balance() == (10, 0, 0, 0)
    shop.until("2017-06-02T03:59:59+00:00")
    assert shop.balance() == (10, 0, 0, 0)
    shop.until("2017-06-02T04:00:00+00:00")
    assert shop.balance() == (0, 0, 0, 0)
    assert iso(shop.rehearsal.entries[-1].occurred_at) == "2017-06-02T04:00:00Z"


def test_an_activity_meanwhile_counts() -> None:
    shop = Shop("expiry: after 2 months without activity, pending: until fulfilled")
    shop.buy("o1", 1000, at="2017-01-10T12:00:00-05:00")
    shop.buy("o2", 1000, at="2017-05-20T12:00:00-04:00")
    shop.fulfil("o1", at="2017-06-01T12:00:00-04:00")
    shop.until("2017-07-21T03:59:59+00:00")  # two months after 20 May
    assert shop.balance() == (10, 10, 0, 0)
    shop.until("2017-07-21T04:00:00+00:00")
    assert shop.balance() == (0, 10, 0, 0)
