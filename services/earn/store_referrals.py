"""Who brought whom, as the tables have it: locks, what is known, what changed."""

from __future__ import annotations

from collections.abc import Sequence

from services.earn.referring import Referral
from services.earn.state import Effects
from shared.database.pool import Connection, fetch_map

#: Registrations are decided one after another: who brought whom must never become a circle.
_REFERRALS_LOCK = "select pg_advisory_xact_lock(hashtext('loyalty referrals ' || current_schema()))"
_REFERRAL = """
select key, content_hash, source, referral_id, referrer, friend, registered_at, state, reason, order_key, order_id,
       order_source, qualified_at, minimum, program_version, referrer_points, friend_points,
       referrer_lot, friend_lot
from referral
"""
_ABOVE = """
with recursive above(friend, referrer) as (
    select friend, referrer from referral where state <> 'refused' and friend = any($1::text[])
    union
    select r.friend, r.referrer from referral r join above a on r.friend = a.referrer where r.state <> 'refused'
)
select friend, referrer from above
"""


async def lock_referrals(connection: Connection) -> None:
    """Wait until no other batch registers referrals; taken after the account locks, so it closes no circle."""
    await connection.execute(_REFERRALS_LOCK)


async def share_referrals(connection: Connection) -> None:
    """Let no registration be decided while a batch may refuse a referral; registrations wait for each other too."""
    await connection.execute(_REFERRALS_LOCK.replace("xact_lock(", "xact_lock_shared("))


async def links(connection: Connection, members: Sequence[str]) -> dict[str, str]:
    """Return the referrers of members whose referral may still change, by friend; read before any lock."""
    return await fetch_map(
        connection,
        "select friend, referrer from referral where friend = any($1::text[]) and state in ('open', 'qualified')",
        members,
    )


async def load_referrals(connection: Connection, friends: Sequence[str]) -> dict[str, Referral]:
    """Return the referrals of friends that were not refused."""
    rows = await connection.fetch(_REFERRAL + "where friend = any($1::text[]) and state <> 'refused'", friends)
    return {row["friend"]: Referral(*row) for row in rows}


async def rewarded_at(connection: Connection, referrers: Sequence[str]) -> dict[str, list[int]]:
    """Return the instants at which referrers were rewarded."""
    found: dict[str, list[int]] = {referrer: [] for referrer in referrers}
    rows = await connection.fetch(
        "select referrer, qualified_at from referral where referrer = any($1::text[]) and qualified_at is not null",
        referrers,
    )
    for referrer, instant in rows:
        found[referrer].append(instant)
    return found


async def above(connection: Connection, referrers: Sequence[str]) -> dict[str, str]:
    """Return who brought the referrers, and those, and so on."""
    return await fetch_map(connection, _ABOVE, referrers)


_REGISTER = """
insert into referral (key, content_hash, source, referral_id, referrer, friend, registered_at, state, reason,
                      order_key, order_id, order_source, qualified_at, minimum, program_version, referrer_points,
                      friend_points, referrer_lot, friend_lot, archive_seq, archive_index)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21)
"""

_CHANGE_REFERRAL = """
update referral
set state = $2, reason = $3, order_key = $4, order_id = $5, order_source = $6, qualified_at = $7, minimum = $8,
    program_version = $9, referrer_points = $10, friend_points = $11, referrer_lot = $12, friend_lot = $13
where key = $1
"""


async def write_referrals(connection: Connection, effects: Effects) -> None:
    """Write registrations, and what became of earlier ones."""
    new = {referral.key for referral, _seq, _index in effects.registered}
    changed = [referral for key, referral in effects.changed.items() if key not in new]
    if changed:
        await connection.executemany(
            _CHANGE_REFERRAL,
            [(r.key, r.state, r.reason, r.order_key, r.order_id, r.order_source, r.qualified_at, r.minimum,
              r.program_version, r.referrer_points, r.friend_points, r.referrer_lot, r.friend_lot) for r in changed],
        )  # fmt: skip
    if effects.registered:
        await connection.executemany(
            _REGISTER,
            [(r.key, r.content_hash, r.source, r.referral_id, r.referrer, r.friend, r.registered_at, r.state,
              r.reason, r.order_key, r.order_id, r.order_source, r.qualified_at, r.minimum, r.program_version,
              r.referrer_points, r.friend_points, r.referrer_lot, r.friend_lot, seq, index)
             for r, seq, index in effects.registered],
        )  # fmt: skip
