"""Bring a friend: who is rewarded, who is refused and why, and what a return takes back; worked out by hand."""

from __future__ import annotations

from datetime import datetime

import pytest

from shared.contracts.referrals import REGISTERED
from shared.runtime.handler import Mark
from shared.runtime.records import Record
from tests.support.build import as_bytes, headers
from tests.support.shop import NOW, Shop, what_was_said

REFERRAL = """referral:
  referrer: 50 points
  friend: 20 points
  purchase_of_at_least: 25 USD
  within_days: 10
  at_most_a_month: 2
"""
MUG = "rewards:\n  - {reward: mug, name: Mug, cost: 40 points, worth: 1 USD}\n"
FIRST = "2017-03-01T12:00:00-05:00"
SECOND = "2017-03-02T12:00:00-05:00"
THIRD = "2017-03-03T12:00:00-05:00"


def _shop(wallet: str = "expiry: never", more: str = REFERRAL) -> Shop:
    return Shop(wallet, more)


def _refused(name: str, reason: str) -> list[tuple[str, str, str | None]]:
    return [(name, "refused", reason)]


def test_a_friends_first_purchase_that_is_large_enough_rewards_both() -> None:
    shop = _shop()
    assert shop.refer("f1", "ann", "bob", at=FIRST).referrals == []
    assert shop.buy("o1", 2499, at=SECOND).referrals == []  # 24 points, a cent too little
    assert shop.buy("o2", 2500, at=SECOND).referrals == [("f1", "qualified", None)]
    assert shop.buy("o3", 9900, at=SECOND).referrals == []  # once
    assert shop.balance("ann") == (24 + 25 + 20 + 99, 0, 0, 0)
    assert shop.balance("bob") == (50, 0, 0, 0)


def test_gift_cards_do_not_make_a_purchase_large_enough() -> None:
    shop = _shop()
    shop.refer("f1", "ann", "bob", at=FIRST)
    card = {"amount": 2400, "quantity": 1, "is_gift_card": True}
    event = {"kind": "purchase", "order": "o1", "member": "ann", "lines": [card, {"amount": 100, "quantity": 1}]}
    said = what_was_said(shop.batch([{**event, "at": datetime.fromisoformat(SECOND)}]))
    assert said.referrals == []
    assert shop.balance("bob") == (0, 0, 0, 0)


@pytest.mark.parametrize(
    ("bought", "state"),
    [
        ("2017-03-01T12:00:00-05:00", "qualified"),  # at the same instant
        # Registered on 1 March, 10 days: through 11 March, in New York.
        ("2017-03-11T23:59:59-05:00", "qualified"),
        ("2017-03-12T00:00:00-05:00", "open"),
    ],
)
def test_the_purchase_must_come_within_the_days(bought: str, state: str) -> None:
    shop = _shop()
    shop.refer("f1", "ann", "bob", at=FIRST)
    shop.buy("o1", 2500, at=bought)
    assert shop.rehearsal.earn_state.referrals["ann"].state == state
    assert shop.balance("bob")[0] == (50 if state == "qualified" else 0)


# ---- refusals


def test_nobody_refers_themselves() -> None:
    assert _shop().refer("f1", "ann", "ann", at=FIRST).referrals == _refused("f1", "oneself")


def test_nobody_refers_themselves_under_another_name() -> None:
    shop = _shop()
    prints = ["a" * 16, "b" * 16]
    data = {"referral_id": "f1", "member_id": "ann", "referrer_id": "bob", "occurred_at": FIRST,
            "friend_fingerprints": prints[:1], "referrer_fingerprints": prints}  # fmt: skip
    record = Record(0, 0, b"ann", as_bytes(data), headers(ce_type=REGISTERED.encode()))
    said = what_was_said(shop.rehearsal.batch([record], Mark(1, NOW, NOW), "earn", ("referrals", 0, 0)))
    assert said.referrals == _refused("f1", "oneself")


def test_who_has_bought_before_is_no_new_friend() -> None:
    shop = _shop()
    shop.buy("o1", 100, at=FIRST)
    assert shop.refer("f1", "ann", "bob", at=SECOND).referrals == _refused("f1", "has-bought-before")
    # The refusal is remembered: the same registration again has no effect.
    assert shop.refer("f1", "ann", "bob", at=SECOND).referrals == []


def test_a_friend_is_brought_once() -> None:
    shop = _shop()
    shop.refer("f1", "ann", "bob", at=FIRST)
    assert shop.refer("f2", "ann", "eve", at=SECOND).referrals == _refused("f2", "already-referred")
    shop.buy("o1", 2500, at=THIRD)
    assert (shop.balance("bob")[0], shop.balance("eve")[0]) == (50, 0)
    assert shop.refer("f3", "ann", "eve", at=FIRST).referrals == _refused("f3", "already-referred")


def test_friends_do_not_refer_each_other_in_a_circle() -> None:
    shop = _shop()
    shop.refer("f1", "ann", "bob", at=FIRST)
    shop.refer("f2", "eve", "ann", at=FIRST)
    assert shop.refer("f3", "bob", "eve", at=FIRST).referrals == _refused("f3", "cycle")
    assert shop.refer("f4", "bob", "ann", at=FIRST).referrals == _refused("f4", "cycle")
    assert shop.refer("f5", "bob", "dan", at=FIRST).referrals == []


def test_a_referrer_is_rewarded_for_so_many_friends_a_month() -> None:
    shop = _shop()
    for number in range(4):
        shop.refer(f"f{number}", f"friend {number}", "bob", at="2017-03-25T12:00:00-04:00")
    qualified = [("f0", "qualified", None)], [("f1", "qualified", None)]
    march = "2017-03-31T23:59:59-04:00"
    assert tuple(shop.buy(f"o{n}", 2500, at=march, member=f"friend {n}").referrals for n in range(2)) == qualified
    said = shop.buy("o2", 2500, at=march, member="friend 2")
    assert said.referrals == _refused("f2", "over-the-referrers-cap")
    assert shop.balance("friend 2") == (25, 0, 0, 0)
    # A second later it is April in New York.
    said = shop.buy("o3", 2500, at="2017-04-01T00:00:00-04:00", member="friend 3")
    assert said.referrals == [("f3", "qualified", None)]
    assert shop.balance("bob") == (150, 0, 0, 0)


def test_a_program_without_referrals_refuses_them() -> None:
    shop = Shop()
    assert shop.refer("f1", "ann", "bob", at=FIRST).referrals == _refused("f1", "no-referral-program")


# ---- what comes in another order than it happened


def test_a_registration_that_comes_after_the_purchase_but_happened_before_it_rewards_both() -> None:
    shop = _shop()
    shop.buy("o1", 2500, at=SECOND)
    shop.buy("o0", 100, at=THIRD)
    assert shop.refer("f1", "ann", "bob", at=FIRST).referrals == [("f1", "qualified", None)]
    assert shop.balance("ann") == (25 + 1 + 20, 0, 0, 0)
    assert shop.balance("bob") == (50, 0, 0, 0)
    # The referrer's account had seen nothing, so the reward stands at the time of the purchase; the friend's was later.
    assert shop.posted_at("bob") == "2017-03-02T17:00:00Z"
    assert shop.posted_at("ann") == "2017-03-03T17:00:00Z"


def test_of_several_purchases_before_such_a_registration_the_first_that_is_large_enough_counts() -> None:
    shop = _shop()
    shop.buy("o3", 9900, at=THIRD)
    shop.buy("o2", 2500, at=SECOND)
    shop.refer("f1", "ann", "bob", at=FIRST)
    assert shop.rehearsal.earn_state.referrals["ann"].order_id == "o2"


def test_what_came_back_before_such_a_registration_does_not_count() -> None:
    shop = _shop()
    shop.buy("o1", 2500, at=SECOND)
    shop.back("b1", "o1", (0, 0, 1), at=SECOND)
    assert shop.refer("f1", "ann", "bob", at=FIRST).referrals == []


def test_a_late_purchase_of_before_the_registration_refuses_it() -> None:
    shop = _shop()
    shop.refer("f1", "ann", "bob", at=SECOND)
    assert shop.buy("o1", 100, at=FIRST).referrals == _refused("f1", "has-bought-before")
    assert shop.buy("o2", 2500, at=THIRD).referrals == []
    assert shop.balance("bob") == (0, 0, 0, 0)


def test_what_is_rewarded_stays_when_an_earlier_purchase_turns_up() -> None:
    shop = _shop()
    shop.refer("f1", "ann", "bob", at=SECOND)
    shop.buy("o2", 2500, at=THIRD)
    assert shop.buy("o1", 100, at=FIRST).referrals == []
    assert shop.balance("bob") == (50, 0, 0, 0)


# ---- what is taken back


def test_a_return_that_leaves_less_than_the_minimum_takes_both_back() -> None:
    shop = _shop()
    shop.refer("f1", "ann", "bob", at=FIRST)
    shop.buy("o1", 5000, at=SECOND)
    # 25.00 are left: enough. Then 24.99. floor(50 x 2500/5000) = 25; floor(50 x 2501/5000) = 25: none more.
    assert shop.back("b1", "o1", (0, 0, 2500), at=THIRD).referrals == []
    said = shop.back("b2", "o1", (0, 0, 1), at=THIRD)
    assert said.referrals == [("f1", "reversed", "the-purchase-was-returned")]
    assert said.reversed == [("f1", 50, 50, 0), ("f1", 20, 20, 0)]
    assert (shop.balance("ann"), shop.balance("bob")) == ((25, 0, 0, 0), (0, 0, 0, 0))
    # Once; and no other purchase rewards it again.
    assert shop.back("b3", "o1", at=THIRD).referrals == []
    assert shop.buy("o2", 2500, at=THIRD).referrals == []
    assert shop.rehearsal.accounts["bob", "points"].lifetime == 0


def test_a_referrer_who_has_spent_the_reward_owes_it() -> None:
    shop = _shop(more=REFERRAL + MUG)
    shop.refer("f1", "ann", "bob", at=FIRST)
    shop.buy("o1", 2500, at=SECOND)
    shop.ask("r1", "mug", at=SECOND, member="bob", confirm=True)
    assert shop.back("b1", "o1", at=THIRD).reversed == [("o1", 25, 25, 0), ("f1", 50, 10, 40), ("f1", 20, 20, 0)]
    assert shop.balance("bob") == (0, 0, 0, 40)


def test_a_reward_is_taken_back_from_where_it_went_whatever_was_told_since() -> None:
    shop = _shop("expiry: at the end of the membership year")
    shop.tell("bob", at=FIRST, joined_on="2015-09-01")
    shop.refer("f1", "ann", "bob", at=FIRST)
    shop.buy("o1", 2500, at=SECOND)  # the 50 live until 1 September
    shop.tell("bob", at=SECOND, joined_on="2015-12-01")
    shop.buy("o2", 3000, at=SECOND, member="bob")  # these 30 until 1 December
    shop.back("b1", "o1", at=THIRD)
    shop.until("2017-10-01T12:00:00+00:00", "bob")
    assert shop.balance("bob") == (30, 0, 0, 0)


def test_a_purchase_whose_return_waited_is_rewarded_and_taken_back_at_once() -> None:
    shop = _shop()
    shop.refer("f1", "ann", "bob", at=FIRST)
    shop.back("b1", "o1", at=THIRD)
    said = shop.buy("o1", 2500, at=SECOND)
    assert said.referrals == [("f1", "qualified", None), ("f1", "reversed", "the-purchase-was-returned")]
    assert (shop.balance("ann"), shop.balance("bob")) == ((0, 0, 0, 0), (0, 0, 0, 0))


def test_a_reward_waits_so_long_as_points_of_that_day_but_for_no_fulfilment() -> None:
    shop = _shop("expiry: never, pending: 14 days")
    shop.refer("f1", "ann", "bob", at=FIRST)
    shop.buy("o1", 2500, at=SECOND)
    assert (shop.balance("ann"), shop.balance("bob")) == ((0, 45, 0, 0), (0, 50, 0, 0))
    shop = _shop("expiry: never, pending: until fulfilled")
    shop.refer("f1", "ann", "bob", at=FIRST)
    shop.buy("o1", 2500, at=SECOND)
    assert (shop.balance("ann"), shop.balance("bob")) == ((20, 25, 0, 0), (50, 0, 0, 0))
