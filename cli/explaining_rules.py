"""What became of each rule of a purchase, for people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from cli.reading_words import Json, print_table
from services.earn.awards import Verdict

_IN_WORDS = {
    "paid": "paid",
    "capped": "paid up to its cap",
    "condition": "did not apply",
    "no-line": "no line for it",
    "nothing": "came to nothing",
    "replaced": "was replaced",
    "not-best": "was not the best",
}


def verdicts_as_json(verdicts: Iterable[Verdict], rules: Sequence[str]) -> list[Json]:
    """Return what became of each rule, in the program's order."""
    return [one._asdict() for one in sorted(verdicts, key=lambda one: rules.index(one.rule))]


def print_verdicts(verdicts: Sequence[Json], title: str) -> None:
    """Print what became of each rule."""
    print_table(
        ("rule", "outcome", "points", "why"),
        [(one["rule"], _IN_WORDS[one["outcome"]], one["points"], one["detail"]) for one in verdicts],
        title,
    )
