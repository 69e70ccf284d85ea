"""Points that expire because the member is inactive for too long; worked out by hand."""

from __future__ import annotations

import itertools

import pytest

from shared.errors import ProgramFileError
from shared.program.language.loader import load
from tests.support.build import program_text
from tests.support.shop import Shop
from tests.unit.earn.test_returns import REWARDS

#: New York is 5 hours behind; in summer, from 12 March 2017 on, 4.
NOON = "2017-01-10T12:00:00-05:00"
IDLE = "expiry: after 2 months without activity, remind: [7]"


def test_they_live_two_months_after_the_last_purchase() -> None:
    shop = Shop(IDLE)
    shop.buy("o1", 1000, at=NOON)
    shop.buy("o2", 2000, at="2017-02-20T12:00:00-05:00")
    shop.until("2017-04-21T03:59:59+00:00")
    assert shop.balance() == (30, 0, 0, 0), "all of them live through 20 April"
    shop.until("2017-04-21T04:00:00+00:00")
    assert shop.balance() == (0, 0, 0, 0)
    assert shop.entries() == [("earn", 10), ("earn", 20), ("expire", 30)]
    assert shop.posted_at() == "2017-04-21T04:00:00Z"


def test_a_purchase_that_comes_too_late_finds_nothing_left() -> None:
    shop = Shop(IDLE)
    shop.buy("o1", 1000, at=NOON)
    shop.buy("o2", 2000, at="2017-06-01T12:00:00-04:00")
    assert shop.entries() == [("earn", 10), ("expire", 10), ("earn", 20)]


def test_they_are_announced_and_announced_again_after_an_activity() -> None:
    shop = Shop(IDLE)
    shop.buy("o1", 1000, at=NOON)
    said = shop.until("2017-03-05T12:00:00-05:00").reminders
    assert [(member, points, days, f"{gone:%m-%d %H:%M}") for member, points, days, gone, _at in said] == [
        ("ann", 10, 7, "03-11 05:00")
    ]
    shop.buy("o2", 1000, at="2017-03-06T12:00:00-05:00")
    said = shop.until("2017-05-01T12:00:00-04:00").reminders
    assert [(points, days, f"{gone:%m-%d %H:%M}") for _, points, days, gone, _at in said] == [(20, 7, "05-07 04:00")]


@pytest.mark.parametrize(
    ("activities", "left"),
    [("", 40), (", activities: earn", 0), (", activities: [earn, redeem]", 40)],
)
def test_what_keeps_them_alive(activities: str, left: int) -> None:
    shop = Shop(IDLE + activities, more=REWARDS)
    shop.buy("o1", 10_000, at=NOON)  # 100 points
    shop.ask("r1", "mug", at="2017-02-20T12:00:00-05:00", confirm=True)  # 60 of them
    shop.until("2017-04-01T00:00:00+00:00")
    assert shop.balance() == (left, 0, 0, 0)


def test_what_only_waits_or_is_given_back_is_no_activity() -> None:
    shop = Shop(IDLE, more=REWARDS)
    shop.buy("o1", 10_000, at=NOON)
    shop.ask("r1", "mug", at="2017-03-09T12:00:00-05:00")  # reserved, and let go
    shop.cancel("r1", at="2017-03-09T12:05:00-05:00")
    shop.back("b1", "o1", (0, 0, 1000), at="2017-03-10T12:00:00-05:00")
    shop.until("2017-03-11T05:00:00+00:00")
    assert shop.balance() == (0, 0, 0, 0)


def test_points_with_a_day_of_their_own_keep_it() -> None:
    more = "  - {rule: gift, give: 50 points per order, expiry: on 31 December}"
    shop = Shop(IDLE, more=more)
    shop.buy("o1", 1000, at=NOON)
    shop.until("2017-06-01T00:00:00+00:00")
    assert shop.balance() == (50, 0, 0, 0)
    shop.until("2018-01-01T05:00:00+00:00")
    assert shop.balance() == (0, 0, 0, 0)


@pytest.mark.parametrize(
    ("first", "second", "left_in_june"),
    [
        ("never", "after 2 months without activity", 10),
        ("after 2 months without activity", "never", 20),
        ("after 2 months without activity", "after 4 months without activity", 20),
    ],
)
def test_points_keep_the_terms_that_they_were_earned_under(first: str, second: str, left_in_june: int) -> None:
    shop = Shop(f"expiry: {first}")
    shop.buy("o1", 1000, at=NOON)
    shop.rehearsal.publish(shop.text.replace(first, second).replace("2010-01-01", "2017-02-01"))
    shop.buy("o2", 2000, at="2017-03-01T12:00:00-05:00")  # an activity of both
    shop.until("2017-06-01T12:00:00-04:00")
    assert shop.balance() == (left_in_june, 0, 0, 0)


def test_it_does_not_matter_when_a_sweep_ran() -> None:
    sweeps = ["2017-03-04T05:00:00+00:00", "2017-03-11T05:00:00+00:00", "2017-05-01T00:00:00+00:00"]
    found = []
    for chosen in itertools.chain.from_iterable(itertools.combinations(sweeps, n) for n in range(4)):
        shop = Shop(IDLE, more=REWARDS)
        shop.buy("o1", 10_000, at=NOON)
        events = {
            "2017-03-08T12:00:00-05:00": lambda shop=shop: shop.ask("r1", "mug", at="2017-03-08T12:00:00-05:00"),
            "2017-03-20T12:00:00-04:00": lambda shop=shop: shop.buy("o2", 500, at="2017-03-20T12:00:00-04:00"),
            "2017-07-01T12:00:00-04:00": lambda shop=shop: shop.buy("o3", 700, at="2017-07-01T12:00:00-04:00"),
        }
        for at in sorted([*events, *chosen]):
            if at in events:
                events[at]()
            else:
                shop.until(at)
        found.append((shop.entries(), shop.rehearsal.entries))
    assert len(found) == 8
    assert all(one == found[0] for one in found)
    # The hold of the mug times out and gives back 60, which have expired in the meantime, with all the others.
    assert found[0][0][-1] == ("earn", 7)


@pytest.mark.parametrize(
    ("wallet", "rule", "field", "said"),
    [
        ("expiry: after 0 months without activity", "", "wallets.points.expiry", "at least 1"),
        ("expiry: 6 months without activity", "", "wallets.points.expiry", '"after 18 months without activity"'),
        ("expiry: never, activities: earn", "", "wallets.points.activities", "allowed only beside expiry: after"),
        ("expiry: after 6 months without activity, activities: redeem", "", "wallets.points.activities", "add earn"),
        ("expiry: after 6 months without activity, activities: visit", "", "wallets.points.activities", "earn, redeem"),
        ("expiry: never", ", expiry: after 6 months without activity", "earning[0].expiry", "as the wallet's"),
        ("expiry: after 9 days without activity, pending: 9 days", "", "wallets.points.pending", "lapse before"),
    ],
)
def test_a_mistake(wallet: str, rule: str, field: str, said: str) -> None:
    wallets = f"{{points: {{name: P, unit: point, {wallet}}}}}"
    with pytest.raises(ProgramFileError) as refused:
        load(program_text(f"give: 1 point per USD{rule}", wallets=wallets))
    assert f"{field}" in str(refused.value)
    assert said in str(refused.value)
