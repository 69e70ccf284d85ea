"""A new event kind touches at most six files, and is decided, archived, replayed, as docs/adding-an-event.md tells."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.deployment import Servers
from tools.documents import ROOT

EXAMPLE = ROOT / "tests" / "data" / "adding_an_event"
PATCH = EXAMPLE / "member_segmented.patch"
DOCUMENT = (ROOT / "docs" / "adding-an-event.md").read_text()
_MOST = 6


def changed() -> list[str]:
    """Every file of the product that the example changes or adds."""
    files = re.findall(r"^\+\+\+ b/(.*)$", PATCH.read_text(), re.MULTILINE)
    return [file for file in files if not file.startswith("tests/")]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The tree with the example in it."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0"):
        if name and (ROOT / name).is_file():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, tmp_path / name)
    subprocess.run(["git", "apply", "-C1", str(PATCH)], cwd=tmp_path, check=True)
    return tmp_path


def run(copy: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=copy, env={**os.environ, "PYTHONPATH": str(copy)}, capture_output=True, text=True, check=False, timeout=100,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_new_event_kind_touches_few_files() -> None:
    assert 3 <= len(changed()) <= _MOST


def test_the_document_names_every_file_and_shows_what_is_in_it() -> None:
    for file in changed():
        assert f"`{file}`" in DOCUMENT
    added = {line[1:].strip() for line in PATCH.read_text().splitlines() if line.startswith("+")}
    shown = "\n".join(re.findall(r"^```(?:python|text)\n(.*?)^```", DOCUMENT, re.MULTILINE | re.DOTALL))
    assert len(shown.splitlines()) > 20
    assert not [line for line in shown.splitlines() if line.strip() not in added]


def test_it_is_decided_archived_and_replayed(copy: Path, servers: Servers) -> None:
    seen = json.loads(run(
        copy, str(EXAMPLE / "see_it.py"), str(copy), servers.url, str(servers.broker.port), servers.kind
    ))  # fmt: skip
    assert seen == {
        "direction": "in",
        "students": ["o2"],
        "member": [[None, [4, 23], [], {}]],
        "archived": 5,
        "duplicates": 1,
        "dead letters": [["conflict", "loyalty.member.segmented.v1", "c1"]],
    }


def test_the_registry_and_the_documents_take_it(copy: Path) -> None:
    """What is derived from the catalogue: contracts, topics, ids, schemas, the description of all events."""
    run(copy, "-m", "tools.documents")
    assert (copy / "docs/events/loyalty.member.segmented.v1.schema.json").exists()
    tests = ("tests/unit/contracts/test_catalogue.py", "tests/unit/contracts/test_events.py")
    run(copy, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests)
