"""How commands speak: tables for people, JSON or CSV for programs, and one line for what is wrong."""

from __future__ import annotations

import asyncio
import csv
import functools
import json
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Any, ParamSpec

import asyncpg
import typer
from aiokafka.errors import KafkaError as AioKafkaError
from kafka.errors import KafkaError
from rich.console import Console
from rich.table import Table

from shared.errors import LoyaltyError, ProgramFileError

#: Where nobody looks at a terminal, tables need not be squeezed.
_WIDTH = None if sys.stdout.isatty() else 160
console = Console(highlight=False, width=_WIDTH)
errors = Console(stderr=True, highlight=False)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
AsCsv = Annotated[bool, typer.Option("--csv", help="Print CSV.")]

P = ParamSpec("P")


def command(function: Callable[P, Any]) -> Callable[P, None]:
    """Turn a function into a command: coroutines are run, errors become one message and exit status 2."""

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            outcome = function(*args, **kwargs)
            if asyncio.iscoroutine(outcome):
                asyncio.run(outcome)
        except ProgramFileError as problem:
            for line in problem.problems:
                errors.print(line, markup=False, soft_wrap=True)
            raise typer.Exit(1) from None
        except LoyaltyError as problem:
            errors.print(str(problem), markup=False, soft_wrap=True)
        except (OSError, asyncpg.CannotConnectNowError, asyncpg.PostgresConnectionError) as problem:
            hint = "Is it up? `loyalty status` tells, `loyalty up` starts it."
            errors.print(f"cannot reach the stack: {problem}. {hint}", markup=False, soft_wrap=True)
        except (KafkaError, AioKafkaError) as problem:
            errors.print(f"Kafka says: {problem!r}", markup=False, soft_wrap=True)
        except asyncpg.UndefinedTableError:
            errors.print("the database has no tables yet; make them with `loyalty database migrate`", markup=False)
        else:
            return
        raise typer.Exit(2)

    return run


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
        writer.writerows(rows)
    else:
        table = Table(*columns, title=title or None, title_justify="left")
        for row in rows:
            table.add_row(
                *(f"{cell:,}" if isinstance(cell, int) and not isinstance(cell, bool) else str(cell) for cell in row)
            )
        console.print(table)


def print_json(value: object) -> None:
    """Print a value as JSON."""
    print(json.dumps(value, indent=2, default=str))


def say(text: str) -> None:
    """Tell a person what is being done."""
    errors.print(text, markup=False)
