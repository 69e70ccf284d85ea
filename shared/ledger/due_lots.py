"""Loads the lots of locked accounts that become due by an instant.

Where points are pending for a while, or live long, an account has a lot for each day of shopping, and few of them are
due. Loading all of them each time would cost work that grows with the square of the length of a membership.
"""

from __future__ import annotations

from collections.abc import Sequence

from shared.database.pool import Connection
from shared.instants import NEVER
from shared.ledger.model import Account
from shared.ledger.store import HOLDS, LOT_COLUMNS, fill, load_lots
from shared.program.compiled.program import Program

_DAY = 86_400_000_000
#: Reminders are counted in days of the program's zone, and are due at the beginning of a day.
_SLACK_DAYS = 2

# One pass over the accounts' lots: any() finds them by index, where a join may read the whole table. Points that expire
# by inactivity (idle) have no instant of their own to compare. Lot 0 says when the earliest of the others is due.
_LOTS = f"""
with held as materialized (
    select l.account, l.lot, l.remaining, l.available_at, l.expires_at, l.fulfils, l.idle, l.life, l.pending,
           l.expired, l.excused,
           l.idle <> '' or case when l.pending then l.available_at <= d.until else l.expires_at <= d.soon end as needed
    from unnest($1::bigint[], $2::timestamptz[], $3::timestamptz[]) as d(account, until, soon)
    join lot l on l.account = d.account
    where l.account = any($1::bigint[]) and l.remaining > 0
)
select {LOT_COLUMNS} from held where needed
union all
select account, 0, 0, coalesce(min(available_at) filter (where pending), 'infinity'),
       coalesce(min(expires_at) filter (where not pending), 'infinity'), null, '', '', false, 0
from held where not needed group by account
"""


async def load_due(connection: Connection, accounts: Sequence[Account], until: Sequence[int], program: Program) -> None:
    """Load what is needed to apply what is due up to an instant.

    Accounts with a debt or a reservation are loaded whole: a debt is repaid from any lot, and released points return to
    any lot. In all other accounts nothing that was not loaded is due before ``unseen_due``.

    Args:
        connection: In the transaction that holds the accounts' locks.
        accounts: The locked accounts.
        until: For each account, the instant up to which everything due is to be applied.
        program: The newest version: it says when an expiry is announced.
    """
    parts: list[Account] = []
    ends: list[int] = []
    for account, end in zip(accounts, until, strict=True):
        if not (account.debt or account.reserved):
            parts.append(account)
            # A late event is applied at the account's ``as_of``.
            ends.append(max(end, account.as_of))
    await load_lots(connection, [account for account in accounts if account.debt or account.reserved])
    if not parts:
        return
    numbers = [account.account for account in parts]
    soon = [end + _reach(program, account.wallet) for account, end in zip(parts, ends, strict=True)]
    found = await connection.fetch(_LOTS, numbers, ends, soon)
    fill(parts, [row for row in found if row["lot"]], await connection.fetch(HOLDS, numbers))
    later = {row["account"]: (row["available_at"], row["expires_at"]) for row in found if not row["lot"]}
    for account in parts:
        available_at, expires_at = later.get(account.account, (NEVER, NEVER))
        reminders = program.reminders(account.wallet, expires_at)
        account.unseen_due = min(available_at, expires_at, *(instant for instant, _days in reminders))


def _reach(program: Program, wallet: str) -> int:
    """Return how long before an expiry it may be announced."""
    terms = program.terms.get(wallet)
    return (max(terms.remind, default=0) + _SLACK_DAYS) * _DAY if terms else _SLACK_DAYS * _DAY
