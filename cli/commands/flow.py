"""``loyalty tiers | redemptions | notifications | referrals``: what there is of each, and how much."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from cli.home import Home
from cli.output import AsCsv, AsJson, command, say, show
from devstack.home import DEFAULT_HOME, database, settings_for
from shared.contracts.kinds import Kind
from shared.errors import UsageError

if TYPE_CHECKING:
    from shared.queries.pages import Page

RedemptionState = Literal["reserved", "rejected", "redeemed", "released", "refunded"]
ReferralState = Literal["open", "qualified", "refused", "reversed"]
NotificationState = Literal["sent", "suppressed"]

Limit = Annotated[int, typer.Option(min=1, help="List at most so many.")]
Member = Annotated[str | None, typer.Option(help="Only this member's.")]
Summary = Annotated[bool, typer.Option("--summary", help="Count them instead of listing them.")]

_INSTANTS = frozenset(
    {
        "requested_at",
        "held_until",
        "settled_at",
        "occurred_at",
        "not_before",
        "use_by",
        "registered_at",
        "qualified_at",
        "valid_from",
        "valid_until",
    }
)


def add_to(app: typer.Typer) -> None:
    """Add this group's commands."""
    for listing in (tiers, redemptions, notifications, referrals):
        app.command()(command(listing))


async def tiers(
    members: Annotated[bool, typer.Option("--members", help="List the members, the highest tier first.")] = False,
    changes: Annotated[bool, typer.Option("--changes", help="Count the changes by month.")] = False,
    limit: Limit = 50,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
    home: Home = DEFAULT_HOME,
) -> None:
    """Count the members of each tier, as the tiers service has last treated them."""
    if members and changes:
        raise UsageError("--members and --changes are two questions; ask one of them")
    from shared.queries import tier_members as read
    from shared.queries.programs import versions
    from shared.queries.views.of_lists import TierChangeCount, TierCount, TierMemberView

    async with database(settings_for(home)) as connection:
        programs = list((await versions(connection)).values())
        program = programs[-1]
        ladder = program.ladder
        if ladder is None:
            say(f"the program {program.program_id} has no ladder, so nobody has a tier")
            raise typer.Exit(1)
        if members:
            page = await read.list_tier_members(connection, programs, ladder, limit=limit)
            _list(TierMemberView, page, "members", as_json, as_csv)
        elif changes:
            _show(TierChangeCount, await read.count_changes(connection, ladder, program), as_json, as_csv)
        else:
            _show(TierCount, await read.count_tiers(connection, ladder), as_json, as_csv)


async def redemptions(
    state: Annotated[RedemptionState | None, typer.Option(help="Only those in this state.")] = None,
    member: Member = None,
    summary: Summary = False,
    limit: Limit = 50,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
    home: Home = DEFAULT_HOME,
) -> None:
    """List redemptions, the latest first; or count them by reward, state and reason."""
    from shared.queries import redemptions as read
    from shared.queries.views.of_lists import RedemptionCount, RedemptionView

    async with database(settings_for(home)) as connection:
        if summary:
            _show(
                RedemptionCount, await read.count_redemptions(connection, state=state, member=member), as_json, as_csv
            )
        else:
            page = await read.list_redemptions(connection, state=state, member=member, limit=limit)
            _list(RedemptionView, page, "redemptions", as_json, as_csv)


async def notifications(
    kind: Annotated[Kind | None, typer.Option(help="Only of this kind.")] = None,
    state: Annotated[NotificationState | None, typer.Option(help="Only those sent, or not sent.")] = None,
    member: Member = None,
    summary: Summary = False,
    limit: Limit = 50,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
    home: Home = DEFAULT_HOME,
) -> None:
    """List whom the program told what, or why not, the latest first; or count by kind, state and reason."""
    from shared.queries import notifications as read
    from shared.queries.views.of_lists import NotificationCount, NotificationView

    async with database(settings_for(home)) as connection:
        if summary:
            _show(
                NotificationCount,
                await read.count_notifications(connection, kind=kind, state=state, member=member),
                as_json,
                as_csv,
            )
        else:
            page = await read.list_notifications(connection, kind=kind, state=state, member=member, limit=limit)
            _list(NotificationView, page, "notifications", as_json, as_csv)


async def referrals(
    state: Annotated[ReferralState | None, typer.Option(help="Only those in this state.")] = None,
    summary: Summary = False,
    limit: Limit = 50,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
    home: Home = DEFAULT_HOME,
) -> None:
    """List referrals, the latest registration first; or count them by state and reason."""
    from shared.queries import referrals as read
    from shared.queries.views.of_lists import ReferralCount, ReferralView

    async with database(settings_for(home)) as connection:
        if summary:
            _show(ReferralCount, await read.count_referrals(connection, state=state), as_json, as_csv)
        else:
            page = await read.list_referrals(connection, state=state, limit=limit)
            _list(ReferralView, page, "referrals", as_json, as_csv)


def _list(view: type[Any], page: Page[Any, Any], what: str, as_json: bool, as_csv: bool) -> None:
    """Show a page; how long it is is said apart, so that JSON and CSV stay what they are."""
    _show(view, page.rows, as_json, as_csv)
    more = "" if page.next is None else ", and there are more"
    say(f"{len(page.rows):,} {what} shown{more}; times are UTC")


def _show(view: type[Any], rows: Sequence[Any], as_json: bool, as_csv: bool) -> None:
    columns = [field.name for field in fields(view)]
    plain = as_json or as_csv
    if not plain:
        columns = [name for name in columns if name != "source"]  # a terminal is narrow, and ids hardly ever meet
    cells = [[_cell(name, getattr(row, name), plain=plain) for name in columns] for row in rows]
    show(columns if plain else [name.replace("_", " ") for name in columns], cells, as_json=as_json, as_csv=as_csv)


def _cell(name: str, value: Any, *, plain: bool) -> Any:
    """Return a value: for people what is not there is blank, for programs it is null."""
    if plain:
        return value
    if name in _INSTANTS:
        from cli.render.tables import plain_instant

        return plain_instant(value)
    return "" if value is None else value
