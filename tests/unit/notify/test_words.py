"""The texts of notifications: templates, languages, and mistakes in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from jinja2 import TemplateSyntaxError

from services.notify.handler import NotifyHandler
from shared.contracts import points, rewards
from shared.errors import UsageError
from shared.program.language.loader import load
from shared.program.templates import check_templates, compile_template, read_templates
from shared.settings import Clock
from tests.support.build import program_text
from tests.support.notify import (
    FOLDER,
    KINDS,
    NOTIFICATIONS,
    TEMPLATES,
    decide,
    event,
    outcome,
    program,
    sent,
    state,
    with_profile,
)

# ---- words


def test_a_template_that_fails_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    known = with_profile(state(program(templates={"redemption-done.en.txt": "Subject: {{ oops }}\n\ntext"})))
    decisions = decide(known, event(rewards.REDEEMED), event(points.EXPIRING))
    assert outcome(decisions) == [("redemption-done", "template-error"), ("points-expiring", "template-error")]
    assert [one.failed.error for one in decisions.effects.decisions] == ["UndefinedError", "missing"]
    NotifyHandler("/s", Clock.WALL).count(decisions)
    assert "redemption-done.en.txt" in caplog.text


@pytest.mark.parametrize(
    "text",
    [
        "Subject: {{ points.__class__ }}\n\ntext",
        "Subject: {{ ''.__class__.__mro__ }}\n\ntext",
        "Subject: {{ points['__class__'] }}\n\ntext",
        "Subject: {{ points | attr('__class__') }}\n\ntext",
        "Subject: x\n\n{% for a in 'aaaa' %}{{ a }}{% endfor %}",
        "Subject: x\n\n{{ 'a' * 1000000000 }}",
        "Subject: x\n\n{{ '%1000000000d' | format(1) }}",
        "Subject: x\n\n{{ 'x'.center(1000000000) }}",
        "Subject: x\n\n{% set a = 'x' %}",
        "Subject: x\n\n{% macro f() %}{{ f() }}{% endmacro %}",
        "Subject: x\n\n{% include 'other' %}",
        "Subject: x\n\n{{ range(1000000000) }}",
        "Subject: x\n\n{% if false %}{{ points | attr('__class__') }}{% endif %}",
    ],
)
def test_what_templates_may_not_do(text: str) -> None:
    with pytest.raises(TemplateSyntaxError):
        compile_template(text)
    known = with_profile(state(program(templates={"redemption-done.en.txt": text})))
    assert outcome(decide(known, event(rewards.REDEEMED))) == [("redemption-done", "template-error")]
    [problem] = check_templates(file_of(), {**TEMPLATES, "redemption-done.en.txt": text})
    assert problem.startswith(
        f"fresh-market.templates/redemption-done.en.txt:{1 if 'Subject: {' in text else 3}: found"
    )


def test_the_sandbox_itself_refuses_attributes() -> None:
    """In case the list of allowed nodes ever lets one through."""
    made = compile_template("x").environment.from_string("{{ name.__class__ }}")
    with pytest.raises(Exception, match="unsafe"):
        made.render(name="x")


def test_text_of_bearable_length() -> None:
    known = with_profile(state(program(templates={"redemption-done.en.txt": "Subject: x\n\n" + "y" * 10_000})))
    assert outcome(decide(known, event(rewards.REDEEMED))) == [("redemption-done", "template-error")]


def test_the_members_language_else_the_first() -> None:
    german = {**TEMPLATES, "redemption-done.de.txt": "Subject: Danke, {{ name }}\n\nGuten Appetit"}
    made = program(f"{NOTIFICATIONS}, languages: [en, de]", german)
    known = with_profile(state(made), locale="de-AT", name="Zoë\u2028Bcc")
    told = sent(decide(known, event(rewards.REDEEMED), event(points.EARNED)))
    assert [one["template"] for one in told] == ["redemption-done.de.txt", "points-earned.en.txt"]
    assert told[0]["rendered"] == {"subject": "Danke, Zoë Bcc", "text": "Guten Appetit"}
    assert told[0]["locale"] == "de-AT"
    assert "Hello Zoë" in told[1]["rendered"]["text"]


def test_what_is_said() -> None:
    known = with_profile(state())
    said = {one["kind"]: one["rendered"] for one in sent(decide(known, *(event(kind) for kind in KINDS)))}
    assert said["points-expiring"]["subject"] == "1,200 points will expire on 7 March 2017"
    assert "that is 7 more days" in said["points-expiring"]["text"]
    assert "until the end of 31 March 2018" in said["points-earned"]["text"]
    assert "You are Gold Club until the end of 31 December 2018 at least." in said["tier-upgraded"]["text"]
    assert "123.45 USD more and you keep it." in said["tier-expiring"]["text"]
    assert said["redemption-done"]["text"].startswith("Hello,\n\nYou turned 500 points into free tea, worth 5.00 USD.")


def file_of(notifications: str = NOTIFICATIONS) -> Any:
    text = program_text("give: 1 point per whole USD", notifications=f"{{{notifications}}}")
    return load(text)


def test_the_templates_that_we_ship_have_no_mistakes() -> None:
    assert read_templates(FOLDER.parent / "fresh-market.yaml", file_of()) == TEMPLATES
    assert check_templates(file_of(), TEMPLATES) == []


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("points-earned.en.txt", None, "points-earned.en.txt:1: found no such file"),
        ("points-earnt.en.txt", "Subject: x\n\ny", "points-earnt.en.txt:1: no template has this name"),
        ("points-earned.fr.txt", "Subject: x\n\ny", "points-earned.fr.txt:1: no template has this name"),
        ("points-earned.en.txt", "Hello\n\ny", 'points-earned.en.txt:1: the first line must begin with "Subject: "'),
        ("points-earned.en.txt", "Subject: x\ny\nz", "points-earned.en.txt:2: the second line must be empty"),
        ("points-earned.en.txt", "Subject: x\n\n{% if %}", "points-earned.en.txt:3: "),
        ("points-earned.en.txt", "Subject: x\n\na\n{{ tier }}", 'points-earned.en.txt:4: found the unknown name'),
        ("points-earned.en.txt", "Subject: x\n\n{{ points | nope }}", 'points-earned.en.txt:3: found "nope"'),
        ("points-earned.en.txt", f"Subject: x\n\n{'y' * 10_000}", "points-earned.en.txt:1: found more than 10,000"),
        ("points-earned.en.txt", f"Subject: x\n\n{{{{ {'(' * 5000} }}}}", "points-earned.en.txt:"),
    ],
)  # fmt: skip
def test_mistakes_in_templates(name: str, text: str | None, problem: str) -> None:
    found = {**TEMPLATES, name: text or ""}
    if text is None:
        del found[name]
    [said] = check_templates(file_of(), found)
    assert said.startswith(f"fresh-market.templates/{problem}")


def test_templates_that_are_no_text(tmp_path: Path) -> None:
    assert read_templates(tmp_path / "program.yaml", file_of()) == {}
    (tmp_path / "fresh-market.templates").mkdir()
    (tmp_path / "fresh-market.templates" / "points-earned.en.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="cannot read the templates"):
        read_templates(tmp_path / "program.yaml", file_of())
