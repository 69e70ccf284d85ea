"""Rules about members, and points that live as long as a membership year; worked out by hand."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from services.earn.rating.awards import Verdict
from services.earn.rating.engine import rate
from shared.contracts.members import MEMBER_UPDATED
from shared.errors import PoisonEvent
from shared.program.compiled.calendar import expiry_instant
from shared.program.compiled.rating_context import Member, MemberContext
from shared.program.language.grammar import Expiry
from shared.program.language.phrases_of_time import Around
from tests.support.build import as_bytes, event, program
from tests.support.shop import Shop

ANN = Member(date(2015, 3, 1), (2, 29), frozenset({"student", "staff"}), {"store": "north"})


def pays(when: str, day: str = "2017-03-01", member: Member = ANN) -> int:
    made = program(f"give: 5 points per order, when: {{{when}}}")
    bought = event(occurred_at=f"{day}T12:00:00-05:00")
    return sum(award.points for award in rate(made, bought, MemberContext(member=member)).awards)


@pytest.mark.parametrize(
    ("when", "points"),
    [
        ("segment: student", 5),
        ("segment: [senior, staff]", 5),
        ("segment: senior", 0),
        ("attribute: {store: [south, north]}", 5),
        ("attribute: {store: south}", 0),
        ("attribute: {store: north, colour: red}", 0),
    ],
)
def test_segments_and_attributes(when: str, points: int) -> None:
    assert pays(when) == points
    assert pays(when, member=Member()) == 0, "of whom nothing is told nothing is assumed"


@pytest.mark.parametrize(
    ("around", "day", "holds"),
    [
        ("on the day", "2017-02-28", True),  # 29 February is the 28th in most years …
        ("on the day", "2017-03-01", False),
        ("on the day", "2020-02-29", True),  # … and itself in the others
        ("on the day", "2020-02-28", False),
        ("in the month", "2017-02-01", True),
        ("in the month", "2017-03-01", False),
        ("within 2 days", "2017-02-26", True),
        ("within 2 days", "2017-03-02", True),
        ("within 2 days", "2017-03-03", False),
    ],
)
def test_around_a_birthday(around: str, day: str, holds: bool) -> None:
    assert bool(pays(f"birthday: {around}", day)) == holds


def test_around_new_year() -> None:
    eve = Member(birthday=(1, 1))
    assert [pays("birthday: within 1 day", day, eve) for day in ("2017-12-31", "2018-01-02", "2018-01-03")] == [5, 5, 0]
    assert Around(60).holds(12, 31, date(1, 1, 1)) is None, "there is no year before"
    assert Around(60).holds(1, 1, date(9999, 12, 31)) is None


def test_an_anniversary_is_a_year_or_more_after_the_day() -> None:
    joined = Member(joined_on=date(2017, 3, 1))
    assert [pays("anniversary: on the day", f"{year}-03-01", joined) for year in (2017, 2018, 2030)] == [0, 5, 5]
    assert pays("anniversary: in the month", "2017-03-20", joined) == 0
    # A week before the first anniversary counts, a week before the day itself does not.
    assert [pays("anniversary: within 7 days", day, joined) for day in ("2017-02-25", "2018-02-25")] == [0, 5]


def test_why_says_what_was_found() -> None:
    wanted = ("segment: senior", "attribute: {store: south}", "birthday: on the day", "anniversary: on the day")
    made = program(*(f"give: 5 points per order, when: {{{when}}}" for when in wanted))
    found: list[Verdict] = []
    rate(made, event(occurred_at="2017-04-01T12:00:00-05:00"), MemberContext(member=ANN), found)
    assert [one.detail for one in found] == [
        "segment: wanted senior, found staff, student",
        "attribute: wanted store south, found store north",
        "birthday: wanted on the day, found 02-29, bought on 2017-04-01",
        "anniversary: wanted on the day, found joined on 2015-03-01, bought on 2017-04-01",
    ]


# ---- membership years


@pytest.mark.parametrize(
    ("phrase", "day", "gone"),
    [
        ("at the end of the membership year", "2017-02-28", "2017-03-01"),
        ("at the end of the membership year", "2017-03-01", "2018-03-01"),
        ("12 months, to the end of that membership year", "2017-02-28", "2018-03-01"),
        ("12 months, to the end of that membership year", "2017-03-01", "2019-03-01"),
    ],
)
def test_points_live_to_the_end_of_a_membership_year(phrase: str, day: str, gone: str) -> None:
    zone = program("give: 1 point per USD").zone
    instant = expiry_instant(Expiry.parse(phrase), date.fromisoformat(day), zone, date(2015, 3, 1))
    assert instant is not None
    assert instant.astimezone(zone).date() == date.fromisoformat(gone)


def test_without_a_day_of_joining_it_is_the_calendars_year() -> None:
    shop = Shop("expiry: at the end of the membership year")
    shop.buy("o1", 1000, at="2017-03-01T12:00:00-05:00")
    shop.tell("ann", at="2017-03-02T12:00:00-05:00", joined_on="2015-05-01")
    shop.buy("o2", 2000, at="2017-03-03T12:00:00-05:00")
    shop.until("2017-05-01T03:59:59+00:00")
    assert shop.balance() == (30, 0, 0, 0)
    shop.until("2017-05-01T04:00:00+00:00")  # midnight in New York
    assert shop.balance() == (10, 0, 0, 0)
    shop.until("2018-01-01T05:00:00+00:00")
    assert shop.balance() == (0, 0, 0, 0)


# ---- what is known about members


def test_the_latest_story_counts_whenever_it_comes() -> None:
    shop = Shop(more="  - {rule: students, give: 7 points per order, when: {segment: student}}")
    shop.tell("ann", at="2017-03-02T12:00:00-05:00", segments=["student"])
    shop.tell("ann", at="2017-03-01T12:00:00-05:00", segments=[])  # late: older than what is known
    shop.buy("o1", 100, at="2017-03-03T12:00:00-05:00")
    assert shop.balance() == (8, 0, 0, 0)
    shop.tell("ann", at="2017-03-04T12:00:00-05:00", segments=[])
    shop.buy("o2", 100, at="2017-03-05T12:00:00-05:00")
    assert shop.balance() == (9, 0, 0, 0)
    # The first order is rated again as the student's that it was.
    shop.amend("a1", "o1", 300, at="2017-03-05T12:00:00-05:00")
    assert shop.balance() == (11, 0, 0, 0)


@pytest.mark.parametrize("fields", [{"birthday": "02-30"}, {"birthday": "1990-01-01"}, {"segments": ""}])
def test_what_nobody_may_tell_is_refused(fields: dict[str, Any]) -> None:
    data = {"member_id": "ann", "occurred_at": "2017-03-01T12:00:00-05:00", **fields}
    with pytest.raises(PoisonEvent):
        MEMBER_UPDATED.decode(as_bytes(data))


def test_the_order_in_which_things_are_written_down_makes_no_other_content() -> None:
    base = {"member_id": "ann", "occurred_at": "2017-03-01T12:00:00-05:00"}
    one = {**base, "segments": ["a", "b"], "attributes": {"x": "1", "y": "2"}}
    other = {**base, "occurred_at": "2017-03-01T17:00:00Z", "segments": ["b", "a"], "attributes": {"y": "2", "x": "1"}}
    first, second = (MEMBER_UPDATED.decode(as_bytes(data)) for data in (one, other))
    assert MEMBER_UPDATED.content_hash(first) == MEMBER_UPDATED.content_hash(second)
    assert MEMBER_UPDATED.business_key(first) == MEMBER_UPDATED.business_key(second)


def test_only_what_the_program_asks_is_kept_with_an_order() -> None:
    shop = Shop(
        more="  - {rule: students, give: 7 points per order, when: {segment: student, attribute: {store: north}}}"
    )
    told = {"segments": ["student", "secret"], "attributes": {"store": "south", "note": "secret"}, "birthday": "01-01"}
    shop.tell("ann", at="2017-03-01T12:00:00-05:00", joined_on="2015-05-01", **told)
    shop.buy("o1", 100, at="2017-03-03T12:00:00-05:00")
    (order,) = shop.rehearsal.earn_state.orders.values()
    assert order.result(None)["member"] == [None, None, ["student"], {"store": "south"}]
