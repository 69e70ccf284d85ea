"""What became of each rule of a purchase, in a table."""

from __future__ import annotations

from collections.abc import Sequence

from cli.render.tables import print_table
from shared.queries.views.of_causes import VerdictView

_IN_WORDS = {
    "paid": "paid",
    "capped": "paid up to its cap",
    "condition": "did not apply",
    "no-line": "no line for it",
    "nothing": "came to nothing",
    "replaced": "was replaced",
    "not-best": "was not the best",
}


def print_verdicts(verdicts: Sequence[VerdictView], title: str) -> None:
    """Print what became of each rule."""
    print_table(
        ("rule", "outcome", "points", "why"),
        [(one.rule, _IN_WORDS[one.outcome], one.points, one.detail) for one in verdicts],
        title,
    )
