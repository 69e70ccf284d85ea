"""Generated documents are up to date, and what written documents name exists."""

from __future__ import annotations

import json
import re
import shlex
from copy import deepcopy
from pathlib import Path

import jsonschema
import pytest
import typer.main
from typer.testing import CliRunner

import tools.documents
from cli.main import app
from shared.contracts.catalogue import EVENTS, SERVICES, Event
from shared.program.compiled.program import compile_program
from shared.program.language.grammar import Give
from shared.program.language.loader import load
from shared.program.templates import PARAMETERS, check_templates
from tools.documents import ROOT, documents, promises_broken, schema_of, schema_path

README = (ROOT / "README.md").read_text()
LANGUAGE = (ROOT / "docs/program-file.md").read_text()


DOCUMENTS = documents()


@pytest.mark.parametrize("path", DOCUMENTS, ids=str)
def test_a_generated_document_is_up_to_date(path: Path) -> None:
    assert (ROOT / path).read_text() == DOCUMENTS[path], "run `make docs`"


@pytest.mark.parametrize("event", EVENTS.values(), ids=EVENTS)
def test_an_event_schema_is_valid(event: Event) -> None:
    jsonschema.Draft202012Validator.check_schema(json.loads((ROOT / schema_path(event)).read_text()))


def test_every_file_about_an_event_is_of_one_that_exists() -> None:
    names = {path.name for path in (ROOT / "docs/events").iterdir()}
    expected = {f"{event_type}.{kind}.json" for event_type in EVENTS for kind in ("schema", "example")}
    assert names == expected | {"README.md", "asyncapi.json"}


def test_no_committed_promise_is_broken() -> None:
    assert promises_broken() == [], "an incompatible change needs a new event type"


@pytest.mark.parametrize("event", [EVENTS["loyalty.points.earned.v1"], EVENTS["loyalty.purchase.completed.v1"]])
def test_a_broken_promise_is_refused_and_nothing_is_written(event: Event, monkeypatch: pytest.MonkeyPatch) -> None:
    held = deepcopy(schema_of(event))
    if event.direction == "out":
        held["properties"]["gone"] = {"type": "string"}
    else:
        held["required"].remove("currency")
    monkeypatch.setattr(tools.documents, "committed", lambda _revision: {schema_path(event): held})
    monkeypatch.setattr(tools.documents, "ROOT", Path("/nowhere"))
    with pytest.raises(SystemExit, match=f"{event.type}, since HEAD: (gone: is gone|currency: may be missing)"):
        tools.documents.main()


def test_an_event_type_may_not_vanish(monkeypatch: pytest.MonkeyPatch) -> None:
    gone = Path("docs/events/loyalty.points.lent.v1.schema.json")
    monkeypatch.setattr(tools.documents, "committed", lambda revision: {gone: {}} if revision == "HEAD" else {})
    assert promises_broken() == ["loyalty.points.lent.v1, since HEAD: the event type is gone"]


def commands_of_readme() -> list[str]:
    blocks = re.findall(r"```(?:sh|bash)\n(.*?)```", README, flags=re.S)
    lines = [line.split("  #")[0].strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


@pytest.mark.parametrize("line", commands_of_readme())
def test_a_command_of_the_readme_exists(line: str) -> None:
    """The commands that start the stack and replay the year run in test_year; here each one is parsed for real."""
    words = shlex.split(line)
    if words[0] == "make":
        targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.M)
        assert words[1] in targets
    elif words[0].endswith("loyalty"):
        group = typer.main.get_command(app)
        context = group.make_context("loyalty", words[1:], resilient_parsing=True)
        assert context is not None
        asked = [word for word in words[1:] if re.fullmatch(r"[a-z-]+", word) and not word.startswith("-")]
        outcome = CliRunner().invoke(app, [*asked[:2], "--help"])
        if outcome.exit_code:
            outcome = CliRunner().invoke(app, [asked[0], "--help"])
        assert outcome.exit_code == 0, outcome.output
        for option in re.findall(r"--[a-z-]+", line):
            assert option in outcome.output
    elif words[0].endswith("faust"):
        assert words[1:] in [["-A", f"services.{service}.app", "worker"] for service in SERVICES]
    else:
        assert words[0] in {"git", "cd"}, f"nobody checks that {line!r} works"


@pytest.mark.parametrize(
    "snippet", re.findall(r"```yaml\n(.*?)```", (ROOT / "docs/program-file.md").read_text(), flags=re.S)
)
def test_a_program_of_the_documentation_is_read(snippet: str) -> None:
    compile_program(load(snippet, "docs/program-file.md"), 1)


def test_the_texts_of_the_documentation_are_those_that_its_program_needs() -> None:
    texts = dict(re.findall(r"`messages/([^`]+)`\n\n```text\n(.*?)```", LANGUAGE, flags=re.S))
    (program,) = [
        load(snippet, "docs/program-file.md")
        for snippet in re.findall(r"```yaml\n(.*?)```", LANGUAGE, flags=re.S)
        if "templates: messages" in snippet
    ]
    assert check_templates(program, texts) == []
    assert program.notifications is not None
    assert len(texts) == len(program.notifications.tell)
    documented = dict(
        re.findall(r"^\| `([a-z-]+)` \| (`[^|]*) \|$", LANGUAGE[LANGUAGE.index("The braces") :], flags=re.M)
    )
    assert {
        kind: frozenset(re.findall(r"`([a-z_]+)`", re.sub(r"\(.*?\)", "", values)))
        for kind, values in documented.items()
    } == PARAMETERS


@pytest.mark.parametrize("phrase", re.findall(r"^\| `([^`]+ per [^`]+)` \|", LANGUAGE, flags=re.M))
def test_a_rate_of_the_documentation_is_read(phrase: str) -> None:
    assert Give.parse(phrase).points > 0


def test_links_of_the_documents_lead_somewhere() -> None:
    for document in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]:
        for link in re.findall(r"\]\(([^)#]+)[^)]*\)", document.read_text()):
            if "://" not in link:
                assert (document.parent / link).exists(), f"{document.name}: {link}"


def test_paths_in_the_documents_exist() -> None:
    tops = {path.name for path in ROOT.iterdir()}
    example = (ROOT / "tests/data/adding_an_event/member_segmented.patch").read_text()
    made_there = set(re.findall(r"^\+\+\+ b/(.*)$", example, re.MULTILINE))
    for document in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]:
        for name in re.findall(r"`([\w./-]+)`", document.read_text()):
            if "/" in name and name.split("/")[0] in tops:
                assert (ROOT / name).exists() or name in made_there, f"{document.name}: {name}"


def test_nothing_in_the_write_path_copies() -> None:
    """transaction_timeout does not end a backend in COPY: a frozen worker would hold its locks for ever."""
    sources = [path for folder in ("shared", "services") for path in (ROOT / folder).rglob("*.py")]
    assert sources
    assert [path for path in sources if "copy_to_table" in path.read_text() or "copy_records" in path.read_text()] == []
