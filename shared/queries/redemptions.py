"""Redemptions of all members: listed, the latest first, and counted."""

from __future__ import annotations

from typing import Any, NamedTuple

from shared.database.pool import Connection
from shared.queries.pages import Page, page_of
from shared.queries.views.of_lists import RedemptionCount, RedemptionView
from shared.queries.words import instant

_LIST = """
select key, redemption_id, source, member, reward, state, reason, points, requested_at, held_until, settled_at
from redemption
where ($1::text is null or state = $1) and ($2::text is null or member = $2)
  and ($4::timestamptz is null or (requested_at <= $4 and (
      requested_at < $4 or (redemption_id, key) > ($5::text, $6::uuid))))
order by requested_at desc, redemption_id, key limit $3
"""
_COUNT = """
select reward, state, reason, count(*) as redemptions, sum(points)::bigint as points
from redemption where ($1::text is null or state = $1) and ($2::text is null or member = $2)
group by reward, state, reason order by reward, state, reason
"""


class RedemptionCursor(NamedTuple):
    """Where a list of redemptions goes on."""

    requested_at: int
    redemption_id: str
    key: bytes


async def list_redemptions(
    connection: Connection,
    *,
    state: str | None = None,
    member: str | None = None,
    limit: int,
    after: RedemptionCursor | None = None,
) -> Page[RedemptionView, RedemptionCursor]:
    """Return a page of redemptions, the latest first: those in a state, or of a member, or all."""
    rows = await connection.fetch(_LIST, state, member, limit + 1, *(after or (None, None, None)))
    return page_of(rows, limit, _view, _cursor)


async def count_redemptions(
    connection: Connection, *, state: str | None = None, member: str | None = None
) -> list[RedemptionCount]:
    """Count redemptions by reward, state and reason."""
    rows = await connection.fetch(_COUNT, state, member)
    return [
        RedemptionCount(row["reward"], row["state"], row["reason"] or None, row["redemptions"], row["points"])
        for row in rows
    ]


def _view(row: Any) -> RedemptionView:
    return RedemptionView(
        redemption_id=row["redemption_id"],
        source=row["source"],
        member_id=row["member"],
        reward=row["reward"],
        state=row["state"],
        reason=row["reason"] or None,
        points=row["points"],
        requested_at=instant(row["requested_at"]),
        held_until=instant(row["held_until"]),
        settled_at=instant(row["settled_at"]),
    )


def _cursor(row: Any) -> RedemptionCursor:
    return RedemptionCursor(row["requested_at"], row["redemption_id"], row["key"])
