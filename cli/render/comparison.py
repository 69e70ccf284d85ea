"""``loyalty rehearse PROGRAM --from archive``: what a changed program would have paid for what really happened."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from cli.output import errors, print_json
from cli.render import plot as plotting
from cli.render.tables import print_line, print_table
from devstack.home import database, settings_for
from shared.contracts.fields import in_money
from shared.database.pool import Connection
from shared.errors import UsageError
from shared.memory import collect_rarely
from shared.program.language.loader import load
from shared.program.language.model import ProgramFile, currency_of
from shared.queries import clock
from shared.queries.programs import versions
from shared.queries.status import archived_records
from shared.queries.views.of_members import Json
from shared.settings import Settings
from shared.simulation.comparison import compared, paid_in, paid_really, rehearsal_of, replay, winners


async def rehearse_archive(text: str, name: str, home: Path, plot: Path | None, *, as_json: bool) -> None:
    """Run a program file over the archive, and show the difference."""
    file = load(text, name)
    collect_rarely()
    if plot is not None:
        plotting.check(plot)
    settings = settings_for(home)
    async with database(settings) as connection, connection.transaction(isolation="repeatable_read", readonly=True):
        outcome = await _compare(connection, settings, file)
    if plot is not None:
        plotting.draw(plot, outcome["months"], outcome["rules"])
    if as_json:
        print_json({**outcome, **{kind: _named(outcome[kind]) for kind in ("rules", "tiers", "months")}})
    else:
        _print(outcome, {slug: currency_of(file, slug) for slug in file.wallets})
        if plot is not None:
            print_line(f"plotted in {plot}")


async def _compare(connection: Connection, settings: Settings, file: ProgramFile) -> Json:
    programs = await versions(connection)
    records = await archived_records(connection, ["earn", "redeem"])
    if not records:
        raise UsageError("nothing has happened here yet: the archive is empty")
    now = await clock.now(connection, settings)
    before = await paid_really(connection, programs)
    rehearsal = rehearsal_of(file, programs.values(), settings.record_bytes)
    refused: Counter[str] = Counter()
    started = time.monotonic()
    with _progress() as progress:
        bar = progress.add_task("rehearsing", total=records)
        async for handled in replay(connection, rehearsal, refused):
            progress.advance(bar, handled)
    seconds = time.monotonic() - started
    after = paid_in(rehearsal, now)
    return {
        "events": records,
        "orders": len(rehearsal.earn_state.orders),
        "refused": dict(refused),
        "seconds": round(seconds, 1),
        "rules": compared(before.by_rule, after.by_rule),
        "tiers": compared(before.by_tier, after.by_tier),
        "months": compared(before.by_month, after.by_month),
        "members": winners(before, after),
    }


def _named(rows: list[tuple[str, str, int, int, int]]) -> list[Json]:
    return [dict(zip(("wallet", "name", "before", "after", "difference"), row, strict=True)) for row in rows]


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=errors,
        transient=True,
    )


def _print(outcome: Json, currencies: Mapping[str, str | None]) -> None:
    def worth(wallet: str, number: int, sign: Literal["", "+"] = "") -> str:
        currency = currencies.get(wallet)
        return f"{number:{sign},}" if currency is None else in_money(number, currency, sign)

    for kind, what in (("rules", "rule"), ("tiers", "tier"), ("months", "month")):
        print_table(
            ("wallet", what, "as it was", "as it would be", "difference"),
            [
                (wallet, name, worth(wallet, before), worth(wallet, after), worth(wallet, more, "+"))
                for wallet, name, before, after, more in outcome[kind]
            ],
            f"Earned by {what}, less what was taken back",
        )
    print_table(
        ("wallet", "members with more", "with fewer", "with as many"),
        [(wallet, *counts.values()) for wallet, counts in outcome["members"].items()],
        "Members",
    )
    if outcome["refused"]:
        reasons = ", ".join(f"{number:,} {reason}" for reason, number in sorted(outcome["refused"].items()))
        print_line(f"refused, as the program would refuse them: {reasons}")
    print_line(
        f"{outcome['events']:,} events of {outcome['orders']:,} orders in {outcome['seconds']} s "
        f"({outcome['events'] / max(outcome['seconds'], 0.1):,.0f} a second)"
    )
