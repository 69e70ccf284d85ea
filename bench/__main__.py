"""``python -m bench``: the tables of ``make bench``; ``python -m bench against`` is ``make bench-against``."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated

import typer
from rich.console import Console

from bench import flow_rows, purchase_rows, rich_row, rules_row, service_rows
from bench.against.command import against
from bench.deployment import Servers
from bench.figures import Figure, table
from bench.interrupts import stopping_cleanly
from bench.servers import running_servers
from bench.sizes import SMALL, Sizes

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

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
app.command()(against)


@app.callback(invoke_without_command=True)
def main(
    context: typer.Context,
    only: Annotated[
        list[str] | None, typer.Option(help=f"What to run, more than once if need be: {', '.join(_NAMES)}")
    ] = None,
    small: Annotated[bool, typer.Option(help="Only see whether everything works; the figures mean little")] = False,
) -> None:
    """Run the benchmark; exit status 1 if contestants disagree that must agree."""
    if context.invoked_subcommand:
        return
    wanted = set(only or ("purchases", "flow"))
    if unknown := wanted - set(_NAMES):
        raise typer.BadParameter(f"{', '.join(sorted(unknown))}; there are {', '.join(_NAMES)}")
    rows = [name for name in FLOW_ROWS if name in wanted or "flow" in wanted]
    sizes = Sizes()
    if small:
        # The environment has precedence.
        sizes = Sizes.model_validate({**SMALL, **sizes.model_dump(include=sizes.model_fields_set)})
    with stopping_cleanly(), running_servers() as running:
        raise typer.Exit(asyncio.run(_run(Servers(*running), sizes, rows, purchases="purchases" in wanted)))


async def _run(servers: Servers, sizes: Sizes, rows: Sequence[str], *, purchases: bool) -> int:
    """Run everything on the servers that all rows share."""
    console = Console(width=130)
    same = await purchase_rows.run(servers, sizes, console) if purchases else True
    return 0 if await _flow(servers, sizes, rows, console) and same else 1


async def _flow(servers: Servers, sizes: Sizes, rows: Sequence[str], console: Console) -> bool:
    """Run rows of the flow, each once per round; return whether the naive version agrees."""
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
    app()
