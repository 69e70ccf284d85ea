"""Every invariant of the ledger, as SQL that an auditor can read. Each check returns what breaks it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple

from shared.database.pool import Connection
from shared.ledger.operations import effects_as_values

_SHOWN = 100
_EFFECTS = f"(values {effects_as_values()}) as f(operation, available, pending, reserved, debt, lot, lifetime)"
#: Every query takes the accounts to look at; null for all of them.
_CHOSEN = "($1::bigint[] is null or {0}.account = any($1))"


class Finding(NamedTuple):
    """One thing that is wrong: which check, whose (member and wallet, or a position), and what."""

    check: str
    where: str
    what: str


class Check(NamedTuple):
    """One invariant.

    Attributes:
        promise: What must be true, in words.
        sql: Returns (where, what) of each violation.
        per_account: Whether it can be asked of some accounts only.
    """

    name: str
    promise: str
    sql: str
    per_account: bool


CHECKS: tuple[Check, ...] = (
    Check(
        "versions",
        "each account's entries are numbered 1, 2, 3 … without a gap",
        f"""
        select a.member || ' ' || a.wallet, 'version ' || e.version || ' follows ' || e.before
        from (select account, version, lag(version, 1, 0::bigint) over (partition by account order by version) as before
              from entry e where {_CHOSEN.format("e")}) e
        join account a using (account)
        where e.version <> e.before + 1
        """,
        True,
    ),
    Check(
        "balances",
        "balances after an entry = balances after the one before + the operation's effect",
        f"""
        select a.member || ' ' || a.wallet, 'version ' || e.version || ' does not follow from the one before'
        from (select e.*, lag(available, 1, 0::bigint) over w as a0, lag(pending, 1, 0::bigint) over w as p0,
                     lag(reserved, 1, 0::bigint) over w as r0, lag(debt, 1, 0::bigint) over w as d0
              from entry e where {_CHOSEN.format("e")} window w as (partition by account order by version)) e
        join account a using (account)
        left join {_EFFECTS} on f.operation = e.operation
        where f.operation is null
           or (e.available, e.pending, e.reserved, e.debt) is distinct from
              (e.a0 + f.available * e.points, e.p0 + f.pending * e.points, e.r0 + f.reserved * e.points,
               e.d0 + f.debt * e.points)
           or least(e.available, e.pending, e.reserved, e.debt) < 0
        """,
        True,
    ),
    Check(
        "accounts",
        "an account is the sum of its entries",
        f"""
        select a.member || ' ' || a.wallet,
               'account says ' || (a.available, a.pending, a.reserved, a.debt, a.lifetime, a.version)::text ||
               ', entries say ' || (s.available, s.pending, s.reserved, s.debt, s.lifetime, s.version)::text
        from account a
        cross join lateral (
            select coalesce(sum(e.points * f.available), 0) as available,
                   coalesce(sum(e.points * f.pending), 0) as pending,
                   coalesce(sum(e.points * f.reserved), 0) as reserved,
                   coalesce(sum(e.points * f.debt), 0) as debt,
                   coalesce(sum(e.points * f.lifetime), 0) as lifetime, count(*) as version
            from entry e join {_EFFECTS} on f.operation = e.operation where e.account = a.account) s
        where {_CHOSEN.format("a")}
          and (a.available, a.pending, a.reserved, a.debt, a.lifetime, a.version) is distinct from
              (s.available, s.pending, s.reserved, s.debt, s.lifetime, s.version)
        """,
        True,
    ),
    Check(
        "lots",
        "what remains of a lot is the sum of its entries, and never negative",
        f"""
        select coalesce(a.member || ' ' || a.wallet, 'account ' || coalesce(l.account, s.account)),
               'lot ' || coalesce(l.lot, s.lot) || ' says ' || coalesce((l.earned, l.remaining)::text, 'nothing') ||
               ', entries say ' || coalesce((s.earned, s.remaining)::text, 'nothing')
        from (select * from lot where {_CHOSEN.format("lot")}) l
        full join (
            select e.account, e.lot, sum(e.points * greatest(f.lot, 0)) as earned, sum(e.points * f.lot) as remaining
            from entry e join {_EFFECTS} on f.operation = e.operation
            where {_CHOSEN.format("e")} group by e.account, e.lot) s
            on s.account = l.account and s.lot = l.lot
        left join account a on a.account = coalesce(l.account, s.account)
        where (l.earned, l.remaining) is distinct from (s.earned, s.remaining) or l.remaining < 0
        """,
        True,
    ),
    Check(
        "due",
        "no account sleeps past the expiry of one of its lots",
        f"""
        select a.member || ' ' || a.wallet, 'next due ' || a.next_due || ' is after lot ' || l.lot || ' expires'
        from account a join lot l using (account)
        where {_CHOSEN.format("a")} and l.remaining > 0 and l.expires_at < a.next_due
        """,
        True,
    ),
    Check(
        "orders",
        "what an order's lines earned is what its entries paid, and every entry has its order",
        """
        select coalesce(p.source || ' order ' || p.order_id, 'cause ' || e.cause::text),
               'lines say ' || coalesce(p.points::text, 'nothing') || ', entries say ' || coalesce(e.points::text, '0')
        from (select key, source, order_id,
                     (select coalesce(sum(x::bigint), 0) from jsonb_array_elements(result::jsonb -> 'awards') award,
                             jsonb_array_elements_text(award -> 2) x) as points
              from purchase) p
        full join (select cause, sum(points) as points from entry group by cause) e on e.cause = p.key
        where p.points is distinct from coalesce(e.points, 0)
        """,
        False,
    ),
    Check(
        "reasons",
        "an order that earned nothing says why",
        """
        select source || ' order ' || order_id, 'earned nothing and has no reason'
        from purchase where result::jsonb -> 'awards' = '[]' and not result::jsonb ? 'reason'
        """,
        False,
    ),
    Check(
        "inputs",
        "every record became an accepted event, a duplicate, a dead letter or was counted as not ours",
        """
        select 'batch ' || seq, records || ' records, ' || (accepted, duplicates, refused, ignored)::text
        from archive where kind = 'batch' and records <> accepted + duplicates + refused + ignored
        union all
        select 'all batches', 'accepted ' || sum(accepted) || ', orders ' || (select count(*) from purchase) ||
               ', refused ' || sum(refused) || ', dead letters ' || (select count(*) from dead_letter)
        from archive where kind = 'batch'
        having sum(accepted) <> (select count(*) from purchase) or sum(refused) <> (select count(*) from dead_letter)
        """,
        False,
    ),
    Check(
        "progress",
        "batches of a partition follow each other, and the watermark stands at the end of the last",
        """
        select topic || '[' || partition || '] epoch ' || epoch, 'batch ' || seq || ' begins at ' || first_offset ||
               ' before ' || before
        from (select *, lag(next_offset) over (partition by service, topic, partition, epoch order by seq) as before
              from archive where kind = 'batch') b
        where first_offset < before
        union all
        select w.topic || '[' || w.partition || ']', 'watermark ' || (w.epoch, w.next_offset)::text
        from watermark w
        where w.next_offset <> coalesce((
            select max(b.next_offset) from archive b where b.kind = 'batch'
              and (b.service, b.topic, b.partition, b.epoch) = (w.service, w.topic, w.partition, w.epoch)), 0)
        """,
        False,
    ),
)


async def findings(connection: Connection, check: Check, accounts: Sequence[int] | None = None) -> list[Finding]:
    """Return what breaks one invariant, at most a hundred findings.

    Args:
        connection: To the deployment's schema.
        check: One of ``CHECKS``.
        accounts: Look at these only (checks that are per account); None for the whole ledger.
    """
    arguments = [accounts] if check.per_account else []
    rows = await connection.fetch(f"select * from ({check.sql}) found limit {_SHOWN}", *arguments)
    return [Finding(check.name, where, what) for where, what in rows]


async def audit(connection: Connection) -> AsyncIterator[tuple[Check, list[Finding]]]:
    """Make every check over the whole ledger, all of them on one snapshot."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        for check in CHECKS:
            yield check, await findings(connection, check)


async def running_audit(connection: Connection, accounts: Sequence[int]) -> list[Finding]:
    """Make the checks that concern single accounts, for some accounts, on one snapshot."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        return [
            finding for check in CHECKS if check.per_account for finding in await findings(connection, check, accounts)
        ]
