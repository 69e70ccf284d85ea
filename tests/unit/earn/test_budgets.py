"""Budgets: caps that all members share, granted in the order of commits; worked out by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.earn.handler import EarnHandler
from services.earn.state import Parked, Place, State
from services.earn.tallies import order_key, tallies_of
from shared.contracts.purchases import AMENDED, COMPLETED
from shared.errors import InvariantBroken
from shared.runtime.batch.decode import decode
from tests.support.build import program
from tests.support.histories import Told, Worker
from tests.support.shop import Shop, as_record

NOON = "2017-03-01T12:00:00-05:00"
NEXT_WEEK = "2017-03-08T12:00:00-05:00"


def paid(shop: Shop) -> list[int]:
    accounts = shop.rehearsal.accounts
    return [accounts[name, "points"].available if (name, "points") in accounts else 0 for name in ("ann", "bob", "eve")]


def given(shop: Shop, name: str) -> dict[int, int]:
    return {period: n for (owner, tally, period), n in shop.rehearsal.earn_state.tallies.items()
            if (owner, tally) == ("", f"budget of {name}")}  # fmt: skip


def buys(shop: Shop, order: str, member: str, at: str = NOON, cents: int = 1000) -> None:
    shop.buy(order, cents, at=at, member=member)


def test_the_last_one_gets_what_is_left_and_the_next_ones_nothing() -> None:
    shop = Shop(more="  - {rule: gift, give: 40 points per order, budget: 100 points in all}")
    for order, member in (("o1", "ann"), ("o2", "bob"), ("o3", "eve"), ("o4", "eve")):
        buys(shop, order, member)
    assert paid(shop) == [50, 50, 10 + 20 + 10]
    assert given(shop, "rule gift in all") == {0: 100}


def test_a_budget_begins_anew_with_its_period() -> None:
    shop = Shop(more="  - {rule: gift, give: 40 points per order, budget: [60 points per week, 90 points in all]}")
    buys(shop, "o1", "ann")
    buys(shop, "o2", "bob")
    assert paid(shop)[:2] == [50, 30]
    buys(shop, "o3", "bob", NEXT_WEEK)  # of 60 in the new week, 30 are left of 90
    assert paid(shop)[:2] == [50, 30 + 10 + 30]


def test_a_return_does_not_free_it_and_gives_back_what_was_paid() -> None:
    shop = Shop(more="  - {rule: gift, give: 40 points per order, budget: 60 points in all}")
    buys(shop, "o1", "ann")
    shop.void("v1", "o1", at=NOON)
    buys(shop, "o2", "bob")
    buys(shop, "o3", "eve")
    assert paid(shop) == [0, 30, 10]
    assert shop.void("v2", "o2", at=NOON, member="bob").reversed == [("o2", 30, 30, 0)]


def test_a_wallets_budget_is_shared_by_its_rules_and_caps_come_first() -> None:
    shop = Shop("expiry: never, cap: 15 points per day, budget: 40 points in all")
    for order, member in (("o1", "ann"), ("o2", "bob"), ("o3", "eve")):
        shop.buy(order, (1000, 1, "X"), at=NOON, member=member)  # 10 and 10
    assert paid(shop) == [15, 15, 10]
    assert given(shop, "wallet points in all") == {0: 40}


def test_an_amendment_keeps_its_own_part_and_takes_more_if_there_is_more() -> None:
    shop = Shop(more="  - {rule: gift, give: 1 point per whole USD, budget: 50 points in all, for: {brand: X}}")
    shop.buy("o1", (2000, 1, "X"), at=NOON)  # 20 of the budget; 20 more by every-dollar, 20 by brand-x
    assert shop.balance()[0] == 60
    shop.amend("a1", "o1", (4000, 1, "X"), at=NOON)  # 20 more of it
    assert (shop.balance()[0], given(shop, "rule gift in all")) == (120, {0: 40})
    shop.amend("a2", "o1", (9000, 1, "X"), at=NOON)  # the last 10
    assert (shop.balance()[0], given(shop, "rule gift in all")) == (230, {0: 50})
    shop.amend("a3", "o1", (1000, 1, "X"), at=NOON)  # nothing is freed
    assert (shop.balance()[0], given(shop, "rule gift in all")) == (30, {0: 50})


def test_a_rule_that_gets_nothing_says_why() -> None:
    shop = Shop(more="  - {rule: gift, give: 40 points per order, budget: 40 points in all}")
    handler: Any = shop.rehearsal._handlers["earn"]
    shop.rehearsal.verdicts = handler.verdicts = {}
    buys(shop, "o1", "ann")
    buys(shop, "o2", "bob")
    last = list(shop.rehearsal.verdicts.values())[-1]
    assert [(one.rule, one.outcome, one.points, one.detail) for one in last if one.rule == "gift"] == [
        ("gift", "capped", 0, "40 without the budget of 40 in all")
    ]


# ---- what a worker loads


BRANDS = "".join(f"  - {{rule: r{n}, give: 1 point per item, for: {{brand: B{n}}}}}\n" for n in range(9))


@pytest.mark.parametrize("parked", [False, True], ids=["in one batch", "parked before"])
def test_a_budget_that_only_an_amendment_of_the_batch_uses_is_loaded(parked: bool) -> None:
    shop = Shop(more=BRANDS + "  - {rule: gift, give: 40 points per order, for: {brand: X}, budget: 90 points in all}")
    at = datetime.fromisoformat(NOON)
    lines = [{"amount": 1000, "quantity": 1, "brand": "B1"}]
    events = [
        {"kind": "purchase", "order": "o1", "member": "ann", "lines": lines, "at": at},
        {"kind": "amend", "id": "a1", "order": "o1", "member": "ann", "lines": [{**lines[0], "brand": "X"}], "at": at},
    ]
    records = [as_record(event, offset) for offset, event in enumerate(events)]
    bought, amended = decode(records, EarnHandler.contracts, 10**6).events
    state = State({}, shop.rehearsal.programs)
    if parked:
        state.parked[order_key(amended)] = [Parked(order_key(amended), amended, 0, Place(1, 0))]
    needed = tallies_of(state, [bought] if parked else [bought, amended])
    assert needed.budgets == {("budget of rule gift in all", 0): 90}
    assert tallies_of(State({}, shop.rehearsal.programs), [bought]).budgets == {}


def test_a_budget_that_was_not_loaded_is_never_given_out() -> None:
    shop = Shop(more="  - {rule: gift, give: 40 points per order, budget: 90 points in all}")
    shop.rehearsal.earn_state.loaded = frozenset()
    with pytest.raises(InvariantBroken):
        buys(shop, "o1", "ann")


def test_of_two_copies_of_a_purchase_the_first_counts_and_everything_is_loaded_for_it() -> None:
    rules = [f"give: 1 point per whole USD, for: {{category: C{n}}}, cap: 100 points per day" for n in range(9)]
    at = datetime(2017, 3, 1, 17, tzinfo=UTC)

    def told(kind: str, category: str, when: datetime, **fields: str) -> Told:
        lines = [{"line_id": "1", "product_id": "p", "amount": 1000, "category": [category]}]
        return Told(kind, "ann", when, {"order_id": "o1", "currency": "USD", "lines": lines, **fields})

    shop = Worker(program(*rules), forgets=True)
    later = at + timedelta(days=1)
    shop.batch([
        told(COMPLETED, "C1", at), told(COMPLETED, "C1", later), told(AMENDED, "C2", later, amendment_id="a1"),
    ])  # fmt: skip
    assert shop.refused == [("e1", "conflict")]
    day = at.date().toordinal()
    assert shop.tallies() == {("ann", "rule rule-2 day", day): 10}
