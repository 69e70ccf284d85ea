"""tiers' own SQL: standings and the history of tiers. Ledger rows are read, never locked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from services.tiers.tier_events import Announced, Evaluation, TierStatus
from shared.database.pool import Connection
from shared.instants import BEGINNING
from shared.runtime.handler import Due
from shared.tier_status.read import load_inputs
from shared.tier_status.state import dump
from shared.tier_status.state import load as load_state

# An account without entries has no tier of its own.
_OF_MEMBERS = "select account from account where member = any($1::text[]) and wallet = any($2::text[]) and version > 0"

# Always before any standing is locked: whoever waits here holds new rows only, which nobody else can wait for.
_CREATE = """
insert into standing (account, member, version, program_version, tier, metric_value, valid_from, valid_until, fold,
                      announced, next_due, updated_at)
select account, member, 0, 0, '', 0, '-infinity', 'infinity', '', '', 'infinity', now()
from account a
where account = any($1::bigint[]) and not exists (select from standing s where s.account = a.account)
order by account
on conflict (account) do nothing
"""

_LOCK = """
select s.account, s.member, a.wallet, s.fold, s.announced, s.next_due, s.program_version
from standing s join account a using (account)
where s.account = any($1::bigint[])
order by s.account
for update of s
"""

_DUE = """
select account from standing
where next_due <= $1 and next_due < 'infinity' and account % $2 = $3 order by next_due limit $4
"""

_ANYTHING_DUE = """
select exists(select from standing where next_due <= $1 and next_due < 'infinity' and account % $2 = $3)
"""

# A slice of all accounts: a whole scan takes too long where there are many.
_BEHIND = """
select slice.account, slice.version > coalesce(s.version, 0) as behind
from (select account, version from account
      where account > $5 and wallet = any($1::text[]) and account % $2 = $3 order by account limit $4) slice
left join standing s using (account)
order by slice.account
"""
_SLICE = 20_000

_STALE = """
select s.account from standing s join account a using (account)
where a.wallet = any($1::text[]) and s.account % $2 = $3 and s.program_version < $5
limit $4
"""


class _StandingRow(NamedTuple):
    """What is written of a standing; each field is the column of its name."""

    account: int
    version: int
    tier: str
    metric_value: int
    valid_from: int
    valid_until: int
    fold: str
    announced: str
    next_due: int


class _ChangeRow(NamedTuple):
    """A row of ``tier_history``; each field is the column of its name."""

    account: int
    number: int
    member: str
    change: str
    old_tier: str
    tier: str
    reason: str
    metric_value: int
    occurred_at: int
    version: int


_WRITE = f"""
update standing s
set version = u.version, program_version = $10, tier = u.tier, metric_value = u.metric_value,
    valid_from = u.valid_from, valid_until = u.valid_until, fold = u.fold, announced = u.announced,
    next_due = u.next_due, updated_at = $11
from unnest($1::bigint[], $2::bigint[], $3::text[], $4::bigint[], $5::timestamptz[], $6::timestamptz[], $7::text[],
            $8::text[], $9::timestamptz[])
     as u({", ".join(_StandingRow._fields)})
where s.account = u.account
"""

_ADD_CHANGES = f"""
insert into tier_history ({", ".join(_ChangeRow._fields)})
select * from unnest($1::bigint[], $2::int[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::bigint[],
                     $9::timestamptz[], $10::bigint[])
"""


async def lock_members(
    connection: Connection, members: Sequence[str], wallets: Sequence[str], program_version: int
) -> list[TierStatus]:
    """Lock the standings of members in the ladders' wallets, made where missing, with the entries after each."""
    accounts = [account for (account,) in await connection.fetch(_OF_MEMBERS, members, wallets)]
    return await lock(connection, accounts, program_version, wait=True)


async def lock(
    connection: Connection, accounts: Sequence[int], program_version: int, *, wait: bool = False
) -> list[TierStatus]:
    """Lock standings in the order of account ids, then read what comes after them.

    Args:
        connection: In a transaction that holds no standing yet.
        accounts: Of the ladders' wallets.
        program_version: The newest; what was treated under an older one is to be treated in any case.
        wait: For locks; else what is locked by somebody is left out.
    """
    if not accounts:
        return []
    await connection.execute(_CREATE, accounts)
    rows = await connection.fetch(_LOCK if wait else _LOCK + "skip locked", accounts)
    standings = {
        row["account"]: TierStatus(
            row["account"],
            row["member"],
            row["wallet"],
            load_state(row["fold"]),
            Announced.load(row["announced"]),
            next_due=row["next_due"] if row["program_version"] == program_version else BEGINNING,
        )
        for row in rows
    }
    # A later statement: entries that were committed while the locks were waited for are seen too.
    steps = await load_inputs(connection, {account: one.state.version for account, one in standings.items()})
    for account, following in steps.items():
        standings[account].inputs = following
    return list(standings.values())


async def anything_due(connection: Connection, due: Due) -> bool:
    """Tell whether a standing of a shard is due."""
    found: bool = await connection.fetchval(_ANYTHING_DUE, due.horizon, due.shards, due.shard)
    return found


async def due(connection: Connection, due: Due) -> list[int]:
    """Return accounts whose tiers time alone changes by the horizon."""
    rows = await connection.fetch(_DUE, due.horizon, due.shards, due.shard, due.limit)
    return [account for (account,) in rows]


async def behind(connection: Connection, due: Due, wallets: Sequence[str], after: int) -> tuple[list[int], int]:
    """Return accounts with entries that were not folded yet: the ledger's word, whatever became of the messages.

    Args:
        connection: In a transaction.
        due: The shard, and how many are wanted at most.
        wallets: Of the ladders.
        after: Look at accounts with higher numbers only, at a slice of them.

    Returns:
        The accounts, and the last one that was looked at; 0 if there are no more.
    """
    rows = await connection.fetch(_BEHIND, wallets, due.shards, due.shard, _SLICE, after)
    found = [account for account, is_behind in rows if is_behind][: due.limit]
    if len(found) == due.limit:
        return found, found[-1]
    return found, rows[-1]["account"] if len(rows) == _SLICE else 0


async def stale(connection: Connection, due: Due, wallets: Sequence[str], program_version: int) -> list[int]:
    """Return accounts that were not treated since the newest version of the program was published."""
    rows = await connection.fetch(_STALE, wallets, due.shards, due.shard, due.limit, program_version)
    return [account for (account,) in rows]


async def write(connection: Connection, treated: Sequence[Evaluation], program_version: int, recorded_at: int) -> None:
    """Write standings, and what was told of them."""
    if not treated:
        return
    rows = [
        _StandingRow(
            one.standing.account,
            one.standing.state.version,
            one.shown.tier,
            one.metric_value,
            one.shown.since,
            one.shown.valid_until,
            dump(one.standing.state),
            one.standing.announced.dump(),
            one.standing.next_due,
        )
        for one in treated
    ]
    await connection.execute(_WRITE, *zip(*rows, strict=True), program_version, recorded_at)
    history = [
        _ChangeRow(
            one.standing.account,
            number,
            one.standing.member,
            change.change,
            change.old_tier,
            change.tier,
            change.reason,
            change.metric_value,
            change.occurred_at,
            change.version,
        )
        for one in treated
        for number, change in one.news
        if number
    ]
    if history:
        await connection.execute(_ADD_CHANGES, *zip(*history, strict=True))
