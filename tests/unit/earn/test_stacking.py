"""Rules that replace, multiply, compete, are capped and are parted: every figure worked out by hand."""

from __future__ import annotations

from typing import Any

import pytest

from services.earn.rating.awards import Verdict
from services.earn.rating.engine import rate
from shared.program.compiled.program import Program
from shared.program.compiled.rating_context import MemberContext
from tests.support.build import event, line, program

BASE = "give: 1 point per whole USD"
TWO_WALLETS = "{points: {name: Points, unit: point, expiry: never}, stars: {name: Stars, unit: star, expiry: never}}"
MILES = "{cash: {name: Cash, unit: mile, expiry: never}, dream: {name: Dream, unit: mile, expiry: never}}"
LADDER = (
    "{metric: spend, window: lifetime, keep: while the metric holds, tiers: "
    "[{tier: basic, name: B, from: 0}, {tier: gold, name: G, from: 100 USD, multiplier: 3/2}]}"
)


def paid(made: Program, *lines: dict[str, Any], tier: int = 0, **fields: Any) -> dict[str, int]:
    """Points by rule; where a rule pays another wallet than its own, by rule and wallet."""
    return {
        award.rule.name.removeprefix("rule-") + ("" if award.wallet == award.rule.wallet else f" {award.wallet}"): (
            award.points
        )
        for award in rate(made, event(*lines, **fields), MemberContext(tier)).awards
    }


def verdicts(made: Program, *lines: dict[str, Any], tier: int = 0, **fields: Any) -> list[tuple[str, int, str]]:
    found: list[Verdict] = []
    rate(made, event(*lines, **fields), MemberContext(tier), found)
    return [(one.outcome, one.points, one.detail) for one in sorted(found, key=lambda one: one.rule)]


TEA = line("1", 1099, category=["TEA"])
MILK = line("2", 2050, category=["MILK"])


# ---- multiplying


def test_a_multiplier_pays_what_it_adds() -> None:
    # 10.99 + 20.50 = 31.49: 31 points. Twice for tea: tea alone is worth 10, and is paid once more.
    made = program(BASE, "multiply: 2, for: {category: TEA}")
    assert paid(made, TEA, MILK) == {"0": 31, "1": 10}
    assert rate(made, event(TEA, MILK)).awards[1].line_points == [10, 0]


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        # Both for tea (10 points), only the second one for milk (20 points).
        ("add", {"0": 31, "1": 20, "2": 31}),  # tea 1 + 2 + 1 = 4 times, milk 2 times
        ("multiply", {"0": 31, "1": 20, "2": 50}),  # tea 3 x 2 = 6 times: 10 + 20 + 30; milk 20 + 20
        ("highest", {"0": 31, "1": 20, "2": 20}),  # tea 3 times, milk 2 times
    ],
)
def test_several_multipliers_of_a_line(how: str, expected: dict[str, int]) -> None:
    made = program(BASE, "multiply: 3, for: {category: TEA}", "multiply: 2", multipliers=how)
    # By line groups tea pays 10 and milk 20; where both are multiplied alike, 31.49 pays 31 in one step.
    assert paid(made, TEA, MILK) == expected


def test_the_order_of_multipliers_of_the_same_lines_does_not_matter_in_the_sum() -> None:
    one = program(BASE, "multiply: 3", "multiply: 2")
    other = program(BASE, "multiply: 2", "multiply: 3")
    assert sum(paid(one, TEA).values()) == sum(paid(other, TEA).values()) == 60


def test_equal_multipliers_of_which_the_highest_counts_are_paid_once() -> None:
    assert paid(program(BASE, "multiply: 2", "multiply: 2", multipliers="highest"), TEA) == {"0": 10, "1": 10}


def test_a_multiplier_multiplies_what_it_names_only() -> None:
    made = program(BASE, "give: 50 points per order", "multiply: 2, of: rule-0")
    assert paid(made, TEA) == {"0": 10, "1": 50, "2": 10}


def test_the_tiers_multiplier_comes_first() -> None:
    # Gold: 10.99 pays 10 x 1.5 = 15; twice: 15 more. The first tier pays 10 and 10.
    made = program(BASE, "multiply: 2", ladder=LADDER)
    assert paid(made, TEA, tier=1) == {"0": 15, "1": 15}
    assert paid(made, TEA) == {"0": 10, "1": 10}


def test_a_multiplier_rounds_by_itself() -> None:
    # 1.5 times 31 points is 46.5: 31, and 15.5 rounded down or half up.
    assert paid(program(BASE, "multiply: 1.5"), TEA, MILK) == {"0": 31, "1": 15}
    assert paid(program(BASE, "multiply: 3/2, rounding: half-up per order"), TEA, MILK) == {"0": 31, "1": 16}


# ---- replacing and competing


def test_a_rule_replaces_another_one_on_its_lines_only() -> None:
    made = program(BASE, "give: 5 points per whole USD, for: {category: TEA}, replaces: rule-0")
    # Tea pays 5 x 10; milk goes on with 1 x 20.
    assert paid(made, TEA, MILK) == {"0": 20, "1": 50}


def test_a_rule_that_is_replaced_still_replaces_others() -> None:
    made = program(
        BASE, "give: 2 points per whole USD, replaces: rule-0", "give: 3 points per whole USD, replaces: rule-1"
    )
    # As in "gold replaces silver" and "silver replaces everybody": only the last one pays.
    assert paid(made, TEA) == {"2": 30}


def test_of_the_best_only_the_best_pays() -> None:
    made = program(
        "give: 1 point per whole USD, best_of: promo",
        "give: 25 points per order, best_of: promo",
        "give: 2 points per order",
    )
    assert paid(made, TEA) == {"1": 25, "2": 2}
    assert paid(made, TEA, MILK) == {"0": 31, "2": 2}
    # Equal: the first one.
    assert paid(made, line("1", 2500)) == {"0": 25, "2": 2}


def test_what_lost_is_not_multiplied() -> None:
    made = program("give: 1 point per whole USD, best_of: a", "give: 25 points per order, best_of: a", "multiply: 2")
    assert paid(made, TEA) == {"1": 25, "2": 25}


# ---- caps and splits


def test_a_cap_per_order() -> None:
    made = program(BASE + ", cap: 12 points per order")
    assert paid(made, TEA) == {"0": 10}
    # 31 points become 12: by line in the proportion of 11 to 20 (10.99 and 20.50 of 31).
    (award,) = rate(made, event(TEA, MILK)).awards
    assert (award.points, award.line_points) == (12, [4, 8])


def test_a_split_pays_all_of_it() -> None:
    made = program(BASE.replace("point", "mile") + ", split: {cash: 60%, dream: 40%}", wallets=MILES)
    # 31 miles: 18.6 and 12.4; the mile that remains goes to the larger remainder.
    assert paid(made, TEA, MILK) == {"0": 19, "0 dream": 12}
    for award in rate(made, event(TEA, MILK)).awards:
        assert sum(award.line_points) == award.points


# ---- wallets and currencies


def test_cash_back_in_minor_units() -> None:
    made = program("give: 2% back", wallets="{cash: {name: Cash-back, unit: USD, expiry: never}}")
    # 2 % of 31.49 is 0.6298: 62 cents.
    assert paid(made, TEA, MILK) == {"0": 62}


def test_a_wallet_of_money_is_paid_in_money() -> None:
    made = program("give: 5 USD per order", wallets="{cash: {name: Cash-back, unit: USD, expiry: never}}")
    assert paid(made, TEA) == {"0": 500}


def test_two_wallets() -> None:
    made = program(BASE, "give: 1 star per item", wallets=TWO_WALLETS)
    assert paid(made, TEA, MILK) == {"0": 31, "1": 2}


def test_a_rate_for_each_currency() -> None:
    gives = "give: [6.5 points per USD, 5 points per CAD, 1.5 points per 10 PLN]"
    made = program(gives, also_accepts="{CAD: 0.75 USD, PLN: 0.25 USD}")
    assert paid(made, line(amount=1000)) == {"0": 65}
    assert paid(made, line(amount=1000), currency="CAD") == {"0": 50}
    assert paid(made, line(amount=10000), currency="PLN") == {"0": 15}
    # For tiers, 10.01 CAD are 7.5075 USD: 750 cents.
    assert rate(made, event(line(amount=1001), currency="CAD")).qualifying == [750]


def test_a_rule_without_a_rate_for_the_orders_currency_pays_nothing() -> None:
    made = program(BASE, also_accepts="{CAD: 0.75 USD}")
    assert paid(made, TEA, currency="CAD") == {}
    assert verdicts(made, TEA, currency="CAD") == [
        ("condition", 0, "pays for orders in USD; this one is in CAD"),
    ]


# ---- what counts of the price


def test_tax_and_shipping_count_where_the_program_says() -> None:
    lines = line("1", 1000), line("2", 500)
    assert paid(program(BASE), *lines, tax=150, shipping=300) == {"0": 15}
    assert paid(program(BASE, spend="{tax: counts}"), *lines, tax=150, shipping=300) == {"0": 16}
    assert paid(program(BASE, spend="{tax: counts, shipping: counts}"), *lines, tax=150, shipping=300) == {"0": 19}


def test_what_a_gift_card_paid_can_be_left_out() -> None:
    lines = line("1", 1000), line("2", 500)
    tenders = [{"method": "gift-card", "amount": 600}, {"method": "card", "amount": 900}]
    made = program(BASE, spend="{gift_cards_used: do not earn}")
    assert paid(program(BASE), *lines, tenders=tenders) == {"0": 15}
    assert paid(made, *lines, tenders=tenders) == {"0": 9}  # 6.00 of 15.00 off: 6.00 and 3.00 are left
    assert rate(made, event(*lines, tenders=tenders)).qualifying == [600, 300]
    # The card also paid its part of 1.50 tax, which does not count: 6.00 of 16.50 are 3.64, 1.82 and 0.54.
    assert rate(made, event(*lines, tax=150, tenders=tenders)).qualifying == [636, 318]
    assert paid(made, *lines, tenders=[{"method": "gift-card", "amount": 9999}]) == {}


# ---- conditions, and why


CONDITIONS = [
    ("when: {channel: web}", {"channel": "web"}, {"channel": "store"}, "channel: wanted web, found store"),
    ("when: {channel: web}", {"channel": "web"}, {}, "channel: wanted web, found none is told"),
    ("when: {store: [12, 14]}", {"store_id": "14"}, {"store_id": "15"}, "store: wanted one of 12, 14, found 15"),
    ("when: {partner: fuel-co}", {"partner_id": "fuel-co"}, {}, "partner: wanted fuel-co, found none is told"),
    ("when: {weekday: wednesday}", {}, {"occurred_at": "2017-03-02T12:00:00-05:00"},
     "weekday: wanted wednesday, found thursday"),
    ("when: {weekday: [saturday, sunday]}", {"occurred_at": "2017-03-05T03:00:00Z"}, {},
     "weekday: wanted one of saturday, sunday, found wednesday"),
    ("when: {hours: '09:00 to 13:00'}", {}, {"occurred_at": "2017-03-01T18:00:00Z"},
     "hours: wanted 09:00 to 13:00, found 13:00"),
    ("when: {dates: {from: 2017-03-01, to: 2017-03-01}}", {}, {"occurred_at": "2017-03-02T05:00:00Z"},
     "dates: wanted from 2017-03-01 to 2017-03-01, found 2017-03-02"),
    ("when: {order_of_at_least: 31.49 USD}", {}, {"lines": [TEA]},
     "order_of_at_least: wanted 31.49 USD, found 10.99 USD"),
    ("when: {lines_of_at_least: 20 USD}, for: {category: MILK}", {}, {"lines": [{**MILK, "amount": 1999}]},
     "lines_of_at_least: wanted 20.00 USD, found 19.99 USD"),
    ("when: {items_of_at_least: 2}, for: {category: TEA}", {"lines": [{**TEA, "quantity": 2}]}, {},
     "items_of_at_least: wanted 2, found 1"),
    ("when: {paid_with: {brand: visa}}",
     {"tenders": [{"method": "cash", "amount": 1}, {"method": "card", "brand": "visa", "amount": 2}]},
     {"tenders": [{"method": "card", "brand": "amex", "card": "own", "amount": 1}]},
     "paid_with: wanted visa, found card amex own"),
    ("when: {paid_with: [{method: cash}, {method: card, card: own}]}",
     {"tenders": [{"method": "card", "card": "own", "amount": 2}]}, {"tenders": [{"method": "card", "amount": 2}]},
     "paid_with: wanted cash or card, own, found card"),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "meets", "misses", "why"), CONDITIONS, ids=[case[3][:40] for case in CONDITIONS])
def test_a_condition_holds_or_says_what_it_found(
    rule: str, meets: dict[str, Any], misses: dict[str, Any], why: str
) -> None:
    made = program(f"give: 7 points per order, {rule}")

    def fields(changes: dict[str, Any]) -> dict[str, Any]:
        return {"lines": [TEA, MILK], **changes}

    def bought(changes: dict[str, Any]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        given = fields(changes)
        return given.pop("lines"), given

    lines, more = bought(meets)
    assert paid(made, *lines, **more) == {"0": 7}
    lines, more = bought(misses)
    assert paid(made, *lines, **more) == {}
    assert verdicts(made, *lines, **more) == [("condition", 0, why)]


def test_a_rule_for_a_tier_and_higher_ones() -> None:
    made = program("give: 7 points per order, when: {tier: gold}", ladder=LADDER.replace(", multiplier: 3/2", ""))
    assert made.needs_tier
    assert paid(made, TEA, tier=1) == {"0": 7}
    assert verdicts(made, TEA) == [("condition", 0, "tier: wanted gold or higher, found basic")]


def test_why_every_rule_paid_or_did_not() -> None:
    made = program(
        BASE + ", cap: 12 points per order",
        "give: 9 points per order, best_of: a",
        "give: 8 points per order, best_of: a",
        "give: 1 point per 100 USD",
        "give: 1 point per item, for: {brand: B}",
        "give: 1 point per item, for: {category: TEA}",
        "give: 3 points per item, for: {category: TEA}, replaces: rule-5",
    )
    assert verdicts(made, TEA, MILK) == [
        ("capped", 12, "31 without the cap of 12 per order"),
        ("paid", 9, "2 lines"),
        ("not-best", 0, "rule-1 pays more"),
        ("nothing", 0, "what it pays for this order rounds (down per order) to nothing"),
        ("no-line", 0, "no line of the order is what the rule rewards"),
        ("replaced", 0, "its lines are paid by rule-6 instead"),
        ("paid", 3, "1 line"),
    ]


# ---- other calculations


def test_a_table_by_product_type_and_amount() -> None:
    rows = (
        "[{for: {category: COFFEE}, bands: [{from: 0 USD, give: 1 point per whole USD}, "
        "{from: 20 USD, give: 2 points per whole USD}]}, "
        "{for: {category: [COFFEE, TEA]}, bands: [{from: 5 USD, give: 30 points per order}]}]"
    )
    made = program(f"calculate: {{kind: table, rows: {rows}}}")

    def coffee(amount: int) -> dict[str, Any]:
        return line("c", amount, category=["COFFEE"])

    def tea(amount: int) -> dict[str, Any]:
        return line("t", amount, category=["TEA"])

    assert paid(made, coffee(1999)) == {"0": 19}
    assert paid(made, coffee(2000)) == {"0": 40}
    assert paid(made, tea(499)) == {}
    assert paid(made, tea(500)) == {"0": 30}
    assert paid(made, coffee(2000), tea(500)) == {"0": 70}
    # Two coffees fill one band together.
    assert paid(made, coffee(1000), line("d", 1000, category=["COFFEE", "BEANS"])) == {"0": 40}


def test_every_fifth_unit_is_on_the_house() -> None:
    made = program(
        "calculate: {kind: every-nth-unit, n: 5, give: 100% back}, for: {category: COFFEE}",
        wallets="{cash: {name: Cash-back, unit: USD, expiry: never}}",
    )
    large = line("1", 1400, quantity=4, category=["COFFEE"])  # 3.50 each
    small = line("2", 500, quantity=2, category=["COFFEE"])  # 2.50 each
    assert paid(made, large) == {}
    assert paid(made, large, small) == {"0": 250}  # six cups: one is free, the cheapest
    more = line("3", 1200, quantity=4, category=["COFFEE"])  # 3.00 each
    assert paid(made, large, small, more) == {"0": 500}  # ten cups: the two small ones
    # Three for 1.00 cost 33 1/3 cents each: five of them free one, for 33 cents.
    assert paid(made, line("4", 167, quantity=5, category=["COFFEE"])) == {"0": 33}
