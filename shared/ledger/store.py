"""The ledger's SQL for the write path: lock what a batch touches, write what it posts, each in few statements."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from shared.database.pool import Connection
from shared.errors import LoadAgain
from shared.ledger.model import Account, Posting

_LOCK = """
select a.account, a.member, a.wallet, a.available, a.pending, a.reserved, a.debt, a.lifetime, a.version, a.as_of,
       a.next_due
from unnest($1::text[]) as touched(member)
join account a on a.member = touched.member
where a.wallet = any($2::text[])
order by a.account
for update of a
"""

_CREATE = """
insert into account (member, wallet)
select member, wallet from unnest($1::text[]) as m(member), unnest($2::text[]) as w(wallet)
order by member, wallet
on conflict (member, wallet) do nothing
"""

# One statement for all three tables, and never COPY: a backend that waits for COPY data does not hear
# transaction_timeout, so a worker frozen there would hold its locks for ever (docs/decisions/0006).
_WRITE = """
with entries as (
    insert into entry (account, version, points, lot, available, pending, reserved, debt, qualifying, occurred_at,
                       cause, program_version, rule, operation, recorded_at)
    select e.*, $15::timestamptz
    from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[],
                $8::bigint[], $9::bigint[], $10::timestamptz[], $11::uuid[], $12::int[], $13::smallint[],
                $14::smallint[]) e
), lots as (
    insert into lot (account, lot, earned, remaining, available_at, expires_at)
    select * from unnest($16::bigint[], $17::bigint[], $18::bigint[], $19::bigint[], $20::timestamptz[],
                         $21::timestamptz[])
    on conflict (account, lot) do update
    set earned = lot.earned + excluded.earned, remaining = lot.remaining + excluded.remaining
)
update account a
set available = u.available, pending = u.pending, reserved = u.reserved, debt = u.debt, lifetime = u.lifetime,
    version = u.version, as_of = u.as_of, next_due = u.next_due
from unnest($22::bigint[], $23::bigint[], $24::bigint[], $25::bigint[], $26::bigint[], $27::bigint[], $28::bigint[],
            $29::timestamptz[], $30::timestamptz[])
     as u(account, available, pending, reserved, debt, lifetime, version, as_of, next_due)
where a.account = u.account
"""


async def lock_accounts(connection: Connection, members: Sequence[str], wallets: Sequence[str]) -> list[Account]:
    """Lock every account of the members in the wallets, in the order of account ids, and return them.

    Must be the first statement of a batch that reads anything of these members: what it waits for, later
    statements see (READ COMMITTED takes a snapshot a statement).

    Raises:
        LoadAgain: Some accounts do not exist yet. They are made in a transaction of their own, in the order of
            (member, wallet), before any lock is taken: so two workers that meet new members cannot deadlock.
    """
    records = await connection.fetch(_LOCK, members, wallets)
    if len(records) < len(members) * len(wallets):

        async def create(own: Any) -> None:
            await own.execute(_CREATE, sorted(members), sorted(wallets))

        raise LoadAgain("accounts of new members", create)
    return [Account(*record) for record in records]


async def write(connection: Connection, posting: Posting, recorded_at: int) -> None:
    """Write what a batch posted in one statement, whatever the number of events."""
    if not posting.entries:
        return
    lots = sorted(posting.lots.values(), key=lambda change: (change.account, change.lot))
    accounts = list(posting.accounts.values())
    await connection.execute(
        _WRITE,
        *zip(*posting.entries, strict=True),
        recorded_at,
        [change.account for change in lots],
        [change.lot for change in lots],
        [change.earned for change in lots],
        [change.remaining for change in lots],
        [change.terms.available_at for change in lots],
        [change.terms.expires_at for change in lots],
        [a.account for a in accounts],
        [a.available for a in accounts],
        [a.pending for a in accounts],
        [a.reserved for a in accounts],
        [a.debt for a in accounts],
        [a.lifetime for a in accounts],
        [a.version for a in accounts],
        [a.as_of for a in accounts],
        [a.next_due for a in accounts],
    )
