"""The JSON Schema of a program file: an editor marks what the loader refuses, and nothing else."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
from ruamel.yaml import YAML

from shared.program.language.loader import json_schema, load
from tests.support.build import FRESH_MARKET, program_text
from tests.support.program_texts import SECTIONS, TEXT, with_line

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
    assert len(_schema_says(with_line(replaced, by, SECTIONS))) == 1


@pytest.mark.parametrize(
    ("replaced", "by"), [(1, "program: Corner Shop"), (3, "currency: usd"), (10, "    expiry: 12 moons"),
                         (15, "    give: 1 point"), (16, "    rounding: up"), (22, "      chanel: web")],
)  # fmt: skip
def test_the_schema_marks_mistakes_in_the_editor(replaced: int, by: str) -> None:
    # Lists for both, so that only the mistake is left to be found.
    text = with_line(replaced, by).replace("{ brand: Private }", "[{ brand: Private }]")
    text = text.replace("{ tag: clearance }", "[{ tag: clearance }]").replace("  category: [FUEL", "- category: [FUEL")
    assert len(_schema_says(text)) == 1
