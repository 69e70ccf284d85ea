"""Every program in ``programs/`` against the worked example beside it: events in, the ledger computed by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ruamel.yaml import YAML
from typer.testing import CliRunner

from cli.main import app
from tools.documents import ROOT

PROGRAMS = ROOT / "programs"
EXAMPLES = sorted(PROGRAMS.glob("*.example.jsonl"))


def test_every_program_but_the_demonstrations_has_a_worked_example() -> None:
    named = {path.name.removesuffix(".example.jsonl") for path in EXAMPLES}
    assert named == {path.stem for path in PROGRAMS.glob("*.yaml") if ".example" not in path.name} - {
        "fresh-market", "fresh-market-tiers", "fresh-market-rich",
    }  # fmt: skip


@pytest.mark.parametrize("events", EXAMPLES, ids=lambda path: path.name.removesuffix(".example.jsonl"))
def test_a_worked_example(events: Path) -> None:
    name = events.name.removesuffix(".example.jsonl")
    checked = CliRunner().invoke(app, ["program", "check", str(PROGRAMS / f"{name}.yaml")])
    assert checked.exit_code == 0, checked.output
    ran = CliRunner().invoke(app, ["rehearse", str(PROGRAMS / f"{name}.yaml"), str(events), "--json"])
    assert ran.exit_code == 0, ran.output
    outcome = json.loads(ran.stdout)
    assert outcome["refused"] == []
    expected = YAML(typ="safe").load((PROGRAMS / f"{name}.example.expected.yaml").read_text())
    assert [
        [one["member_id"], one["wallet"], one["operation"], one["points"], one["rule"]]
        for one in outcome["entries"]
        if one["points"]
    ] == expected
