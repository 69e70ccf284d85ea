"""Tables and lines of what stands in the ledger, as several commands print them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.markup import escape

from cli.output import console, show
from shared.invisible import escaped
from shared.queries.views.of_members import EntryView


def print_entries(entries: Sequence[EntryView], title: str) -> None:
    """Print entries as a table; whose they are, and in which wallet, only where there are several."""
    rows = [
        {
            "member": e.member_id,
            "wallet": e.wallet,
            "version": e.version,
            "occurred at (UTC)": plain_instant(e.occurred_at),
            "operation": e.operation,
            "points": e.points,
            "lot": short(e.lot),
            "rule": e.rule,
            "cause": e.cause,
            "balance after": _balance(e),
        }
        for e in entries
    ]
    columns = [
        name
        for name in (rows[0] if rows else ())
        if name not in {"member", "wallet"} or len({row[name] for row in rows}) > 1
    ]
    print_table(columns, [[row[name] for name in columns] for row in rows], title)


def plain_instant(at: str | None) -> str:
    """Return an instant for a table that says UTC, without seconds."""
    return at[:16].replace("T", " ") if at else ""


def _balance(entry: EntryView) -> str:
    """Return the balances after an entry: what is available, and the others where there is anything."""
    others = (("pending", entry.pending), ("reserved", entry.reserved), ("debt", entry.debt))
    words = [f"{name} {points:,}" for name, points in others if points]
    return f"{entry.available:,}" + (f" ({', '.join(words)})" if words else "")


def life(expires_at: str | None, idle: str | None, words: str | None) -> str:
    """Return until when a lot's points live, in words; ``words``: see ``LotView.life``."""
    if expires_at is None and words:
        return f"{words}, once available"
    return expires_at or (f"after {idle}" if idle else "never")


def short(lot: str | None) -> str:
    """Return the beginning of a lot's number: enough to tell a member's lots apart."""
    return f"{lot[:6]}…" if lot else ""


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], title: str) -> None:
    """Print a table under a title, if it has rows."""
    cells = [[cell if type(cell) is int else _cell(cell) for cell in row] for row in rows]
    if cells:
        show(columns, cells, title=escape(title))


def print_records(records: Sequence[Any], columns: Sequence[str], title: str) -> None:
    """Print some fields of views, or of JSON objects, as a table."""
    names = [column.removesuffix("_").replace("_", " ") for column in columns]
    print_table(names, [[_field(record, column) for column in columns] for record in records], title)


def _field(record: Any, name: str) -> Any:
    return record[name] if isinstance(record, Mapping) else getattr(record, name)


def print_line(text: str) -> None:
    """Print a line as it is."""
    console.print(escaped(text), markup=False, soft_wrap=True)


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else escaped(str(value))
