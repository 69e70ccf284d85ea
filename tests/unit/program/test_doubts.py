"""What a file may say but probably does not mean: warnings with the line, never a refusal."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.main import app
from shared.program.language.loader import doubts_about
from tests.support.build import program_text
from tools.documents import ROOT

GIVE = "give: 1 point per whole USD"
CAPPED = "{points: {name: P, unit: point, expiry: never, cap: 50 points per day}}"


@pytest.mark.parametrize(
    ("rules", "sections", "field", "hint"),
    [
        ([f"{GIVE}, rounding: down per line"], {}, "earning[0].give", "each line is rounded down by itself"),
        (["give: 0.5 points per USD, rounding: down per line"], {}, "earning[0].give", "down per order"),
        ([f"{GIVE}, cap: 60 points per day"], {"wallets": CAPPED}, "earning[0].cap", "the wallet's own cap of 50"),
        ([f"{GIVE}, when: {{store: '7, 8'}}"], {}, "earning[0].when.store", "write [7, 8] for several"),
        ([f"{GIVE}, for: {{brand: 'A, B'}}"], {}, "earning[0].for.brand", "write [A, B] for several"),
        ([f"{GIVE}, best_of: offer"], {}, "earning[0].best_of", 'no other rule has the word "offer"'),
        ([GIVE, f"{GIVE}, says: once more"], {}, "earning[1].rule", "pays the same, for the same, as rule-0"),
        ([GIVE], {"wallets": "{points: {name: P, unit: point, expiry: 1 year}}"}, "wallets.points.expiry", "remind:"),
    ],
)
def test_a_doubt(rules: list[str], sections: dict[str, str], field: str, hint: str) -> None:
    (doubt,) = doubts_about(program_text(*rules, **sections), "shop.yaml")
    assert f": {field}: " in doubt
    assert hint in doubt
    assert doubt.startswith("shop.yaml:")


def test_what_is_meant_raises_no_doubt() -> None:
    rules = [
        GIVE,
        f"{GIVE}, for: {{brand: A}}, rounding: half-up per line",
        f"{GIVE}, when: {{channel: web}}, best_of: a",
        f"{GIVE}, when: {{channel: app}}, best_of: a",
        "give: 2 points per USD, rounding: down per line",
    ]
    assert doubts_about(program_text(*rules)) == []
    assert doubts_about((ROOT / "programs/fresh-market.yaml").read_text()) == []


def test_a_warning_is_no_mistake(tmp_path: Path) -> None:
    file = tmp_path / "shop.yaml"
    file.write_text(program_text(GIVE, GIVE))
    checked = CliRunner().invoke(app, ["program", "check", str(file)])
    assert checked.exit_code == 0
    assert "warning: " in checked.output
    assert "no mistakes found" in checked.output
