"""Reads the ledger: accounts now, and as of any instant, past or future.

What is due by then and not recorded yet is applied in memory, by the same fold as everywhere: so a balance does not
depend on whether a sweep has run. However many accounts there are, some hundreds of them are in memory at a time.
"""

from __future__ import annotations

import heapq
from collections.abc import AsyncIterator, Sequence
from typing import Any, NamedTuple

from shared.database.pool import Connection
from shared.instants import BEGINNING
from shared.ledger.book import Book
from shared.ledger.due import TimedEffect
from shared.ledger.model import GRACE, Account
from shared.ledger.operations import Operation, effects_as_table
from shared.ledger.posting import Posting
from shared.ledger.store import fill, load_lots
from shared.program.compiled.program import Program
from shared.queries.pages import Page, page_of

_EFFECTS = effects_as_table()
#: Accounts that are in memory at a time where all of them are read.
_PAGE = 500


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


class BalanceCursor(NamedTuple):
    """Where a list of balances goes on."""

    member: str
    wallet: str


class Holdings(NamedTuple):
    """Accounts with their lots as of an instant.

    Attributes:
        timed_effects: What is due by then and not recorded yet.
        entries: How many entries the accounts had then.
    """

    accounts: list[Account]
    timed_effects: list[TimedEffect]
    entries: int


#: Every entry, apart from the number that its account happens to have and the time at which it was recorded.
ENTRIES = """
select a.member, a.wallet, e.version, e.points, e.lot, e.available, e.pending, e.reserved, e.debt, e.qualifying,
       e.occurred_at, e.event_at, e.cause, e.program_version, e.rule, e.operation, e.counts_at
from entry e join account a using (account) order by a.member, a.wallet, e.version
"""

_ACCOUNTS = """
select account, member, wallet, available, pending, reserved, debt, lifetime, version, as_of, next_due,
       earned_at, redeemed_at
from account
"""
_OF_MEMBER = _ACCOUNTS + "where member = $1 order by member, wallet"
_PAGE_OF_ALL = (
    _ACCOUNTS + "where $1::text is null or (member, wallet) > ($1, $2::text) order by member, wallet limit $3"
)
# Of those of which nothing is due, the totals tell. This reads all accounts, and keeps no more than are wanted: an
# index on a balance would make every purchase write it (migration 0009).
_LARGEST = (
    _ACCOUNTS + "where next_due > $1 "
    'order by available desc, pending desc, lifetime desc, member collate "C", wallet collate "C" limit $2'
)
_DUE = (
    _ACCOUNTS + "where next_due <= $1 and next_due < 'infinity' and (next_due, account) > ($2, $3::bigint) "
    "order by next_due, account limit $4"
)

# Account by account, along its own entries: the newest one has the balances, and all of them the totals.
_THEN = f"""
select a.account, a.member, a.wallet, coalesce(last.available, 0), coalesce(last.pending, 0),
       coalesce(last.reserved, 0), coalesce(last.debt, 0), coalesce(total.lifetime, 0), coalesce(last.version, 0),
       coalesce(last.occurred_at, '-infinity'), timestamptz 'infinity', coalesce(total.earned_at, '-infinity'),
       coalesce(total.redeemed_at, '-infinity')
from unnest($2::bigint[]) with ordinality as wanted(account, position)
join account a using (account)
left join lateral (
    select version, available, pending, reserved, debt, occurred_at
    from entry e where e.account = a.account and e.occurred_at <= $1 order by e.version desc limit 1) last on true
left join lateral (
    select sum(e.points * f.lifetime)::bigint as lifetime,
           max(e.occurred_at) filter (where f.earned > 0 and e.points > 0) as earned_at,
           max(e.occurred_at) filter (where e.operation = {int(Operation.REDEEM)}) as redeemed_at
    from (select points, operation, occurred_at from entry
          where account = a.account and occurred_at <= $1 offset 0) e
    join {_EFFECTS} on f.operation = e.operation) total on true
order by wanted.position
"""

# A lot in which points lived on that came back is told also if it is empty: its points are given no more grace.
_LOTS_THEN = f"""
select wanted.account, e.lot, sum(e.points * f.lot)::bigint, l.available_at, l.expires_at, l.fulfils, l.idle, l.life,
       sum(e.points * f.pending) > 0, sum(e.points * (f.expired - f.excused))::bigint
from unnest($2::bigint[]) as wanted(account)
cross join lateral (
    select lot, points, operation from entry
    where account = wanted.account and occurred_at <= $1 offset 0) e
join {_EFFECTS} on f.operation = e.operation
join lot l on l.account = wanted.account and l.lot = e.lot
group by wanted.account, e.lot, l.available_at, l.expires_at, l.fulfils, l.idle, l.life
having sum(e.points * f.lot) > 0 or l.life like '{GRACE}%'
"""

# By their members, for whose redemptions there is an index already.
_HOLDS_THEN = """
select account, key, held_until, parts, source, redemption_id, reward
from redemption
where member = any($3::text[]) and account = any($2::bigint[]) and requested_at <= $1 and parts <> '[]'
  and held_until < 'infinity' and (settled_at is null or settled_at > $1)
"""


async def accounts_of(
    connection: Connection, program: Program, member: str, *, now: int, as_of: int | None = None
) -> Holdings:
    """Return a member's accounts with their lots as of an instant, and what is due by then and not recorded yet.

    Args:
        connection: To the deployment's schema.
        program: The newest version.
        member: Whose.
        now: The program's present instant; used unless ``as_of`` is given.
        as_of: Only what happened up to this instant counts (business time).
    """
    accounts = [Account(*row) for row in await connection.fetch(_OF_MEMBER, member)]
    return await _holdings(connection, program, accounts, now=now, as_of=as_of)


async def _holdings(
    connection: Connection, program: Program, accounts: list[Account], *, now: int, as_of: int | None
) -> Holdings:
    """Return accounts, which are as of now, as of an instant, with their lots and everything that is due by then."""
    if as_of is None:
        await load_lots(connection, accounts)
    else:
        numbers = [account.account for account in accounts]
        accounts = [Account(*row) for row in await connection.fetch(_THEN, as_of, numbers)]
        await _load_then(connection, accounts, as_of)
    entries = sum(account.version for account in accounts)
    book = Book({(account.member, account.wallet): account for account in accounts}, Posting(), program)
    for account in accounts:
        book.apply_due(account, now if as_of is None else as_of)
    return Holdings(accounts, book.timed_effects, entries)


async def _load_then(connection: Connection, accounts: Sequence[Account], as_of: int) -> None:
    numbers = [account.account for account in accounts]
    members = list({account.member for account in accounts})
    lots: list[Any] = await connection.fetch(_LOTS_THEN, as_of, numbers)
    holds: list[Any] = await connection.fetch(_HOLDS_THEN, as_of, numbers, members)
    fill(accounts, lots, holds)
    for account in accounts:
        # Whether anything is due shows when it is looked for.
        account.next_due = BEGINNING
        if sum(hold.points for hold in account.holds.values()) != account.reserved:
            account.holds.clear()  # a redemption that timed out and was confirmed later: what was held is not told


async def list_balances(
    connection: Connection,
    program: Program,
    *,
    now: int,
    as_of: int | None = None,
    limit: int,
    after: BalanceCursor | None = None,
) -> Page[Balance, BalanceCursor]:
    """Return a page of all accounts as of an instant, sorted by member and wallet; see ``accounts_of``."""
    rows = await connection.fetch(_PAGE_OF_ALL, *(after or (None, None)), limit + 1)
    accounts = [Account(*row) for row in rows]
    held = await _holdings(connection, program, accounts, now=now, as_of=as_of)
    return page_of(held.accounts, limit, _balance, lambda account: BalanceCursor(account.member, account.wallet))


async def balances(
    connection: Connection, program: Program, *, now: int, as_of: int | None = None, member: str | None = None
) -> list[Balance]:
    """Return accounts as of an instant, all of them or one member's, sorted by member and wallet, of one snapshot."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        if member is not None:
            held = await accounts_of(connection, program, member, now=now, as_of=as_of)
            return [_balance(account) for account in held.accounts]
        return [row async for row in _every_balance(connection, program, now=now, as_of=as_of)]


async def largest_balances(
    connection: Connection, program: Program, count: int, *, now: int, as_of: int | None = None
) -> list[Balance]:
    """Return the accounts with most points available as of an instant, the largest first, of one snapshot."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        if as_of is not None:
            largest: list[Balance] = []
            async for row in _every_balance(connection, program, now=now, as_of=as_of):
                largest.append(row)
                if len(largest) > max(2 * count, _PAGE):
                    largest = heapq.nsmallest(count, largest, key=size)
            return heapq.nsmallest(count, largest, key=size)
        largest = [_balance(Account(*row)) for row in await connection.fetch(_LARGEST, now, count)]
        after = (BEGINNING, 0)
        while rows := await connection.fetch(_DUE, now, *after, _PAGE):
            accounts = [Account(*row) for row in rows]
            after = (accounts[-1].next_due, accounts[-1].account)
            held = await _holdings(connection, program, accounts, now=now, as_of=None)
            largest = heapq.nsmallest(count, [*largest, *map(_balance, held.accounts)], key=size)
        return largest


async def _every_balance(
    connection: Connection, program: Program, *, now: int, as_of: int | None
) -> AsyncIterator[Balance]:
    after: BalanceCursor | None = None
    while True:
        page = await list_balances(connection, program, now=now, as_of=as_of, limit=_PAGE, after=after)
        for row in page.rows:
            yield row
        after = page.next
        if after is None:
            return


def _balance(a: Account) -> Balance:
    return Balance(a.member, a.wallet, a.available, a.pending, a.reserved, a.debt, a.lifetime, a.version)


def size(row: Balance) -> tuple[int, int, int, str, str]:
    """Return what balances are sorted by where the largest comes first."""
    return -row.available, -row.pending, -row.lifetime, row.member_id, row.wallet
