"""What became of each rule of a purchase."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from services.earn.rating.awards import Verdict
from shared.queries.words import Json


def verdicts_as_json(verdicts: Iterable[Verdict], rules: Sequence[str]) -> list[Json]:
    """Return what became of each rule, in the program's order."""
    return [one._asdict() for one in sorted(verdicts, key=lambda one: rules.index(one.rule))]
