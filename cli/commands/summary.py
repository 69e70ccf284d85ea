"""``loyalty summary``: what became of a deployment, in a few tables."""

from __future__ import annotations

import typer

from cli.home import Home
from cli.output import command, console, show
from devstack.home import DEFAULT_HOME, database, settings_for


def add_to(app: typer.Typer) -> None:
    """Add this command."""
    app.command()(command(summary))


async def summary(home: Home = DEFAULT_HOME) -> None:
    """Show points by operation, tiers and their movements, redemptions, referrals and notifications."""
    from shared.queries.summary import summary_of

    async with database(settings_for(home)) as connection:
        found = await summary_of(connection)
    console.print(
        f"\n[bold]{found.earned:,} points earned by {found.members:,} members[/bold], returns taken off; "
        f"{found.available:,} are left to spend"
    )
    for table in found.tables:
        show(table.columns, [["" if cell is None else cell for cell in row] for row in table.rows], title=table.title)
