"""Random programs of rules that act on each other: what must hold for each of them, and for every purchase."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from services.earn.rating.awards import Rating
from services.earn.rating.engine import rate
from shared.errors import ProgramFileError
from shared.program.compiled.program import Program, compile_program
from shared.program.language.model import ProgramFile
from shared.program.language.source import parse
from shared.program.validation.consistency import contradictions
from tests.support.build import event, line, program_text
from tests.support.examples import examples

BRANDS, CATEGORIES = ("A", "B"), ("TEA", "COFFEE", "FUEL")
WALLETS = {
    "points": {"name": "P", "unit": "point", "expiry": "never"},
    "stars": {"name": "S", "unit": "star", "expiry": "never", "cap": "40 stars per order"},
    "cash": {"name": "C", "unit": "USD", "expiry": "never"},
}
BASE: dict[str, Any] = parse(program_text("give: 1 point per item"), "").data

GIVES = st.sampled_from([
    "1 point per whole USD", "1.5 points per USD", "7 points per order", "3 points per item", "2 stars per whole 5 USD",
    "1/3 star per USD", "2.5% back",
])  # fmt: skip
MATCHES = st.sampled_from([
    {"brand": "A"}, {"brand": ["A", "B"]}, {"category": "TEA"}, {"category": [["COFFEE", "DARK"]]}, {"tag": "new"},
    {"sku": "s1"}, {"product": "p2"},
])  # fmt: skip
WHENS = st.sampled_from([
    {"channel": "web"}, {"store": ["7", "8"]}, {"weekday": ["wednesday", "sunday"]}, {"hours": "08:00 to 13:00"},
    {"items_of_at_least": "2"}, {"lines_of_at_least": "10 USD"}, {"order_of_at_least": "30 USD"},
    {"dates": {"from": "2017-03-01", "to": "2017-03-04"}}, {"paid_with": {"method": "card"}},
])  # fmt: skip
ROUNDINGS = st.sampled_from(["down per order", "half-up per line", "half-even per order", "half-up per order"])


@st.composite
def programs(draw: st.DrawFn) -> Program:
    rules: list[dict[str, Any]] = []
    for number in range(draw(st.integers(1, 14))):
        rule: dict[str, Any] = {"rule": f"r{number}", "rounding": draw(ROUNDINGS)}
        if draw(st.booleans()):
            rule["for"] = draw(MATCHES)
        if draw(st.booleans()):
            rule["when"] = draw(WHENS)
        given_before = [other["rule"] for other in rules if "give" in other]
        if given_before and draw(st.integers(0, 3)) == 0:
            rule |= {"multiply": draw(st.sampled_from(["2", "1.5", "3"])), "of": draw(st.sampled_from(given_before))}
        else:
            rule["give"] = draw(GIVES)
            if given_before and draw(st.integers(0, 3)) == 0:
                rule["replaces"] = draw(st.lists(st.sampled_from(given_before), min_size=1, max_size=3, unique=True))
            if draw(st.integers(0, 3)) == 0:
                rule["best_of"] = "best"
        rules.append(rule)
    wallets = {slug: wallet for slug, wallet in WALLETS.items() if any(_pays(rule, wallet["unit"]) for rule in rules)}
    data = {
        **BASE,
        "wallets": wallets,
        "earning": rules,
        "multipliers": draw(st.sampled_from(["add", "multiply", "highest"])),
    }
    file = ProgramFile.model_validate(data)
    problems = list(contradictions(file))
    if problems:
        raise ProgramFileError([str(problem) for problem in problems])
    return compile_program(file, 1)


def _pays(rule: dict[str, Any], unit: str) -> bool:
    give = rule.get("give", "")
    return ("back" in give) if unit == "USD" else unit in give


LINES = st.lists(
    st.fixed_dictionaries(
        {"amount": st.integers(0, 6000), "quantity": st.integers(0, 4)},
        optional={
            "brand": st.sampled_from(BRANDS), "sku": st.sampled_from(["s1", "s2"]), "tags": st.just(["new"]),
            "category": st.sampled_from([[one] for one in CATEGORIES] + [["COFFEE", "DARK"]]),
        },
    ),
    min_size=1, max_size=5,
)  # fmt: skip
FIELDS = st.fixed_dictionaries(
    {"occurred_at": st.sampled_from(["2017-03-01T12:00:00-05:00", "2017-03-05T20:00:00-05:00"])},
    optional={
        "channel": st.sampled_from(["web", "store"]), "store_id": st.sampled_from(["7", "9"]),
        "tenders": st.just([{"method": "card", "amount": 1}]),
    },
)  # fmt: skip


@examples(60)
@given(programs(), LINES, FIELDS)
def test_awards_add_up_and_asking_why_changes_nothing(
    made: Program, lines: list[dict[str, Any]], fields: dict[str, Any]
) -> None:
    purchase = event(*[line(str(number), **one) for number, one in enumerate(lines)], **fields)
    rating = rate(made, purchase)
    for award in rating.awards:
        assert award.points > 0
        assert min(award.line_points) >= 0
        assert sum(award.line_points) == award.points
    assert (rating.reason is None) == bool(rating.awards)
    best = [award for award in rating.awards if award.rule.best_of]
    assert len(best) <= 1
    stars = sum(award.points for award in rating.awards if award.wallet == "stars")
    assert stars <= 40, "the wallet's cap"
    # Asked for verdicts, every rule is looked at, none by an index or a short cut: the same comes out.
    verdicts: list[Any] = []
    asked = rate(made, purchase, verdicts=verdicts)
    assert _paid(asked) == _paid(rating)
    assert len({verdict.rule for verdict in verdicts}) == len(verdicts) == len(made.rules)
    said = {verdict.rule: verdict.points for verdict in verdicts if verdict.points}
    assert said == {award.rule.name: award.points for award in rating.awards}


def _paid(rating: Rating) -> list[tuple[str, str, int, list[int]]]:
    return [(award.rule.name, award.wallet, award.points, award.line_points) for award in rating.awards]
