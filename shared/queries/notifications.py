"""What all members were told, or were not: listed, the latest first, and counted."""

from __future__ import annotations

from typing import Any, NamedTuple

from shared.database.pool import Connection
from shared.queries.pages import Page, page_of
from shared.queries.views.of_lists import NotificationCount, NotificationView
from shared.queries.words import instant

_LIST = """
select id, member, kind, state, reason, occurred_at, not_before, use_by
from notification
where ($1::text is null or kind = $1) and ($2::text is null or state = $2) and ($3::text is null or member = $3)
  and ($5::timestamptz is null or (occurred_at <= $5 and (occurred_at < $5 or id > $6::text)))
order by occurred_at desc, id limit $4
"""
_COUNT = """
select kind, state, reason, count(*) as notifications from notification
where ($1::text is null or kind = $1) and ($2::text is null or state = $2) and ($3::text is null or member = $3)
group by kind, state, reason order by kind, state, reason
"""


class NotificationCursor(NamedTuple):
    """Where a list of notifications goes on."""

    occurred_at: int
    id: str


async def list_notifications(
    connection: Connection,
    *,
    kind: str | None = None,
    state: str | None = None,
    member: str | None = None,
    limit: int,
    after: NotificationCursor | None = None,
) -> Page[NotificationView, NotificationCursor]:
    """Return a page of notifications, the latest first: of a kind, in a state, of a member, or all."""
    rows = await connection.fetch(_LIST, kind, state, member, limit + 1, *(after or (None, None)))
    return page_of(rows, limit, _view, lambda row: NotificationCursor(row["occurred_at"], row["id"]))


async def count_notifications(
    connection: Connection, *, kind: str | None = None, state: str | None = None, member: str | None = None
) -> list[NotificationCount]:
    """Count notifications by kind, state and reason."""
    return [
        NotificationCount(row["kind"], row["state"], row["reason"] or None, row["notifications"])
        for row in await connection.fetch(_COUNT, kind, state, member)
    ]


def _view(row: Any) -> NotificationView:
    return NotificationView(
        notification_id=row["id"],
        member_id=row["member"],
        kind=row["kind"],
        state=row["state"],
        reason=row["reason"] or None,
        occurred_at=instant(row["occurred_at"]),
        not_before=instant(row["not_before"]),
        use_by=instant(row["use_by"]),
    )
