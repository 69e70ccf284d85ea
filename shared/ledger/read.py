"""Reads the ledger: balances now, and as of any instant, past or future."""

from __future__ import annotations

from typing import NamedTuple

from shared.database.pool import Connection
from shared.ledger.operations import effects_as_values


class Balance(NamedTuple):
    """One account as of an instant, in the wallet's smallest unit."""

    member_id: str
    wallet: str
    available: int
    pending: int
    reserved: int
    debt: int
    lifetime: int
    version: int


#: Every entry, apart from the number that its account happens to have and the time at which it was recorded.
ENTRIES = """
select a.member, a.wallet, e.version, e.points, e.lot, e.available, e.pending, e.reserved, e.debt, e.qualifying,
       e.occurred_at, e.cause, e.program_version, e.rule, e.operation
from entry e join account a using (account) order by a.member, a.wallet, e.version
"""

# Points past their expiry are not available, whether or not anything was recorded about it yet.
_NOW = """
select a.member, a.wallet,
       a.available - coalesce((select sum(l.remaining) from lot l
                               where l.account = a.account and l.expires_at <= $1), 0)::bigint,
       a.pending, a.reserved, a.debt, a.lifetime, a.version
from account a
order by a.member, a.wallet
"""

_AS_OF = f"""
with moved as (
    select e.account, e.version, e.available, e.pending, e.reserved, e.debt,
           e.points * f.lifetime as lifetime,
           case when l.expires_at <= $1 then e.points * f.lot else 0 end as gone
    from entry e
    join (values {effects_as_values()}) as f(operation, available, pending, reserved, debt, lot, lifetime)
         on f.operation = e.operation
    join lot l on l.account = e.account and l.lot = e.lot
    where e.occurred_at <= $1
), last as (
    select distinct on (account) account, version, available, pending, reserved, debt
    from moved order by account, version desc
), total as (
    select account, sum(lifetime)::bigint as lifetime, sum(gone)::bigint as gone from moved group by account
)
select a.member, a.wallet, coalesce(last.available - total.gone, 0), coalesce(last.pending, 0),
       coalesce(last.reserved, 0), coalesce(last.debt, 0), coalesce(total.lifetime, 0), coalesce(last.version, 0)
from account a
left join last on last.account = a.account
left join total on total.account = a.account
order by a.member, a.wallet
"""


async def balances(connection: Connection, *, now: int, as_of: int | None = None) -> list[Balance]:
    """Return every account, sorted by member and wallet.

    Args:
        connection: To the deployment's schema.
        now: The program's present instant; used unless ``as_of`` is given.
        as_of: Only what happened up to this instant counts (business time); points that have expired by then do not.
    """
    rows = await (connection.fetch(_NOW, now) if as_of is None else connection.fetch(_AS_OF, as_of))
    return [Balance(*row) for row in rows]
