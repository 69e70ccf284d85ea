"""Who brought whom, as the tables have it: locks, what is known, what changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

from services.earn.state import Effects, Referral
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
    return {row["friend"]: Referral(**row) for row in rows}


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


def _parameters(first: int, count: int) -> str:
    return ", ".join(f"${number}" for number in range(first, first + count))


#: The fields of a referral are the columns of its row.
_COLUMNS = tuple(field.name for field in fields(Referral))
_REGISTER = f"""
insert into referral ({", ".join(_COLUMNS)}, archive_seq, archive_index)
values ({_parameters(1, len(_COLUMNS) + 2)})
"""

#: Those that change once it is registered.
_CHANGING = (
    "state",
    "reason",
    "order_key",
    "order_id",
    "order_source",
    "qualified_at",
    "minimum",
    "program_version",
    "referrer_points",
    "friend_points",
    "referrer_lot",
    "friend_lot",
)
_CHANGE_REFERRAL = f"""
update referral as r set ({", ".join(_CHANGING)}) = ({_parameters(2, len(_CHANGING))})
where key = $1
"""


async def write_referrals(connection: Connection, effects: Effects) -> None:
    """Write registrations, and what became of earlier ones."""
    new = {one.referral.key for one in effects.registered}
    changed = [referral for key, referral in effects.changed.items() if key not in new]
    if changed:
        rows = [[referral.key, *(getattr(referral, column) for column in _CHANGING)] for referral in changed]
        await connection.executemany(_CHANGE_REFERRAL, rows)
    if effects.registered:
        rows = [
            [*(getattr(one.referral, column) for column in _COLUMNS), one.seq, one.position]
            for one in effects.registered
        ]
        await connection.executemany(_REGISTER, rows)
