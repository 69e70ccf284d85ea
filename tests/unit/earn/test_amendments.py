"""Orders that are cancelled or amended, worked out by hand. The program: 1 point per whole USD, 1 more for brand X."""

from __future__ import annotations

from datetime import datetime

import pytest

from shared.instants import microseconds
from tests.support.shop import Shop
from tests.unit.earn.test_returns import LATER, NOON, REWARDS

SOON = "2017-03-01T18:00:00-05:00"


def test_a_cancelled_order_earns_nothing_in_the_end() -> None:
    shop = Shop()
    shop.buy("o1", 1000, (500, 1, "X"), at=NOON)  # 15 and 5
    shop.back("r1", "o1", (0, 0, 300), at=SOON)  # floor(10 x 300/1000) = 3 less
    assert shop.void("v1", "o1", at=LATER).reversed == [("o1", 17, 17, 0)]
    assert shop.balance() == (0, 0, 0, 0)
    assert shop.back("r2", "o1", at=LATER).refused == ["returned-already"]
    assert shop.void("v2", "o1", at=LATER).refused == ["returned-already"]
    assert shop.amend("a1", "o1", 2000, at=LATER).refused == ["returned-already"]
    assert (shop.void("v1", "o1", at=LATER).refused, shop.balance()) == ([], (0, 0, 0, 0))


def test_an_amendment_pays_or_takes_back_the_difference_rule_by_rule() -> None:
    shop = Shop()
    shop.buy("o1", 1000, (500, 1, "X"), at=NOON)
    # 10 + 2 of brand X = 12 and 2: of 15 and 5 three each are taken back.
    assert shop.amend("a1", "o1", 1000, (200, 1, "X"), at=SOON).reversed == [("o1", 6, 6, 0)]
    assert shop.balance() == (14, 0, 0, 0)
    # 3 of brand X and 30 in all: 18 and 1 more.
    shop.amend("a2", "o1", 2700, (300, 1, "X"), at=SOON)
    assert shop.balance() == (33, 0, 0, 0)
    assert shop.entries() == [
        ("earn", 15), ("earn", 5), ("reverse", 3), ("reverse", 3), ("earn", 18), ("earn", 1),
    ]  # fmt: skip
    # What comes back now is the order as it stands: half of the first line, 27 of 30 points.
    assert shop.back("r1", "o1", (0, 0, 1350), at=LATER).reversed == [("o1", 13, 13, 0)]
    assert shop.back("r2", "o1", at=LATER).reversed == [("o1", 20, 20, 0)]
    assert shop.balance() == (0, 0, 0, 0)


def test_an_amendment_that_changes_no_points_leaves_the_order_for_its_returns() -> None:
    shop = Shop()
    shop.buy("o1", 1000, at=NOON)
    assert shop.amend("a1", "o1", 400, 600, at=SOON).reversed == []
    assert shop.back("r1", "o1", (1, 0, 600), at=LATER).reversed == [("o1", 6, 6, 0)]


@pytest.mark.parametrize(
    ("policy", "balance", "missing"),
    [("debt", (0, 0, 0, 20), 20), ("clamp", (0, 0, 0, 0), 20), ("withhold", (0, 0, 0, 0), 20)],
)
def test_points_that_were_spent_follow_the_wallet_only_by_the_difference(
    policy: str, balance: tuple[int, int, int, int], missing: int
) -> None:
    shop = Shop(f"expiry: never, on_return: {policy}", more=REWARDS)
    shop.buy("o1", 6000, at=NOON)
    shop.ask("r1", "mug", at=NOON, confirm=True)  # all 60
    assert shop.amend("a1", "o1", 4000, at=SOON).reversed == [("o1", 20, 20 - missing, missing)]
    assert shop.balance() == balance
    # Back to what it was: the 20 that were let go, or withheld, are earned once more, those owed are paid.
    shop.amend("a2", "o1", 6000, at=SOON)
    assert shop.balance() == ((0, 0, 0, 0) if policy == "debt" else (20, 0, 0, 0))


def test_after_it_was_shipped_nothing_is_amended() -> None:
    shop = Shop("expiry: never, pending: until fulfilled")
    shop.buy("o1", 1000, at=NOON)
    shop.amend("a1", "o1", 1500, at=NOON)
    assert shop.balance() == (0, 15, 0, 0)
    shop.fulfil("o1", at=SOON)
    assert shop.balance() == (15, 0, 0, 0)
    assert shop.amend("a2", "o1", 2000, at=LATER).refused == ["fulfilled-already"]
    # Not even if it comes late: the order remains as it was shipped.
    assert shop.amend("a3", "o1", 2000, at=NOON).refused == ["fulfilled-already"]


def test_what_comes_before_its_order_waits_for_it_in_turn() -> None:
    shop = Shop()
    shop.amend("a1", "o1", 2000, at=SOON)
    shop.amend("a2", "o1", 3000, at=SOON)
    shop.void("v1", "o1", at=LATER)
    assert shop.buy("o1", 1000, at=NOON).reversed == [("o1", 30, 30, 0)]
    assert shop.entries() == [("earn", 10), ("earn", 10), ("earn", 10), ("reverse", 30)]


def test_it_is_rated_by_the_tier_and_the_program_of_the_purchase() -> None:
    ladder = """ladder:
  {metric: spend, window: lifetime, keep: while the metric holds, tiers: [
    {tier: low, name: L, from: 0 USD}, {tier: high, name: H, from: 50 USD, multiplier: 2}]}"""
    shop = Shop(more=ladder)
    shop.buy("o1", 6000, at=NOON)  # 60 points: it is this order that makes the tier
    shop.amend("a1", "o1", 7000, at=SOON)
    assert shop.balance() == (70, 0, 0, 0), "10 more, not 80 more"
    shop.buy("o2", 1000, at=SOON)
    assert shop.balance() == (90, 0, 0, 0)
    # The next version pays three points; the order goes on by its own.
    text = shop.text.replace("effective: 2010-01-01", "effective: 2017-03-02").replace(
        "give: 1 point", "give: 3 points"
    )
    shop.rehearsal.publish(text)
    shop.amend("a2", "o2", 1100, at=LATER)
    assert shop.balance() == (92, 0, 0, 0)


def test_a_lower_amount_lowers_the_metric_and_a_higher_one_raises_it() -> None:
    ladder = """ladder:
  {metric: spend, window: lifetime, keep: while the metric holds, tiers: [
    {tier: low, name: L, from: 0 USD}, {tier: high, name: H, from: 50 USD}]}"""
    shop = Shop(more=ladder)
    shop.buy("o1", 6000, at=NOON)
    shop.amend("a1", "o1", 4000, at=SOON)
    shop.amend("a2", "o1", 4050, at=LATER)
    assert [entry.qualifying for entry in shop.rehearsal.entries] == [6000, 0, -2000, 50]
    assert sum(entry.qualifying for entry in shop.rehearsal.entries) == 4050


def test_a_referral_follows_the_order() -> None:
    more = "referral: {referrer: 50 points, friend: 20 points, purchase_of_at_least: 25 USD, within_days: 10, " \
           "at_most_a_month: 9}"  # fmt: skip
    shop = Shop(more=more)
    shop.refer("f1", "bob", "ann", at=NOON)
    shop.buy("o1", 1000, at=SOON, member="bob")
    assert shop.amend("a1", "o1", 3000, at=SOON, member="bob").referrals == [("f1", "qualified", None)]
    assert (shop.balance(), shop.balance("bob")) == ((50, 0, 0, 0), (50, 0, 0, 0))
    said = shop.amend("a2", "o1", 2000, at=LATER, member="bob")
    assert said.referrals == [("f1", "reversed", "the-purchase-was-returned")]
    assert (shop.balance(), shop.balance("bob")) == ((0, 0, 0, 0), (20, 0, 0, 0))


def test_caps_count_the_order_as_it_stands() -> None:
    shop = Shop("expiry: never, cap: 100 points per month")
    shop.buy("o1", 6000, at=NOON)
    shop.buy("o2", 6000, at=NOON)  # 40 are left of the cap
    assert shop.balance() == (100, 0, 0, 0)
    shop.amend("a1", "o1", 8000, at=SOON)  # the cap is used up by both
    assert shop.balance() == (100, 0, 0, 0)
    shop.amend("a2", "o1", 1000, at=SOON)  # 50 less; the other order gets no more by that
    assert shop.balance() == (50, 0, 0, 0)
    shop.buy("o3", 9000, at=LATER)  # 50 are free again
    assert shop.balance() == (100, 0, 0, 0)
    shop.void("v1", "o2", at=LATER)
    assert shop.rehearsal.earn_state.tallies["ann", "wallet points month", 2017 * 12 + 2] == 60


def test_the_number_of_the_purchase_stays() -> None:
    shop = Shop(more="  - {rule: second, give: 100 points per order, when: {purchase: 2nd}}")
    shop.buy("o1", 1000, at=NOON)
    shop.buy("o2", 1000, at=NOON)
    shop.buy("o3", 1000, at=NOON)
    assert shop.balance() == (130, 0, 0, 0)
    shop.amend("a1", "o2", 2000, at=SOON)
    shop.amend("a2", "o3", 2000, at=SOON)
    assert shop.balance() == (150, 0, 0, 0), "o2 is still the second one, o3 is not"
    shop.buy("o4", 1000, at=LATER)
    assert shop.rehearsal.earn_state.tallies["ann", "purchases", 0] == 4


def test_a_late_lot_of_an_amendment_lives_as_long_as_the_orders_own() -> None:
    shop = Shop("expiry: 30 days, pending: 2 days")
    shop.buy("o1", 1000, at=NOON)
    shop.amend("a1", "o1", 1500, at="2017-03-05T12:00:00-05:00")
    account = shop.rehearsal.accounts["ann", "points"]
    ((lot, points),) = [(one.terms, one.remaining) for one in account.lots.values()]
    assert (points, account.available, account.pending) == (15, 15, 0)
    assert lot.expires_at == microseconds(datetime.fromisoformat("2017-04-01T00:00:00-04:00"))


FLIP = """  - {rule: tea, give: 100 points per order, for: {brand: TEA}, best_of: one}
  - {rule: milk, give: 100 points per order, for: {brand: MILK}, best_of: one, expiry: 30 days}"""


@pytest.mark.parametrize("policy", ["debt", "clamp", "withhold"])
def test_one_rule_instead_of_another_takes_nothing_from_the_member(policy: str) -> None:
    shop = Shop(f"expiry: never, on_return: {policy}", more=FLIP + "\n" + REWARDS)
    shop.buy("o1", (0, 1, "TEA"), at=NOON)
    shop.ask("r1", "mug", at=NOON, confirm=True)  # 60 of its 100 are spent
    # The 100 of the one rule are there when those of the other one are taken back: nothing is missing.
    assert shop.amend("a1", "o1", (0, 1, "MILK"), at=SOON).reversed == [("o1", 100, 100, 0)]
    assert shop.balance() == (40, 0, 0, 0)


def test_what_lapsed_meanwhile_is_not_taken_from_other_points() -> None:
    shop = Shop(more=FLIP)
    shop.buy("o1", (0, 1, "MILK"), at=NOON)
    shop.buy("o2", 15_000, at=NOON)
    shop.until("2017-05-01T00:00:00+00:00")  # the 100 of milk expired
    assert shop.balance() == (150, 0, 0, 0)
    shop.amend("a1", "o1", (0, 1, "TEA"), at="2017-05-02T12:00:00-04:00")
    assert shop.balance() == (150, 0, 0, 0), "100 of tea instead of 100 that had lapsed"


def test_an_amendment_that_was_made_before_the_last_one_comes_too_late() -> None:
    shop = Shop()
    shop.buy("o1", 1000, at=NOON)
    shop.amend("a2", "o1", 3000, at=LATER)
    assert shop.amend("a1", "o1", 2000, at=SOON).refused == ["superseded"]
    assert shop.balance() == (30, 0, 0, 0)


def test_what_one_amendment_does_not_ask_the_next_one_still_knows() -> None:
    more = "  - {rule: welcome, give: 500 points per order, for: {brand: X}, when: {order_of_at_least: 9 USD, " \
           "purchase: first}}"  # fmt: skip
    shop = Shop(more=more)
    shop.buy("o1", 500, at=NOON)
    shop.buy("o2", (1000, 1, "X"), at=NOON)  # the second one: no welcome
    shop.amend("a1", "o2", (100, 1, "X"), at=SOON)  # too small for it to be asked which one it is
    shop.amend("a2", "o2", (1000, 1, "X"), at=SOON)
    assert shop.balance() == (5 + 20, 0, 0, 0)


def test_which_purchase_it_is_does_not_depend_on_who_counted() -> None:
    shop = Shop()
    more = "  - {rule: second, give: 100 points per order, when: {purchase: 2nd}}\n"
    shop.rehearsal.publish(shop.text.replace("effective: 2010-01-01", "effective: 2017-03-02") + more)
    lines = [{"amount": 1000, "quantity": 1}]
    shop.batch([  # by two versions, in one batch
        {"kind": "purchase", "order": f"o{n}", "member": "ann", "lines": lines, "at": datetime.fromisoformat(at)}
        for n, at in enumerate((NOON, LATER))
    ])  # fmt: skip
    assert shop.balance() == (120, 0, 0, 0)


# ---- claims


def test_points_that_wait_for_a_claim_become_available_by_one() -> None:
    more = "  - {rule: offer, give: 50 points per order, pending: until claimed}\n" \
           "  - {rule: shipped, give: 7 points per order, pending: until fulfilled}"  # fmt: skip
    shop = Shop(more=more)
    shop.buy("o1", 1000, at=NOON)
    assert shop.balance() == (10, 57, 0, 0)
    shop.claim("c1", "o1", at=SOON, member="bob")  # of another member: refused
    assert shop.balance() == (10, 57, 0, 0)
    shop.claim("c1", "o1", at=SOON)
    assert shop.balance() == (60, 7, 0, 0)
    shop.claim("c2", "o1", at=SOON)  # nothing is left to claim
    shop.fulfil("o1", at=LATER)
    assert shop.balance() == (67, 0, 0, 0)
    assert shop.void("v1", "o1", at=LATER).reversed == [("o1", 67, 67, 0)]


def test_what_an_amendment_adds_to_a_claimed_order_is_available_at_once() -> None:
    shop = Shop("expiry: never, pending: until claimed")
    shop.buy("o1", 1000, at=NOON)
    shop.claim("c1", "o1", at=NOON)
    shop.amend("a1", "o1", 1500, at=SOON)
    assert shop.balance() == (15, 0, 0, 0)
    told = shop.messages[-1][1]
    assert (told["operation"], told["available_at"], told["points"]) == ("earn", None, 5)
    shop.claim("c2", "o1", at=LATER)
    assert shop.balance() == (15, 0, 0, 0)
    assert shop.void("v1", "o1", at=LATER).reversed == [("o1", 15, 15, 0)]


def test_a_claim_makes_nothing_available_that_waits_for_the_shipment() -> None:
    shop = Shop("expiry: never, pending: until fulfilled")
    shop.claim("c1", "o1", at=NOON)  # before the order, even
    shop.buy("o1", 1000, at=NOON)
    shop.amend("a1", "o1", 1500, at=SOON)
    assert shop.balance() == (0, 15, 0, 0)
    shop.fulfil("o1", at=LATER)
    assert shop.balance() == (15, 0, 0, 0)
