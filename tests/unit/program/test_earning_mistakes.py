"""Mistakes in earning rules, each answered with the field and what to write instead."""

from __future__ import annotations

import pytest

from shared.errors import ProgramFileError
from shared.program.language.loader import load
from tests.support.build import program_text

GIVE = "give: 1 point per whole USD"
TWO = "{points: {name: P, unit: point, expiry: never}, miles: {name: M, unit: mile, expiry: never}}"
MONEY = "{cash: {name: C, unit: USD, expiry: never}}"
LADDER = (
    "{metric: spend, window: lifetime, keep: while the metric holds, "
    "tiers: [{tier: a, name: A, from: 0}, {tier: b, name: B, from: 5 USD}]}"
)

#: The second rule (the first one gives a point per dollar), other sections, the field, the message.
MISTAKES: list[tuple[str, dict[str, str], str, str]] = [
    ("says: nothing", {}, "earning[1].give", "required; allowed: \"1 point per whole USD\""),
    (f"{GIVE}, multiply: 2", {}, "earning[1].multiply", "found give: and multiply:; allowed: one of them"),
    (f"{GIVE}, of: rule-0", {}, "earning[1].of", "allowed only beside multiply:"),
    ("multiply: 1", {}, "earning[1].multiply", "must be more than 1"),
    ("multiply: twice", {}, "earning[1].multiply", '"2 times" or "1.5 times"'),
    ("multiply: 101", {}, "earning[1].multiply", "at most 100"),
    ("multiply: 2, of: rule-7", {}, "earning[1].of", 'found "rule-7"; allowed: the name of another rule'),
    ("multiply: 2, of: rule-1", {}, "earning[1].of", "found the rule itself"),
    ("multiply: 2", {"wallets": TWO}, "earning[1].multiply", "found several wallets; say what is multiplied"),
    (f"{GIVE}, replaces: rule-9", {}, "earning[1].replaces", "the name of another rule"),
    (f"{GIVE}, replaces: [rule-0, rule-1]", {}, "earning[1].replaces[1]", "found the rule itself"),
    (f"{GIVE}, best_of: Best", {}, "earning[1].best_of", "lower-case letters"),
    (f"{GIVE}, cap: lots", {}, "earning[1].cap", '"500 points per month"'),
    (f"{GIVE}, cap: 0 points per day", {}, "earning[1].cap", "take the rule out"),
    (f"{GIVE}, cap: 5 stars per day", {}, "earning[1].cap", 'found the unit "stars"; allowed: "point"'),
    (f"{GIVE}, cap: [5 points per day, 6 points per day]", {}, "earning[1].cap[1]", "found a second cap per day"),
    ("give: 9 points per order, cap: 5 points per order", {}, "earning[1].cap", "a cap below one award of 9"),
    (f"{GIVE}, budget: 9 points", {}, "earning[1].budget", '"500 points per month"'),
    (f"{GIVE}, budget: 9 points per order", {}, "earning[1].budget", "a budget per order, which all members share"),
    (f"{GIVE}, budget: 9 stars per day", {}, "earning[1].budget", 'found the unit "stars"'),
    (f"{GIVE}, budget: [9 points a day, 8 points a day]", {}, "earning[1].budget[1]", "a second budget per day"),
    ("give: 9 points per order, budget: 5 points in all", {}, "earning[1].budget", "a budget below one award of 9"),
    (f"{GIVE}, when: {{birthday: soon}}", {}, "earning[1].when.birthday", '"within 7 days"'),
    (f"{GIVE}, when: {{anniversary: within 90 days}}", {}, "earning[1].when.anniversary", "must be 1 to 60 days"),
    (f"{GIVE}, when: {{attribute: {{}}}}", {}, "earning[1].when.attribute", "at least one is needed"),
    (f"{GIVE}, when: {{attribute: north}}", {}, "earning[1].when.attribute", "favourite store: north"),
    (f"{GIVE}, when: {{segments: student}}", {}, "earning[1].when.segments", "did you mean segment?"),
    (f"{GIVE}, expiry: at the end of the year", {}, "earning[1].expiry", "at the end of the membership year"),
    (f"{GIVE}, pending: until asked", {}, "earning[1].pending", '"until claimed"'),
    (f"{GIVE}, split: {{points: 50%, miles: 50%}}", {"wallets": TWO}, "earning[1].split", "wallets of different units"),
    (f"{GIVE}, split: {{points: 50%, moon: 50%}}", {}, "earning[1].split.moon", 'found "moon"; allowed: points'),
    (f"{GIVE}, split: {{points: half, miles: half}}", {"wallets": TWO}, "earning[1].split.points", "percent"),
    (f"{GIVE}, wallet: moon", {}, "earning[1].wallet", 'found "moon"; allowed: points'),
    (f"{GIVE}, wallet: miles", {"wallets": TWO}, "earning[1].wallet", 'whose unit is "mile"'),
    ("give: 2% back", {}, "earning[1].give", "allowed only with a wallet that holds money"),
    ("give: 0% back", {}, "earning[1].give", "more than 0% and at most 100%"),
    ("give: [1 point per USD, 2 points per USD]", {}, "earning[1].give[1]", "a second rate for the same orders"),
    ("give: 1 point per CAD", {}, "earning[1].give", "allowed: the program's currency, USD"),
    ("give: 0.001 USD per order", {"wallets": MONEY}, "earning[1].give", "a part of the wallet's smallest unit"),
    (GIVE, {"also_accepts": "{USD: 1 USD}"}, "also_accepts.USD", "the program's own currency"),
    (GIVE, {"also_accepts": "{CAD: 1 EUR}"}, "also_accepts.CAD", "in the program's currency, USD"),
    (GIVE, {"also_accepts": "{CAD: 0 USD}"}, "also_accepts.CAD", "worth nothing"),
    (GIVE, {"also_accepts": "{CAD: much}"}, "also_accepts.CAD", "such as CAD: 0.74 USD"),
    (GIVE, {"spend": "{tax: yes}"}, "spend.tax", '"counts" or "does not count"'),
    (GIVE, {"spend": "{taxes: counts}"}, "spend.taxes", "did you mean tax?"),
    (GIVE, {"multipliers": "sum"}, "multipliers", '"add", "multiply" or "highest"'),
    (f"{GIVE}, when: {{weekday: sun}}", {}, "earning[1].when.weekday", "monday, tuesday"),
    (f"{GIVE}, when: {{hours: morning}}", {}, "earning[1].when.hours", '"21:00 to 08:00"'),
    (f"{GIVE}, when: {{tier: b}}", {}, "earning[1].when.tier", "none, for there is no ladder"),
    (f"{GIVE}, when: {{tier: c}}", {"ladder": LADDER}, "earning[1].when.tier", "a tier of the ladder: a, b"),
    (f"{GIVE}, when: {{order_of_at_least: 5 EUR}}", {}, "earning[1].when.order_of_at_least", "program's currency"),
    (f"{GIVE}, when: {{lines_of_at_least: 5}}", {}, "earning[1].when.lines_of_at_least", '"25 USD"'),
    (f"{GIVE}, when: {{items_of_at_least: none}}", {}, "earning[1].when.items_of_at_least", "no whole number"),
    (f"{GIVE}, when: {{paid_with: cash}}", {}, "earning[1].when.paid_with", "a mapping with method:"),
    (f"{GIVE}, when: {{paid_with: {{bran: visa}}}}", {}, "earning[1].when.paid_with.bran", "did you mean brand?"),
    (f"{GIVE}, when: {{purchase: once}}", {}, "earning[1].when.purchase", '"first", "3rd" or "every 10th"'),
    (f"{GIVE}, when: {{purchase: every 1st}}", {}, "earning[1].when.purchase", "after every: 2nd or later"),
    (f"{GIVE}, when: {{visits: 1 week in a row}}", {}, "earning[1].when.visits", "a row has 2 or more"),
    (f"{GIVE}, when: {{visits: often}}", {}, "earning[1].when.visits", '"3 weeks in a row"'),
    (f"{GIVE}, when: {{dates: {{from: 2017-03-01, to: 2017-03-02}}, weekday: sunday}}", {}, "earning[1].when.weekday",
     "the rule could never apply"),
    (f"{GIVE}, for: {{brand: A}}, except: {{brand: A}}", {}, "earning[1].for", "this rule could never pay"),
    (f"{GIVE}, for: {{brand: A}}", {"never_earns": "{brand: A}"}, "earning[1].for", "never_earns: takes out"),
    ("calculate: {kind: magic}", {}, "earning[1].calculate", "table or every-nth-unit"),
    ("calculate: {rows: []}", {}, "earning[1].calculate", "has no kind:"),
    ("calculate: {kind: every-nth-unit, n: 1, give: 1 point per USD}", {}, "earning[1].calculate.n", "2 to 1000"),
    ("calculate: {kind: every-nth-unit, n: 5}", {}, "earning[1].calculate.give", "required"),
    ("calculate: {kind: table, rows: [{for: {brand: A}, bands: []}]}", {}, "earning[1].calculate.rows[0].bands",
     "at least one"),
    ("calculate: {kind: table, rows: [{for: {brand: A}, bands: [{from: 0 EUR, give: 1 point per USD}]}]}", {},
     "earning[1].calculate.rows[0].bands[0].from", "the program's currency, USD"),
    ("calculate: {kind: table, rows: [{for: {brand: A}, band: []}]}", {}, "earning[1].calculate.rows[0].band",
     "did you mean bands?"),
    (f"{GIVE}, expiry: on 31 June", {}, "earning[1].expiry", "June has no day 31"),
    (f"{GIVE}, expiry: someday", {}, "earning[1].expiry", '"on 31 December"'),
    (f"{GIVE}, pending: soon", {}, "earning[1].pending", '"14 days", "until fulfilled"'),
    (GIVE, {"wallets": "{points: {name: P, unit: point, expiry: never, cap: 5 stars per day}}"}, "wallets.points.cap",
     'found the unit "stars"'),
]  # fmt: skip

#: The conversions of a program with two wallets, the field, the message.
MISTAKES_IN_CONVERSIONS = [
    ("{rule: c, convert: 10 stars, into: 5 miles}", "conversions[0].convert", "the unit of one wallet"),
    ("{rule: c, convert: lots, into: 5 miles}", "conversions[0].convert", '"500 points"'),
    ("{rule: c, convert: 10 points, into: 5 moons}", "conversions[0].into", "the unit of one wallet"),
    ("{rule: c, convert: 10 points, into: 0 miles}", "conversions[0].into", "points would become nothing"),
    ("{rule: c, convert: 10 points, into: 5 USD}", "conversions[0].into", "the unit of one wallet"),
    ('{rule: c, convert: 10 points, into: "5 EUR voucher, valid 9 days"}', "conversions[0].into", "currency, USD"),
    ('{rule: c, convert: 10 points, into: "5 USD voucher, valid 0 days"}', "conversions[0].into", "1 to 3660 days"),
    ("{rule: c, convert: 10 points, into: 5 points}", "conversions[0].into", "the wallet itself"),
    ("{rule: c, convert: 10 points}", "conversions[0].into", "10 USD voucher"),
    (
        "{rule: c, convert: 10 points, into: 5 miles}, {rule: d, convert: 10 miles, into: 5 points}",
        "conversions[0].into", "points that would go round for ever: points → miles → points",
    ),
    (
        "{rule: c, convert: 10 points, into: 5 miles}, {rule: d, convert: 9 points, into: 5 miles}",
        "conversions[1].convert", "a second conversion of points",
    ),
    (
        "{rule: c, convert: 10 points, into: 5 miles}, {rule: c, convert: 10 miles, into: 5 USD voucher}",
        "conversions[1].into", "the unit of one wallet",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("conversions", "field", "said"), MISTAKES_IN_CONVERSIONS)
def test_a_mistake_in_a_conversion(conversions: str, field: str, said: str) -> None:
    with pytest.raises(ProgramFileError) as refused:
        load(program_text(GIVE, f"{GIVE.replace('point', 'mile')}", wallets=TWO, conversions=f"[{conversions}]"))
    assert f"{field}: " in str(refused.value)
    assert said in str(refused.value)


@pytest.mark.parametrize(("rule", "sections", "field", "hint"), MISTAKES, ids=[mistake[0][:60] for mistake in MISTAKES])
def test_a_mistake_in_a_rule(rule: str, sections: dict[str, str], field: str, hint: str) -> None:
    first = "give: 1 USD per USD" if sections.get("wallets") == MONEY else GIVE
    with pytest.raises(ProgramFileError) as refused:
        load(program_text(first, rule, **sections), "shop.yaml")
    about = [problem for problem in refused.value.problems if f": {field}: " in problem]
    assert about, refused.value.problems
    assert hint in about[0]
    line = int(about[0].split(":")[1])
    assert program_text(first, rule, **sections).splitlines()[line - 1].strip()


def test_rules_that_replace_each_other_in_a_circle() -> None:
    with pytest.raises(ProgramFileError) as refused:
        load(program_text(f"{GIVE}, replaces: rule-2", f"{GIVE}, replaces: rule-0", f"{GIVE}, replaces: rule-1"))
    (problem,) = refused.value.problems
    assert "in a circle: rule-0 → rule-2 → rule-1 → rule-0" in problem


@pytest.mark.parametrize(
    ("base", "said"),
    [("give: 1 piont per whole USD", "piont"), ("give: 1 point per whole USD, of: rule-0", "earning[0]")],
)
def test_a_rule_that_multiplies_a_faulty_one_hides_no_mistake(base: str, said: str) -> None:
    with pytest.raises(ProgramFileError) as refused:
        load(program_text(base, "multiply: 2, of: rule-0"))
    assert said in str(refused.value)
