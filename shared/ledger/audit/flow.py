"""Invariants of what is built on the ledger: returns, reservations, referrals, tiers, notifications, inputs."""

from __future__ import annotations

from shared.contracts.catalogue import tables_of
from shared.ledger.audit.ledger import Check
from shared.ledger.operations import REVERSALS, Operation

#: Where the causes of entries are; and what earn has accepted besides purchases, whose table holds the keys itself.
_NO_CAUSE = " and ".join(
    f"not exists (select from {table} x where x.key = e.cause)" for table in tables_of("earn", "redeem")
)
_TAKEN = " union all ".join(f"select key from {table}" for table in tables_of("earn") if table != "purchase")
_REVERSALS = ", ".join(str(int(operation)) for operation in sorted(REVERSALS))

FLOW_CHECKS: tuple[Check, ...] = (
    Check(
        "causes",
        "every entry has a cause: an order, or what became of it, a referral, a redemption, or time",
        f"""
        select a.member || ' ' || a.wallet, 'version ' || e.version || ' has the cause ' || e.cause
        from entry e join account a using (account)
        where e.cause <> '00000000-0000-0000-0000-000000000000' and {_NO_CAUSE}
        """,
        False,
    ),
    Check(
        "returns",
        "what a return took back of each award is what its entries say, and all returns together at most the award",
        f"""
        with award as (
            select p.key, p.source, p.order_id, p.program_version, n - 1 as number, (award ->> 0)::bigint as rule,
                   (select sum(x::bigint) from jsonb_array_elements_text(award -> 2) x) as points
            from order_now p, jsonb_array_elements(result::jsonb -> 'awards') with ordinality as t(award, n)
            where p.key in (select order_key from purchase_return)
        ), back as (
            select r.key, r.order_key, n - 1 as number, points::bigint as points
            from purchase_return r,
                 jsonb_array_elements_text(result::jsonb -> 'awards') with ordinality as t(points, n)
        )
        select a.source || ' order ' || a.order_id,
               'award ' || a.number || ' of ' || a.points || ' points, returns took ' || sum(b.points)
        from award a join back b on (b.order_key, b.number) = (a.key, a.number)
        group by a.key, a.source, a.order_id, a.number, a.points having sum(b.points) not between 0 and a.points
        union all
        select coalesce(r.source || ' return ' || r.return_id, 'cause ' || e.cause),
               'rule ' || coalesce(w.rule, e.rule) || ': the return says ' || coalesce(w.points::text, 'nothing') ||
               ', entries say ' || coalesce(e.points::text, 'nothing')
        from (select b.key, a.rule, sum(b.points) as points
              from back b join award a on (a.key, a.number) = (b.order_key, b.number)
              group by b.key, a.rule having sum(b.points) > 0) w
        full join (select cause, rule::bigint as rule, sum(points) as points from entry x
                   where operation in ({_REVERSALS}) and rule >= 0
                     and not exists (select from amendment a where a.key = x.cause)
                   group by cause, rule) e
            on (e.cause, e.rule) = (w.key, w.rule)
        left join purchase_return r on r.key = coalesce(w.key, e.cause)
        where w.points is distinct from e.points
        """,
        False,
    ),
    Check(
        "whole-returns",
        "an order that came back whole has nothing left of its awards",
        """
        with bought as (
            select p.key, p.source, p.order_id, line ->> 0 as line, n - 1 as number,
                   (line ->> 1)::bigint as quantity, (line ->> 2)::bigint as amount
            from order_now p, jsonb_array_elements(result::jsonb -> 'lines') with ordinality as t(line, n)
            where p.key in (select order_key from purchase_return)
        ), came as (
            select r.order_key, (line ->> 0)::bigint as number, sum((line ->> 1)::bigint) as quantity,
                   sum((line ->> 2)::bigint) as amount
            from purchase_return r, jsonb_array_elements(result::jsonb -> 'lines') line
            group by r.order_key, (line ->> 0)::bigint
        ), whole as (
            select b.key, b.source, b.order_id
            from bought b left join came c on (c.order_key, c.number) = (b.key, b.number)
            group by b.key, b.source, b.order_id
            having bool_and(c.quantity is not null and (c.quantity, c.amount) = (b.quantity, b.amount))
        )
        select w.source || ' order ' || w.order_id, 'came back whole; awards ' || earned.points || ', taken back '
               || coalesce(back.points, 0)
        from whole w
        cross join lateral (
            select coalesce(sum(x::bigint), 0) as points from order_now p,
                   jsonb_array_elements(p.result::jsonb -> 'awards') award, jsonb_array_elements_text(award -> 2) x
            where p.key = w.key) earned
        cross join lateral (
            select sum(x::bigint) as points
            from purchase_return r, jsonb_array_elements_text(r.result::jsonb -> 'awards') x
            where r.order_key = w.key) back
        where earned.points <> coalesce(back.points, 0)
        """,
        False,
    ),
    Check(
        "amendments",
        "what an amendment changed is what its entries say, and with the changes the order has what it now earns",
        f"""
        with changed as (
            select a.key, a.order_key, (change ->> 0)::bigint as rule, sum((change ->> 2)::bigint) as points
            from amendment a, jsonb_array_elements(changes::jsonb) change group by a.key, a.order_key, 3
        ), posted as (
            select cause, rule::bigint as rule,
                   sum(case when operation in (1, 2) then points else -points end) as points
            from entry where cause in (select key from amendment) and rule >= 0
              and (operation in (1, 2) or operation in ({_REVERSALS})) group by cause, rule
        ), earned as (
            select key, (award ->> 0)::bigint as rule,
                   sum((select sum(x::bigint) from jsonb_array_elements_text(award -> 2) x)) as points
            from purchase, jsonb_array_elements(result::jsonb -> 'awards') award
            where key in (select order_key from amendment) group by 1, 2
            union all select order_key, rule, points from changed
        ), now as (
            select key, (award ->> 0)::bigint as rule,
                   sum((select sum(x::bigint) from jsonb_array_elements_text(award -> 2) x)) as points
            from order_now, jsonb_array_elements(result::jsonb -> 'awards') award where amendments > 0 group by 1, 2
        )
        select coalesce(a.source || ' amendment ' || a.amendment_id, 'cause ' || p.cause),
               'rule ' || coalesce(c.rule, p.rule) || ': the amendment says ' || coalesce(c.points::text, 'nothing') ||
               ', entries say ' || coalesce(p.points::text, 'nothing')
        from changed c full join posted p on (p.cause, p.rule) = (c.key, c.rule)
        left join amendment a on a.key = coalesce(c.key, p.cause)
        where c.points is distinct from p.points
        union all
        select o.source || ' order ' || o.order_id, 'rule ' || coalesce(n.rule, e.rule) || ' earned ' ||
               coalesce(e.points, 0) || ' with all changes, and its last amendment says ' || coalesce(n.points, 0)
        from (select key, rule, sum(points) as points from earned group by key, rule) e
        full join now n on (n.key, n.rule) = (e.key, e.rule)
        join purchase o on o.key = coalesce(n.key, e.key)
        where coalesce(e.points, 0) <> coalesce(n.points, 0)
        """,
        False,
    ),
    Check(
        "reservations",
        "what an account has reserved is what its open redemptions hold, and a redemption spent what it cost",
        f"""
        select a.member || ' ' || a.wallet, 'reserved ' || a.reserved || ', redemptions hold ' || coalesce(r.points, 0)
        from account a
        left join (select account, sum(points) as points from redemption where state = 'reserved' group by account) r
             using (account)
        where ($1::bigint[] is null or a.account = any($1)) and a.reserved <> coalesce(r.points, 0)
        union all
        select r.member || ' ' || r.wallet, 'redemption ' || r.redemption_id || ' is ' || r.state || ' and moved ' ||
               (e.reserved, e.released, e.redeemed, e.refunded)::text
        from redemption r
        cross join lateral (
            select coalesce(sum(points) filter (where operation = {int(Operation.RESERVE)}), 0) as reserved,
                   coalesce(sum(points) filter (where operation = {int(Operation.RELEASE)}), 0) as released,
                   coalesce(sum(points) filter (where operation = {int(Operation.REDEEM)}), 0) as redeemed,
                   coalesce(sum(points) filter (where operation = {int(Operation.REFUND)}), 0) as refunded
            from entry where entry.account = r.account and entry.cause = r.key) e
        where ($1::bigint[] is not null and r.account = any($1) or $1::bigint[] is null and r.account is not null)
          and array[e.reserved - e.released, e.redeemed, e.refunded]::bigint[] is distinct from (case r.state
              when 'reserved' then array[r.points, 0, 0] when 'redeemed' then array[r.points, r.points, 0]
              when 'refunded' then array[r.points, r.points, r.points] else array[0, 0, 0] end)::bigint[]
        """,
        True,
    ),
    Check(
        "referrals",
        "a rewarded referral paid both sides once, and one that was taken back took both back",
        f"""
        select r.source || ' referral ' || r.referral_id,
               r.state || ', entries paid ' || (e.referrer, e.friend)::text
        from referral r
        left join (
            select e.cause, sum(e.points) filter (where e.rule = -1) as referrer,
                   sum(e.points) filter (where e.rule = -2) as friend,
                   bool_and(a.member = case e.rule when -1 then r.referrer else r.friend end) as theirs
            from entry e join account a using (account) join referral r on r.key = e.cause
            where e.rule in (-1, -2) and e.operation in (1, 2) group by e.cause) p on p.cause = r.key
        cross join lateral (select coalesce(p.referrer, 0) as referrer, coalesce(p.friend, 0) as friend) e
        where array[e.referrer, e.friend]::bigint[] is distinct from
              (case when r.state in ('qualified', 'reversed') then array[r.referrer_points, r.friend_points]
                    else array[0, 0] end)::bigint[]
           or not coalesce(p.theirs, true) or (r.state in ('qualified', 'reversed') and r.qualified_at is null)
        union all
        select 'all referrals',
               'taken back ' || coalesce(sum(referrer_points + friend_points), 0) || ', entries say ' ||
               (select coalesce(sum(points), 0) from entry where operation in ({_REVERSALS}) and rule in (-1, -2))
        from referral where state = 'reversed'
        having coalesce(sum(referrer_points + friend_points), 0) <>
               (select coalesce(sum(points), 0) from entry where operation in ({_REVERSALS}) and rule in (-1, -2))
        """,
        False,
    ),
    Check(
        "tiers",
        "a history of tiers is without a gap, ends at the member's tier, and is not ahead of the ledger",
        """
        select h.member, 'change ' || h.number || ' begins at ' || h.old_tier || ' after ' || h.before
        from (select *, lag(tier) over w as before, lag(number, 1, 0) over w as last
              from tier_history window w as (partition by account order by number)) h
        where h.number <> h.last + 1
           or (h.old_tier <> coalesce(h.before, h.old_tier) and (select count(*) from program) = 1)
        union all
        select s.member, 'tier ' || s.tier || ', history says ' || h.tier
        from standing s
        join (select distinct on (account) account, tier from tier_history order by account, number desc) h
             using (account)
        where s.tier <> h.tier and (select count(*) from program) = 1
        union all
        select s.member, 'folded to version ' || s.version || ' of ' || coalesce(a.version, 0)
        from standing s left join account a using (account)
        where s.version > coalesce(a.version, 0)
        """,
        False,
    ),
    Check(
        "notifications",
        "every decision to tell a member something is sent, or suppressed with a reason",
        """
        select member, kind || ' ' || dedupe_key || ' is ' || state || ' with the reason "' || reason || '"'
        from notification where (state = 'suppressed') <> (reason <> '')
        """,
        False,
    ),
    Check(
        "inputs",
        "every record became an accepted event, a duplicate, a dead letter or was counted as not ours",
        f"""
        select 'batch ' || seq, records || ' records, ' || (accepted, duplicates, refused, ignored)::text
        from archive where kind = 'batch' and records <> accepted + duplicates + refused + ignored
        union all
        select 'earn', 'accepted ' || accepted || ', kept ' || kept
        from (select coalesce(sum(accepted), 0) as accepted from archive where kind = 'batch' and service = 'earn') a,
             (select (select count(*) from purchase) + (select count(*) from accepted_key)
                   + (select count(*) from parked where state = 'refused') as kept) k
        where accepted <> kept
        union all
        select 'earn', 'has taken ' || key || ' and does not know its key'
        from ({_TAKEN} union all select key from parked where state <> 'refused') t
        where not exists (select from accepted_key a where a.key = t.key)
        union all
        select 'all services', 'refused ' || refused || ', dead letters ' || letters
        from (select coalesce(sum(refused), 0)
                   + (select count(*) from parked where state = 'refused') as refused
              from archive where kind = 'batch') a,
             (select count(*) as letters from dead_letter) d
        where refused <> letters
        """,
        False,
    ),
)
