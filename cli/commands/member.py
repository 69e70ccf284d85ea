"""``loyalty member ID``: one member's wallets, lots, entries, tier, referrals, redemptions and notifications."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.commands.clock import parse_instant
from cli.home import Home
from cli.output import AsJson, command
from devstack.home import DEFAULT_HOME


def add_to(app: typer.Typer) -> None:
    """Add this command."""
    app.command()(command(member))


async def member(
    member_id: Annotated[str, typer.Argument(metavar="ID", help="The member.")],
    as_of: Annotated[
        str | None, typer.Option(help="Read as of an instant, past or future: RFC 3339 with an offset.")
    ] = None,
    entries: Annotated[int, typer.Option(min=0, help="Show so many entries, the last ones.")] = 20,
    as_json: AsJson = False,
    home: Home = DEFAULT_HOME,
) -> None:
    """Show all that is known of a member, what is due included; exit status 1 if nobody knows them."""
    from cli.render.member import show_member

    moment = None if as_of is None else parse_instant(as_of)
    await show_member(home, member_id, moment, entries, in_json=as_json)
