"""Reads the ledger: accounts now, and as of any instant, past or future.

What is due by then and not recorded yet is applied in memory, by the same fold as everywhere: so a balance does not
depend on whether a sweep has run.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from shared.database.pool import Connection
from shared.instants import BEGINNING
from shared.ledger.book import Book
from shared.ledger.due import TimedEffect
from shared.ledger.model import Account
from shared.ledger.operations import Operation, effects_as_values
from shared.ledger.posting import Posting
from shared.ledger.store import fill, load_lots
from shared.program.compiled.program import Program

_EFFECTS = f"""(values {effects_as_values()})
    as f(operation, available, pending, reserved, debt, lot, earned, lifetime)"""


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
       e.occurred_at, e.event_at, e.cause, e.program_version, e.rule, e.operation
from entry e join account a using (account) order by a.member, a.wallet, e.version
"""

_NOW = """
select account, member, wallet, available, pending, reserved, debt, lifetime, version, as_of, next_due,
       earned_at, redeemed_at
from account where $1::text is null or member = $1 order by member, wallet
"""

_THEN = f"""
select a.account, a.member, a.wallet, coalesce(last.available, 0), coalesce(last.pending, 0),
       coalesce(last.reserved, 0), coalesce(last.debt, 0), coalesce(total.lifetime, 0), coalesce(last.version, 0),
       coalesce(last.occurred_at, '-infinity'), timestamptz 'infinity', coalesce(total.earned_at, '-infinity'),
       coalesce(total.redeemed_at, '-infinity')
from account a
left join (
    select distinct on (account) account, version, available, pending, reserved, debt, occurred_at
    from entry where occurred_at <= $1 order by account, version desc) last using (account)
left join (
    select e.account, sum(e.points * f.lifetime)::bigint as lifetime,
           max(e.occurred_at) filter (where f.lifetime > 0 and e.points > 0) as earned_at,
           max(e.occurred_at) filter (where e.operation = {int(Operation.REDEEM)}) as redeemed_at
    from entry e join {_EFFECTS} on f.operation = e.operation where e.occurred_at <= $1 group by e.account
    ) total using (account)
where $2::text is null or a.member = $2
order by a.member, a.wallet
"""

_LOTS_THEN = f"""
select e.account, e.lot, sum(e.points * f.lot)::bigint, l.available_at, l.expires_at, l.fulfils, l.idle,
       sum(e.points * f.pending) > 0
from entry e
join {_EFFECTS} on f.operation = e.operation
join lot l on l.account = e.account and l.lot = e.lot
where e.occurred_at <= $1 and e.account = any($2::bigint[])
group by e.account, e.lot, l.available_at, l.expires_at, l.fulfils, l.idle
having sum(e.points * f.lot) > 0
"""

_HOLDS_THEN = """
select account, key, held_until, parts, source, redemption_id, reward
from redemption
where account = any($2::bigint[]) and requested_at <= $1 and parts <> '[]' and held_until < 'infinity'
  and (settled_at is null or settled_at > $1)
"""


async def accounts_at(
    connection: Connection, program: Program, *, now: int, as_of: int | None = None, member: str | None = None
) -> tuple[list[Account], list[TimedEffect]]:
    """Return accounts with their lots as of an instant, and what is due by then and not recorded yet.

    Args:
        connection: To the deployment's schema.
        program: The newest version.
        now: The program's present instant; used unless ``as_of`` is given.
        as_of: Only what happened up to this instant counts (business time).
        member: Only this member's.
    """
    if as_of is None:
        accounts = [Account(*row) for row in await connection.fetch(_NOW, member)]
        await load_lots(connection, accounts)
    else:
        accounts = [Account(*row) for row in await connection.fetch(_THEN, as_of, member)]
        await _load_then(connection, accounts, as_of)
    book = Book({(account.member, account.wallet): account for account in accounts}, Posting(), program)
    for account in accounts:
        book.apply_due(account, now if as_of is None else as_of)
    return accounts, book.timed_effects


async def _load_then(connection: Connection, accounts: Sequence[Account], as_of: int) -> None:
    numbers = [account.account for account in accounts]
    lots = await connection.fetch(_LOTS_THEN, as_of, numbers)
    fill(accounts, lots, await connection.fetch(_HOLDS_THEN, as_of, numbers))
    for account in accounts:
        # Whether anything is due shows when it is looked for.
        account.next_due = BEGINNING
        if sum(hold.points for hold in account.holds.values()) != account.reserved:
            account.holds.clear()  # a redemption that timed out and was confirmed later: what was held is not told


async def balances(
    connection: Connection, program: Program, *, now: int, as_of: int | None = None, member: str | None = None
) -> list[Balance]:
    """Return accounts as of an instant, sorted by member and wallet; see ``accounts_at``."""
    accounts, _lapses = await accounts_at(connection, program, now=now, as_of=as_of, member=member)
    return [
        Balance(a.member, a.wallet, a.available, a.pending, a.reserved, a.debt, a.lifetime, a.version) for a in accounts
    ]


def word(operation: int) -> str:
    """Return an operation's name as the command line shows it."""
    return Operation(operation).word
