"""Mistakes in a program file, and the message for each of them."""

from __future__ import annotations

import pytest

from shared.program.language.loader import load
from tests.support.program_texts import SECTIONS, TEXT, problems_of, with_line

# ---- mistakes: (line that is replaced, by what, line that is named, field that is named, hint)

RATE, EXPIRY = '"1 point per whole USD"', '"90 days"'
MISTAKES: list[tuple[int, str, int, str, str]] = [
    (1, "program: Corner Shop", 1, "program", "lower-case letters, digits and hyphens"),
    (1, "", 2, "program", "required"),
    (1, "programme: corner-shop", 1, "programme", "did you mean program?"),
    (2, "name: [Corner, Shop]", 2, "name", "found a list"),
    (2, f"name: {'x' * 257}", 2, "name", "at most 256 characters"),
    (3, "currency: usd", 3, "currency", "an ISO 4217 code such as USD"),
    (3, "currency: EUR", 15, "earning[0].give", "allowed: the program's currency, EUR"),
    (3, "currencies: USD", 3, "currencies", "did you mean currency?"),
    (4, "time_zone: New York", 4, "time_zone", "an IANA time zone such as America/New_York"),
    (4, "time_zone: ../../etc/passwd", 4, "time_zone", "an IANA time zone"),
    (4, "time_zone: localtime", 4, "time_zone", "an IANA time zone"),
    (5, "effective: 1.1.2017", 5, "effective", "a date such as 2026-01-31"),
    (5, "effective: 2017-02-29", 5, "effective", "a date such as 2026-01-31"),
    (5, "effective: 2017", 5, "effective", "a date such as 2026-01-31"),
    (5, "effective: 86400", 5, "effective", "a date such as 2026-01-31"),
    (5, "effective:", 5, "effective", "a date such as 2026-01-31"),
    (6, "wallet:", 6, "wallet", "did you mean wallets?"),
    (7, "  Points:", 7, "wallets.Points", "pattern"),
    (8, "", 9, "wallets.points.name", "required"),
    (8, "    label: Points", 8, "wallets.points.label", "allowed: name, unit, expiry"),
    (9, "    unit: 5", 9, "wallets.points.unit", 'a word such as "point"'),
    (9, "    unit: star", 15, "earning[0].give", 'allowed: the unit of one wallet: "star"'),
    (10, "    expiry: 12 moons", 10, "wallets.points.expiry", EXPIRY),
    (10, "    expiry: 12", 10, "wallets.points.expiry", EXPIRY),
    (10, "    expiry: 101 years", 10, "wallets.points.expiry", 'longer than a hundred years; write "never"'),
    (10, "    expires: never", 10, "wallets.points.expires", "did you mean expiry?"),
    (
        10,
        "    expiry: never\n  stars: { name: S, unit: star, expiry: never }",
        11,
        "wallets.stars",
        "no rule pays into",
    ),
    (12, "  categories: FUEL", 12, "never_earns.categories", "did you mean category?"),
    (12, "  category: FUEL\n  brnd: x", 13, "never_earns.brnd", "did you mean brand?"),
    (12, "  category: []", 12, "never_earns.category", "at least one"),
    (12, "  category: [[[FUEL]]]", 12, "never_earns.category[0][0]", "found a list"),
    (12, "  category: [[]]", 12, "never_earns.category[0]", "at least one"),
    (13, "earnings:", 13, "earnings", "did you mean earning?"),
    (14, "  - rule: Base", 14, "earning[0].rule", "lower-case letters, digits and hyphens"),
    (14, "  - rule: spring", 17, "earning[1].rule", "a name that no other rule has"),
    (15, "    give: 1 point", 15, "earning[0].give", RATE),
    (15, "    give: one point per USD", 15, "earning[0].give", RATE),
    (15, "    give: -1 points per USD", 15, "earning[0].give", RATE),
    (15, "    give: 0 points per USD", 15, "earning[0].give", "more than 0"),
    (15, "    give: 1000001 points per USD", 15, "earning[0].give", "at most 1,000,000"),
    (15, "    give: 1/0 points per USD", 15, "earning[0].give", "0 below the line"),
    (15, "    give: 1 point per whole 0 USD", 15, "earning[0].give", "must be more than 0"),
    (15, "    give: 1 point per whole 0.001 USD", 15, "earning[0].give", "below the smallest unit of USD"),
    (15, "    give: 1.5 points per item", 15, "earning[0].give", "a part of the wallet's smallest unit"),
    (
        15,
        "    give: 1 mile per USD",
        15,
        "earning[0].give",
        'the unit "mile"; allowed: the unit of one wallet: "point"',
    ),
    (15, "    give: 1 point per whole CAD", 15, "earning[0].give", "allowed: the program's currency, USD"),
    (15, "    give: [1, 2]", 15, "earning[0].give[0]", RATE),
    (15, "    gives: 1 point per USD", 15, "earning[0].gives", "did you mean give?"),
    (15, "", 14, "earning[0].give", RATE),
    (16, "    rounding: up", 16, "earning[0].rounding", '"down per order"'),
    (19, "    for: Private", 19, "earning[1].for", 'found "Private"'),
    (19, "    for: { brnd: Private }", 19, "earning[1].for.brnd", "did you mean brand?"),
    (19, "    for: []", 19, "earning[1].for", "at least one"),
    (19, '    for: { brand: "" }', 19, "earning[1].for.brand", "at least 1 character"),
    (19, "    for_: { brand: Private }", 19, "earning[1].for_", "did you mean for?"),
    (
        20,
        "    but: { tag: clearance }",
        20,
        "earning[1].but",
        "allowed: rule, says, give, calculate, multiply, of, for, except, when, rounding",
    ),
    (22, "      chanel: web", 22, "earning[1].when.chanel", "did you mean channel?"),
    (23, "      dates: { from: 2017-06-01, to: 2017-05-31 }", 23, "earning[1].when.dates", "from on or before to"),
    (23, "      dates: { to: 2016-12-31 }", 23, "earning[1].when.dates.to", "could never apply"),
    (23, "      dates: { from: tomorrow }", 23, "earning[1].when.dates.from", "a date such as 2026-01-31"),
    (23, "      dates: { till: 2017-05-31 }", 23, "earning[1].when.dates.till", "allowed: from, to"),
    (23, "      dates: 2017-05-31", 23, "earning[1].when.dates", 'found "2017-05-31"'),
]


@pytest.mark.parametrize(
    ("replaced", "by", "named", "field", "hint"),
    [pytest.param(*mistake, id=f"{mistake[0]}: {' '.join(mistake[1].split())[:40]}") for mistake in MISTAKES],
)
def test_a_mistake_is_answered_with_line_field_and_hint(
    replaced: int, by: str, named: int, field: str, hint: str
) -> None:
    problems = problems_of(with_line(replaced, by))
    about = [problem for problem in problems if f": {field}: " in problem]
    assert about, problems
    assert about[0].startswith(f"shop.yaml:{named}:")
    assert hint in about[0]


NAME, DURATION = "lower-case letters, digits and hyphens", '"15 minutes", "2 hours" or "1 day"'
POINTS, MONEY, HOURS = 'allowed: "500 points"', 'allowed: "25 USD"', 'allowed: "21:00 to 08:00"'
IN_SECTIONS: list[tuple[int, str, int, str, str]] = [
    (10, "    expiry: 90 days\n    pending: 2 weeks", 11, "wallets.points.pending", '"14 days", "until fulfilled"'),
    (10, "    expiry: 90 days\n    pending: 0 days", 11, "wallets.points.pending", "must be 1 to 366 days"),
    (10, "    expiry: 90 days\n    pending: 90 days", 11, "wallets.points.pending", "lapse before they are available"),
    (10, "    expiry: 90 days\n    on_return: forgive", 11, "wallets.points.on_return", '"clamp" or "withhold"'),
    (10, "    expiry: 90 days\n    remind: soon", 11, "wallets.points.remind", "such as [30, 7, 1]"),
    (10, "    expiry: 90 days\n    remind: [7, 0]", 11, "wallets.points.remind[1]", "greater than or equal to 1"),
    (10, "    expiry: 90 days\n    remind: [400, 7]", 11, "wallets.points.remind[0]", "less than or equal to 366"),
    (10, "    expiry: never\n    remind: 7", 11, "wallets.points.remind", "points that never expire"),
    (10, "    expiry: 90 days\n    reminds: 7", 11, "wallets.points.reminds", "did you mean remind?"),
    (24, "referal:", 24, "referal", "did you mean referral?"),
    (24, "referral: yes\nx:", 24, "referral", "a mapping with referrer:, friend:"),
    (25, "  referrer: 500", 25, "referral.referrer", POINTS),
    (25, "  referrer: 0 points", 25, "referral.referrer", "more than 0 and at most 1,000,000"),
    (25, "  referrer: 5 miles", 25, "referral.referrer", 'the unit "miles"; allowed: the unit of one wallet: "point"'),
    (26, "", 25, "referral.friend", f"this field is required; {POINTS}"),
    (26, "  friend: [200 points]", 26, "referral.friend", "is not text"),
    (27, "  purchase_of_at_least: 25 dollars", 27, "referral.purchase_of_at_least", MONEY),
    (27, "  purchase_of_at_least: 25 EUR", 27, "referral.purchase_of_at_least", "the program's currency, USD"),
    (27, "  purchase_of_at_least: 0.005 USD", 27, "referral.purchase_of_at_least", "below the smallest unit of USD"),
    (28, "  within_days: a month", 28, "referral.within_days", "is no whole number; allowed: 1 to 366"),
    (28, "  within_days: 367", 28, "referral.within_days", "less than or equal to 366"),
    (29, "  at_most: 10", 29, "referral.at_most", "did you mean at_most_a_month?"),
    (29, "  at_most_a_month: 0", 29, "referral.at_most_a_month", "allowed: 1 to 10000"),
    (30, "rewards: five-off\nx:", 30, "rewards", "a list of rewards, each with reward:"),
    (31, "  - reward: Five Off", 31, "rewards[0].reward", NAME),
    (31, "  - reward: ten-off", 38, "rewards[1].reward", "a name that no other reward has"),
    (31, "  - id: five-off", 31, "rewards[0].id", "allowed: reward, name, cost, worth, tier, limit, hold"),
    (32, "", 31, "rewards[0].name", "required"),
    (33, "    cost: 500", 33, "rewards[0].cost", POINTS),
    (33, "    cost: 500 stars", 33, "rewards[0].cost", 'the unit "stars"'),
    (34, "    worth: 5", 34, "rewards[0].worth", MONEY),
    (34, "    worth: 5 CAD", 34, "rewards[0].worth", "the program's currency, USD"),
    (35, "    tier: platinum", 35, "rewards[0].tier", "a tier of the ladder: bronze, silver, gold"),
    (36, "    limit: 0", 36, "rewards[0].limit", "how often one member may have it"),
    (36, "    limits: 3", 36, "rewards[0].limits", "did you mean limit?"),
    (37, "    hold: 15", 37, "rewards[0].hold", DURATION),
    (37, "    hold: 0 minutes", 37, "rewards[0].hold", DURATION),
    (40, "  metric: visits", 40, "ladder.metric", '"spend" or "points"'),
    (40, "  metric: points", 48, "ladder.tiers[1].from", 'the unit "USD"; allowed: point, for the metric is points'),
    (40, "  metric: spend\n  wallet: stars", 41, "ladder.wallet", 'found "stars"; allowed: points'),
    (41, "  window: year", 41, "ladder.window", '"rolling 12 months" or "lifetime"'),
    (41, "  window: lifetime", 42, "ladder.keep", "allowed: while the metric holds"),
    (42, "  keep: for ever", 42, "ladder.keep", '"the rest of the period and the next"'),
    (42, "  keep: while the metric holds", 43, "ladder.soft_landing", "only where a tier is kept for a period"),
    (43, "  soft_landing: perhaps", 43, "ladder.soft_landing", "neither true nor false; allowed: true or false"),
    (44, "  grace_days: -1", 44, "ladder.grace_days", "allowed: 0 to 366"),
    (45, "  warn: 30", 45, "ladder.warn", "did you mean warn_days?"),
    (46, "  steps:", 46, "ladder.steps", "did you mean tiers?"),
    (47, "    - { tier: bronze, name: Bronze, from: 1 USD }", 47, "ladder.tiers[0].from", "everybody needs a tier"),
    (47, "    - { tier: silver, name: Bronze, from: 0 }", 48, "ladder.tiers[1].tier", "a name that no other tier has"),
    (47, "    - { name: Bronze, from: 0 }", 47, "ladder.tiers[0].tier", NAME),
    (48, "    - { tier: silver, name: S, from: 500 }", 48, "ladder.tiers[1].from", '"0", "500 USD" or "500 points"'),
    (48, "    - { tier: silver, name: S, from: 500 EUR }", 48, "ladder.tiers[1].from", 'found the unit "EUR"'),
    (48, "    - { tier: silver, name: S, from: 2000 USD }", 49, "ladder.tiers[2].from", "the lowest first"),
    (48, "    - { tier: silver, name: S, from: 0.001 USD }", 48, "ladder.tiers[1].from", "below the smallest unit"),
    (48, "    - { tier: silver, name: S, from: 5 USD, multiplier: 0.5 }", 48, "ladder.tiers[1].multiplier", "1 to 100"),
    (48, "    - { tier: silver, name: S, from: 5 USD, multiplier: x }", 48, "ladder.tiers[1].multiplier", "no number"),
    (48, "    - { tier: silver, name: S, from: 5 USD, rate: 2 }", 48, "ladder.tiers[1].rate", "allowed: tier, name"),
    (50, "notification:", 50, "notification", "did you mean notifications?"),
    (51, "  templates: ../messages", 51, "notifications.templates", "a folder beside this file"),
    (52, "  languages: English", 52, "notifications.languages", "codes such as en or [en, fr]"),
    (52, "  languages: []", 52, "notifications.languages", "at least one is needed"),
    (53, "  tell: [birthday]", 53, "notifications.tell[0]", "allowed: points-expiring, tier-upgraded"),
    (53, "  tell: [points-expiring]", 53, "notifications.tell[0]", "only where a wallet has remind:"),
    (54, "  channels: [fax]", 54, "notifications.channels[0]", "email, sms or push"),
    (55, "  quiet_hours: 9pm to 8am", 55, "notifications.quiet_hours", HOURS),
    (55, "  quiet_hours: 08:00 to 24:00", 55, "notifications.quiet_hours", HOURS),
    (55, "  quiet_hours: 08:00 to 08:00", 55, "notifications.quiet_hours", "begins when it ends"),
    (56, "  send_window: 22:00 to 07:00", 56, "notifications.send_window", "one with a minute that is not quiet"),
    (57, "  points_earned_over: 0", 57, "notifications.points_earned_over", "allowed: 1 or more"),
    (58, "  good_for_days: 400", 58, "notifications.good_for_days", "allowed: 1 to 366"),
    (58, "  good_for: 2", 58, "notifications.good_for", "did you mean good_for_days?"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("replaced", "by", "named", "field", "hint"),
    [pytest.param(*mistake, id=f"{mistake[0]}: {' '.join(mistake[1].split())[:60]}") for mistake in IN_SECTIONS],
)
def test_a_mistake_in_another_section_is_answered_the_same_way(
    replaced: int, by: str, named: int, field: str, hint: str
) -> None:
    problems = problems_of(with_line(replaced, by, SECTIONS))
    about = [problem for problem in problems if f": {field}: " in problem]
    assert about, problems
    assert about[0].startswith(f"shop.yaml:{named}:")
    assert "found " in about[0]
    assert hint in about[0]


SECTION_OF = {"referral": (24, 29), "rewards": (30, 38), "ladder": (39, 49), "notifications": (50, 58)}


@pytest.mark.parametrize(
    ("without", "tell", "field", "hint"),
    [
        ("ladder", "tier-upgraded", "notifications.tell", "only in a program with ladder:"),
        ("ladder", "points-earned", "rewards[0].tier", "none, for there is no ladder"),
        ("referral", "referral-rewarded", "notifications.tell", "only in a program with referral:"),
        ("rewards", "redemption-done", "notifications.tell", "only in a program with rewards:"),
    ],
)
def test_what_needs_a_section_says_which(without: str, tell: str, field: str, hint: str) -> None:
    first, last = SECTION_OF[without]
    lines = with_line(53, f"  tell: {tell}", SECTIONS).splitlines()
    problems = problems_of("\n".join(lines[: first - 1] + lines[last:]) + "\n")
    (about,) = [problem for problem in problems if f": {field}" in problem]
    assert hint in about


@pytest.mark.parametrize("section", SECTION_OF)
def test_every_section_may_be_left_out(section: str) -> None:
    first, last = SECTION_OF[section]
    lines = with_line(53, "  tell: points-earned", with_line(35, "", SECTIONS)).splitlines()
    load("\n".join(lines[: first - 1] + lines[last:]) + "\n")


def test_several_wallets_must_say_whose_points_carry_the_ladder() -> None:
    second = "    expiry: 90 days\n  stars: { name: Stars, unit: star, expiry: never }"
    text = with_line(10, second, SECTIONS).replace(
        "  - rule: base", "  - { rule: more, give: 1 star per item }\n  - rule: base"
    )
    (problem,) = problems_of(text)
    assert "ladder: found several wallets; say whose points carry the ladder: wallet: points" in problem
    load(text.replace("  metric: spend", "  metric: spend\n  wallet: stars"))


def test_a_wallet_may_be_called_like_a_section() -> None:
    text = TEXT.replace("  points:   ", "  ladder:   ")
    load(text)
    (problem,) = problems_of(text.replace("    expiry:", "    expires:  never\n    expiry:"))
    assert "wallets.ladder.expires: found an unknown field; allowed: name, unit, expiry" in problem


def test_the_column_is_that_of_the_value_or_of_the_unknown_key() -> None:
    assert problems_of(with_line(3, "currency: usd"))[0].startswith("shop.yaml:3:11: currency: ")
    assert problems_of(with_line(19, "    for: [{ brnd: Private }]"))[0].startswith("shop.yaml:19:13: ")


def test_every_mistake_is_told_at_once() -> None:
    text = with_line(3, "currency: dollars").replace("unit: point ", "unit: 5 ").replace("down per order", "up")
    assert [problem.split(": ")[1] for problem in problems_of(text)] == [
        "currency", "wallets.points.unit", "earning[0].rounding",
    ]  # fmt: skip


def test_a_long_value_is_cut_in_the_message() -> None:
    (problem,) = problems_of(with_line(4, f"time_zone: {'x' * 10_000}"))
    assert len(problem) < 300


def test_a_message_can_always_be_printed() -> None:
    (problem,) = problems_of(with_line(2, 'name: "\\ud800"'))
    problem.encode()
