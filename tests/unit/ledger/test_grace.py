"""Points that come back after their expiry: they live on by the wallet's grace, once; worked out by hand."""

from __future__ import annotations

from dataclasses import replace

from shared.ledger.model import terms_in_grace
from tests.support.shop import Shop

MUG = "rewards:\n  - {reward: mug, name: Mug, cost: 40 points, worth: 2 USD, hold: 12 hours}"
#: New York is 5 hours behind UTC; in summer, from 12 March 2017 on, 4. Points of 1 March live through 31 March.
BOUGHT, GONE = "2017-03-01T12:00:00-05:00", "2017-04-01T04:00:00+00:00"


def _shop(grace: int = 10, wallet: str = "expiry: 30 days", more: str = MUG) -> Shop:
    shop = Shop(wallet, more)
    newest = shop.rehearsal.programs[-1]
    shop.rehearsal.programs[-1] = replace(newest, terms={"points": replace(newest.terms["points"], grace_days=grace)})
    return shop


def _spent(shop: Shop, *redemptions: str, at: str = "2017-03-20T12:00:00-04:00") -> None:
    """Buy 100 points, and spend 40 of them for each mug."""
    shop.buy("o1", 10_000, at=BOUGHT)
    for redemption in redemptions:
        shop.ask(redemption, "mug", at=at, confirm=True)


def test_refunded_points_live_on_from_the_day_on_which_they_came_back() -> None:
    shop = _shop(grace=10)
    _spent(shop, "r1")
    shop.cancel("r1", at="2017-04-20T23:30:00-04:00")
    assert shop.entries()[-2:] == [("expire", 60), ("refund", 40)]
    # 20 April, where the program lives, and 10 days: through 30 April.
    shop.until("2017-05-01T03:59:59+00:00")
    assert shop.balance() == (40, 0, 0, 0)
    shop.until("2017-05-01T04:00:00+00:00")
    assert shop.balance() == (0, 0, 0, 0)
    assert shop.posted_at() == "2017-05-01T04:00:00Z"


def test_without_grace_they_expire_at_once() -> None:
    shop = _shop(grace=0)
    _spent(shop, "r1")
    shop.cancel("r1", at="2017-04-20T12:00:00-04:00")
    assert shop.entries()[-3:] == [("expire", 60), ("refund", 40), ("expire", 40)]


def test_before_their_expiry_they_go_back_to_their_own_lot() -> None:
    shop = _shop()
    _spent(shop, "r1")
    shop.cancel("r1", at="2017-03-31T23:59:59-04:00")
    shop.until(GONE)
    assert shop.entries()[-2:] == [("refund", 40), ("expire", 100)]


def test_a_reservation_that_times_out_after_the_expiry_has_grace_from_that_instant() -> None:
    shop = _shop(grace=1)
    shop.buy("o1", 10_000, at=BOUGHT)
    shop.ask("r1", "mug", at="2017-03-31T18:00:00-04:00")  # held until 06:00 on 1 April
    shop.until("2017-04-05T00:00:00+00:00")
    assert shop.entries() == [("earn", 100), ("reserve", 40), ("expire", 60), ("release", 40), ("expire", 40)]
    assert shop.posted_at() == "2017-04-03T04:00:00Z", "1 April and a day: through 2 April"


def test_a_reservation_that_is_cancelled_after_the_expiry_has_grace() -> None:
    shop = _shop(grace=1)
    shop.buy("o1", 10_000, at=BOUGHT)
    shop.ask("r1", "mug", at="2017-03-31T18:00:00-04:00")
    shop.cancel("r1", at="2017-04-01T02:00:00-04:00")
    assert shop.balance() == (40, 0, 0, 0)
    shop.until("2017-04-03T04:00:00+00:00")
    assert shop.entries()[-2:] == [("release", 40), ("expire", 40)]


def test_a_lot_has_grace_once() -> None:
    shop = _shop(grace=10)
    _spent(shop, "r1", "r2")
    shop.cancel("r1", at="2017-04-20T12:00:00-04:00")  # through 30 April
    shop.cancel("r2", at="2017-04-25T12:00:00-04:00")  # joins them
    assert shop.balance() == (80, 0, 0, 0)
    shop.until("2017-05-01T04:00:00+00:00")
    assert shop.entries()[-3:] == [("refund", 40), ("refund", 40), ("expire", 80)]


def test_what_comes_back_when_grace_is_over_expires_at_once() -> None:
    shop = _shop(grace=10)
    _spent(shop, "r1", "r2")
    shop.cancel("r1", at="2017-04-20T12:00:00-04:00")
    shop.cancel("r2", at="2017-05-20T12:00:00-04:00")
    assert shop.entries()[-4:] == [("refund", 40), ("expire", 40), ("refund", 40), ("expire", 40)]


def test_points_in_grace_that_are_spent_and_come_back_have_no_more_of_it() -> None:
    shop = _shop(grace=10)
    _spent(shop, "r1")
    shop.cancel("r1", at="2017-04-20T12:00:00-04:00")
    shop.ask("r2", "mug", at="2017-04-21T12:00:00-04:00", confirm=True)
    shop.cancel("r2", at="2017-04-22T12:00:00-04:00")
    assert shop.balance() == (40, 0, 0, 0)
    shop.ask("r3", "mug", at="2017-04-23T12:00:00-04:00", confirm=True)
    shop.cancel("r3", at="2017-05-01T00:00:00-04:00")
    assert shop.entries()[-2:] == [("refund", 40), ("expire", 40)]


def test_points_in_grace_are_announced_and_burn_when_they_expire() -> None:
    shop = _shop(grace=10, wallet="expiry: 30 days, remind: 3")
    _spent(shop, "r1")
    shop.cancel("r1", at="2017-04-20T12:00:00-04:00")
    shop.buy("o2", 10_000, at="2017-04-20T12:00:00-04:00")  # through 20 May
    said = shop.until("2017-04-28T12:00:00-04:00").reminders
    assert [(points, days, f"{gone:%m-%d %H:%M}") for _member, points, days, gone, _at in said] == [
        (40, 3, "05-01 04:00")
    ]
    shop.ask("r2", "mug", at="2017-04-28T12:00:00-04:00", confirm=True)
    shop.until("2017-05-01T04:00:00+00:00")
    assert shop.balance() == (100, 0, 0, 0), "those in grace were spent first"


def test_they_repay_a_debt_first() -> None:
    shop = _shop(grace=10)
    _spent(shop, "r1", "r2")
    shop.back("b1", "o1", at="2017-03-21T12:00:00-04:00")  # 20 of 100 are left: 80 are owed
    shop.cancel("r1", at="2017-04-20T12:00:00-04:00")
    assert shop.entries()[-2:] == [("refund", 40), ("repay", 40)]
    assert shop.balance() == (0, 0, 0, 40)


# ---- and the order that they came from


def test_a_return_takes_points_in_grace_as_points_of_their_order() -> None:
    shop = _shop(grace=10)
    _spent(shop, "r1")
    shop.buy("o2", 3000, at="2017-03-29T12:00:00-04:00")  # 30 points, through 28 April: they would burn first
    shop.cancel("r1", at="2017-04-20T12:00:00-04:00")
    # Of 100: the 40 in grace, and the 60 that expired are excused; nothing of the other order.
    shop.back("b1", "o1", at="2017-04-21T12:00:00-04:00")
    assert shop.entries()[-2:] == [("reverse", 40), ("reverse-expired", 60)]
    assert shop.balance() == (30, 0, 0, 0)


def test_what_expired_in_grace_is_excused_too() -> None:
    shop = _shop(grace=10)
    _spent(shop, "r1")
    shop.cancel("r1", at="2017-04-20T12:00:00-04:00")
    shop.until("2017-05-01T04:00:00+00:00")
    shop.back("b1", "o1", at="2017-05-10T12:00:00-04:00")
    assert shop.entries()[-3:] == [("expire", 40), ("reverse-expired", 60), ("reverse-expired", 40)]
    assert shop.balance() == (0, 0, 0, 0)


def test_a_late_order_on_the_same_terms_has_no_part_in_it() -> None:
    shop = _shop(grace=10)
    _spent(shop, "r1")
    shop.cancel("r1", at="2017-04-20T12:00:00-04:00")
    shop.buy("o2", 500, at=BOUGHT)  # the same day, told in April: its 5 points are over
    assert shop.entries()[-3:] == [("refund", 40), ("earn", 5), ("expire", 5)]
    assert shop.balance() == (40, 0, 0, 0)


def test_each_lot_has_one_lot_of_grace_whatever_its_expiry() -> None:
    one, other = terms_in_grace(7, 10), terms_in_grace(7, 20)
    assert one.lot_id() == other.lot_id() != terms_in_grace(8, 10).lot_id()
    assert one.lot_id() != 7
    assert one.in_grace
