"""The phrases of a program file: rates, expiries, amounts, hours, roundings."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.program.language.grammar import Expiry, Give, Rounding
from shared.program.language.phrases import Money, Points, Threshold
from shared.program.language.phrases_of_time import Duration, Hours, Pending
from tests.support.examples import examples

properties = examples(60)

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
