"""What became of a deployment, in a few tables: what ``make up`` shows at the end."""

from __future__ import annotations

from pathlib import Path

from cli.home import database, settings_for
from cli.output import console
from cli.output import show as table
from shared.ledger.operations import Operation
from shared.program.store import load_versions

_OPERATIONS = "select operation, count(*), sum(points)::bigint from entry group by operation order by operation"
_TIERS = """
select t.tier, count(*) from (
    select coalesce(s.tier, '(none yet)') as tier from (select distinct member from account) m
    left join standing s using (member)) t
group by t.tier order by count(*) desc
"""
_MOVEMENTS = """
select to_char(occurred_at at time zone $1, 'YYYY-MM') as month, count(*) filter (where change = 'upgraded'),
       count(*) filter (where change = 'retained'), count(*) filter (where change = 'downgraded')
from tier_history group by month order by month
"""
_REDEMPTIONS = "select state, reason, count(*), sum(points)::bigint from redemption group by 1, 2 order by 3 desc"
_REFERRALS = "select state, reason, count(*) from referral group by 1, 2 order by 3 desc"
_NOTIFICATIONS = "select kind, state, reason, count(*) from notification group by 1, 2, 3 order by 1, 2, 3"
_TOTALS = "select count(distinct member), sum(lifetime)::bigint, sum(available)::bigint from account"


async def show(home: Path) -> None:
    """Show points by operation, tiers and their movements, redemptions, referrals and notifications."""
    settings = settings_for(home)
    async with database(settings) as connection:
        zone = str((await load_versions(connection))[-1].zone)
        members, lifetime, available = await connection.fetchrow(_TOTALS)
        console.print(
            f"\n[bold]{lifetime or 0:,} points earned by {members:,} members[/bold], returns taken off; "
            f"{available or 0:,} are left to spend"
        )
        rows = [
            (Operation(operation).word, f"{entries:,}", f"{points:,}")
            for operation, entries, points in await connection.fetch(_OPERATIONS)
        ]
        table(("operation", "entries", "points"), rows, title="Points by operation")
        table(("tier", "members"), await connection.fetch(_TIERS), title="Members by tier")
        table(
            ("month", "upgraded", "retained", "downgraded"),
            await connection.fetch(_MOVEMENTS, zone),
            title="Tier movements",
        )
        table(("state", "reason", "redemptions", "points"), await connection.fetch(_REDEMPTIONS), title="Redemptions")
        table(("state", "reason", "referrals"), await connection.fetch(_REFERRALS), title="Referrals")
        table(
            ("kind", "state", "reason", "notifications"), await connection.fetch(_NOTIFICATIONS), title="Notifications"
        )
