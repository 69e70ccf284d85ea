"""``loyalty why KEY``: the reason of each point of an order, a return, a referral or a redemption, or of none."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.home import Home
from cli.output import AsJson, command
from devstack.home import DEFAULT_HOME


def add_to(app: typer.Typer) -> None:
    """Add this command."""
    app.command()(command(why))


async def why(
    key: Annotated[
        str,
        typer.Argument(help="The id of an order, of anything about one, of a referral or of a redemption."),
    ],
    source: Annotated[
        str | None, typer.Option(help="Its event's source, where several have the id; with it the search is quick.")
    ] = None,
    as_json: AsJson = False,
    home: Home = DEFAULT_HOME,
) -> None:
    """Explain what an order earned, by which rules, and what became of it; or a return, a referral, a redemption."""
    from cli.render.explanation import show_why

    await show_why(home, key, source, as_json=as_json)
