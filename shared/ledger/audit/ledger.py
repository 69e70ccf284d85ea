"""Invariants of accounts, lots, entries and orders, as SQL that an auditor can read."""

from __future__ import annotations

from typing import NamedTuple

from shared.ledger.operations import Operation, effects_as_table

EFFECTS = effects_as_table()
#: Every query takes the accounts to check; null for all.
CHOSEN = "($1::bigint[] is null or {0}.account = any($1))"


class Check(NamedTuple):
    """One invariant.

    Attributes:
        promise: What must be true, for people.
        sql: Returns (where, what) of each violation.
        per_account: Whether it can be limited to some accounts.
    """

    name: str
    promise: str
    sql: str
    per_account: bool


LEDGER_CHECKS: tuple[Check, ...] = (
    Check(
        "versions",
        "each account's entries are numbered 1, 2, 3 … without a gap",
        f"""
        select a.member || ' ' || a.wallet, 'version ' || e.version || ' follows ' || e.before
        from (select account, version, lag(version, 1, 0::bigint) over (partition by account order by version) as before
              from entry e where {CHOSEN.format("e")}) e
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
              from entry e where {CHOSEN.format("e")} window w as (partition by account order by version)) e
        join account a using (account)
        left join {EFFECTS} on f.operation = e.operation
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
            from entry e join {EFFECTS} on f.operation = e.operation where e.account = a.account) s
        where {CHOSEN.format("a")}
          and (a.available, a.pending, a.reserved, a.debt, a.lifetime, a.version) is distinct from
              (s.available, s.pending, s.reserved, s.debt, s.lifetime, s.version)
        """,
        True,
    ),
    Check(
        "owners",
        "every entry and every lot belongs to an account, and entries to the member of their order",
        f"""
        select 'account ' || e.account, 'has entries and does not exist'
        from (select distinct account from entry e where {CHOSEN.format("e")}) e
        where not exists (select from account a where a.account = e.account)
        union all
        select 'account ' || l.account, 'has lots and does not exist'
        from (select distinct account from lot where {CHOSEN.format("lot")}) l
        where not exists (select from account a where a.account = l.account)
        union all
        select a.member || ' ' || a.wallet, 'version ' || e.version || ' was caused by an order of ' || p.member
        from entry e join account a using (account) join purchase p on p.key = e.cause
        where {CHOSEN.format("e")} and p.member <> a.member
        """,
        True,
    ),
    Check(
        "times",
        "an account's entries are in the order of time, and the account stands at the last one or later",
        f"""
        select a.member || ' ' || a.wallet, 'version ' || e.version || ' is earlier than the one before'
        from (select account, version, occurred_at,
                     lag(occurred_at) over (partition by account order by version) as before
              from entry e where {CHOSEN.format("e")}) e
        join account a using (account)
        where e.occurred_at < e.before
        union all
        select a.member || ' ' || a.wallet, 'stands at ' || a.as_of || ', before its last entry at ' || e.occurred_at
        from account a join entry e on e.account = a.account and e.version = a.version
        where {CHOSEN.format("a")} and a.as_of < e.occurred_at
        """,
        True,
    ),
    Check(
        "activity",
        "when a member earned and redeemed last is what the entries say",
        f"""
        select a.member || ' ' || a.wallet, 'account says ' || (a.earned_at, a.redeemed_at)::text || ', entries say ' ||
               (s.earned_at, s.redeemed_at)::text
        from account a
        cross join lateral (
            select coalesce(max(e.occurred_at) filter (where f.earned > 0 and e.points > 0), '-infinity')
                       as earned_at,
                   coalesce(max(e.occurred_at) filter (where e.operation = {int(Operation.REDEEM)}), '-infinity')
                       as redeemed_at
            from entry e join {EFFECTS} on f.operation = e.operation where e.account = a.account) s
        where {CHOSEN.format("a")} and (a.earned_at, a.redeemed_at) is distinct from (s.earned_at, s.redeemed_at)
        """,
        True,
    ),
    Check(
        "due",
        "no account sleeps past what is due: activation, expiry, time-out",
        f"""
        select a.member || ' ' || a.wallet, 'next due ' || a.next_due || ' is after lot ' || l.lot || ' is due'
        from account a join lot l using (account)
        where {CHOSEN.format("a")} and l.remaining > 0
          and (case when l.pending then l.available_at else l.expires_at end) < a.next_due
        union all
        select a.member || ' ' || a.wallet, 'next due ' || a.next_due || ' is after hold ' || r.key || ' times out'
        from account a join redemption r using (account)
        where {CHOSEN.format("a")} and r.state = 'reserved' and r.held_until < a.next_due
        """,
        True,
    ),
    Check(
        "orders",
        "what an order's lines earned is what its entries paid, and every such entry has its order",
        """
        select coalesce(o.source || ' order ' || o.order_id, 'cause ' || e.cause::text),
               'rule ' || coalesce(p.rule, e.rule) || ' lot ' || coalesce(p.lot, e.lot) ||
               ': lines say ' || coalesce(p.points::text, 'nothing') ||
               ', entries say ' || coalesce(e.points::text, 'nothing')
        from (select key, program_version, (award ->> 0)::bigint as rule, (award ->> 1)::bigint as lot,
                     sum((select sum(x) from unnest(translate(award ->> 2, '[]', '{}')::bigint[]) x)) as points
              -- offset 0: in the order of the table, not of the key, which costs a random read an order.
              from (select key, program_version, result from purchase offset 0) o,
                   json_array_elements(result::json -> 'awards') award group by 1, 2, 3, 4) p
        full join (select cause, program_version, rule::bigint, lot, sum(points) as points
                   from entry e where operation in (1, 2) and rule >= 0
                     and not exists (select from amendment a where a.key = e.cause)
                   group by cause, program_version, rule, lot) e
            on (e.cause, e.program_version, e.rule, e.lot) = (p.key, p.program_version, p.rule, p.lot)
        left join purchase o on o.key = coalesce(p.key, e.cause)
        where p.points is distinct from e.points
        """,
        False,
    ),
    Check(
        "qualifying",
        "what counts of an order towards a tier is what its lines say",
        """
        select p.source || ' order ' || p.order_id, 'lines count ' || p.amount || ', its entry ' || e.qualifying
        from (select key, source, order_id,
                     (select coalesce(sum(coalesce((line ->> 4)::bigint, (line ->> 2)::bigint)), 0)
                      from jsonb_array_elements(result::jsonb -> 'lines') line
                      where (line ->> 3)::int = 1) as amount
              from purchase) p
        join (select cause, account, sum(qualifying) as qualifying from entry where operation in (1, 2) and rule <> -1
              and rule <> -2 group by cause, account) e on e.cause = p.key
        where p.amount <> e.qualifying
        """,
        False,
    ),
    Check(
        "reasons",
        "an order that earned nothing says why",
        # Nearly every order earned something: its text says so, and need not be taken for JSON twice. Within a string,
        # JSON would have a backslash before each of the quotes.
        """
        select source || ' order ' || order_id, 'earned nothing and has no reason'
        from order_now where result not like '%"awards":[[%'
          and result::jsonb -> 'awards' = '[]' and not result::jsonb ? 'reason'
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
        select distinct b.topic || '[' || b.partition || ']', 'has batches of ' || b.service || ' and no watermark'
        from archive b where b.kind = 'batch' and not exists (
            select from watermark w where (w.service, w.topic, w.partition) = (b.service, b.topic, b.partition))
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
