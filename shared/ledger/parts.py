"""The parts of a redemption, as they stand in its row: from which lots its points came."""

from __future__ import annotations

import json
from collections.abc import Sequence

from shared.ledger.model import Part, Terms


def parts_to_json(parts: Sequence[Part]) -> str:
    """Return parts as JSON, each [available at, expires at, fulfils, points], then idle and life where they are set."""
    return json.dumps([_part_as_json(part) for part in parts])


def _part_as_json(part: Part) -> list[int | str]:
    terms = part.terms
    values: list[int | str] = [terms.available_at, terms.expires_at, terms.fulfils.hex(), part.points]
    if terms.idle or terms.life:
        values.append(terms.idle)
    if terms.life:
        values.append(terms.life)
    return values


def parts_from_json(text: str) -> tuple[Part, ...]:
    """Return the parts of a redemption from its row."""
    return tuple(
        Part(Terms(available_at, expires_at, bytes.fromhex(fulfils), *more), points)
        for available_at, expires_at, fulfils, points, *more in json.loads(text)
    )
