"""How commands speak: tables for people, JSON or CSV for programs, and one line for what is wrong."""

from __future__ import annotations

import asyncio
import csv
import functools
import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Any, ParamSpec

import typer
from rich.console import Console
from rich.markup import escape

from shared.errors import LoyaltyError, ProgramFileError
from shared.invisible import escaped

#: Where nobody looks at a terminal, tables need not be squeezed.
_WIDTH = None if sys.stdout.isatty() else 160
console = Console(highlight=False, width=_WIDTH)
errors = Console(stderr=True, highlight=False)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
AsCsv = Annotated[bool, typer.Option("--csv", help="Print CSV.")]

#: What a spreadsheet takes for the beginning of a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
_AMOUNT = re.compile(r"[+-]?[0-9][0-9.,]*( [A-Z]{3})?")

P = ParamSpec("P")


def unreachable() -> tuple[type[Exception], ...]:
    """Return what a command meets when a server is away; imported when something went wrong."""
    import asyncpg
    from aiokafka.errors import KafkaError
    from kafka.errors import KafkaError as AdminKafkaError

    return (
        OSError,
        TimeoutError,
        asyncpg.CannotConnectNowError,
        asyncpg.PostgresConnectionError,
        asyncpg.InterfaceError,
        KafkaError,
        AdminKafkaError,
    )


def command(function: Callable[P, Any]) -> Callable[P, None]:
    """Turn a function into a command: coroutines are run, errors become one message and exit status 2."""

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            outcome = function(*args, **kwargs)
            if asyncio.iscoroutine(outcome):
                asyncio.run(outcome)
        except BrokenPipeError:
            # The reader (head, less) has seen enough. Python would complain once more when it flushes at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        except typer.Exit:
            raise
        except Exception as problem:
            explained = _explained(problem)
            if explained is None:
                raise
            errors.print(explained, markup=False, soft_wrap=True)
            raise typer.Exit(1 if isinstance(problem, ProgramFileError) else 2) from None

    return run


def _explained(problem: Exception) -> str | None:
    """Say what is wrong and what to do; None if it is a mistake of ours."""
    if isinstance(problem, LoyaltyError):
        return str(problem)
    import asyncpg

    if isinstance(problem, asyncpg.UndefinedTableError):
        return "the database has no tables yet; make them with `loyalty database migrate`"
    if isinstance(problem, asyncpg.UndefinedColumnError):
        return "the tables are those of an older version; bring them up to date with `loyalty database migrate`"
    if not isinstance(problem, unreachable()):
        return None
    cause = f"{type(problem).__name__}: {problem}".removesuffix(": ")
    return f"Kafka or PostgreSQL does not answer ({cause}); `loyalty status` tells what runs, `loyalty up` starts it"


def show(
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
    *,
    as_json: bool = False,
    as_csv: bool = False,
    title: str = "",
) -> None:
    """Print rows as a table, as JSON (a list of objects) or as CSV."""
    if as_json:
        print_json([dict(zip(columns, row, strict=True)) for row in rows])
    elif as_csv:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(map(_spreadsheet_safe, row) for row in rows)
    else:
        from rich import box
        from rich.table import Table

        # Lines between columns would take a third of a narrow terminal.
        table = Table(title=title or None, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
        for column in columns:
            # Rather on two lines than without its end: an id that is cut can't be asked for.
            table.add_column(column, overflow="fold")
        for row in rows:
            table.add_row(*map(_cell, row))
        console.print(table)


def _cell(value: object) -> str:
    """Show a value in a table; ids are other people's words, so "[/x]" in one is no markup."""
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else escape(escaped(str(value)))


def _spreadsheet_safe(value: object) -> object:
    """Keep a spreadsheet from running other people's words: text that begins like a formula gets an apostrophe.

    Source: OWASP, CSV injection. Numbers and amounts of money stay what they are.
    """
    runs = isinstance(value, str) and value.startswith(_FORMULA) and not _AMOUNT.fullmatch(value)
    return f"'{value}" if runs else value


def print_json(value: object) -> None:
    """Print a value as JSON."""
    print(json.dumps(value, indent=2, default=str))


def say(text: str) -> None:
    """Tell a person what is being done."""
    errors.print(text, markup=False, soft_wrap=True)


def say_if(problem: str | None) -> None:
    """Tell a person what did not work, if something did not."""
    if problem is not None:
        say(problem)
