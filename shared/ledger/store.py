"""The ledger's SQL for the write path: lock what a batch touches, write what it posts, each in few statements."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from shared.database.pool import Connection
from shared.errors import LoadAgain
from shared.ledger import rows
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

_UPDATE_ACCOUNTS = """
update account a
set available = u.available, pending = u.pending, reserved = u.reserved, debt = u.debt, lifetime = u.lifetime,
    version = u.version, as_of = u.as_of, next_due = u.next_due
from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[],
            $8::timestamptz[], $9::timestamptz[])
     as u(account, available, pending, reserved, debt, lifetime, version, as_of, next_due)
where a.account = u.account
"""

_CHANGE_LOTS = """
insert into lot (account, lot, earned, remaining, available_at, expires_at)
select * from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::timestamptz[], $6::timestamptz[])
on conflict (account, lot) do update
set earned = lot.earned + excluded.earned, remaining = lot.remaining + excluded.remaining
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
    """Write what a batch posted: three statements, whatever the number of events."""
    if not posting.entries:
        return
    await connection.copy_to_table(
        "entry", source=rows.entries(posting.entries, recorded_at), columns=rows.ENTRY_COLUMNS, format="binary"
    )
    lots = sorted(posting.lots.values(), key=lambda change: (change.account, change.lot))
    await connection.execute(
        _CHANGE_LOTS,
        [change.account for change in lots],
        [change.lot for change in lots],
        [change.earned for change in lots],
        [change.remaining for change in lots],
        [change.terms.available_at for change in lots],
        [change.terms.expires_at for change in lots],
    )
    accounts = list(posting.accounts.values())
    await connection.execute(
        _UPDATE_ACCOUNTS,
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
