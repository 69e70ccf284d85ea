"""Lists a page at a time: by the sort key of the last row that was shown, so that each page costs the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

Row = TypeVar("Row")
View = TypeVar("View")
Cursor = TypeVar("Cursor", bound=tuple[object, ...])


@dataclass(frozen=True, slots=True)
class Page(Generic[View, Cursor]):
    """Some rows of a list.

    Attributes:
        rows: In the order of the list.
        next: The sort key of the last of them, after which the next page begins; None: there are no more.
    """

    rows: tuple[View, ...]
    next: Cursor | None


def page_of(
    rows: Sequence[Row], limit: int, view: Callable[[Row], View], cursor: Callable[[Row], Cursor]
) -> Page[View, Cursor]:
    """Return the page of rows that were asked for with a limit of one more: that one tells that there are more."""
    shown = rows[:limit]
    return Page(tuple(view(row) for row in shown), cursor(shown[-1]) if shown and len(rows) > limit else None)
