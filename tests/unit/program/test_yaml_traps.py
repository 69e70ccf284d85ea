"""What YAML does that surprises people: a program file means what its reader sees, or is refused with a place."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.errors import ProgramFileError
from shared.program.language.grammar import Give
from shared.program.language.loader import load
from shared.program.language.model import ProgramFile
from shared.program.language.phrases import Money
from shared.program.language.phrases_of_time import Hours
from tests.support.build import program_text
from tests.support.examples import examples
from tests.support.program_texts import problems_of

properties = examples(40)
GIVE = "give: 1 point per item"
#: Seven lines, and the rules from the eighth on.
TEXT = program_text(GIVE)
LADDER = (
    "{{metric: spend, window: calendar year, keep: the rest of the period and the next, soft_landing: {soft}, "
    "grace_days: {grace}, tiers: [{{tier: off, name: 'Off', from: 0}}, "
    "{{tier: on, name: 'On', from: {start}, multiplier: {times}}}]}}"
)


def with_rule(more: str, **sections: str) -> ProgramFile:
    return load(program_text(f"{GIVE}, {more}", **sections), "shop.yaml")


def with_ladder(soft: str = "true", grace: str = "0", start: str = "50 USD", times: str = "2") -> str:
    return program_text(GIVE, ladder=LADDER.format(soft=soft, grace=grace, start=start, times=times))


# ---- words that other YAML takes for something else


#: Not one of these names is anything else here.
NAMES = """
program: on
name: No
currency: USD
time_zone: America/New_York
effective: 2017-01-01
wallets:
  no: { name: NO, unit: point, expiry: never }
  off: { name: OFF, unit: point, expiry: never }
  y: { name: Y, unit: star, expiry: never }
earning:
  - { rule: s, give: 1 star per item }
  - rule: yes
    give: 1 point per item
    for: { brand: NO, category: [[NO, ON], Yes] }
    when: { attribute: { no: yes, on: [off, OFF], ~: null, 1: 007 }, segment: no, channel: [on, "off"] }
    split: { no: 60%, off: 40% }
    best_of: y
  - rule: n
    multiply: 2
    of: yes
    replaces: [yes]
rewards:
  - { reward: true, name: null, cost: 5 stars, worth: 1 USD }
"""


def test_names_that_are_booleans_elsewhere_are_names() -> None:
    program = load(NAMES)
    first, second = program.earning[1:]
    assert (program.program, list(program.wallets)) == ("on", ["no", "off", "y"])
    assert first.for_ is not None
    assert (first.for_[0].brand, first.for_[0].category) == (("NO",), (("NO", "ON"), ("Yes",)))
    assert first.when is not None
    assert first.when.attribute == {"no": ("yes",), "on": ("off", "OFF"), "~": ("null",), "1": ("007",)}
    assert (first.when.segment, first.when.channel) == (("no",), ("on", "off"))
    assert (first.rule, list(first.split or ()), first.best_of) == ("yes", ["no", "off"], "y")
    assert (second.rule, second.of, second.replaces) == ("n", ("yes",), ("yes",))
    assert (program.rewards[0].reward, program.rewards[0].name) == ("true", "null")


@pytest.mark.parametrize("key", ["on", "off", "yes", "no", "y", "true", "null", "~", "1", "1.0", "2017-01-01", "="])
def test_an_unknown_key_is_called_as_it_is_written(key: str) -> None:
    (problem,) = problems_of(program_text(f"{GIVE}, {key}: x"))
    assert problem.startswith(f"shop.yaml:8:44: earning[0].{key}: found an unknown field; allowed: rule, ")


@pytest.mark.parametrize(
    ("word", "meaning"),
    [("true", True), ("True", True), ("yes", True), ("on", True), ("false", False), ("NO", False), ("off", False)],
)
def test_where_true_or_false_is_asked_for_every_word_for_it_is_one(word: str, meaning: bool) -> None:
    ladder = load(with_ladder(soft=word)).ladder
    assert ladder is not None
    assert ladder.soft_landing is meaning
    assert [tier.tier for tier in ladder.tiers] == ["off", "on"]


@pytest.mark.parametrize("word", ["maybe", "~", "null", "", "2", "1.0", "'yes please'"])
def test_what_is_neither_true_nor_false_is_refused(word: str) -> None:
    (problem,) = problems_of(with_ladder(soft=word))
    assert problem.startswith("shop.yaml:9:")
    assert problem.endswith("is neither true nor false; allowed: true or false")


# ---- numbers, hours and dates

AS_WRITTEN = [
    "007", "0o17", "0x1F", "0b1", "1_000", "1e3", "1E+3", "1.10", "1.0", ".5", "5.", "+1", "-0", ".inf", "-.INF",
    "12:30:45", "21:00", "190:20:30", "2017-03-01", "2001-12-14t21:59:43.10-05:00", "2001-12-14 21:59:43.10 -5", "NO",
    "Null", "~", "=", "<<", ".nan",
]  # fmt: skip


@pytest.mark.parametrize("quote", ["", "'", '"'])
def test_a_product_id_is_what_the_reader_sees(quote: str) -> None:
    ids = [f"{quote}{one}{quote}" for one in AS_WRITTEN]
    in_braces = with_rule(f"for: {{product: [{', '.join(ids)}]}}").earning[0].for_
    lines = "".join(f"\n        - {one}" for one in ids)
    on_lines = load(program_text(earning=f"\n  - rule: r\n    {GIVE}\n    for:\n      product:{lines}")).earning[0].for_
    for match in (in_braces, on_lines):
        assert match is not None
        assert match[0].product == tuple(AS_WRITTEN)


@pytest.mark.parametrize(("written", "number"), [("7", 7), ("007", 7), ("1_000", 1000), ("3.0", 3), ("' 3 '", 3)])
def test_a_whole_number_is_the_one_that_is_read(written: str, number: int) -> None:
    when = with_rule(f"when: {{items_of_at_least: {written}}}").earning[0].when
    assert when is not None
    assert when.items_of_at_least == number


@pytest.mark.parametrize(
    "written",
    ["0o17", "0x10", "0b11", "1e3", "2.5", "½", "'1,000'", "1 000", "12:30", "yes", "~", ".inf", "''", "9" * 5000],
)
def test_what_is_no_whole_number_is_refused(written: str) -> None:
    (problem,) = problems_of(program_text(f"{GIVE}, when: {{items_of_at_least: {written}}}"))
    assert problem.startswith("shop.yaml:8:70: earning[0].when.items_of_at_least: found ")
    assert problem.endswith("; allowed: 1 or more")


@pytest.mark.parametrize("field", ["items_of_at_least: 1,000", "order_of_at_least: 1,000 USD", "channel: a,b"])
def test_a_comma_inside_braces_is_not_lost_without_a_word(field: str) -> None:
    # YAML sees a second field there, named 000.
    assert any("found an unknown field" in one for one in problems_of(program_text(f"{GIVE}, when: {{{field}}}")))


@pytest.mark.parametrize(
    ("written", "points"),
    [("1.10", Fraction(11, 10)), ("0.50", Fraction(1, 2)), ("007", Fraction(7)), ("1/3", Fraction(1, 3))],
)
def test_a_decimal_is_exact(written: str, points: Fraction) -> None:
    program = load(program_text(f"give: {written} points per USD", "multiply: 1.10"))
    assert program.earning[0].give == (Give(points, "points", "money", False, Fraction(1), "USD"),)
    assert program.earning[1].multiply is not None
    assert program.earning[1].multiply.factor == Fraction(11, 10)
    ladder = load(with_ladder(start="1000.10 USD", times="1.10")).ladder
    assert ladder is not None
    assert (ladder.tiers[1].from_.amount, ladder.tiers[1].multiplier) == (Fraction(10_001, 10), Fraction(11, 10))


@pytest.mark.parametrize("amount", [".5", "5.", "1e3", "1_000", "0x10", "1:30", "+1", "NaN", ".inf", "½"])
def test_an_amount_in_another_form_is_refused_with_an_example(amount: str) -> None:
    for text, hint in (
        (program_text(f"give: {amount} points per USD"), '"1.25 points per USD"'),
        (program_text(f"{GIVE}, cap: {amount} points per day"), '"500 points per month"'),
        (program_text(f"{GIVE}, when: {{order_of_at_least: {amount} USD}}"), '"25 USD"'),
        (program_text(GIVE, f"multiply: {amount}"), '"1.5 times"'),
    ):
        (problem,) = problems_of(text)
        assert hint in problem


@pytest.mark.parametrize("times", ["1e1", "1_0", "0x2", "1_0/0_5", "1e99999999", "2:30", ".inf", "NaN", "1/0", "yes"])
def test_a_multiplier_of_a_tier_is_written_like_any_other_number(times: str) -> None:
    # "multiply:" of a rule refuses all of these, too.
    (problem,) = problems_of(with_ladder(times=times))
    assert problem.startswith("shop.yaml:9:")
    assert problem.endswith("allowed: a number from 1 to 100 such as 1.25")


@pytest.mark.parametrize("before", ["", "'", '"'])
def test_hours_are_hours_and_not_minutes_to_the_base_of_sixty(before: str) -> None:
    when = with_rule(f"when: {{hours: {before}21:00 to 08:00{before}, store: 12:30}}").earning[0].when
    assert when is not None
    assert (when.hours, when.store) == (Hours(21 * 60, 8 * 60), ("12:30",))


@pytest.mark.parametrize("hours", ["21:00", "1260", "12:30:45 to 13:00:00", "9 to 17", "24:00 to 8:00", "9pm to 8am"])
def test_other_hours_are_refused(hours: str) -> None:
    (problem,) = problems_of(program_text(f"{GIVE}, when: {{hours: {hours}}}"))
    assert problem == (
        f'shop.yaml:8:58: earning[0].when.hours: found "{hours}": is not a part of the day; allowed: "21:00 to 08:00"'
    )


@pytest.mark.parametrize(
    "day",
    ["2017-3-1", "20170301", "2017-03-01T00:00:00Z", "2017-03-01 00:00:00", "01.03.2017", "03/01/2017", "1488326400",
     "2017-02-30", "\u0662\u0660\u0661\u0667-03-01", "2017-W09-3", "2017-060", "March 1"],
)  # fmt: skip
def test_a_day_in_another_form_is_refused_with_an_example(day: str) -> None:
    for text, place in (
        (program_text(GIVE, effective=day), "shop.yaml:5:12: effective: "),
        (program_text(f"{GIVE}, when: {{dates: {{from: {day}}}}}"), "shop.yaml:8:65: earning[0].when.dates.from: "),
    ):
        (problem,) = problems_of(text)
        assert problem.startswith(place)
        assert problem.endswith("allowed: a date such as 2026-01-31")


# ---- what YAML takes away: tags, comments, ends of lines


@pytest.mark.parametrize(
    "name",
    [
        "!Wow Points", "! Points", "!!binary UG9pbnRz", "!!python/object/apply:os.getcwd []",
        "!!python/name:os.system x", "!!int 5", "!!bool no", "!!null x", "!!str 007", "!<tag:yaml.org,2002:str> x",
    ],
)  # fmt: skip
def test_a_tag_is_refused_for_its_reader_sees_a_word(name: str) -> None:
    # Without a word, "!Wow Points" would be a program named "Points".
    (problem,) = problems_of(program_text(GIVE, name=name))
    assert problem.startswith("shop.yaml:2:7: ")
    assert "quotes" in problem


@pytest.mark.parametrize("tag", ["!!set", "!!omap", "!!seq", "!local"])
def test_so_is_the_tag_of_a_list(tag: str) -> None:
    (problem,) = problems_of(program_text(f"{GIVE}, when: {{channel: {tag} [web]}}"))
    assert problem.startswith("shop.yaml:8:")


@pytest.mark.parametrize(
    "text", [">\n  Corner\n  Shop\n", ">-\n  Corner\n  Shop", "|\n  Corner Shop\n", "Corner\n  Shop"]
)
def test_a_text_may_go_over_several_lines(text: str) -> None:
    assert load(program_text(GIVE, name=text)).name == "Corner Shop"


@pytest.mark.parametrize(
    "text",
    [
        "Points: the best", '"Best" points', "'Best' points", "[VIP] points", "@home", "`points`", "%off", "- points",
        "? points", "{Best} points", "Best:",
    ],
)  # fmt: skip
def test_a_text_that_needs_quotes_is_refused_on_its_line_and_says_so(text: str) -> None:
    problem = problems_of(program_text(GIVE, name=text))[0]
    assert problem.startswith("shop.yaml:2:")
    assert "quotes" in problem


@pytest.mark.parametrize(
    "text", ["100% off", "It's ours", "5 > 4 & more", "a#1", "C:/x", "-x", ":x", "a, b", "a*b", "£5!", "x|y"]
)
def test_a_text_that_needs_none_is_taken_as_it_is(text: str) -> None:
    assert load(program_text(GIVE, name=text)).name == text


def test_a_colon_without_a_space_is_looked_for_on_its_own_line() -> None:
    assert problems_of(TEXT.replace("name: Corner", "name:Corner"))[0].startswith("shop.yaml:2:")


# ---- the same thing twice


@pytest.mark.parametrize(
    ("text", "answers"),
    [
        (program_text(f"{GIVE}, for: {{brand: A, brand: B}}"), ["8:60: brand: found twice"]),
        (program_text(f"{GIVE}, 'give': 2 points per item"), ["8:44: give: found twice"]),
        (program_text(f"{GIVE}, \"g\\x69ve\": 2 points per item"), ["8:44: give: found twice"]),
        (program_text(f"{GIVE}, ? give : 2 points per item"), ["8:46: give: found twice"]),
        (program_text(f"{GIVE}, when: {{attribute: {{no: 1, no: 2}}}}"), ["8:70: no: found twice"]),
        (program_text(f"{GIVE}, when: {{dates: {{from: 2017-01-01, from: 2017-01-02}}}}"), ["8:77: from: found twice"]),
        (TEXT + "name: x\ncurrency: USD\n", ["9:1: name: found twice", "10:1: currency: found twice"]),
        (TEXT + "? name\n: x\n", ["9:3: name: found twice"]),
        (TEXT.replace("expiry: never", "expiry: never, expiry: never"), ["6:62: expiry: found twice"]),
    ],
)  # fmt: skip
def test_a_key_stands_once(text: str, answers: list[str]) -> None:
    assert problems_of(text) == [f"shop.yaml:{answer}; a key may stand once" for answer in answers]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (TEXT + "<<: {name: Other}\n", "9:1: <<: found an unknown field"),
        (TEXT + "<<: [{name: Other}, {currency: EUR}]\n", "9:1: <<: found an unknown field"),
        (program_text(f"{GIVE}, <<: {{give: 9 points per item}}"), "8:44: earning[0].<<: found an unknown field"),
        ("base: &base {name: Other}\n" + TEXT + "<<: *base\n", "1:7: found an anchor or alias"),
        (TEXT.replace("USD", "&usd USD"), "3:11: found an anchor or alias"),
        (TEXT.replace("USD", "*usd"), "3:11: found an anchor or alias"),
        (TEXT.replace("currency:", "&c currency:"), "3:1: found an anchor or alias"),
        (TEXT.replace("currency:", "*c :"), "3:1: found an anchor or alias"),
        (program_text(f"{GIVE}, for: &tea {{brand: A}}"), "8:49: found an anchor or alias"),
        (program_text(f"{GIVE}, for: {{brand: [&a A, *a]}}"), "8:58: found an anchor or alias"),
    ],
)  # fmt: skip
def test_nothing_is_merged_or_meant_elsewhere(text: str, place: str) -> None:
    assert problems_of(text)[0].startswith(f"shop.yaml:{place}")


# ---- slips of the finger

SLIPS = st.sampled_from([
    "", " ", "  ", "\t", "\n", ":", ": ", "-", "- ", "#", " #", "'", '"', "[", "]", "{", "}", ",", "&", "*", "!", "!!",
    "|", ">", "%", "@", "`", "?", "? ", "\\", "\x00", "\x1b", "\x7f", "\u00a0", "\u2028", "\ufeff", "é", "0", "~",
    "<<: ", "---\n", "...\n", "\r", "\x85",
])  # fmt: skip


@properties
@given(st.lists(st.tuples(st.integers(0, len(TEXT) - 1), st.integers(0, 3), SLIPS), min_size=1, max_size=4))
@example([(1, 0, " #"), (4, 0, "\t")])
def test_a_slip_makes_another_program_or_a_mistake_with_a_place(slips: list[tuple[int, int, str]]) -> None:
    text = TEXT
    for at, length, what in slips:
        text = text[:at] + what + text[at + length :]
    try:
        load(text, "shop.yaml")
    except ProgramFileError as mistake:
        lines = len(re.findall(r"\r\n|[\n\r\x85\u2028\u2029]", text)) + 1
        for problem in mistake.problems:
            found = re.match(r"shop\.yaml:(\d+):(\d+): .", problem)
            assert found, problem
            assert 1 <= int(found[1]) <= lines + 1
            assert problem.isprintable(), repr(problem)


def test_money_is_written_with_its_currency_and_nothing_else() -> None:
    amounts: dict[str, Any] = {"25 USD": Money(Fraction(25), "USD"), "25.50 USD": Money(Fraction(51, 2), "USD")}
    for written, amount in amounts.items():
        when = with_rule(f"when: {{order_of_at_least: {written}}}").earning[0].when
        assert when is not None
        assert when.order_of_at_least == amount
    for written in ("25", "$25", "25USD", "25 usd", "25,50 USD", "USD 25", "'1,000 USD'"):
        assert '"25 USD"' in problems_of(program_text(f"{GIVE}, when: {{order_of_at_least: {written}}}"))[0]
