"""The program file: what a marketer may write, and what the answer to a mistake says."""

from __future__ import annotations

import contextlib
import json
from fractions import Fraction
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from shared.errors import ProgramFileError
from shared.program.compiled import compile_program
from shared.program.grammar import Expiry, Give, Rounding
from shared.program.loader import json_schema, load
from shared.program.phrases import Money, Points, Threshold
from shared.program.phrases_of_time import Duration, Hours, Pending
from tests.support.build import FRESH_MARKET, program_text
from tests.support.examples import examples

properties = examples(60)

#: The comments count the lines, for the table of mistakes.
TEXT = """\
program: corner-shop                                            # 1
name: Corner Shop                                               # 2
currency: USD                                                   # 3
time_zone: America/New_York                                     # 4
effective: 2017-01-01                                           # 5
wallets:                                                        # 6
  points:                                                       # 7
    name: Points                                                # 8
    unit: point                                                 # 9
    expiry: 12 months, to the end of that month                 # 10
never_earns:                                                    # 11
  category: [FUEL, [GROCERY, GIFT CARDS]]                       # 12
earning:                                                        # 13
  - rule: base                                                  # 14
    give: 1 point per whole USD                                 # 15
    rounding: down per order                                    # 16
  - rule: spring                                                # 17
    give: 2 points per whole USD                                # 18
    for: { brand: Private }                                     # 19
    except: { tag: clearance }                                  # 20
    when:                                                       # 21
      channel: [web, app]                                       # 22
      dates: { from: 2017-03-01, to: 2017-05-31 }               # 23
"""


#: The other sections, counted on.
SECTIONS = (
    TEXT.replace("expiry: 12 months, to the end of that month                 # 10", "expiry: 90 days")
    + """\
referral:                                                       # 24
  referrer: 500 points                                          # 25
  friend: 200 points                                            # 26
  purchase_of_at_least: 25 USD                                  # 27
  within_days: 30                                               # 28
  at_most_a_month: 10                                           # 29
rewards:                                                        # 30
  - reward: five-off                                            # 31
    name: 5 dollars off                                         # 32
    cost: 500 points                                            # 33
    worth: 5 USD                                                # 34
    tier: silver                                                # 35
    limit: 3                                                    # 36
    hold: 15 minutes                                            # 37
  - { reward: ten-off, name: Ten, cost: 900 points, worth: 10 USD }  # 38
ladder:                                                         # 39
  metric: spend                                                 # 40
  window: calendar year                                         # 41
  keep: the rest of the period and the next                     # 42
  soft_landing: true                                            # 43
  grace_days: 30                                                # 44
  warn_days: 30                                                 # 45
  tiers:                                                        # 46
    - { tier: bronze, name: Bronze, from: 0 }                   # 47
    - { tier: silver, name: Silver, from: 500 USD, multiplier: 1.25 }  # 48
    - { tier: gold, name: Gold, from: 1000.50 USD, multiplier: 3/2 }   # 49
notifications:                                                  # 50
  templates: messages                                           # 51
  languages: [en, fr]                                           # 52
  tell: [tier-upgraded, points-earned]                          # 53
  channels: [email, push]                                       # 54
  quiet_hours: 21:00 to 08:00                                   # 55
  send_window: 09:00 to 20:00                                   # 56
  points_earned_over: 100                                       # 57
  good_for_days: 2                                              # 58
"""
)


def _problems(text: str) -> list[str]:
    with pytest.raises(ProgramFileError) as caught:
        load(text, "shop.yaml")
    return caught.value.problems


def _with(number: int, text: str, file: str = TEXT) -> str:
    """The file with one line replaced."""
    lines = file.splitlines()
    lines[number - 1] = text
    return "\n".join(lines) + "\n"


def test_the_file_without_a_mistake_is_read() -> None:
    program = load(TEXT)
    assert (program.program, program.currency, len(program.earning)) == ("corner-shop", "USD", 2)
    assert program.never_earns is not None
    assert program.never_earns[0].category == (("FUEL",), ("GROCERY", "GIFT CARDS"))
    assert program.earning[1].rounding == Rounding("down", "order")


def test_every_section_is_read() -> None:
    program = load(SECTIONS)
    assert program.referral is not None
    assert program.referral.referrer == Points(500, "points")
    assert program.referral.purchase_of_at_least == Money(Fraction(25), "USD")
    assert [(reward.reward, reward.hold.microseconds) for reward in program.rewards] == [
        ("five-off", 15 * 60 * 1_000_000), ("ten-off", 15 * 60 * 1_000_000),
    ]  # fmt: skip
    assert program.ladder is not None
    assert [(tier.from_.amount, tier.multiplier) for tier in program.ladder.tiers] == [
        (0, 1), (500, Fraction(5, 4)), (Fraction("1000.5"), Fraction(3, 2)),
    ]  # fmt: skip
    assert program.ladder.soft_landing is True
    assert program.notifications is not None
    assert program.notifications.quiet_hours == Hours(21 * 60, 8 * 60)


def test_one_value_may_stand_for_a_list() -> None:
    text = SECTIONS.replace("expiry: 90 days", "expiry: 90 days\n    remind: 30").replace("[en, fr]", "de")
    program = load(text.replace("[tier-upgraded, points-earned]", "points-expiring").replace("[email, push]", "sms"))
    assert program.wallets["points"].remind == (30,)
    assert program.notifications is not None
    assert program.notifications.languages == ("de",)
    assert (program.notifications.tell, program.notifications.channels) == (("points-expiring",), ("sms",))


@pytest.mark.parametrize("text", [FRESH_MARKET, TEXT, SECTIONS, TEXT.replace("\n", "\r\n"), "\ufeff" + TEXT])
def test_line_ends_and_a_byte_order_mark_do_not_matter(text: str) -> None:
    assert compile_program(load(text), 1).rules


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
    problems = _problems(_with(replaced, by))
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
    problems = _problems(_with(replaced, by, SECTIONS))
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
    lines = _with(53, f"  tell: {tell}", SECTIONS).splitlines()
    problems = _problems("\n".join(lines[: first - 1] + lines[last:]) + "\n")
    (about,) = [problem for problem in problems if f": {field}" in problem]
    assert hint in about


@pytest.mark.parametrize("section", SECTION_OF)
def test_every_section_may_be_left_out(section: str) -> None:
    first, last = SECTION_OF[section]
    lines = _with(53, "  tell: points-earned", _with(35, "", SECTIONS)).splitlines()
    load("\n".join(lines[: first - 1] + lines[last:]) + "\n")


def test_several_wallets_must_say_whose_points_carry_the_ladder() -> None:
    second = "    expiry: 90 days\n  stars: { name: Stars, unit: star, expiry: never }"
    text = _with(10, second, SECTIONS).replace(
        "  - rule: base", "  - { rule: more, give: 1 star per item }\n  - rule: base"
    )
    (problem,) = _problems(text)
    assert "ladder: found several wallets; say whose points carry the ladder: wallet: points" in problem
    load(text.replace("  metric: spend", "  metric: spend\n  wallet: stars"))


def test_a_wallet_may_be_called_like_a_section() -> None:
    text = TEXT.replace("  points:   ", "  ladder:   ")
    load(text)
    (problem,) = _problems(text.replace("    expiry:", "    expires:  never\n    expiry:"))
    assert "wallets.ladder.expires: found an unknown field; allowed: name, unit, expiry" in problem


def test_the_column_is_that_of_the_value_or_of_the_unknown_key() -> None:
    assert _problems(_with(3, "currency: usd"))[0].startswith("shop.yaml:3:11: currency: ")
    assert _problems(_with(19, "    for: [{ brnd: Private }]"))[0].startswith("shop.yaml:19:13: ")


def test_every_mistake_is_told_at_once() -> None:
    text = _with(3, "currency: dollars").replace("unit: point ", "unit: 5 ").replace("down per order", "up")
    assert [problem.split(": ")[1] for problem in _problems(text)] == [
        "currency", "wallets.points.unit", "earning[0].rounding",
    ]  # fmt: skip


def test_a_long_value_is_cut_in_the_message() -> None:
    (problem,) = _problems(_with(4, f"time_zone: {'x' * 10_000}"))
    assert len(problem) < 300


def test_a_message_can_always_be_printed() -> None:
    (problem,) = _problems(_with(2, 'name: "\\ud800"'))
    problem.encode()


# ---- YAML traps


@pytest.mark.parametrize(
    "word", ["no", "on", "off", "y", "~", "null", "true", "0330", "1_000", "1e3", "0x10", "12:30:00"]
)
def test_a_word_is_what_the_reader_sees(word: str) -> None:
    program = load(
        program_text(f"give: 1 point per item, for: {{brand: {word}}}, when: {{store: [{word}]}}", name=word)
    )
    assert program.name == word
    assert program.earning[0].for_ is not None
    assert program.earning[0].for_[0].brand == (word,)
    assert program.earning[0].when is not None
    assert program.earning[0].when.store == (word,)


@pytest.mark.parametrize("version", ["%YAML 1.1\n---\n", "%YAML 1.2\n---\n", "---\n"])
def test_the_version_of_yaml_changes_no_word(version: str) -> None:
    assert load(version + program_text("give: 1 point per item", name="no")).name == "no"


def test_a_tag_makes_no_object() -> None:
    with pytest.raises(ProgramFileError, match="found a tag"):
        load(_with(2, "name: !!python/object/apply:os.getcwd x"))


BOMB = "a: &a [x, x, x]\n" + "".join(
    f"{name}: &{name} [*{before}, *{before}, *{before}]\n"
    for before, name in zip("abcdefghijklmnop", "bcdefghijklmnopq", strict=True)
)
TRAPS: list[tuple[str, str, str]] = [
    ("empty", "", "1:1: the file is empty"),
    ("only a comment", "# program: x\n", "1:1: the file is empty"),
    ("a list at the top", "- program: x\n", "1:1: the file must be a mapping"),
    ("a word at the top", "program\n", "1:1: the file must be a mapping"),
    ("null at the top", "null\n", "1:1: the file must be a mapping"),
    ("2 MB", "name: " + "x" * 2_000_000, "1:1: the file is larger than 1,000,000 bytes"),
    ("1 MB in characters, 2 MB in bytes", "name: " + "é" * 999_000, "the file is larger"),
    ("tab", _with(8, "\tname: Points"), "8:1: not YAML: found character '\\t'"),
    ("duplicate key", TEXT + "name: Other\n", "24:1: name: found twice"),
    ("nested duplicate key", _with(9, "    unit: point\n    unit: star"), "10:5: unit: found twice"),
    ("duplicate key, otherwise written", TEXT + '"name": Other\n', "24:1: name: found twice"),
    ("anchor", _with(8, "    name: &name Points"), "8:11: found an anchor or alias"),
    ("alias", _with(8, "    name: *name"), "8:11: found an anchor or alias"),
    ("aliases bomb", BOMB, "1:4: found an anchor or alias"),
    ("merge key", _with(8, "    name: Points\n    <<: { unit: star }"), "9:5: wallets.points.<<: found an unknown"),
    ("list as key", "? [a, b]\n: c\n", "1:3: a key must be plain text"),
    ("two documents", TEXT + "---\n" + TEXT, "not YAML: but found another document"),
    ("unclosed quote", _with(23, '      dates: "2017'), "not YAML: found unexpected end of stream"),
    ("unclosed bracket", _with(12, "  category: [FUEL"), "13:"),
    ("control character", "name: a\x01b\n", "1:8: found U+0001, a character that nobody sees"),
    ("escape beyond Unicode", 'name: "\\U00110000"\n', "not YAML"),
    ("escape beyond an int", 'name: "\\UFFFFFFFF"\n', "not YAML"),
    ("nested 100 deep", _with(12, "  category: " + "[" * 100 + "]" * 100), "nested deeper than 32 levels"),
    ("nested 1000 deep", "[" * 1000 + "]" * 1000, "nested deeper than 32 levels"),
    ("other YAML", "%YAML 9.1\n---\n" + TEXT, "not YAML"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "answer"), [pytest.param(text, answer, id=name) for name, text, answer in TRAPS])
def test_a_trap_of_yaml_is_a_mistake_with_a_place(text: str, answer: str) -> None:
    (problem,) = _problems(text)
    assert problem.startswith("shop.yaml:")
    assert answer in problem


def test_a_file_that_is_accepted_can_be_compiled() -> None:
    text = program_text("give: 1 point per item", effective="0001-01-01", time_zone="Asia/Tokyo")
    with contextlib.suppress(ProgramFileError):
        compile_program(load(text), 1)


@properties
@given(st.text(alphabet=st.sampled_from(list("ab:-,?!&*#|>%@[]{}'\"\\ \n0")), max_size=40))
def test_arbitrary_text_is_a_program_or_a_list_of_mistakes(text: str) -> None:
    assert _problems(text)


# ---- grammar


@pytest.mark.parametrize(
    ("text", "give"),
    [
        ("1 point per whole USD", Give(Fraction(1), "point", "money", True, Fraction(1), "USD")),
        ("5 points per whole 10 USD", Give(Fraction(5), "points", "money", True, Fraction(10), "USD")),
        ("1.25 points per USD", Give(Fraction(5, 4), "points", "money", False, Fraction(1), "USD")),
        ("1/3 point per USD", Give(Fraction(1, 3), "point", "money", False, Fraction(1), "USD")),
        ("0.1 points per 0.05 USD", Give(Fraction(1, 10), "points", "money", False, Fraction(1, 20), "USD")),
        ("2 points for every whole USD", Give(Fraction(2), "points", "money", True, Fraction(1), "USD")),
        ("2 points a EUR", Give(Fraction(2), "points", "money", False, Fraction(1), "EUR")),
        ("50 points per item", Give(Fraction(50), "points", "item")),
        ("100 points per order", Give(Fraction(100), "points", "order")),
        ("  3  gold stars   per  item ", Give(Fraction(3), "gold stars", "item")),
    ],
)
def test_a_rate_is_read_exactly(text: str, give: Give) -> None:
    assert Give.parse(text) == give


@pytest.mark.parametrize(
    "text",
    [
        "", "1", "1 point", "point per USD", "1 per USD", "1 point per", "1 point per usd", "1 point per USDX",
        "1 point USD", ".5 points per USD", "1. points per USD", "1,5 points per USD", "1e3 points per USD",
        "-1 point per USD", "+1 point per USD", "1 point per whole item", "1 point per 2 items", "1 point per -1 USD",
        "0 points per order", "0.0 points per USD", "1000000.5 points per USD", "1/0 point per USD",
        "1 point per 1/0 USD", "1 point per 0 USD", "NaN points per USD", "inf points per USD",
        "1" + "0" * 5000 + " points per USD",
    ],
)  # fmt: skip
def test_what_is_not_a_rate_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        Give.parse(text)


NUMBERS = st.fractions(Fraction(1, 1000), 1000, max_denominator=1000)
UNITS = st.sampled_from(["point", "points", "gold star", "Punkte", "étoile"])


@properties
@given(NUMBERS, UNITS, st.booleans(), NUMBERS, st.sampled_from(["per", "a", "for every"]))
def test_every_rate_of_money_reads_back(points: Fraction, unit: str, whole: bool, amount: Fraction, word: str) -> None:
    text = f"{points} {unit} {word} {'whole ' if whole else ''}{amount} USD"
    assert Give.parse(text) == Give(points, unit, "money", whole, amount, "USD")


@properties
@given(st.integers(0, 10**8), st.integers(0, 8))
def test_decimals_and_fractions_are_the_same_number(digits: int, places: int) -> None:
    number = Fraction(digits, 10**places)
    if not 0 < number <= 1_000_000:
        return
    written = f"{digits // 10**places}.{digits % 10**places:0{places}d}" if places else str(digits)
    assert Give.parse(f"{written} points per USD").points == number


@pytest.mark.parametrize(
    ("text", "expiry"),
    [
        ("never", Expiry(None)),
        ("1 day", Expiry(1, "day")),
        ("90 days", Expiry(90, "day")),
        ("18 months", Expiry(18, "month")),
        ("100 years", Expiry(100, "year")),
        ("12 months, to the end of that month", Expiry(12, "month", "month")),
        ("6 months, to the end of that quarter", Expiry(6, "month", "quarter")),
        ("1 year,  to the end\n of that year", Expiry(1, "year", "year")),
    ],
)
def test_an_expiry_is_read(text: str, expiry: Expiry) -> None:
    assert Expiry.parse(text) == expiry


@pytest.mark.parametrize(
    "text",
    [
        "", "Never", "12", "days", "1.5 years", "-1 days", "12 weeks", "12 months to the end of that month",
        "12 months, to the end of that week", "12 months, to the end of the month", "never, to the end of that year",
        "36501 days", "1201 months", "101 years", "1" + "0" * 5000 + " days",
    ],
)  # fmt: skip
def test_what_is_not_an_expiry_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        Expiry.parse(text)


@properties
@given(
    st.integers(1, 100),
    st.sampled_from(["day", "month", "year"]),
    st.sampled_from(["", "s"]),
    st.sampled_from(["day", "month", "quarter", "year"]),
)
def test_every_expiry_reads_back(count: int, unit: Any, plural: str, end: Any) -> None:
    assert Expiry.parse(f"{count} {unit}{plural}, to the end of that {end}") == Expiry(count, unit, end)


PHRASES: list[tuple[Any, str, Any]] = [
    (Pending, "14 days", Pending(14)),
    (Pending, " 1  day ", Pending(1)),
    (Pending, "until fulfilled", Pending(None)),
    (Points, "500 points", Points(500, "points")),
    (Points, " 1  gold star ", Points(1, "gold star")),
    (Money, "25 USD", Money(Fraction(25), "USD")),
    (Money, "0.5 KWD", Money(Fraction(1, 2), "KWD")),
    (Threshold, "0", Threshold(Fraction(0), "")),
    (Threshold, "500 USD", Threshold(Fraction(500), "USD")),
    (Threshold, "500 gold stars", Threshold(Fraction(500), "gold stars")),
    (Duration, "15 minutes", Duration(15, "minute")),
    (Duration, "1 day", Duration(1, "day")),
    (Hours, "21:00 to 08:00", Hours(1260, 480)),
    (Hours, "9:05 to 17:30", Hours(545, 1050)),
]


@pytest.mark.parametrize(("kind", "text", "read"), PHRASES)
def test_a_phrase_is_read(kind: Any, text: str, read: Any) -> None:
    assert kind.parse(text) == read


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        *[(Pending, text) for text in ("", "14", "0 days", "367 days", "1.5 days", "2 weeks", "when fulfilled")],
        *[(Points, text) for text in ("", "500", "points", "0 points", "-5 points", "1.5 points", "1000001 points")],
        *[(Money, text) for text in ("", "25", "USD", "25 usd", "-25 USD", "25,00 USD", "1e3 USD", "1.00001 USD")],
        *[(Threshold, text) for text in ("", "500", "USD", "-1 USD", "1e3 USD", "500USD")],
        *[(Duration, text) for text in ("", "15", "0 minutes", "15 seconds", "1.5 hours", "10000 days")],
        *[(Hours, text) for text in ("", "21:00", "21 to 8", "24:00 to 08:00", "21:60 to 08:00", "08:00 to 08:00")],
    ],
)
def test_what_is_not_the_phrase_is_refused(kind: Any, text: str) -> None:
    with pytest.raises(ValueError):
        kind.parse(text)


def test_hours_go_over_midnight() -> None:
    assert Hours.parse("23:58 to 00:02").minutes() == {1438, 1439, 0, 1}
    assert Hours.parse("00:00 to 00:02").minutes() == {0, 1}


@pytest.mark.parametrize("mode", ["down", "half-up"])
@pytest.mark.parametrize("scope", ["order", "line"])
def test_every_rounding_reads_back(mode: Any, scope: Any) -> None:
    assert Rounding.parse(f" {mode}  per {scope}") == Rounding(mode, scope)


@pytest.mark.parametrize(
    "text", ["", "down", "up per order", "half-odd per order", "down per orders", "Down per order"]
)
def test_what_is_not_a_rounding_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        Rounding.parse(text)


@properties
@given(st.fractions(0, 10**6))
def test_down_drops_the_fraction_and_half_up_takes_the_nearest(exact: Fraction) -> None:
    down, nearest = Rounding("down").apply(exact), Rounding("half-up").apply(exact)
    assert down <= exact < down + 1
    assert -Fraction(1, 2) < nearest - exact <= Fraction(1, 2)
    assert Rounding("half-up").apply(Fraction(down) + Fraction(1, 2)) == down + 1


# ---- the schema for editors


def _as_an_editor_sees_it(text: str) -> Any:
    """As a YAML plugin loads it: numbers are numbers, and a date is the text that was written."""
    return json.loads(json.dumps(YAML(typ="safe", pure=True).load(text), default=str))


def _schema_says(text: str) -> list[str]:
    validator = jsonschema.Draft202012Validator(json_schema())
    return [error.message for error in validator.iter_errors(_as_an_editor_sees_it(text))]


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(json_schema())


@pytest.mark.parametrize("text", [FRESH_MARKET, TEXT, SECTIONS], ids=["fresh-market", "corner-shop", "sections"])
def test_the_schema_accepts_what_the_loader_accepts(text: str) -> None:
    assert _schema_says(text) == []


def test_the_schema_accepts_numbers_where_texts_stand() -> None:
    # An editor sees 330 as a number; the loader takes the text that was written.
    text = program_text("give: 1 point per item, when: {store: [330, 331], channel: web}, for: [{product: 12}]")
    load(text)
    assert _schema_says(text) == []


def test_the_schema_accepts_one_value_for_a_list() -> None:
    text = (
        SECTIONS.replace("[en, fr]", "en")
        .replace("[email, push]", "sms")
        .replace("expiry: 90 days", "expiry: 90 days\n    remind: 7")
    )
    text = text.replace("[tier-upgraded, points-earned]", "points-expiring")
    load(text)
    assert _schema_says(text) == []


@pytest.mark.parametrize(
    ("replaced", "by"),
    [
        (10, "    expiry: 90 days\n    pending: 2 weeks"), (25, "  referrer: 500"), (28, "  within_days: 367"),
        (34, "    worth: 5 dollars"), (37, "    hold: soon"), (41, "  window: year"), (45, "  warn: 30"),
        (52, "  languages: English"), (54, "  channels: fax"), (55, "  quiet_hours: 9pm to 8am"),
    ],
)  # fmt: skip
def test_the_schema_marks_mistakes_of_the_other_sections(replaced: int, by: str) -> None:
    assert len(_schema_says(_with(replaced, by, SECTIONS))) == 1


@pytest.mark.parametrize(
    ("replaced", "by"), [(1, "program: Corner Shop"), (3, "currency: usd"), (10, "    expiry: 12 moons"),
                         (15, "    give: 1 point"), (16, "    rounding: up"), (22, "      chanel: web")],
)  # fmt: skip
def test_the_schema_marks_mistakes_in_the_editor(replaced: int, by: str) -> None:
    # Lists for both, so that only the mistake is left to be found.
    text = _with(replaced, by).replace("{ brand: Private }", "[{ brand: Private }]")
    text = text.replace("{ tag: clearance }", "[{ tag: clearance }]").replace("  category: [FUEL", "- category: [FUEL")
    assert len(_schema_says(text)) == 1
