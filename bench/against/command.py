"""``python -m bench against``: this tree against another revision."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from bench.against.comparison import ROWS, Wanted, compare_trees
from bench.against.packages import interpreter_for
from bench.against.revision import checked_out, commit_of, is_changed
from bench.against.tree import Tree
from bench.against.witness import packages_of
from bench.interrupts import stopping_cleanly
from bench.running import RunFailed
from shared.errors import LoyaltyError

_ROOT = Path(__file__).resolve().parents[2]
_STOPPED = 130


def against(
    rev: Annotated[str, typer.Option(help="The other revision: a commit, a branch or a tag.")],
    row: Annotated[
        list[str] | None, typer.Option(help=f"What to run, more than once if need be: {', '.join(ROWS)}.")
    ] = None,
    pairs: Annotated[int, typer.Option(min=1, max=100, help="How often each tree runs a row.")] = 5,
    size: Annotated[int | None, typer.Option(min=100, help="Events a run, in the place of the row's own.")] = None,
    rate: Annotated[
        float | None, typer.Option(min=1, help="Events a second in latency and redemptions.", show_default="the row's")
    ] = None,
) -> None:
    """Run rows on this tree and on another revision in turns, with the same load, and print ratios.

    Exit status 1 if a run goes wrong or the trees' results differ, 2 if there is no such revision or row.
    """
    rows = row or ["purchases"]
    if unknown := set(rows) - set(ROWS):
        raise typer.BadParameter(f"{', '.join(sorted(unknown))}; there are {', '.join(ROWS)}", param_hint="--row")
    console = Console(width=130)
    try:
        with stopping_cleanly():
            _compare(rev, rows, Wanted(pairs, size, rate), console)
    except (RunFailed, LoyaltyError) as problem:
        console.print(str(problem), markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(1 if isinstance(problem, RunFailed) else 2) from None
    except KeyboardInterrupt:
        console.print("stopped")
        raise typer.Exit(_STOPPED) from None


def _compare(rev: str, rows: list[str], wanted: Wanted, console: Console) -> None:
    commit, mine = commit_of(_ROOT, rev), commit_of(_ROOT, "HEAD")
    changed = ", with changes" if is_changed(_ROOT) else ""
    console.print(f"this tree ({mine}{changed}) against {rev} ({commit})", highlight=False)
    with checked_out(_ROOT, commit) as folder:
        python = interpreter_for(_ROOT, folder, console.print)
        packages = packages_of(_ROOT, folder)
        new = Tree("this tree", _ROOT, Path(sys.executable), packages)
        old = Tree(commit, folder, python, packages)
        for row in rows:
            compare_trees(row, {"new": new, "old": old}, wanted, console)
