"""The entries of a member, the newest first, a page at a time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from shared.database.pool import Connection
from shared.program.compiled.program import Program
from shared.queries.pages import Page, page_of
from shared.queries.views.of_members import EntryView
from shared.queries.words import ENTRY_COLUMNS, entry_views

# Along each account's entries from its newest one: occurred_at never goes back within an account.
_ENTRIES = f"""
select a.member, a.wallet, {ENTRY_COLUMNS}
from account a cross join lateral (
    select * from entry
    where account = a.account and occurred_at <= $2
      and version < case when a.wallet = $5 then $6::bigint else 9223372036854775807 end
      and ($4::timestamptz is null or occurred_at < $4
           or (occurred_at = $4 and (a.wallet > $5 or (a.wallet = $5 and version < $6::bigint))))
    order by version desc limit $3) e
where a.member = $1 order by e.occurred_at desc, a.wallet, e.version desc limit $3
"""


class EntryCursor(NamedTuple):
    """Where a list of entries goes on."""

    occurred_at: int
    wallet: str
    version: int


async def list_entries(
    connection: Connection,
    programs: Mapping[int, Program],
    member: str,
    *,
    until: int,
    limit: int,
    after: EntryCursor | None = None,
) -> Page[EntryView, EntryCursor]:
    """Return a page of a member's entries up to an instant, the newest first.

    Args:
        connection: To the deployment's schema.
        programs: Every version by number.
        member: Whose.
        until: Only what happened up to it (business time).
        limit: At most so many.
        after: Where the page before said that it goes on.
    """
    rows = await connection.fetch(_ENTRIES, member, until, limit + 1, *(after or (None, None, None)))
    views = await entry_views(connection, rows[:limit], programs)
    page = page_of(
        rows, limit, lambda row: row, lambda row: EntryCursor(row["occurred_at"], row["wallet"], row["version"])
    )
    return Page(views, page.next)
