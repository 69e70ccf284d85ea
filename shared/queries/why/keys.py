"""Finds what an id names: orders, returns, amendments, claims, referrals, redemptions."""

from __future__ import annotations

from typing import NamedTuple

from shared.contracts.catalogue import own_ids
from shared.contracts.contract import business_key
from shared.database.pool import Connection

_BY_ID = """
select 'order' as kind, source, key, member from purchase where order_id = $1
union all select kind, source, key, member from purchase_return where return_id = $1
union all select 'amendment', source, key, member from amendment where amendment_id = $1
union all select 'claim', source, key, member from fulfilment where kind = 'claim' and claim_id = $1
union all select 'referral', source, key, friend from referral where referral_id = $1
union all select 'redemption', source, key, member from redemption where redemption_id = $1
order by 1, 2 limit $2
"""
_BY_KEY = """
select 'order' as kind, source, key, member from purchase where key = any($1::uuid[])
union all select kind, source, key, member from purchase_return where key = any($1::uuid[])
union all select 'amendment', source, key, member from amendment where key = any($1::uuid[])
union all select 'referral', source, key, friend from referral where key = any($1::uuid[])
union all select 'redemption', source, key, member from redemption where key = any($1::uuid[])
union all select 'claim', source, key, member from fulfilment where key = any($1::uuid[])
order by 1, 2
"""
#: Far more than sources that use the same ids; whoever asks is to say which.
_MATCHES_MAX = 1_000


class Match(NamedTuple):
    """Something that an id names."""

    kind: str
    source: str
    key: bytes
    member: str


async def matches(connection: Connection, name: str, source: str | None) -> list[Match]:
    """Return what goes by an id; with its source it is found by its key."""
    if source is None:
        return [Match(*row) for row in await connection.fetch(_BY_ID, name, _MATCHES_MAX)]
    # Keys of different kinds of events differ, so each table may be asked for all of them.
    keys = [business_key(source, own.of(name)) for own in own_ids()]
    return [Match(*row) for row in await connection.fetch(_BY_KEY, keys)]
