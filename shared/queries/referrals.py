"""Referrals of all members: listed, the latest registration first, and counted."""

from __future__ import annotations

from typing import Any, NamedTuple

from shared.database.pool import Connection
from shared.queries.pages import Page, page_of
from shared.queries.views.of_lists import ReferralCount, ReferralView
from shared.queries.words import instant

_LIST = """
select key, referral_id, source, referrer, friend, state, reason, order_id, registered_at, qualified_at,
       referrer_points, friend_points
from referral
where ($1::text is null or state = $1)
  and ($3::timestamptz is null or (registered_at <= $3 and (
      registered_at < $3 or (referral_id, key) > ($4::text, $5::uuid))))
order by registered_at desc, referral_id, key limit $2
"""
_COUNT = """
select state, reason, count(*) as referrals, sum(referrer_points)::bigint as referrer_points,
       sum(friend_points)::bigint as friend_points
from referral where $1::text is null or state = $1 group by state, reason order by state, reason
"""


class ReferralCursor(NamedTuple):
    """Where a list of referrals goes on."""

    registered_at: int
    referral_id: str
    key: bytes


async def list_referrals(
    connection: Connection, *, state: str | None = None, limit: int, after: ReferralCursor | None = None
) -> Page[ReferralView, ReferralCursor]:
    """Return a page of referrals, the latest registration first: those in a state, or all."""
    rows = await connection.fetch(_LIST, state, limit + 1, *(after or (None, None, None)))
    return page_of(rows, limit, _view, _cursor)


async def count_referrals(connection: Connection, *, state: str | None = None) -> list[ReferralCount]:
    """Count referrals by state and reason."""
    return [
        ReferralCount(
            row["state"], row["reason"] or None, row["referrals"], row["referrer_points"], row["friend_points"]
        )
        for row in await connection.fetch(_COUNT, state)
    ]


def _view(row: Any) -> ReferralView:
    return ReferralView(
        referral_id=row["referral_id"],
        source=row["source"],
        referrer_id=row["referrer"],
        friend_id=row["friend"],
        state=row["state"],
        reason=row["reason"] or None,
        order_id=row["order_id"] or None,
        registered_at=instant(row["registered_at"]),
        qualified_at=instant(row["qualified_at"]),
        referrer_points=row["referrer_points"],
        friend_points=row["friend_points"],
    )


def _cursor(row: Any) -> ReferralCursor:
    return ReferralCursor(row["registered_at"], row["referral_id"], row["key"])
