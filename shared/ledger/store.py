"""The ledger's SQL for the write path: lock what a batch touches, and write what it posts, in few statements."""

from __future__ import annotations

from collections.abc import Collection, Container, Mapping, Sequence
from typing import Any

from shared.database.pool import Connection, Row
from shared.errors import LoadAgain
from shared.instants import BEGINNING, NEVER
from shared.ledger.model import GRACE, Account, Entry, Hold, Lot, Terms
from shared.ledger.parts import parts_from_json
from shared.ledger.posting import Posting

_COLUMNS = """a.account, a.member, a.wallet, a.available, a.pending, a.reserved, a.debt, a.lifetime, a.version, a.as_of,
       a.next_due, a.earned_at, a.redeemed_at"""

_LOCK = f"""
select {_COLUMNS}
from unnest($1::text[]) as touched(member)
join account a on a.member = touched.member
where a.wallet = any($2::text[])
order by a.account
for update of a
"""

# A sweep waits for no lock: whoever holds an account applies what is due.
_LOCK_DUE = f"""
select {_COLUMNS}
from account a
where a.next_due <= $1 and a.account % $2 = $3
order by a.next_due
limit $4
for update skip locked
"""

_ANYTHING_DUE = "select exists(select from account where next_due <= $1 and account % $2 = $3)"

_CREATE = """
insert into account (member, wallet)
select member, wallet from unnest($1::text[]) as m(member), unnest($2::text[]) as w(wallet)
order by member, wallet
on conflict (member, wallet) do nothing
"""

#: What ``fill`` reads of a lot.
LOT_COLUMNS = "account, lot, remaining, available_at, expires_at, fulfils, idle, life, pending, expired - excused"

_LOTS = f"""
select {LOT_COLUMNS} from lot
where account = any($1::bigint[])
  and (remaining > 0 or life like '{GRACE}%'
       or expired > excused and (account = any($2::bigint[]) or lot = any($3::bigint[])))
"""

#: Open reservations of accounts.
HOLDS = """
select account, key, held_until, parts, source, redemption_id, reward
from redemption where account = any($1::bigint[]) and state = 'reserved'
"""

# One statement for all three tables, and never COPY: transaction_timeout does not end a backend that waits for COPY
# data, so a worker that freezes there would hold its locks for ever (docs/decisions/0006-no-copy.md).
_WRITE = """
with entries as (
    insert into entry (account, version, points, lot, available, pending, reserved, debt, qualifying, occurred_at,
                       event_at, cause, program_version, rule, operation, counts_at, recorded_at)
    select e.*, $17::timestamptz
    from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[],
                $8::bigint[], $9::bigint[], $10::timestamptz[], $11::timestamptz[], $12::uuid[], $13::int[],
                $14::smallint[], $15::smallint[], $16::timestamptz[]) e
), change as (
    select * from unnest($18::bigint[], $19::bigint[], $20::bigint[], $21::bigint[], $22::bigint[], $23::bigint[],
                         $24::boolean[], $25::timestamptz[], $26::timestamptz[], $27::uuid[], $28::text[], $29::text[])
                  as c(account, lot, earned, remaining, expired, excused, pending, available_at, expires_at, fulfils,
                       idle, life)
), moved as (
    -- What loses more than the batch brought is there already; a row to insert would break the table's promises.
    update lot l
    set earned = l.earned + c.earned, remaining = l.remaining + c.remaining, expired = l.expired + c.expired,
        excused = l.excused + c.excused, pending = c.pending, available_at = coalesce(c.available_at, l.available_at),
        expires_at = coalesce(c.expires_at, l.expires_at)
    from change c
    where (c.remaining < 0 or c.excused > c.expired) and (l.account, l.lot) = (c.account, c.lot)
), gathered as (
    insert into lot (account, lot, earned, remaining, expired, excused, pending, available_at, expires_at, fulfils,
                     idle, life)
    select * from change where remaining >= 0 and excused <= expired
    on conflict (account, lot) do update
    set earned = lot.earned + excluded.earned, remaining = lot.remaining + excluded.remaining,
        expired = lot.expired + excluded.expired, excused = lot.excused + excluded.excused,
        pending = excluded.pending, available_at = excluded.available_at, expires_at = excluded.expires_at
)
update account a
set available = u.available, pending = u.pending, reserved = u.reserved, debt = u.debt, lifetime = u.lifetime,
    version = u.version, as_of = u.as_of, next_due = u.next_due, earned_at = u.earned_at, redeemed_at = u.redeemed_at
from unnest($30::bigint[], $31::bigint[], $32::bigint[], $33::bigint[], $34::bigint[], $35::bigint[], $36::bigint[],
            $37::timestamptz[], $38::timestamptz[], $39::timestamptz[], $40::timestamptz[])
     as u(account, available, pending, reserved, debt, lifetime, version, as_of, next_due, earned_at, redeemed_at)
where a.account = u.account
"""
#: Of a lot of which only what was excused changed: its own terms stay.
_UNCHANGED = (None, None, None, "", "")

_TIMED_OUT = """
update redemption r set state = 'released', reason = 'timed-out', settled_at = t.at
from unnest($1::uuid[], $2::timestamptz[]) as t(key, at)
where r.key = t.key and r.state = 'reserved'
"""


async def lock_accounts(connection: Connection, members: Sequence[str], wallets: Sequence[str]) -> list[Account]:
    """Lock every account of the members in the wallets, in the order of account ids, and return them.

    It must be the first statement of a batch that reads anything about these members. Later statements then see
    what it waited for, because READ COMMITTED takes a snapshot per statement. ``load_lots`` and
    ``due_lots.load_due`` load lots.

    Raises:
        LoadAgain: Some accounts do not exist yet. They are created in a separate transaction, ordered by (member,
            wallet), before any lock is taken, so that two workers with the same new members cannot deadlock.
    """
    records = await connection.fetch(_LOCK, members, wallets)
    if len(records) < len(members) * len(wallets):

        async def create(own: Any) -> None:
            await own.execute(_CREATE, sorted(members), sorted(wallets))

        raise LoadAgain("accounts of new members", create)
    return [_unseen(record) for record in records]


async def anything_due(connection: Connection, horizon: int, shards: int, shard: int) -> bool:
    """Return whether any account of a shard has something due up to the horizon."""
    found: bool = await connection.fetchval(_ANYTHING_DUE, horizon, shards, shard)
    return found


async def lock_due(connection: Connection, horizon: int, shards: int, shard: int, limit: int) -> list[Account]:
    """Lock accounts of a shard that have something due up to the horizon, and skip those that others have locked."""
    return [_unseen(record) for record in await connection.fetch(_LOCK_DUE, horizon, shards, shard, limit)]


def _unseen(record: Row) -> Account:
    account = Account(*record)
    account.complete = account.all_expired = False
    account.unseen_due = account.next_due
    return account


async def load_lots(
    connection: Connection,
    accounts: Sequence[Account],
    named: Collection[tuple[int, int]] = (),
    all_expired: Container[int] = (),
) -> None:
    """Load the lots with points left and the open reservations of locked accounts.

    What expired of a lot excuses a clawback. There are ever more lots in which nothing is left: ask for those needed.

    Args:
        connection: In the transaction that holds the accounts' locks.
        accounts: The locked accounts.
        named: (account, lot) of lots of which it must be known what expired.
        all_expired: Accounts of which it must be known of every lot: a clawback may meet lots that nobody can name yet.
    """
    if not accounts:
        return
    by_number = {account.account: account for account in accounts}
    numbers = list(by_number)
    whole = [number for number in numbers if number in all_expired]
    lots = await connection.fetch(_LOTS, numbers, whole, [lot for _account, lot in named])
    fill(accounts, lots, await connection.fetch(HOLDS, numbers))
    for account in accounts:
        account.complete, account.unseen_due = True, NEVER
        account.all_expired = account.account in all_expired
    for number, lot in named:
        if number in by_number:
            by_number[number].expired.setdefault(lot, 0)


def fill(accounts: Sequence[Account], lots: Sequence[Row], holds: Sequence[Row]) -> None:
    """Add lots and open reservations to their accounts.

    Args:
        accounts: All accounts that occur in the rows.
        lots: (account, lot, remaining, available_at, expires_at, fulfils, idle, life, pending, expired - excused).
        holds: (account, key, held_until, parts, source, redemption_id, reward).
    """
    by_number = {account.account: account for account in accounts}
    for number, lot, remaining, available_at, expires_at, fulfils, idle, life, pending, expired in lots:
        account = by_number[number]
        terms = Terms(available_at, expires_at, fulfils or b"", idle, life)
        account.expired[lot] = expired
        if terms.in_grace:
            account.graced[lot] = expires_at
        if remaining:
            account.lots[lot] = Lot(lot, terms, remaining, pending)
    for number, key, held_until, parts, *about in holds:
        by_number[number].holds[key] = Hold(key, held_until, parts_from_json(parts), *about)


def due_within(accounts: Mapping[tuple[str, str], Account], until: Mapping[str, int]) -> list[Account]:
    """Return the accounts that have something due by the time of their member's last event in the batch."""
    return [
        account
        for (member, _), account in accounts.items()
        if account.next_due <= max(until.get(member, BEGINNING), account.as_of)
    ]


async def write(connection: Connection, posting: Posting, recorded_at: int) -> None:
    """Write what a batch posted, in one statement for any number of events."""
    if not posting.accounts:
        return
    if posting.timed_out:
        await connection.execute(_TIMED_OUT, list(posting.timed_out), list(posting.timed_out.values()))
    lots = sorted(posting.lots.values(), key=lambda change: (change.account, change.lot))
    accounts = list(posting.accounts.values())
    entries = list(zip(*posting.entries, strict=True)) or [()] * len(Entry._fields)
    terms = [change.terms or _UNCHANGED for change in lots]
    await connection.execute(
        _WRITE,
        *entries,
        recorded_at,
        [change.account for change in lots],
        [change.lot for change in lots],
        [change.earned for change in lots],
        [change.remaining for change in lots],
        [change.expired for change in lots],
        [change.excused for change in lots],
        [change.pending for change in lots],
        [one[0] for one in terms],
        [one[1] for one in terms],
        [one[2] or None for one in terms],
        [one[3] for one in terms],
        [one[4] for one in terms],
        [a.account for a in accounts],
        [a.available for a in accounts],
        [a.pending for a in accounts],
        [a.reserved for a in accounts],
        [a.debt for a in accounts],
        [a.lifetime for a in accounts],
        [a.version for a in accounts],
        [a.as_of for a in accounts],
        [a.next_due for a in accounts],
        [a.earned_at for a in accounts],
        [a.redeemed_at for a in accounts],
    )
