"""notify's own SQL: notifications by their meaning, profiles, and what the ledger and tiers say about a cause."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from services.notify.state import NotificationRow, Profile
from services.notify.triggers import News, PointsCause, TierCause
from shared.database.pool import Connection
from shared.program.compiled.ladder import Ladder
from shared.program.compiled.program import Program

# One lock serves many members, so that a batch takes no more locks than Postgres has room for, however large it is.
_LOCK = """
select pg_advisory_xact_lock(key)
from (select distinct hashtextextended(current_schema() || ' notify ' || abs(hashtext(member) % 256), 0) as key
      from unnest($1::text[]) as members(member)
      order by key) as sorted
"""

_NO_POINTS = """
select asked.key
from unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::timestamptz[])
     as asked(key, member, wallet, expires_at, said_at)
where not exists (
    select from account a join lot l on l.account = a.account
    where a.member = asked.member and a.wallet = asked.wallet and not l.pending and l.remaining > 0
      and (l.expires_at = asked.expires_at or (
          -- Points that expire without activity have no day of their own: nothing must have happened since.
          l.idle <> '' and a.earned_at <= asked.said_at
          and (l.idle not like '%redeem%' or a.redeemed_at <= asked.said_at))))
"""

_STANDINGS = """
select s.member, s.tier, s.valid_until
from standing s join account a on a.account = s.account
where s.member = any($1::text[]) and a.wallet = $2
"""

_ADD = f"""
insert into notification ({", ".join(NotificationRow._fields)})
select * from unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[],
                     $8::timestamptz[], $9::timestamptz[], $10::timestamptz[], $11::timestamptz[])
"""

_KEEP_PROFILES = """
insert into profile (member, occurred_at, profile, updated_at)
select p.*, $4::timestamptz from unnest($1::text[], $2::timestamptz[], $3::text[]) p
order by 1
on conflict (member) do update
set occurred_at = excluded.occurred_at, profile = excluded.profile, updated_at = excluded.updated_at
where profile.occurred_at <= excluded.occurred_at
"""


class Standing(NamedTuple):
    """The tier that a member has, and until when (microseconds since 1970, or NEVER)."""

    tier: str
    valid_until: int


async def lock_members(connection: Connection, members: Sequence[str]) -> None:
    """Make other batches about these members wait, in one order; what is read afterwards is what they have decided."""
    if members:
        await connection.execute(_LOCK, members)


async def known_keys(connection: Connection, keys: Sequence[str]) -> set[str]:
    """Return those dedupe keys that were decided before."""
    rows = await connection.fetch("select dedupe_key from notification where dedupe_key = any($1::text[])", keys)
    return {row["dedupe_key"] for row in rows}


async def read_profiles(connection: Connection, members: Sequence[str]) -> dict[str, Profile]:
    """Return the profiles that are known, by member."""
    rows = await connection.fetch(
        "select member, occurred_at, profile from profile where member = any($1::text[])", members
    )
    return {row["member"]: Profile.read(row["occurred_at"], row["profile"]) for row in rows}


async def causes_gone(connection: Connection, news: Sequence[News], program: Program) -> set[str]:
    """Return the dedupe keys of news whose cause is gone, by what the ledger and tiers say now."""
    ladder = program.ladder
    expiring = [
        (n.key, n.member, n.cause.wallet, n.cause.expires_at, n.occurred_at)
        for n in news
        if isinstance(n.cause, PointsCause)
    ]
    gone = set()
    if expiring:
        gone = {row["key"] for row in await connection.fetch(_NO_POINTS, *zip(*expiring, strict=True))}
    about_tiers = [(n.key, n.member, n.cause) for n in news if isinstance(n.cause, TierCause)]
    if about_tiers and ladder:
        rows = await connection.fetch(_STANDINGS, [member for _key, member, _cause in about_tiers], ladder.wallet)
        standings = {row["member"]: Standing(row["tier"], row["valid_until"]) for row in rows}
        gone |= {key for key, member, cause in about_tiers if _tier_gone(ladder, cause, standings.get(member))}
    return gone


def _tier_gone(ladder: Ladder, cause: TierCause, standing: Standing | None) -> bool:
    """Tell whether a tier is lost again, or one that would end was lost, kept or surpassed meanwhile."""
    if standing is None or not standing.tier:  # tiers has not looked at this member yet
        return False
    if cause.until is None:
        return ladder.number_of(standing.tier) < ladder.number_of(cause.tier)
    return standing.tier != cause.tier or standing.valid_until > cause.until


async def add_notifications(connection: Connection, rows: Sequence[NotificationRow]) -> None:
    """Store decisions.

    Raises:
        asyncpg.UniqueViolationError: One has this meaning already, which the locks should have prevented.
    """
    if rows:
        await connection.execute(_ADD, *zip(*rows, strict=True))


async def keep_profiles(connection: Connection, profiles: dict[str, Profile], recorded_at: int) -> None:
    """Store profiles by member; the later one stays."""
    if profiles:
        rows = [(member, profile.occurred_at, profile.text) for member, profile in profiles.items()]
        await connection.execute(_KEEP_PROFILES, *zip(*rows, strict=True), recorded_at)
