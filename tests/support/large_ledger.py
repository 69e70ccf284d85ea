"""A ledger as large as look-ups must not notice: filled by SQL, in seconds, in the proportions of a shop.

Versions, balances, lots and holds agree as far as readers look; no audit would pass the rest.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgpack

from shared.contracts.contract import business_key
from shared.database.migrate import migrate
from shared.database.pool import connect
from shared.program import store
from shared.runtime.packed import pack
from shared.runtime.records import Record
from tests.support.deployment import Servers
from tests.support.events import SOURCE, Sent, about, event, purchase
from tests.support.traffic import PROGRAM, TEMPLATES

MEMBERS, ENTRIES_EACH, ORDERS_EACH = 20_000, 15, 2
#: A member who has one of everything, and the ids of these.
MEMBER = "m200"
ORDER, RETURN, AMENDMENT, CLAIM, REFERRAL, REDEMPTION = "o200-1", "r200", "a200", "c200", "f200", "q200"
#: What is named by a record that was refused, and by one that waits for its order.
REFUSED, WAITING = "refused-77", "early-77"
#: The id of a dead letter, as the filling makes them: md5('letter40').
LETTER = "df96cdf942bbb115"
#: When the first entry was made, one in the middle, and after the last one.
FIRST, MIDDLE, NOW = 1_488_375_000_000_000, 1_488_525_000_000_000, 1_488_800_000_000_000

_FIRST = "timestamptz '2017-03-01 13:30:00+00'"
_FAR = "timestamptz '2099-01-01 00:00:00+00'"
_PARTS = '[[-4611686018427387904, 4070908800000000, "", 20]]'
_RESULT = '{"lines":[["1",1,1000,1]],"awards":[[0,1,[10]]]}'


def _key(kind: str, number: str) -> str:
    return f"md5('{kind}' || {number})::uuid"


_LEDGER = f"""
insert into account (member, wallet, available, reserved, lifetime, version, as_of, earned_at)
select 'm' || n, 'points', earned - spent, case when n % 200 = 0 then 20 else 0 end, earned, {ENTRIES_EACH}, {_FIRST},
       {_FIRST}
from generate_series(1, {MEMBERS}) n,
     lateral (select n % 7 + case when n % 200 = 0 then 140 when n % 10 = 0 then 130 else 150 end as earned,
                     case when n % 10 = 0 then 20 else 0 end as spent) t;
insert into lot (account, lot, earned, remaining, available_at, expires_at)
select account, 1, lifetime, available, '-infinity', {_FAR} from account;
insert into entry (account, version, points, lot, available, pending, reserved, debt, qualifying, occurred_at, event_at,
                   recorded_at, cause, program_version, rule, operation)
select n, v, case when operation <> 1 then 20 when v = 1 then 10 + n % 7 else 10 end, 1,
       n % 7 + case when operation = 1 then v * 10 when v = 14 then 110 when n % 200 = 0 then 120 else 110 end,
       0, case when operation = 4 then 20 else 0 end, 0, case when operation = 1 then 1000 else 0 end, at, at, at,
       case when operation = 1 then {_key("order", f"n || '-' || (v - 1) % {ORDERS_EACH} + 1")}
            else {_key("redemption", "n")} end,
       1, case when operation = 1 then 0 else -100 end, operation
from generate_series(1, {ENTRIES_EACH}) v, generate_series(1, {MEMBERS}) n,
     lateral (select {_FIRST} + ((v - 1) * {MEMBERS} + n) * interval '1 second' as at,
                     case when n % 200 = 0 then case when v = 15 then 4 else 1 end
                          when n % 10 = 0 and v > 13 then case when v = 14 then 4 else 6 end else 1 end as operation) t;
insert into standing (account, member, version, program_version, tier, metric_value, valid_from, valid_until, fold,
                      announced, next_due, updated_at)
select account, member, version, 1, case when account % 50 = 0 then 'gold' when account % 7 = 0 then 'silver'
       else 'member' end, account % 1000, {_FIRST}, 'infinity', '', '', {_FAR}, now() from account;
insert into tier_history
select account, 1, member, 'upgraded', '', 'member', '', 0, {_FIRST}, 1 from account;
"""

_FLOW = f"""
insert into purchase
select {_key("order", "n || '-' || v")}, {_key("", "n")}, 1, 0, 1,
       {_FIRST} + ((v - 1) * {MEMBERS} + n) * interval '1 second', '{SOURCE}', 'o' || n || '-' || v, 'm' || n,
       '{_RESULT}'
from generate_series(1, {ORDERS_EACH}) v, generate_series(1, {MEMBERS}) n;
insert into purchase_return (key, content_hash, order_key, archive_seq, archive_index, occurred_at, source, return_id,
                             member, result)
select {_key("return", "n")}, {_key("", "n")}, {_key("order", "n || '-1'")}, 1, 0, {_FIRST} + n * interval '1 hour',
       '{SOURCE}', 'r' || n, 'm' || n, '{{"lines":[[0,0,0]],"awards":[0]}}' from generate_series(1, {MEMBERS}) n;
insert into amendment
select {_key("amendment", "n")}, {_key("", "n")}, {_key("order", "n || '-1'")}, 1, 1, 0, {_FIRST}, '{SOURCE}', 'a' || n,
       'm' || n, '{_RESULT}', '[]' from generate_series(2, {MEMBERS}, 2) n;
insert into fulfilment
select {_key("claim", "n")}, {_key("", "n")}, {_key("order", "n || '-1'")}, 1, 0, {_FIRST}, 'm' || n,
       case when n % 2 = 0 then 'claim' else 'fulfilment' end, case when n % 2 = 0 then 'c' || n else '' end, '{SOURCE}'
from generate_series(1, {MEMBERS}) n;
insert into referral (key, content_hash, archive_seq, archive_index, source, referral_id, referrer, friend,
                      registered_at, state, reason, order_key, order_id, order_source, qualified_at, minimum,
                      program_version, referrer_points, friend_points)
select {_key("referral", "n")}, {_key("", "n")}, 1, 0, '{SOURCE}', 'f' || n, 'm' || n / 10 + 1, 'm' || n,
       {_FIRST} - (n / 3) * interval '1 minute', state, '',
       case when decided then {_key("order", "n || '-1'")} end, case when decided then 'o' || n || '-1' else '' end,
       case when decided then '{SOURCE}' else '' end, case when state = 'qualified' then {_FIRST} end, 1000, 1, 50, 25
from generate_series(1, {MEMBERS}) n,
     lateral (select case n % 8 when 1 then 'open' when 2 then 'refused' else 'qualified' end as state,
                     n % 8 <> 1 as decided) t;
insert into redemption
select {_key("redemption", "n")}, {_key("", "n")}, 1, 0, '{SOURCE}', 'q' || n,
       case when n % 10 = 0 then n end, 'm' || n, 'points', 'tea',
       case when n % 200 = 0 then 'reserved' when n % 10 = 0 then 'redeemed' else 'rejected' end,
       case when n % 10 = 0 then '' else 'too-few-points' end, 20, {_FIRST} + (n / 3) * interval '1 minute',
       case when n % 10 = 0 then {_FAR} else 'infinity' end,
       case when n % 200 <> 0 then {_FIRST} + (14 * {MEMBERS} + n) * interval '1 second' end, 1,
       case when n % 10 = 0 then '{_PARTS}' else '[]' end, {{answers}}
from generate_series(1, {MEMBERS}) n;
insert into notification
select 'key' || k || '-' || n, 'n' || k || '-' || n, 1, 'm' || n, case k when 2 then 'tier-upgraded' else
       'redemption-done' end, case when k = 3 then 'suppressed' else 'sent' end, '', {_FIRST}, 'infinity',
       {_FIRST} + (n / 3) * interval '1 minute', {_FIRST}
from generate_series(2, 3) k, generate_series(1, {MEMBERS}) n;
"""

_MACHINERY = f"""
insert into archive
select n, 'batch', 'earn', 'purchases', 0, 1, n, n + 1, 1, 1, 0, 0, 0, {_FIRST}, {_FIRST}, {{archived}}
from generate_series(1, 5000) n;
insert into dead_letter (id, service, topic, partition, epoch, record_offset, reason, detail, event_id, event_type,
                         event_source, record, state, recorded_at, names)
select left(md5('letter' || n), 16), 'earn', 'purchases', n % 8, 1, n, 'other-currency', '', 'event-' || n,
       'loyalty.purchase.completed.v1', '{SOURCE}', {{refused}}, case when n % 40 = 0 then 'open' else 'closed' end,
       {_FIRST} + (n / 3) * interval '1 minute', array['event-' || n, 'early-' || n]
from generate_series(1, {MEMBERS // 2}) n;
insert into parked (key, content_hash, order_key, member, state, parked_at, archive_seq, archive_index, topic,
                    partition, epoch, record, names)
select {_key("parked", "n")}, {_key("", "n")}, {_key("early", "n")}, 'm' || n,
       case when n % 40 = 0 then 'waiting' else 'applied' end, {_FIRST}, n, 1, 'purchases', 0, 1, {{waiting}},
       array['early-' || n, 'back-' || n]
from generate_series(1, {MEMBERS // 2}) n;
"""
_REFUSED = """
update dead_letter set record = $1, names = array[$2::text]
where id = (select id from dead_letter where record_offset = 77)
"""
_WAITING = """
update parked set record = $1, names = array['never-came', $2::text], state = 'waiting' where archive_seq = 77
"""
_TABLES = "select relname::text from pg_class where relnamespace = current_schema()::regnamespace and relkind = 'r'"


async def fill(connection: Any) -> None:
    """Fill a migrated schema, and gather the statistics that plans go by."""
    await store.publish(connection, PROGRAM, "whole-flow.yaml", TEMPLATES)
    bought = purchase(ORDER, MEMBER)
    early = {"member_id": MEMBER, "occurred_at": bought["occurred_at"], "return_id": WAITING, "order_id": "never-came"}
    blocks = {
        "answers": msgpack.packb({}),
        "archived": _packed(event(bought)),
        "refused": _packed(event(purchase("of-others", MEMBER))),
        "waiting": _packed(about("loyalty.purchase.returned.v1", {**early, "return_id": "of-others"})),
    }
    literals = {name: f"'\\x{block.hex()}'::bytea" for name, block in blocks.items()}
    # What would go to the log first would go there in vain.
    tables = [table for (table,) in await connection.fetch(_TABLES)]
    for table in tables:
        await connection.execute(f"alter table {table} set unlogged")
    async with connection.transaction():
        # The numbers of accounts are those of their members.
        await connection.execute("select setval(pg_get_serial_sequence('account', 'account'), 1, false)")
        await connection.execute("delete from archive")
        for sql in (_LEDGER, _FLOW, _MACHINERY):
            for name, literal in literals.items():
                sql = sql.replace(f"{{{name}}}", literal)  # noqa: PLW2901 - the same statement
            await connection.execute(sql)
        await _name(connection)
        await connection.execute(_REFUSED, _packed(event(purchase(REFUSED, MEMBER))), REFUSED)
        await connection.execute(_WAITING, _packed(about("loyalty.purchase.returned.v1", early)), WAITING)
    # A tenth of the usual sample tells enough of rows that a formula made.
    await connection.execute("set default_statistics_target = 10")
    await connection.execute(f"analyze {', '.join(tables)}")


def _packed(sent: Sent) -> bytes:
    return pack([Record(0, 0, sent.member.encode(), sent.value, tuple(sent.headers))])


async def _name(connection: Any) -> None:
    """Give what the member has the keys that belong to its ids."""
    for table, before, name in (
        ("purchase", "md5('order200-1')::uuid", ORDER),
        ("purchase_return", "md5('return200')::uuid", f"return\x1f{RETURN}"),
        ("amendment", "md5('amendment200')::uuid", f"amendment\x1f{AMENDMENT}"),
        ("fulfilment", "md5('claim200')::uuid", f"claim\x1f{CLAIM}"),
        ("referral", "md5('referral200')::uuid", f"referral\x1f{REFERRAL}"),
        ("redemption", "md5('redemption200')::uuid", f"redemption\x1f{REDEMPTION}"),
    ):
        key = business_key(SOURCE, name)
        await connection.execute(f"update {table} set key = $1 where key = {before}", key)
        await connection.execute(f"update entry set cause = $1 where account = 200 and cause = {before}", key)
        if table == "purchase":
            for other in ("purchase_return", "amendment", "fulfilment", "referral"):
                await connection.execute(f"update {other} set order_key = $1 where order_key = {before}", key)


@asynccontextmanager
async def large_ledger(servers: Servers, schema: str) -> AsyncIterator[Any]:
    """A connection to a schema that was filled, and is dropped in the end."""
    connection = await connect(servers.url, schema)
    try:
        await migrate(connection, schema)
        await fill(connection)
        yield connection
    finally:
        await connection.execute(f'drop schema if exists "{schema}" cascade')
        await connection.close()
