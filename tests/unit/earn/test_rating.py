"""What a purchase is worth: examples worked out by hand."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.earn.rating.allocation import split
from services.earn.rating.engine import rate
from shared.contracts.fields import minor_digits
from shared.instants import microseconds
from shared.program.compiled.program import Program, compile_program, in_force
from shared.program.language.loader import load
from tests.support.build import FRESH_MARKET, event, line, program
from tests.support.examples import examples

properties = examples(25)
FRESH = compile_program(load(FRESH_MARKET), 1)


def paid(made: Program, *lines: dict[str, Any], **fields: Any) -> list[tuple[str, int, list[int]]]:
    """What each rule pays: its name, its points, its points by line."""
    rating = rate(made, event(*lines, **fields))
    assert (rating.reason is None) == bool(rating.awards)
    return [(award.rule.name, award.points, award.line_points) for award in rating.awards]


def points(made: Program, *lines: dict[str, Any], **fields: Any) -> int:
    return sum(award[1] for award in paid(made, *lines, **fields))


def by_line(made: Program, *amounts: int) -> list[int]:
    """The points by line of a program of one rule."""
    ((_, _, shares),) = paid(made, *[line(str(number), amount) for number, amount in enumerate(amounts)])
    return shares


# ---- fresh-market


def test_fresh_market_pays_whole_dollars_and_its_own_brands_once_more() -> None:
    tea = line("1", 1299, brand="Private", category=["GROCERY", "TEA"])
    milk = line("2", 502, brand="National", category=["GROCERY", "MILK"])
    # 12.99 + 5.02 = 18.01: 18 points. By line 18 * 1299 / 1801 = 12.98 and 18 * 502 / 1801 = 5.02: 12 and 5, and the
    # point that remains goes to .98. Our own brand: 12.99, 12 points, all of the first line.
    assert paid(FRESH, tea, milk) == [("every-dollar", 18, [13, 5]), ("own-brands", 12, [12, 0])]


def test_fresh_market_pays_nothing_for_fuel_and_gift_cards() -> None:
    fuel = line("1", 4000, category=["FUEL", "GASOLINE"])
    card = line("2", 5000, is_gift_card=True, brand="Private")
    travel = line("3", 3000, category=["TRAVEL & LEISURE"])
    tea = line("4", 250, category=["GROCERY"])
    assert paid(FRESH, fuel, card, travel, tea) == [("every-dollar", 2, [0, 0, 0, 2])]
    assert rate(FRESH, event(fuel, card, travel, tea)).qualifying == [0, 0, 0, 250]


# ---- whole steps and exact rates


@pytest.mark.parametrize(
    ("cents", "worth"),
    [(0, 0), (999, 0), (1000, 5), (1999, 5), (2000, 10), (10_999, 50)],  # 109.99: 10 whole steps of 10.00
)
def test_five_points_per_whole_ten_dollars(cents: int, worth: int) -> None:
    assert points(program("give: 5 points per whole 10 USD"), line(amount=cents)) == worth


def test_whole_steps_are_counted_over_the_order_unless_the_rule_says_by_line() -> None:
    lines = line("1", 600), line("2", 600), line("3", 1100)
    # 6 + 6 + 11 = 23 dollars hold 2 steps of 10; by line only the 11 hold one.
    assert points(program("give: 5 points per whole 10 USD"), *lines) == 10
    assert points(program("give: 5 points per whole 10 USD, rounding: down per line"), *lines) == 5


def test_whole_steps_can_pay_fractions_which_are_rounded_once() -> None:
    # 3 whole dollars at 1.5 points are 4.5 points.
    assert points(program("give: 1.5 points per whole USD"), line(amount=399)) == 4
    assert points(program("give: 1.5 points per whole USD, rounding: half-up per order"), line(amount=399)) == 5


@pytest.mark.parametrize(
    ("rounding", "cents", "worth"),
    [
        # 1.25 points per dollar: 0.40 is worth 0.5 points, three of them 1.5.
        ("down per order", [40, 40, 40], 1),
        ("half-up per order", [40, 40, 40], 2),
        ("down per line", [40, 40, 40], 0),
        ("half-up per line", [40, 40, 40], 3),
        # 1.99 is worth 2.4875, 0.39 is worth 0.4875, together 2.975.
        ("down per order", [199, 39], 2),
        ("half-up per order", [199, 39], 3),
        ("down per line", [199, 39], 2),
        ("half-up per line", [199, 39], 2),
        # 0.80 is worth exactly 1 point: nothing to round.
        ("down per order", [80], 1),
        ("half-up per line", [80], 1),
    ],
)
def test_an_exact_rate_is_rounded_where_the_rule_says(rounding: str, cents: list[int], worth: int) -> None:
    made = program(f"give: 1.25 points per USD, rounding: {rounding}")
    assert points(made, *[line(str(number), amount) for number, amount in enumerate(cents)]) == worth


def test_thirds_are_exact() -> None:
    # 1/3 point per dollar of 3.00 is 1 point, and not 0.99999; 2.99 is worth 0.9966.
    made = program("give: 1/3 point per USD")
    assert points(made, line(amount=300)) == 1
    assert points(made, line(amount=299)) == 0


def test_large_amounts_are_exact() -> None:
    # 9,999,999,999.99 dollars at 0.1 points: 999,999,999.999, which no float would tell from 1,000,000,000 for long.
    assert points(program("give: 0.1 points per USD"), line(amount=10**12 - 1)) == 999_999_999


# ---- items and orders


def test_points_per_item_are_paid_by_quantity() -> None:
    made = program("give: 50 points per item, for: {tag: bonus}")
    lines = (
        line("1", 100, quantity=3, tags=["bonus", "new"]),
        line("2", 300, quantity=9),
        line("3", 100, tags=["bonus"]),
    )
    # 3 + 1 items: 200 points, split by amount: both lines cost 1.00.
    assert paid(made, *lines) == [("rule-0", 200, [100, 0, 100])]
    by_its_line = program("give: 50 points per item, for: {tag: bonus}, rounding: down per line")
    assert paid(by_its_line, *lines) == [("rule-0", 200, [150, 0, 50])]


def test_a_quantity_of_nothing_earns_nothing_per_item() -> None:
    assert points(program("give: 50 points per item"), line(quantity=0)) == 0


def test_points_per_order_are_paid_once_however_many_lines_match() -> None:
    made = program("give: 100 points per order")
    # 100 points over 1.00, 1.00, 1.00: 33 each, and the one that remains to the first.
    assert by_line(made, 100, 100, 100) == [34, 33, 33]


def test_a_free_order_can_earn_a_bonus_and_no_points_per_dollar() -> None:
    both = program("give: 1 point per whole USD", "give: 100 points per order")
    assert paid(both, line("1", 0), line("2", 0)) == [("rule-1", 100, [50, 50])]


# ---- which lines count


@pytest.mark.parametrize(
    ("condition", "which"),
    [
        ("for: {brand: Private}", "a"),
        ("for: {brand: [Private, National]}", "ab"),
        ("for: {brand: private}", ""),  # exactly as the till sends it
        ("except: {brand: Private}", "bcd"),
        ("for: {category: GROCERY}, except: {brand: Private}", "bc"),
        ("for: {category: [GROCERY, FUEL]}", "abcd"),
        ("for: {category: [[GROCERY, TEA]]}", "a"),
        ("for: {category: [[GROCERY, TEA, GREEN]]}", "a"),
        ("for: {category: [[GROCERY, TEA, BLACK]]}", ""),
        ("for: {category: [[GROCERY, TEA], FUEL]}", "ad"),
        ("for: {category: TEA}", ""),  # a path is matched from its beginning
        ("for: {category: [[GROCERY, FRZN/ICE]]}", "c"),
        ("for: {category: GROCERY/TEA}", ""),  # a slash is part of a name
        ("for: {category: FRZN/ICE}", ""),
        ("for: {sku: s2}", "b"),
        ("for: {product: [p1, p3]}", "ac"),
        ("for: {tag: new}", "bc"),
        ("for: {tag: new, brand: National}", "b"),  # every attribute that is named must match
        ("for: [{tag: new}, {brand: Private}]", "abc"),  # of a list one entry is enough
        ("except: [{tag: new}, {category: FUEL}]", "a"),
    ],
)
def test_a_rule_counts_the_lines_it_names(condition: str, which: str) -> None:
    lines = {
        "a": line("1", 100, brand="Private", category=["GROCERY", "TEA", "GREEN"]),
        "b": line("2", 200, brand="National", category=["GROCERY", "MILK"], sku="s2", tags=["new", "x"]),
        "c": line("3", 400, category=["GROCERY", "FRZN/ICE"], tags=["new"]),
        "d": line("4", 800, category=["FUEL"]),
    }
    # The amounts are powers of two, so that the sum tells which lines counted.
    worth = sum(lines[name]["amount"] for name in which) // 100
    assert points(program(f"give: 1 point per whole USD, {condition}"), *lines.values()) == worth


def test_a_line_without_a_category_has_no_path() -> None:
    assert points(program("give: 1 point per item, for: {category: [[A, B], C]}"), line()) == 0


def test_gift_cards_never_earn_not_even_where_a_rule_names_them() -> None:
    made = program("give: 1 point per item, for: {product: card}", "give: 7 points per order")
    card = line("1", 5000, product_id="card", is_gift_card=True)
    assert paid(made, card) == []
    assert paid(made, card, line("2", 100)) == [("rule-1", 7, [0, 7])]


def test_what_never_earns_earns_by_no_rule() -> None:
    made = program("give: 1 point per item, for: {brand: B}", never_earns="{category: [[A, B]]}")
    assert points(made, line(brand="B", category=["A", "B", "C"])) == 0
    assert points(made, line(brand="B", category=["A"])) == 1


# ---- windows


@pytest.mark.parametrize(
    ("condition", "fields", "applies"),
    [
        ("channel: web", {"channel": "web"}, True),
        ("channel: [web, app]", {"channel": "app"}, True),
        ("channel: web", {"channel": "store"}, False),
        ("channel: web", {}, False),
        ("store: 0330", {"store_id": "0330"}, True),
        ("store: 0330", {"store_id": "330"}, False),
        ("store: [1, 2], channel: web", {"store_id": "2", "channel": "web"}, True),
        ("store: [1, 2], channel: web", {"store_id": "2", "channel": "app"}, False),
        # New York, March 2017: 5 hours behind UTC until the 12th, then 4. Both days belong to the window.
        ("dates: {from: 2017-03-01, to: 2017-03-31}", {"occurred_at": "2017-03-01T04:59:59.999999Z"}, False),
        ("dates: {from: 2017-03-01, to: 2017-03-31}", {"occurred_at": "2017-03-01T05:00:00Z"}, True),
        ("dates: {from: 2017-03-01, to: 2017-03-31}", {"occurred_at": "2017-04-01T03:59:59.999999Z"}, True),
        ("dates: {from: 2017-03-01, to: 2017-03-31}", {"occurred_at": "2017-04-01T04:00:00Z"}, False),
        # The till may count in any zone: this is still 31 March in New York.
        ("dates: {from: 2017-03-01, to: 2017-03-31}", {"occurred_at": "2017-04-01T12:00:00+09:00"}, True),
        ("dates: {from: 2017-03-01}", {"occurred_at": "2030-01-01T12:00:00Z"}, True),
        ("dates: {to: 2017-03-01}", {"occurred_at": "2017-02-01T12:00:00Z"}, True),
        ("dates: {from: 2017-03-01, to: 2017-03-01}", {"occurred_at": "2017-03-01T23:59:59-05:00"}, True),
    ],
)
def test_a_rule_applies_in_its_window(condition: str, fields: dict[str, str], applies: bool) -> None:
    made = program(f"give: 1 point per order, when: {{{condition}}}")
    assert points(made, **fields) == int(applies)


# ---- money of other currencies


def test_yen_have_no_minor_digits_and_dinars_have_three() -> None:
    assert (minor_digits("USD"), minor_digits("JPY"), minor_digits("KWD")) == (2, 0, 3)
    # 1234 yen hold 12 whole hundreds.
    assert points(program("give: 1 point per whole 100 JPY", currency="JPY"), line(amount=1234), currency="JPY") == 12
    # 0.01 points a yen: 12.34 points.
    assert points(program("give: 0.01 points per JPY", currency="JPY"), line(amount=1234), currency="JPY") == 12
    # 2500 fils are 2.500 dinars.
    assert points(program("give: 1 point per whole KWD", currency="KWD"), line(amount=2500), currency="KWD") == 2
    # 2.600 dinars hold 10 whole steps of 0.250.
    assert points(program("give: 1 point per whole 0.25 KWD", currency="KWD"), line(amount=2600), currency="KWD") == 10


def test_a_thousandth_is_money_in_kuwait() -> None:
    made = program("give: 1 point per whole 0.001 KWD", currency="KWD")
    assert points(made, line(amount=7), currency="KWD") == 7


# ---- why an order earns nothing


@pytest.mark.parametrize(
    ("rule", "lines", "reason", "qualifying"),
    [
        ("give: 1 point per whole USD", [line(is_gift_card=True)], "every line is of a kind that never earns", 0),
        ("give: 1 point per whole USD", [line(category=["FUEL"])], "every line is of a kind that never earns", 0),
        ("give: 1 point per item, when: {channel: web}", [line()], "no rule applies to such an order", 1000),
        ("give: 1 point per item, for: {brand: B}", [line()], "no line is what a rule rewards", 1000),
        ("give: 1 point per whole USD", [line(amount=99)], "rounds to nothing", 99),
        ("give: 1 point per whole USD", [line(amount=0)], "rounds to nothing", 0),
        ("give: 1 point per item", [line(quantity=0)], "rounds to nothing", 1000),
        (
            "give: 0.5 points per USD, rounding: down per line",
            [line("1", 199), line("2", 199)],
            "rounds to nothing",
            398,
        ),
    ],
)
def test_an_order_that_earns_nothing_says_why(
    rule: str, lines: list[dict[str, Any]], reason: str, qualifying: int
) -> None:
    rating = rate(program(rule, never_earns="{category: FUEL}"), event(*lines))
    assert rating.awards == []
    assert reason in (rating.reason or "")
    assert sum(rating.qualifying) == qualifying


def test_of_two_versions_the_one_in_force_rates() -> None:
    first = program("give: 1 point per order")
    second = program("give: 2 points per order", version=2, effective="2017-06-01")
    third = program("give: 3 points per order", version=3, effective="2017-06-01")
    versions = [first, second, third]
    # 1 June begins at 04:00 UTC in New York; of two that begin together the newer counts.
    for told, version in [
        ("2017-01-01T04:59:59Z", None),
        ("2017-01-01T05:00:00Z", first),
        ("2017-06-01T03:59:59.999999Z", first),
        ("2017-06-01T04:00:00Z", third),
        ("2017-06-01T00:00:00-04:00", third),
    ]:
        assert in_force(versions, microseconds(event(occurred_at=told).occurred_at)) is version


# ---- splits


@pytest.mark.parametrize(
    ("whole", "weights", "parts"),
    [
        (10, [1, 1, 1], [4, 3, 3]),  # equal remainders: the earlier part
        (11, [1, 1, 1], [4, 4, 3]),
        (1, [0, 5, 5], [0, 1, 0]),
        (7, [0, 0], [4, 3]),  # weights that are all 0 count as equal
        (100, [1, 2, 3], [17, 33, 50]),  # 16.67, 33.33, 50
        (5, [9, 1], [5, 0]),  # 4.5 and 0.5: the earlier
        (2, [3, 3, 4], [1, 0, 1]),  # 0.6, 0.6, 0.8: the largest remainder first, then the earlier
        (0, [1, 2], [0, 0]),
        (3, [7], [3]),
    ],
)
def test_a_split_goes_to_the_largest_remainders(whole: int, weights: list[int], parts: list[int]) -> None:
    assert split(whole, weights) == parts


@properties
@given(st.integers(0, 10**12), st.lists(st.integers(0, 10**12) | st.integers(0, 3), min_size=1, max_size=8))
def test_a_split_sums_exactly_and_is_fair(whole: int, weights: list[int]) -> None:
    parts = split(whole, weights)
    assert sum(parts) == whole
    fair = weights if any(weights) else [1] * len(weights)
    shares = [Fraction(whole * weight, sum(fair)) for weight in fair]
    assert all(abs(part - share) < 1 for part, share in zip(parts, shares, strict=True))
    # Largest remainder: whoever was rounded up had at least the remainder of whoever was not; of equals the earlier.
    ranked = sorted(range(len(parts)), key=lambda number: (-(shares[number] % 1), number))
    rounded_up = [parts[number] > shares[number] for number in ranked if shares[number] % 1]
    assert rounded_up == sorted(rounded_up, reverse=True)
