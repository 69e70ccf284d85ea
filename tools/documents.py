"""Writes the documents that are generated from code: ``make docs``; a test checks that they are up to date."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from shared import settings
from shared.contracts.catalogue import EVENTS, Event
from shared.program.language.loader import json_schema
from tools import asyncapi
from tools.compatibility import breaks

ROOT = Path(__file__).parents[1]

_FOLDER = Path("docs/events")
_SUFFIX = ".schema.json"
#: The previous commit is included for CI, which tests a change after it was committed.
_REVISIONS = ("HEAD", "HEAD^")
#: Event types that changed incompatibly before they were published anywhere; to be emptied two commits later.
WITHDRAWN: frozenset[str] = frozenset()
_DRAFT = "https://json-schema.org/draft/2020-12/schema"


def documents() -> dict[Path, str]:
    """Return the text of every generated document, by path in the repository."""
    found = {
        Path("docs/settings.md"): settings.as_markdown(),
        Path("docs/program-file.schema.json"): _json(json_schema()),
        _FOLDER / "asyncapi.json": _json(asyncapi.document()),
        _FOLDER / "README.md": _index(),
    }
    for event in EVENTS.values():
        found[schema_path(event)] = _json(schema_of(event))
    return found


def schema_path(event: Event) -> Path:
    """Return the path of an event's schema."""
    return _FOLDER / f"{event.type}{_SUFFIX}"


def schema_of(event: Event) -> dict[str, Any]:
    """Return the published schema of an event."""
    return {"$schema": _DRAFT, "$id": event.type, **event.schema()}


def promises_broken() -> list[str]:
    """Return the incompatible changes since the last commits; empty in a folder without git."""
    found = []
    for revision in _REVISIONS:
        for path, held in committed(revision).items():
            event_type = path.name.removesuffix(_SUFFIX)
            event = EVENTS.get(event_type)
            if event_type in WITHDRAWN:
                continue
            broken = breaks(held, schema_of(event), event.direction) if event else ["the event type is gone"]
            found += [f"{event_type}, since {revision}: {what}" for what in broken]
    return found


def committed(revision: str) -> dict[Path, dict[str, Any]]:
    """Return the schemas of events in a commit, by path."""
    listed = _git("ls-tree", "--name-only", revision, f"{_FOLDER}/")
    paths = [Path(line) for line in (listed or "").splitlines() if line.endswith(_SUFFIX)]
    return {path: json.loads(_git("show", f"{revision}:{path}") or "{}") for path in paths}


def _git(*words: str) -> str | None:
    try:
        done = subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, text=True, check=False)  # noqa: S603, S607 - words of this module
    except FileNotFoundError:
        return None
    return done.stdout if done.returncode == 0 else None


def main() -> None:
    """Write all documents, unless a schema would break those who use the committed one."""
    broken = promises_broken()
    if broken:
        sys.exit("\n".join([*broken, "An incompatible change needs a new event type (….v2); nothing was written."]))
    for path, text in documents().items():
        target = ROOT / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)


def _index() -> str:
    lines = [
        "# Events",
        "",
        "Every event is a CloudEvent 1.0 over Kafka; the record's key is the member. [asyncapi.json](asyncapi.json)",
        "has them all. Generated from `shared/contracts/catalogue.py` by `make docs`; examples are written by hand.",
        "",
        "An incompatible change needs a new type: `make docs` and the tests refuse it. What we read may get looser,",
        "never stricter; what we send may get more fields, never fewer or other ones. Ignore what you do not know.",
        "",
        "| event | topic | | says |",
        "|---|---|---|---|",
    ]
    for event in EVENTS.values():
        links = f"[schema]({event.type}.schema.json), [example]({event.type}.example.json)"
        lines.append(f"| `{event.type}` | `{event.topic}`, {event.direction} | {links} | {event.says} |")
    return "\n".join(lines) + "\n"


def _json(value: object) -> str:
    return json.dumps(value, indent=2) + "\n"


if __name__ == "__main__":
    main()
