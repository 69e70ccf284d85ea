"""The SQL of what is counted: tallies of members, and budgets over all members."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from services.earn.state import TallyKey
from shared.database.pool import Connection, fetch_map
from shared.program.compiled.tallies import PURCHASES, Key

_OPEN_BUDGETS = """
insert into tally (member, name, period, amount)
select '', name, period, 0 from unnest($1::text[], $2::int[]) as w(name, period) on conflict do nothing
"""

_BUDGETS = """
select name, period, amount from tally join unnest($1::text[], $2::int[]) as w(name, period) using (name, period)
where member = ''
"""


async def load_tallies(connection: Connection, wanted: Collection[TallyKey]) -> dict[TallyKey, int]:
    """Return what was counted under (member, tally, period).

    Purchases of members whose purchases were not counted so far are counted now.
    """
    if not wanted:
        return {}
    rows = await connection.fetch(
        "select member, name, period, amount from tally "
        "join unnest($1::text[], $2::text[], $3::int[]) as w(member, name, period) using (member, name, period)",
        *zip(*wanted, strict=True),
    )
    found = {(member, name, period): amount for member, name, period, amount in rows}
    uncounted = [key[0] for key in wanted if key[1:] == PURCHASES and key not in found]
    if uncounted:
        counted = await fetch_map(
            connection,
            "select member, count(*) from purchase where member = any($1::text[]) group by member",
            uncounted,
        )
        found |= {(member, *PURCHASES): counted.get(member, 0) for member in uncounted}
    return found


async def load_budgets(connection: Connection, most: Mapping[Key, int]) -> dict[TallyKey, int]:
    """Lock budgets and return what they gave so far; those that cannot give any more are only read.

    Taken after every other lock and once a batch, in one order, so it closes no circle: who waits here holds accounts
    that nobody with a budget waits for.
    """
    keys = sorted(most)
    names, periods = [name for name, _period in keys], [period for _name, period in keys]
    await connection.execute(_OPEN_BUDGETS, names, periods)
    rows = await connection.fetch(_BUDGETS, names, periods)
    left = [(name, period) for name, period, amount in rows if amount < most[name, period]]
    if left:
        rows += await connection.fetch(_BUDGETS + "order by name, period for update of tally", *zip(*left, strict=True))
    return {("", name, period): amount for name, period, amount in rows}
