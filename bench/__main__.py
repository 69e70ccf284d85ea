"""``python -m bench``: the tables of ``make bench``."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from bench import flow_rows, purchase_rows, rich_row, rules_row, service_rows
from bench.deployment import Servers
from bench.figures import Figure, table
from bench.sizes import SMALL, Sizes
from cli.embedded import postgres
from cli.embedded.servers import broker_server, start_postgres

FLOW_ROWS: dict[str, Callable[[Servers, Sizes], Awaitable[list[Figure]]]] = {
    "pipeline": flow_rows.pipeline,
    "redemptions": service_rows.redemption_answers,
    "expiry": service_rows.expiry,
    "tiers": service_rows.tiers,
    "notifications": service_rows.notifications,
    "look-up": service_rows.look_up,
    "rules": rules_row.rules,
    "rich": rich_row.rich,
}
_NAMES = ("purchases", "flow", *FLOW_ROWS)


def main(
    only: Annotated[
        list[str] | None, typer.Option(help=f"What to run, more than once if need be: {', '.join(_NAMES)}")
    ] = None,
    small: Annotated[bool, typer.Option(help="Only see whether everything works; the figures mean little")] = False,
) -> None:
    """Run the benchmark; exit status 1 if contestants that must agree do not."""
    wanted = set(only or ("purchases", "flow"))
    if unknown := wanted - set(_NAMES):
        raise typer.BadParameter(f"{', '.join(sorted(unknown))}; there are {', '.join(_NAMES)}")
    rows = [name for name in FLOW_ROWS if name in wanted or "flow" in wanted]
    sizes = Sizes()
    if small:
        # What the environment says counts more.
        sizes = Sizes.model_validate({**SMALL, **sizes.model_dump(include=sizes.model_fields_set)})
    raise typer.Exit(asyncio.run(_run(sizes, rows, purchases="purchases" in wanted)))


async def _run(sizes: Sizes, rows: Sequence[str], *, purchases: bool) -> int:
    """Run everything on servers of its own, which are stopped in any case."""
    console = Console(width=130)
    with tempfile.TemporaryDirectory(prefix="loyalty-bench-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        database, url = await asyncio.to_thread(start_postgres, folder)
        broker = broker_server("tansu", folder)
        try:
            await asyncio.to_thread(broker.start)
            servers = Servers(broker, database, url, folder)
            same = await purchase_rows.run(servers, sizes, console) if purchases else True
            return 0 if await _flow(servers, sizes, rows, console) and same else 1
        finally:
            broker.stop()
            database.stop()
            postgres.remove(folder)


async def _flow(servers: Servers, sizes: Sizes, rows: Sequence[str], console: Console) -> bool:
    """Run rows of the flow, every one once a round; return whether the naive version agrees."""
    same = True
    if "pipeline" in rows:
        console.print(f"checking that both versions of the flow agree ({sizes.same_flow_events:,} events each)")
        same = await flow_rows.check_same(servers, sizes)
        console.print("the same results" if same else "[red]RESULTS DIFFER[/red]")
    rounds: dict[str, list[list[Figure]]] = {row: [] for row in rows}
    for number in range(1, sizes.rounds + 1):
        for row in rows:
            figures = await FLOW_ROWS[row](servers, sizes)
            rounds[row].append(figures)
            said = ", ".join(f"{figure.name} {figure.shown} {figure.unit}" for figure in figures)
            console.print(f"round {number} of {sizes.rounds}: {row}: {said}", highlight=False)
    if rows:
        console.print(table(rounds))
    return same


if __name__ == "__main__":
    typer.run(main)
