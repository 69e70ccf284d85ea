"""The SQL of a batch of earn: orders, returns, fulfilments, members, and everything that is written.

Everything here is read after the account locks: what another worker was storing is visible only then.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import asyncpg
import jiter
import pydantic_core

from services.earn.orders import Order, member_as_kept, read_member, read_result
from services.earn.rows import (
    AmendmentRow,
    FulfilmentRow,
    MemberRow,
    OrderRow,
    ParkedRow,
    ParkedState,
    ReturnRow,
    TallyRow,
)
from services.earn.state import Effects, Place
from services.earn.store.referrals import write_referrals
from shared.database.pool import Connection, fetch_map
from shared.program.compiled.rating_context import Member

_KNOWN = """
select key, content_hash from purchase where key = any($1::uuid[])
union all select key, content_hash from accepted_key where key = any($2::uuid[])
"""

_ORDER = """
select key, source, order_id, member, occurred_at, program_version, result, amendments, amended_at,
       exists (select from fulfilment where order_key = order_now.key and kind = 'fulfilment') as fulfilled,
       exists (select from fulfilment where order_key = order_now.key and kind = 'claim') as claimed from order_now
"""

_ORDERS_MAX = 1_000

_EARLIEST = """
select o.* from unnest($1::text[]) as m(member) cross join lateral (
    select key, source, order_id, member, occurred_at, program_version, result, amendments, amended_at,
           exists (select from fulfilment where order_key = order_now.key and kind = 'fulfilment') as fulfilled,
           exists (select from fulfilment where order_key = order_now.key and kind = 'claim') as claimed from order_now
    where member = m.member order by occurred_at, key limit $2
) o
"""


async def known_keys(connection: Connection, orders: Sequence[bytes], others: Sequence[bytes]) -> dict[bytes, bytes]:
    """Return the content hash of what was accepted before, by key: orders, and everything else."""
    return await fetch_map(connection, _KNOWN, orders, others)


async def load_orders(connection: Connection, keys: Sequence[bytes]) -> dict[bytes, Order]:
    """Return orders with what came back of them, by key."""
    return await _with_returns(connection, await connection.fetch(_ORDER + "where key = any($1::uuid[])", keys))


async def orders_of(connection: Connection, members: Sequence[str]) -> dict[str, list[Order]]:
    """Return the earliest orders of some members, far more than a friend makes in time; each of them has a list."""
    found: dict[str, list[Order]] = {member: [] for member in members}
    rows = await connection.fetch(_EARLIEST, members, _ORDERS_MAX)
    for order in (await _with_returns(connection, rows)).values():
        found[order.member].append(order)
    return found


async def _with_returns(connection: Connection, rows: Sequence[asyncpg.Record]) -> dict[bytes, Order]:
    orders: dict[bytes, Order] = {}
    for row in rows:
        lines, awards, kept = read_result(row["result"])
        orders[row["key"]] = Order(
            row["key"],
            row["source"],
            row["order_id"],
            row["member"],
            row["occurred_at"],
            row["program_version"],
            lines,
            awards,
            kept,
            amendments=row["amendments"],
            amended_at=row["amended_at"],
            fulfilled=row["fulfilled"],
            claimed=row["claimed"],
        )
    returns = await connection.fetch(
        "select order_key, result from purchase_return where order_key = any($1::uuid[])", list(orders)
    )
    for key, result in returns:
        orders[key].add_return([tuple(line) for line in jiter.from_json(result.encode())["lines"]])
    return orders


async def load_members(connection: Connection, members: Sequence[str]) -> tuple[dict[str, Member], dict[str, int]]:
    """Return what was told of members, and since when it is so."""
    rows = await connection.fetch("select member, occurred_at, content from member where member = any($1)", members)
    told = {member: read_member(jiter.from_json(content.encode())) for member, _since, content in rows}
    return told, {member: since for member, since, _content in rows}


def _columns(row: type[NamedTuple]) -> str:
    return ", ".join(row._fields)


_ADD_ORDERS = f"""
insert into purchase ({_columns(OrderRow)})
select * from unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::int[], $5::int[], $6::timestamptz[], $7::text[],
                     $8::text[], $9::text[], $10::text[])
"""

_ADD_RETURNS = f"""
insert into purchase_return ({_columns(ReturnRow)})
select * from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::bigint[], $5::int[], $6::timestamptz[], $7::text[],
                     $8::text[], $9::text[], $10::text[], $11::text[])
"""

_ADD_AMENDMENTS = f"""
insert into amendment ({_columns(AmendmentRow)})
select * from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::int[], $5::bigint[], $6::int[], $7::timestamptz[],
                     $8::text[], $9::text[], $10::text[], $11::text[], $12::text[])
"""

_ADD_FULFILMENTS = f"""
insert into fulfilment ({_columns(FulfilmentRow)})
select * from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::bigint[], $5::int[], $6::timestamptz[], $7::text[],
                     $8::text[], $9::text[], $10::text[])
"""

_ADD_PARKED = f"""
insert into parked ({_columns(ParkedRow)})
select key, content_hash, order_key, member, parked_at, archive_seq, archive_index, topic, partition, epoch, record,
       string_to_array(names, E'\\x1f'), state
from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::timestamptz[], $6::bigint[], $7::int[],
            $8::text[], $9::int[], $10::int[], $11::bytea[], $12::text[], $13::text[]) as p({_columns(ParkedRow)})
"""

_UPSERT_MEMBERS = f"""
insert into member ({_columns(MemberRow)})
select * from unnest($1::text[], $2::timestamptz[], $3::text[])
on conflict (member) do update set occurred_at = excluded.occurred_at, content = excluded.content
"""

_UPSERT_TALLIES = f"""
insert into tally ({_columns(TallyRow)})
select * from unnest($1::text[], $2::text[], $3::int[], $4::bigint[])
on conflict (member, name, period) do update set amount = excluded.amount
"""

_SETTLE_PARKED = """
update parked p set state = u.state
from unnest($1::bigint[], $2::int[], $3::text[]) as u(seq, index, state)
where (p.archive_seq, p.archive_index) = (u.seq, u.index)
"""


async def write(connection: Connection, effects: Effects) -> None:
    """Store what a batch decided, apart from the ledger: nothing, or one statement of each kind.

    Raises:
        asyncpg.UniqueViolationError: Another partition stored a key meanwhile; load again and see it.
    """
    if effects.given_back:
        await connection.execute("delete from accepted_key where key = any($1::uuid[])", list(effects.given_back))
    if effects.accepted:
        await connection.execute(
            "insert into accepted_key select * from unnest($1::uuid[], $2::uuid[])",
            list(effects.accepted),
            list(effects.accepted.values()),
        )
    parked, unparked = _parked(effects)
    await _write(connection, _ADD_ORDERS, effects.orders)
    await _write(connection, _ADD_PARKED, parked)
    await _write(connection, _ADD_RETURNS, effects.returns)
    await _write(connection, _ADD_FULFILMENTS, effects.fulfilments)
    await _write(connection, _ADD_AMENDMENTS, effects.amendments)
    await _write(connection, _UPSERT_MEMBERS, _members(effects))
    await _write(connection, _UPSERT_TALLIES, [TallyRow(*key, total) for key, total in effects.tallies.items()])
    if unparked:
        seqs, positions = zip(*unparked, strict=True)
        await connection.execute(_SETTLE_PARKED, seqs, positions, list(unparked.values()))
    await write_referrals(connection, effects)


async def _write(connection: Connection, sql: str, rows: Sequence[tuple[object, ...]]) -> None:
    """Write rows, if there are any, by a statement that takes an array for each of their columns."""
    if rows:
        await connection.execute(sql, *zip(*rows, strict=True))


def _parked(effects: Effects) -> tuple[list[ParkedRow], dict[Place, ParkedState]]:
    """Return what this batch parked, as it is in the end, and what became of what was parked before."""
    unparked = dict(effects.unparked)
    parked = [
        row._replace(state=unparked.pop(Place(row.archive_seq, row.archive_index), "waiting")) for row in effects.parked
    ]
    return parked, unparked


def _members(effects: Effects) -> list[MemberRow]:
    return [
        MemberRow(member, told_at, pydantic_core.to_json(member_as_kept(told)).decode())
        for member, (told_at, told) in effects.members.items()
    ]
