"""``loyalty balances`` and ``loyalty audit``: read the ledger, and check all of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.commands.clock import parse_instant
from cli.home import Home
from cli.output import AsCsv, AsJson, command, console, errors, print_json, say, show
from devstack.home import DEFAULT_HOME, database, settings_for
from shared.errors import UsageError

if TYPE_CHECKING:
    from shared.ledger.audit.runner import Finding


def add_to(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command()(command(balances))
    app.command("audit")(command(audit_ledger))


async def balances(
    as_of: Annotated[str | None, typer.Option(help="Read as of an instant: RFC 3339 with an offset.")] = None,
    member: Annotated[str | None, typer.Option(help="Only this member.")] = None,
    top: Annotated[int | None, typer.Option(min=1, help="Only the largest balances.")] = None,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
    home: Home = DEFAULT_HOME,
) -> None:
    """List every account, sorted by member and wallet."""
    from shared.admin import clock
    from shared.program.store import load_versions
    from shared.queries import balances as read

    instant = None if as_of is None else parse_instant(as_of)
    settings = settings_for(home)
    async with database(settings) as connection:
        versions = await load_versions(connection)
        if not versions:
            raise UsageError("no program is published; run `loyalty program publish FILE`")
        program = versions[-1]
        rows = await read.balances(
            connection, program, now=await clock.now(connection, settings), as_of=instant, member=member
        )
    if member is not None and not rows:
        say(f"no member {member!r}: none of their purchases was accepted yet")
        raise typer.Exit(1)
    if top:
        rows = sorted(rows, key=lambda row: (-row.available, -row.pending, -row.lifetime, row.member_id))[:top]
    show(read.Balance._fields, rows, as_json=as_json, as_csv=as_csv)


async def audit_ledger(
    replay: Annotated[
        bool, typer.Option("--replay", help="Also replay the archive in memory and compare everything row for row.")
    ] = False,
    as_json: AsJson = False,
    home: Home = DEFAULT_HOME,
) -> None:
    """Check every invariant over the whole ledger; exit status 1 if anything is wrong."""
    from shared.database.pool import only_row
    from shared.ledger.audit.runner import audit

    settings = settings_for(home)
    found: list[Finding] = []
    async with database(settings) as connection:
        with errors.status("checking …"):
            async for check, wrong in audit(connection):
                found += wrong
                if not as_json:
                    console.print(f"{'✗' if wrong else '✓'} {check.name}: {check.promise}", markup=False)
        if replay:
            found += await _replayed(connection, settings.record_bytes, as_json)
        size = await only_row(connection, "select count(*), (select count(*) from account) from entry")
    if as_json:
        print_json({"entries": size[0], "accounts": size[1], "findings": [finding._asdict() for finding in found]})
    elif found:
        show(("check", "where", "what"), found, title="What is wrong")
    else:
        console.print(f"the ledger is clean: {size[0]:,} entries of {size[1]:,} accounts")
    if found:
        raise typer.Exit(1)


async def _replayed(connection: Any, record_bytes: int, quiet: bool) -> list[Finding]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from shared.ledger.audit.runner import Finding
    from shared.memory import collect_rarely
    from shared.simulation.archive import differences, from_archive

    total = await connection.fetchval("select coalesce(sum(records), 0) from archive")
    collect_rarely()
    rehearsal = None
    columns = (TextColumn("replaying"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=errors, disable=quiet) as progress:
        bar = progress.add_task("replay", total=total)
        async for rehearsal, records in from_archive(connection, record_bytes):  # noqa: B007 - the last one counts
            progress.advance(bar, records)
    wrong = await differences(connection, rehearsal) if rehearsal else []
    if not quiet:
        promise = (
            "the archive, replayed in order, gives entries, balances, redemptions, tiers and notifications row for row"
        )
        console.print(f"{'✗' if wrong else '✓'} replay: {promise}", markup=False)
    return [Finding(f"replay: {what}", where, difference) for what, where, difference in wrong]
