"""What holds for every simple program and every order that it rates."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from services.earn.rating.awards import Rating
from services.earn.rating.engine import rate
from shared.program.compiled.program import Program, compile_program
from shared.program.language.model import ProgramFile
from shared.program.language.source import parse
from tests.support.build import event, line, program_text
from tests.support.examples import examples

properties = examples(25)

# ---- what holds always

BRANDS, CATEGORIES, CHANNELS = ["Private", "National"], ["FUEL", "TEA", "A/B"], ["web", "store"]
MATCHES = st.fixed_dictionaries(
    {},
    optional={
        "brand": st.sampled_from(BRANDS),
        "category": st.lists(st.sampled_from([["TEA"], ["TEA", "A/B"], ["FUEL"]]), min_size=1, max_size=2),
    },
).filter(bool)
AMOUNTS = st.sampled_from(["", "10 ", "0.25 ", "3 "])
GIVES = st.one_of(
    st.builds("{} points per whole {}USD".format, st.sampled_from(["1", "5", "1.5", "1/3"]), AMOUNTS),
    st.builds("{} points per {}USD".format, st.sampled_from(["1", "1.25", "2/7", "0.01"]), AMOUNTS),
    st.builds("{} points per {}".format, st.integers(1, 500), st.sampled_from(["item", "order"])),
)
ROUNDINGS = st.builds("{} per {}".format, st.sampled_from(["down", "half-up"]), st.sampled_from(["order", "line"]))
RULES = st.fixed_dictionaries(
    {"give": GIVES, "rounding": ROUNDINGS},
    optional={"for": MATCHES, "except": MATCHES, "when": st.fixed_dictionaries({"channel": st.sampled_from(CHANNELS)})},
)
PROGRAMS = st.tuples(st.lists(RULES, min_size=1, max_size=4), st.none() | MATCHES)
LINES = st.lists(
    st.fixed_dictionaries(
        {"amount": st.integers(0, 5000) | st.integers(0, 10**10), "quantity": st.integers(0, 4)},
        optional={
            "brand": st.sampled_from(BRANDS),
            "category": st.lists(st.sampled_from(CATEGORIES), max_size=3),
            "is_gift_card": st.booleans(),
        },
    ),
    min_size=1,
    max_size=6,
)


BASE: dict[str, Any] = parse(program_text("give: 1 point per item"), "").data


def _compiled(rules: list[dict[str, Any]], never_earns: dict[str, Any] | None) -> Program:
    base = BASE | ({"never_earns": never_earns} if never_earns else {})
    named = [{"rule": f"r{number}", **rule} for number, rule in enumerate(rules)]
    return compile_program(ProgramFile.model_validate({**base, "earning": named}), 1)


def _rated(made: tuple[list[dict[str, Any]], Any], lines: list[dict[str, Any]], **fields: Any) -> Rating:
    return rate(_compiled(*made), event(*[line(str(n), **one) for n, one in enumerate(lines)], **fields))


@properties
@given(PROGRAMS, LINES, st.none() | st.sampled_from(CHANNELS))
def test_line_points_add_up_and_none_is_negative(made: Any, lines: list[dict[str, Any]], channel: str | None) -> None:
    rating = _rated(made, lines, channel=channel)
    assert (rating.reason is None) == bool(rating.awards)
    assert 0 <= sum(rating.qualifying) <= sum(one["amount"] for one in lines)
    for award in rating.awards:
        assert award.points >= 1
        assert len(award.line_points) == len(lines)
        assert sum(award.line_points) == award.points
        assert min(award.line_points) >= 0
    for number, one in enumerate(lines):
        if one.get("is_gift_card"):
            assert all(award.line_points[number] == 0 for award in rating.awards)


def _worth(rule: dict[str, Any], lines: list[dict[str, Any]]) -> int:
    """What a rule without conditions pays, by another way of counting: in dollars, from the phrase itself."""
    number, _, _, *what = rule["give"].split()
    mode, _, scope = rule["rounding"].split()
    size = Fraction(what[-2]) if len(what) > 1 and what[-2] != "whole" else Fraction(1)

    def exact(amount: int, items: int) -> Fraction:
        if what[0] in ("item", "order"):
            return Fraction(number) * (items if what[0] == "item" else 1)
        steps = Fraction(amount, 100) / size
        return Fraction(number) * (int(steps) if what[0] == "whole" else steps)

    def rounded(points: Fraction) -> int:
        return int(points) if mode == "down" else int(points + Fraction(1, 2))

    if scope == "line":
        return sum(rounded(exact(one["amount"], one["quantity"])) for one in lines)
    return rounded(exact(sum(one["amount"] for one in lines), sum(one["quantity"] for one in lines)))


@properties
@given(st.builds(lambda give, rounding: {"give": give, "rounding": rounding}, GIVES, ROUNDINGS), LINES)
def test_points_are_what_the_phrase_says(rule: dict[str, Any], lines: list[dict[str, Any]]) -> None:
    sold = [{**one, "is_gift_card": False} for one in lines]
    rating = _rated(([rule], None), sold)
    assert sum(award.points for award in rating.awards) == _worth(rule, sold)


@properties
@given(PROGRAMS, LINES)
def test_rating_the_same_purchase_again_gives_the_same(made: Any, lines: list[dict[str, Any]]) -> None:
    # Rating keeps nothing: the same purchase again, after another one, is worth the same.
    compiled = _compiled(*made)
    purchase = event(*[line(str(n), **one) for n, one in enumerate(lines)])
    first = rate(compiled, purchase)
    rate(compiled, event())
    assert rate(compiled, purchase) == first
