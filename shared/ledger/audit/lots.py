"""Invariants of lots: what is in them, and the terms under which it lies there."""

from __future__ import annotations

from shared.database.pool import Connection
from shared.instants import BEGINNING, NEVER
from shared.ledger.audit.ledger import CHOSEN, EFFECTS, Check
from shared.ledger.model import GRACE, Terms
from shared.program.compiled.lifetimes import day_of, life_until
from shared.program.store import load_versions

LOT_CHECKS: tuple[Check, ...] = (
    Check(
        "lots",
        "what a lot earned, what remains of it, what expired and was excused is the sum of its entries, never negative",
        f"""
        select coalesce(a.member || ' ' || a.wallet, 'account ' || coalesce(l.account, s.account)),
               'lot ' || coalesce(l.lot, s.lot) || ' says ' ||
               coalesce((l.earned, l.remaining, l.expired, l.excused)::text, 'nothing') || ', entries say ' ||
               coalesce((s.earned, s.remaining, s.expired, s.excused)::text, 'nothing')
        from (select * from lot where {CHOSEN.format("lot")}) l
        full join (
            select e.account, e.lot, sum(e.points * f.earned) as earned, sum(e.points * f.lot) as remaining,
                   sum(e.points * f.expired) as expired, sum(e.points * f.excused) as excused
            from entry e join {EFFECTS} on f.operation = e.operation
            where {CHOSEN.format("e")} and e.lot <> 0 group by e.account, e.lot) s
            on s.account = l.account and s.lot = l.lot
        left join account a on a.account = coalesce(l.account, s.account)
        where (l.earned, l.remaining, l.expired, l.excused) is distinct from
              (s.earned, s.remaining, s.expired, s.excused) or l.remaining < 0 or l.excused > l.expired
        """,
        True,
    ),
    Check(
        "pending",
        "what is pending is in lots that are pending, and what is available in those that are not",
        f"""
        select a.member || ' ' || a.wallet, 'account says ' || (a.available, a.pending)::text || ', lots say ' ||
               (s.available, s.pending)::text
        from account a
        cross join lateral (
            select coalesce(sum(l.remaining) filter (where not l.pending), 0) as available,
                   coalesce(sum(l.remaining) filter (where l.pending), 0) as pending
            from lot l where l.account = a.account) s
        where {CHOSEN.format("a")} and (a.available, a.pending) is distinct from (s.available, s.pending)
        """,
        True,
    ),
    Check(
        "lives",
        "points that wait for an event get their instants when it happens, and nothing is earned in a lot of grace",
        f"""
        select a.member || ' ' || a.wallet, 'lot ' || l.lot || case when l.pending then ' waits and has'
               else ' does not wait and has not' end || ' the time at which it was available'
        from lot l join account a using (account)
        where {CHOSEN.format("l")} and l.fulfils is not null
          and (l.pending <> (l.available_at = 'infinity') or l.available_at = '-infinity'
               or not l.pending and l.expires_at <= l.available_at)
        union all
        select a.member || ' ' || a.wallet, 'lot ' || l.lot || ' is one of grace and earned ' || l.earned ||
               ', expires ' || l.expires_at
        from lot l join account a using (account)
        where {CHOSEN.format("l")} and l.life like '{GRACE}%'
          and (l.earned > 0 or l.pending or l.expires_at = 'infinity')
        """,
        True,
    ),
)

#: The only check that SQL cannot do: a lot's id is a hash of its terms.
TERMS = Check("terms", "a lot still has the terms that its points were earned under", "", per_account=False)
_TERMS = "select account, lot, pending, available_at, expires_at, fulfils, idle, life from lot"


async def changed_terms(connection: Connection) -> list[tuple[str, str]]:
    """Return (where, what) of lots with other terms than those they were made for: somebody has changed an expiry.

    The id of a lot is the hash of its terms. What became available by an event expires as its life says, by the time
    zone of the version that was the newest one then.
    """
    zones = {program.zone for program in await load_versions(connection)}
    found = []
    for account, lot, pending, available_at, expires_at, fulfils, idle, life in await connection.fetch(_TERMS):
        terms = Terms(available_at, expires_at, fulfils or b"", idle, life)
        began = bool(fulfils) and not pending and BEGINNING < available_at < NEVER
        lives = {life_until(life, day_of(available_at, zone), zone) for zone in zones if began}
        if terms.lot_id() != lot or (began and expires_at not in lives):
            found.append((f"account {account}", f"lot {lot} has other terms than those it was made for"))
    return found
