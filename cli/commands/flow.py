"""``loyalty tiers | redemptions | notifications | referrals``: what there is of each, and how much."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import typer

from cli.home import Home
from cli.output import AsCsv, AsJson, command, say, show
from devstack.home import DEFAULT_HOME, database, settings_for
from shared.contracts.kinds import Kind
from shared.errors import UsageError

RedemptionState = Literal["reserved", "rejected", "redeemed", "released", "refunded"]
ReferralState = Literal["open", "qualified", "refused", "reversed"]
NotificationState = Literal["sent", "suppressed"]

Limit = Annotated[int, typer.Option(min=1, help="List at most so many.")]
Member = Annotated[str | None, typer.Option(help="Only this member's.")]
Summary = Annotated[bool, typer.Option("--summary", help="Count them instead of listing them.")]

_INSTANTS = frozenset({
    "requested_at", "held_until", "settled_at", "occurred_at", "not_before", "use_by", "registered_at", "qualified_at",
    "valid_from", "valid_until",
})  # fmt: skip

_COUNT_TIERS = """
select s.tier, count(*) as members from standing s join account a using (account) where a.wallet = $1 group by s.tier
"""
_MEMBERS = """
select s.member as member_id, s.tier, s.metric_value, s.valid_from, s.valid_until, count(*) over () as in_all
from standing s join account a using (account)
where a.wallet = $1
order by array_position($2::text[], s.tier) desc nulls last, s.metric_value desc, s.member limit $3
"""
_CHANGES = """
select to_char(h.occurred_at at time zone $2, 'YYYY-MM') as month, h.change, h.old_tier, h.tier, count(*) as changes
from tier_history h join account a using (account) where a.wallet = $1
group by 1, 2, 3, 4 order by 1, 2, 3, 4
"""
_REDEMPTIONS = """
select redemption_id, source, member as member_id, reward, state, reason, points, requested_at, held_until, settled_at,
       count(*) over () as in_all
from redemption where ($1::text is null or state = $1) and ($2::text is null or member = $2)
order by requested_at desc, redemption_id limit $3
"""
_REDEMPTION_SUMMARY = """
select reward, state, reason, count(*) as redemptions, sum(points)::bigint as points
from redemption where ($1::text is null or state = $1) and ($2::text is null or member = $2)
group by reward, state, reason order by reward, state, reason
"""
_NOTIFICATIONS = """
select id as notification_id, member as member_id, kind, state, reason, occurred_at, not_before, use_by,
       count(*) over () as in_all
from notification
where ($1::text is null or kind = $1) and ($2::text is null or state = $2) and ($3::text is null or member = $3)
order by occurred_at desc, id limit $4
"""
_NOTIFICATION_SUMMARY = """
select kind, state, reason, count(*) as notifications from notification
where ($1::text is null or kind = $1) and ($2::text is null or state = $2) and ($3::text is null or member = $3)
group by kind, state, reason order by kind, state, reason
"""
_REFERRALS = """
select referral_id, source, referrer as referrer_id, friend as friend_id, state, reason, order_id, registered_at,
       qualified_at, referrer_points, friend_points, count(*) over () as in_all
from referral where $1::text is null or state = $1 order by registered_at desc, referral_id limit $2
"""
_REFERRAL_SUMMARY = """
select state, reason, count(*) as referrals, sum(referrer_points)::bigint as referrer_points,
       sum(friend_points)::bigint as friend_points
from referral where $1::text is null or state = $1 group by state, reason order by state, reason
"""


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
    async with database(settings_for(home)) as connection:
        from shared.database.pool import fetch_map
        from shared.queries.words import versions

        program = list((await versions(connection)).values())[-1]
        ladder = program.ladder
        if ladder is None:
            say(f"the program {program.program_id} has no ladder, so nobody has a tier")
            raise typer.Exit(1)
        order = [tier.tier for tier in ladder.tiers]
        if members:
            rows = await connection.fetch(_MEMBERS, ladder.wallet, order, limit)
            _list(("member_id", "tier", "metric_value", "valid_from", "valid_until"), rows, "members", as_json, as_csv)
            return
        if changes:
            rows = await connection.fetch(_CHANGES, ladder.wallet, str(program.zone))
            _show(("month", "change", "old_tier", "tier", "changes"), rows, as_json, as_csv)
            return
        found = await fetch_map(connection, _COUNT_TIERS, ladder.wallet)
    # A tier that is not on the ladder any more has members until the service has treated them all.
    gone = [{"tier": tier, "name": "", "members": number} for tier, number in found.items() if tier not in order]
    counted = [{"tier": one.tier, "name": one.name, "members": found.get(one.tier, 0)} for one in ladder.tiers]
    _show(("tier", "name", "members"), [*reversed(counted), *gone], as_json, as_csv)


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
    async with database(settings_for(home)) as connection:
        if summary:
            rows = await connection.fetch(_REDEMPTION_SUMMARY, state, member)
            _show(("reward", "state", "reason", "redemptions", "points"), rows, as_json, as_csv)
            return
        rows = await connection.fetch(_REDEMPTIONS, state, member, limit)
    columns = ("redemption_id", "source", "member_id", "reward", "state", "reason", "points", "requested_at",
               "held_until", "settled_at")  # fmt: skip
    _list(columns, rows, "redemptions", as_json, as_csv)


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
    async with database(settings_for(home)) as connection:
        if summary:
            rows = await connection.fetch(_NOTIFICATION_SUMMARY, kind, state, member)
            _show(("kind", "state", "reason", "notifications"), rows, as_json, as_csv)
            return
        rows = await connection.fetch(_NOTIFICATIONS, kind, state, member, limit)
    columns = ("notification_id", "member_id", "kind", "state", "reason", "occurred_at", "not_before", "use_by")
    _list(columns, rows, "notifications", as_json, as_csv)


async def referrals(
    state: Annotated[ReferralState | None, typer.Option(help="Only those in this state.")] = None,
    summary: Summary = False,
    limit: Limit = 50,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
    home: Home = DEFAULT_HOME,
) -> None:
    """List referrals, the latest registration first; or count them by state and reason."""
    async with database(settings_for(home)) as connection:
        if summary:
            rows = await connection.fetch(_REFERRAL_SUMMARY, state)
            _show(("state", "reason", "referrals", "referrer_points", "friend_points"), rows, as_json, as_csv)
            return
        rows = await connection.fetch(_REFERRALS, state, limit)
    columns = ("referral_id", "source", "referrer_id", "friend_id", "state", "reason", "order_id", "registered_at",
               "qualified_at", "referrer_points", "friend_points")  # fmt: skip
    _list(columns, rows, "referrals", as_json, as_csv)


def _list(columns: Sequence[str], rows: Sequence[Any], what: str, as_json: bool, as_csv: bool) -> None:
    """Show rows that know how many there are in all; that is said apart, so that JSON and CSV stay what they are."""
    _show(columns, rows, as_json, as_csv)
    say(f"{len(rows):,} of {rows[0]['in_all'] if rows else 0:,} {what}; times are UTC")


def _show(columns: Sequence[str], rows: Sequence[Any], as_json: bool, as_csv: bool) -> None:
    plain = as_json or as_csv
    if not plain:
        columns = [name for name in columns if name != "source"]  # a terminal is narrow, and ids hardly ever meet
    cells = [[_cell(name, row[name], plain=plain) for name in columns] for row in rows]
    show(columns if plain else [name.replace("_", " ") for name in columns], cells, as_json=as_json, as_csv=as_csv)


def _cell(name: str, value: Any, *, plain: bool) -> Any:
    """Return a value: for people what is not there is blank, for programs it is null."""
    if name in _INSTANTS:
        from cli.render.tables import plain_instant
        from shared.queries.words import instant

        value = instant(value) if plain else plain_instant(instant(value))
    if plain:
        return None if value == "" else value
    return "" if value is None else value
