"""What became of a deployment, in a few figures."""

from __future__ import annotations

from typing import Any, NamedTuple

from shared.database.pool import Connection, only_row
from shared.ledger.model import FRIEND_RULE, REFERRER_RULE
from shared.ledger.operations import EFFECTS, Operation
from shared.program.store import load_versions

_OPERATIONS = "select operation, count(*), sum(points)::bigint from entry group by operation order by operation"
_EARNED = """
select case when operation = any($2::smallint[]) then 'taken back' when rule = any($3::smallint[]) then 'referrals'
            else 'orders' end as what,
       sum(case when operation = any($2::smallint[]) then -points else points end)::bigint
from entry where operation = any($1::smallint[] || $2::smallint[]) group by what order by 2 desc
"""
_GIVE = [int(operation) for operation, effect in EFFECTS.items() if effect.lifetime > 0]
_TAKE = [int(operation) for operation, effect in EFFECTS.items() if effect.lifetime < 0]
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


class Table(NamedTuple):
    """Rows of figures under a title; the title's numbers are counts and points."""

    title: str
    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]


class Summary(NamedTuple):
    """What became of a deployment.

    Attributes:
        members: How many have an account.
        earned: Points earned by all of them, returns taken off.
        available: Points that they may spend now.
    """

    members: int
    earned: int
    available: int
    tables: list[Table]


async def summary_of(connection: Connection) -> Summary:
    """Return points by operation, tiers and their movements, redemptions, referrals and notifications."""
    zone = str((await load_versions(connection))[-1].zone)
    members, total, available = await only_row(connection, _TOTALS)
    operations = [
        (Operation(operation).word, entries, points)
        for operation, entries, points in await connection.fetch(_OPERATIONS)
    ]
    earned = await connection.fetch(_EARNED, _GIVE, _TAKE, [REFERRER_RULE, FRIEND_RULE])
    tables = [
        Table("Points earned", ("by", "points"), [tuple(row) for row in earned]),
        Table("Points by operation", ("operation", "entries", "points"), operations),
    ]
    for title, columns, query, arguments in (
        ("Members by tier", ("tier", "members"), _TIERS, ()),
        ("Tier movements", ("month", "upgraded", "retained", "downgraded"), _MOVEMENTS, (zone,)),
        ("Redemptions", ("state", "reason", "redemptions", "points"), _REDEMPTIONS, ()),
        ("Referrals", ("state", "reason", "referrals"), _REFERRALS, ()),
        ("Notifications", ("kind", "state", "reason", "notifications"), _NOTIFICATIONS, ()),
    ):
        rows = await connection.fetch(query, *arguments)
        tables.append(Table(title, columns, [tuple(row) for row in rows]))
    return Summary(members, total or 0, available or 0, tables)
