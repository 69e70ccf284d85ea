"""What a return takes back, worked out by hand. The program: 1 point per whole USD, 1 more for brand X."""

from __future__ import annotations

import msgpack
import pytest

from services.earn import parking
from shared.contracts.contract import business_key
from shared.ledger.operations import REVERSALS
from shared.runtime.handler import Mark
from tests.support.build import SOURCE
from tests.support.shop import NOW, Shop

NOON = "2017-03-01T12:00:00-05:00"
LATER = "2017-03-02T12:00:00-05:00"
REWARDS = "rewards:\n  - {reward: mug, name: Mug, cost: 60 points, worth: 5 USD}"


def test_three_parts_of_a_line_sum_to_its_award_exactly() -> None:
    shop = Shop()
    shop.buy("o1", (1000, 3), at=NOON)  # 10 points
    # A third each: floor(10 x 333/1000) = 3; floor(10 x 666/1000) = 6, less 3 = 3; whole = 10, less 6 = 4.
    assert shop.back("r1", "o1", (0, 1, 333), at=LATER).reversed == [("o1", 3, 3, 0)]
    assert shop.back("r2", "o1", (0, 1, 333), at=LATER).reversed == [("o1", 3, 3, 0)]
    assert shop.back("r3", "o1", (0, 1, 334), at=LATER).reversed == [("o1", 4, 4, 0)]
    assert shop.balance() == (0, 0, 0, 0)
    assert shop.rehearsal.accounts["ann", "points"].lifetime == 0


def test_each_rule_is_taken_back_by_itself() -> None:
    shop = Shop()
    # 7.50 + 5.00 = 12.50: 12 points, shared 12 x 750/1250 = 7.2 and 4.8: the one left to the larger remainder: 7, 5.
    # Brand X, the second line: 5 more.
    shop.buy("o1", (750, 1), (500, 1, "X"), at=NOON)
    assert shop.balance() == (17, 0, 0, 0)
    # Half of the second line: floor(5 x 250/500) = 2 of each rule.
    assert shop.back("r1", "o1", (1, 0, 250), at=LATER).reversed == [("o1", 4, 4, 0)]
    assert [points for word, points in shop.entries() if word == "reverse"] == [2, 2]
    # Everything that is left: 7 + 3 and 3.
    assert shop.back("r2", "o1", at=LATER).reversed == [("o1", 13, 13, 0)]
    assert shop.balance() == (0, 0, 0, 0)


def test_a_quantity_that_is_whole_takes_the_rest_whatever_was_paid_back() -> None:
    shop = Shop()
    shop.buy("o1", (1000, 2), at=NOON)
    # Both came back, 9.00 of 10.00 was paid back: 10 points.
    assert shop.back("r1", "o1", (0, 2, 900), at=LATER).reversed == [("o1", 10, 10, 0)]
    # The last dollar is paid back later: nothing is left to take.
    assert shop.back("r2", "o1", (0, 0, 100), at=LATER).reversed == []
    assert shop.back("r3", "o1", at=LATER).refused == ["returned-already"]


def test_a_line_that_cost_nothing_goes_by_quantity() -> None:
    shop = Shop(more="  - {rule: gift, give: 5 points per item, for: {brand: Gift}, rounding: down per line}")
    shop.buy("o1", (0, 3, "Gift"), at=NOON)  # 3 x 5 points
    # floor(15 x 1/3) = 5, floor(15 x 2/3) = 10, whole = 15.
    taken = [shop.back(f"r{n}", "o1", (0, 1, 0), at=LATER).reversed for n in range(3)]
    assert taken == [[("o1", 5, 5, 0)]] * 3


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ([(0, 3, 0)], "more-returned-than-bought"),
        ([(0, 1, 1001)], "more-returned-than-bought"),
        ([(0, 1, 500), (1, 1, 0)], "unknown-line"),
    ],
)
def test_a_return_of_what_was_not_bought_changes_nothing(lines: list[tuple[int, int, int]], reason: str) -> None:
    shop = Shop()
    shop.buy("o1", (1000, 2), at=NOON)
    before = shop.entries()
    assert shop.back("r1", "o1", *lines, at=LATER).refused == [reason]
    assert shop.entries() == before
    # A fixed one under the same id is accepted: nothing was.
    assert shop.back("r1", "o1", (0, 1, 500), at=LATER).reversed == [("o1", 5, 5, 0)]
    # What came back counts: one item is left.
    assert shop.back("r2", "o1", (0, 2, 500), at=LATER).refused == ["more-returned-than-bought"]


def test_another_members_return_is_refused() -> None:
    shop = Shop()
    shop.buy("o1", 1000, at=NOON)
    assert shop.back("r1", "o1", at=LATER, member="bob").refused == ["other-member"]
    assert shop.fulfil("o1", at=LATER, member="bob").refused == ["other-member"]
    assert shop.balance() == (10, 0, 0, 0)


def test_the_same_return_again_has_no_effect_and_another_under_its_id_is_a_conflict() -> None:
    shop = Shop()
    shop.buy("o1", 1000, at=NOON)
    shop.back("r1", "o1", (0, 0, 500), at=LATER)
    assert shop.back("r1", "o1", (0, 0, 500), at=LATER).reversed == []
    assert shop.back("r1", "o1", (0, 0, 400), at=LATER).refused == ["conflict"]
    assert shop.balance() == (5, 0, 0, 0)


def test_a_return_before_its_purchase_waits_for_it() -> None:
    shop = Shop()
    assert shop.back("r1", "o1", (0, 0, 400), at=LATER).refused == []
    assert shop.back("r1", "o1", (0, 0, 400), at=LATER).refused == []
    assert shop.entries() == []
    # 10 points; the purchase happened a day before the return, which then follows at its own time.
    assert shop.buy("o1", 1000, at=NOON).reversed == [("o1", 4, 4, 0)]
    assert shop.entries() == [("earn", 10), ("reverse", 4)]
    assert shop.posted_at() == "2017-03-02T17:00:00Z"
    assert shop.back("r1", "o1", (0, 0, 400), at=LATER).reversed == []


def test_a_return_that_waited_may_turn_out_wrong() -> None:
    shop = Shop()
    shop.back("r1", "o1", (0, 9, 0), at=LATER)
    shop.back("r2", "o1", at=LATER, member="bob")
    assert shop.buy("o1", 1000, at=NOON).refused == ["more-returned-than-bought", "other-member"]
    assert shop.balance() == (10, 0, 0, 0)
    assert shop.back("r1", "o1", (0, 1, 0), at=LATER).reversed == [("o1", 10, 10, 0)]


def test_a_return_that_waited_too_long_is_refused_and_may_come_again() -> None:
    shop = Shop()
    shop.back("r1", "o1", at=LATER)
    order, name = business_key(SOURCE, "o1"), business_key(SOURCE, "return\x1fr1")
    facts = msgpack.packb({"given_up": [[order, name]]})
    decisions = shop.rehearsal.sweep("earn", NOW, Mark(9, NOW, NOW), facts)
    assert [refusal.reason for refusal in decisions.refused_later] == ["no-such-order"]
    assert msgpack.unpackb(decisions.facts) == {"given_up": [[order, name]]}
    assert shop.buy("o1", 1000, at=NOON).reversed == []
    assert shop.back("r1", "o1", at=LATER).reversed == [("o1", 10, 10, 0)]


def test_only_so_many_wait_for_one_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parking, "_WAITING_MAX", 3)
    shop = Shop()
    refused = [shop.back(f"r{number}", "o1", (0, 0, 100), at=LATER).refused for number in range(5)]
    assert refused == [[], [], [], ["too-many-waiting"], ["too-many-waiting"]]
    shop.buy("o1", (1000, 1), at=NOON)
    assert shop.balance() == (7, 0, 0, 0), "three dollars of ten came back"
    assert shop.back("r3", "o1", (0, 0, 100), at=LATER).reversed == [("o1", 1, 1, 0)]


def test_points_that_were_spent_are_owed_and_repaid_by_the_next_ones() -> None:
    shop = Shop(more=REWARDS)
    shop.buy("o1", 10_000, at=NOON)  # 100 points
    shop.ask("r1", "mug", at=NOON, confirm=True)  # 60 are spent, 40 left
    assert shop.back("b1", "o1", at=LATER).reversed == [("o1", 100, 40, 60)]
    assert shop.balance() == (0, 0, 0, 60)
    shop.buy("o2", 5000, at=LATER)  # 50 points, all repaid
    assert shop.balance() == (0, 0, 0, 10)
    shop.buy("o3", 2500, at=LATER)  # 25: 10 repaid, 15 left
    assert shop.balance() == (15, 0, 0, 0)
    assert shop.entries() == [
        ("earn", 100), ("reserve", 60), ("redeem", 60), ("reverse", 40), ("reverse-owed", 60), ("earn", 50),
        ("repay", 50), ("earn", 25), ("repay", 10),
    ]  # fmt: skip
    # Earned 175, taken back 100: what is owed was taken back too.
    assert shop.rehearsal.accounts["ann", "points"].lifetime == 75


@pytest.mark.parametrize(("policy", "word"), [("clamp", "reverse-waived"), ("withhold", "reverse-withheld")])
def test_points_that_were_spent_may_be_let_go(policy: str, word: str) -> None:
    shop = Shop(f"expiry: never, on_return: {policy}", REWARDS)
    shop.buy("o1", 10_000, at=NOON)
    shop.ask("r1", "mug", at=NOON, confirm=True)
    assert shop.back("b1", "o1", at=LATER).reversed == [("o1", 100, 40, 60)]
    data = shop.messages[-1][1]
    expected = (0, 60, 0) if policy == "clamp" else (0, 0, 60)
    assert (data["owed"], data["waived"], data["withheld"]) == expected
    assert shop.entries()[-2:] == [("reverse", 40), (word, 60)]
    shop.buy("o2", 5000, at=LATER)
    assert shop.balance() == (50, 0, 0, 0)
    assert sum(entry.points for entry in shop.rehearsal.entries if entry.operation in REVERSALS) == 100


def test_a_return_takes_its_own_lot_first_then_others_in_burn_order_and_never_what_is_reserved() -> None:
    shop = Shop(
        "expiry: 1 month", "rewards:\n  - {reward: mug, name: Mug, cost: 30 points, worth: 5 USD, hold: 9 days}"
    )
    shop.buy("o1", 2000, at="2017-03-01T12:00:00-05:00")  # 20, until 1 April
    shop.buy("o2", 4000, at="2017-03-03T12:00:00-05:00")  # 40, until 3 April
    shop.buy("o3", 3000, at="2017-03-05T12:00:00-05:00")  # 30, until 5 April
    shop.ask("r1", "mug", at="2017-03-06T12:00:00-05:00")  # holds 20 of the first, 10 of the second
    assert shop.balance() == (60, 0, 30, 0)
    # The third order comes back: 30 of its own.
    assert shop.back("b3", "o3", at="2017-03-07T12:00:00-05:00").reversed == [("o3", 30, 30, 0)]
    # The first one: nothing in its own lot, 20 of the second's 30.
    assert shop.back("b1", "o1", at="2017-03-07T12:00:00-05:00").reversed == [("o1", 20, 20, 0)]
    # The second one: the 10 that are left; 30 are missing although 30 are held.
    assert shop.back("b2", "o2", at="2017-03-07T12:00:00-05:00").reversed == [("o2", 40, 10, 30)]
    assert shop.balance() == (0, 0, 30, 30)
    # The hold ends: what comes free repays at once.
    shop.cancel("r1", at="2017-03-08T12:00:00-05:00")
    assert shop.balance() == (0, 0, 0, 0)
    assert shop.entries()[-4:] == [("release", 20), ("release", 10), ("repay", 20), ("repay", 10)]


def test_a_whole_return_by_quantity_leaves_nothing_that_qualifies() -> None:
    shop = Shop(more="referral: {referrer: 50 points, friend: 20 points, purchase_of_at_least: 5 USD, within_days: 9}")
    shop.refer("f1", "ann", "bob", at=NOON)
    shop.buy("o1", (1000, 2), at=NOON)
    # Everything is back, by number of pieces: the 10 points go, and so must the 50 and 20 of the referral.
    assert shop.back("b1", "o1", (0, 2, 0), at=LATER).referrals == [("f1", "reversed", "the-purchase-was-returned")]
