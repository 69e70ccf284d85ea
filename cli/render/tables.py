"""Tables and lines of what stands in the ledger, as several commands print them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from rich.markup import escape

from cli.output import console, show
from shared.invisible import escaped
from shared.queries.words import Json, Named


def print_entries(entries: Sequence[Json], title: str) -> None:
    """Print entries as a table; whose they are, and in which wallet, only where there are several."""
    rows = [
        {
            "member": e["member_id"], "wallet": e["wallet"], "version": e["version"],
            "occurred at (UTC)": plain_instant(e["occurred_at"]), "operation": e["operation"], "points": e["points"],
            "lot": short(e["lot"]), "rule": e["rule"], "cause": Named(**e["cause"]), "balance after": _balance(e),
        }
        for e in entries
    ]  # fmt: skip
    columns = [
        name for name in (rows[0] if rows else ())
        if name not in {"member", "wallet"} or len({row[name] for row in rows}) > 1
    ]  # fmt: skip
    print_table(columns, [[row[name] for name in columns] for row in rows], title)


def plain_instant(at: str | None) -> str:
    """Return an instant for a table that says UTC, without seconds."""
    return at[:16].replace("T", " ") if at else ""


def _balance(entry: Json) -> str:
    """Return the balances after an entry: what is available, and the others where there is anything."""
    others = [f"{name} {entry[name]:,}" for name in ("pending", "reserved", "debt") if entry[name]]
    return f"{entry['available']:,}" + (f" ({', '.join(others)})" if others else "")


def short(lot: str | None) -> str:
    """Return the beginning of a lot's number: enough to tell a member's lots apart."""
    return f"{lot[:6]}…" if lot else ""


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], title: str) -> None:
    """Print a table under a title, if it has rows."""
    cells = [[cell if type(cell) is int else _cell(cell) for cell in row] for row in rows]
    if cells:
        show(columns, cells, title=escape(title))


def print_records(records: Sequence[Json], columns: Sequence[str], title: str) -> None:
    """Print some fields of records as a table."""
    names = [column.replace("_", " ") for column in columns]
    print_table(names, [[record[column] for column in columns] for record in records], title)


def print_line(text: str) -> None:
    """Print a line as it is."""
    console.print(escaped(text), markup=False, soft_wrap=True)


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else escaped(str(value))
