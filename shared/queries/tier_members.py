"""Who has which tier, as the tiers service has last treated them: listed, the highest tier first, and counted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from shared.database.pool import Connection
from shared.program.compiled.ladder import Ladder
from shared.program.compiled.program import Program
from shared.queries.pages import Page, page_of
from shared.queries.views.of_lists import TierChangeCount, TierCount, TierMemberView
from shared.queries.words import instant

# Read from end to end and sorted: an index on what is counted would end updates in place of the table, which happen
# with every purchase (docs/decisions/0013).
_LIST = """
select t.rank, s.*
from unnest($2::text[]) with ordinality as t(tier, rank)
cross join lateral (
    select s.account, s.member, s.tier, s.metric_value, s.valid_from, s.valid_until
    from standing s join account a using (account)
    where s.tier = t.tier and a.wallet = $1
      and ($4::bigint is null or t.rank > $4 or s.metric_value < $5 or (s.member, s.account) > ($6::text, $7::bigint))
    order by s.metric_value desc, s.member, s.account limit $3) s
where $4::bigint is null or t.rank >= $4
order by t.rank, s.metric_value desc, s.member, s.account limit $3
"""
_COUNT = """
select s.tier, count(*) as members from standing s join account a using (account) where a.wallet = $1 group by s.tier
"""
_CHANGES = """
select to_char(h.occurred_at at time zone $2, 'YYYY-MM') as month, h.change, h.old_tier, h.tier, count(*) as changes
from tier_history h join account a using (account) where a.wallet = $1
group by 1, 2, 3, 4 order by 1, 2, 3, 4
"""


class TierMemberCursor(NamedTuple):
    """Where a list of members by tier goes on; ``rank`` counts tiers from the highest, which is 1."""

    rank: int
    metric_value: int
    member: str
    account: int


async def list_tier_members(
    connection: Connection,
    programs: Sequence[Program],
    ladder: Ladder,
    *,
    limit: int,
    after: TierMemberCursor | None = None,
) -> Page[TierMemberView, TierMemberCursor]:
    """Return a page of members with their tiers: the highest tier first, in it whoever has most of what is counted.

    Args:
        connection: To the deployment's schema.
        programs: All versions: until tiers has treated everybody, somebody has a tier of an older ladder.
        ladder: The newest.
        limit: At most so many.
        after: Where the page before said that it goes on.
    """
    tiers = [tier.tier for tier in reversed(ladder.tiers)]
    older = {tier.tier for program in programs if program.ladder for tier in program.ladder.tiers} - set(tiers)
    arguments = (ladder.wallet, [*tiers, *sorted(older), ""], limit + 1, *(after or (None, None, None, None)))
    return page_of(await connection.fetch(_LIST, *arguments), limit, _view, _cursor)


async def count_tiers(connection: Connection, ladder: Ladder) -> list[TierCount]:
    """Count the members of each tier, the highest first; last those of tiers that are not on the ladder any more."""
    found = {tier: members for tier, members in await connection.fetch(_COUNT, ladder.wallet)}  # noqa: C416 - rows
    counted = [TierCount(one.tier, one.name, found.pop(one.tier, 0)) for one in ladder.tiers]
    return [*reversed(counted), *(TierCount(tier or None, None, members) for tier, members in found.items())]


async def count_changes(connection: Connection, ladder: Ladder, program: Program) -> list[TierChangeCount]:
    """Count the changes of tiers by month where the program lives."""
    return [
        TierChangeCount(row["month"], row["change"], row["old_tier"] or None, row["tier"] or None, row["changes"])
        for row in await connection.fetch(_CHANGES, ladder.wallet, str(program.zone))
    ]


def _view(row: Any) -> TierMemberView:
    return TierMemberView(
        member_id=row["member"],
        tier=row["tier"] or None,
        metric_value=row["metric_value"],
        valid_from=instant(row["valid_from"]),
        valid_until=instant(row["valid_until"]),
    )


def _cursor(row: Any) -> TierMemberCursor:
    return TierMemberCursor(row["rank"], row["metric_value"], row["member"], row["account"])
