"""Writes the documents that are generated from code: ``make docs``; a test checks that they are up to date."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from shared import settings
from shared.contracts import control, dead_letters, points, purchases
from shared.program.loader import json_schema

ROOT = Path(__file__).parents[1]

#: Every event type with the model of its data.
EVENTS: dict[str, TypeAdapter[Any]] = {
    purchases.COMPLETED: purchases.PURCHASE_COMPLETED.adapter,
    points.EARNED: points.POINTS_EARNED,
    dead_letters.REFUSED: dead_letters.EVENT_REFUSED,
    control.PROGRAM_PUBLISHED: control.PROGRAM_PUBLISHED_DATA,
    control.CLOCK_MOVED: control.CLOCK_MOVED_DATA,
}
_DRAFT = "https://json-schema.org/draft/2020-12/schema"


def documents() -> dict[Path, str]:
    """Return the text of every generated document, by path in the repository."""
    found = {
        Path("docs/settings.md"): settings.as_markdown(),
        Path("docs/program-file.schema.json"): _json(json_schema()),
    }
    for event_type, adapter in EVENTS.items():
        schema = {"$schema": _DRAFT, "$id": event_type, **adapter.json_schema()}
        found[Path(f"docs/events/{event_type}.schema.json")] = _json(schema)
    return found


def main() -> None:
    """Write them all."""
    for path, text in documents().items():
        target = ROOT / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)


def _json(value: object) -> str:
    return json.dumps(value, indent=2) + "\n"


if __name__ == "__main__":
    main()
