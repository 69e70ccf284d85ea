"""What became of each rule of a purchase."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from services.earn.rating.awards import Verdict
from shared.queries.views.of_causes import VerdictView


def verdict_views(verdicts: Iterable[Verdict], rules: Sequence[str]) -> tuple[VerdictView, ...]:
    """Return what became of each rule, in the program's order."""
    return tuple(VerdictView(*one) for one in sorted(verdicts, key=lambda one: rules.index(one.rule)))
