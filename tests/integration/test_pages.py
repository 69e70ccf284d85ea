"""Every list, page by page along its cursor: each row once, in the order of the list, also while rows are added."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, NamedTuple

import pytest

from shared.database.migrate import migrate
from shared.database.pool import connect
from shared.program import store
from shared.program.compiled.program import Program
from shared.queries import (
    balances,
    dead_letters,
    entries,
    notifications,
    programs,
    redemptions,
    referrals,
    tier_members,
)
from shared.queries.member_flow import Asked, redemptions_of
from shared.queries.pages import Page
from tests.support.deployment import Servers
from tests.support.traffic import PROGRAM, TEMPLATES

NOW = 1_500_000_000_000_000
ROWS, AT_A_TIME = 60, 7
FILL = """
insert into account (member, wallet) select 'm' || n % 2, 'wallet' || n from generate_series(1, 6) n;
insert into entry
select account, v, 1, 0, 0, 0, 0, 0, 0, timestamptz '2017-03-01' + (v / 2) * interval '1 day', now(),
       '00000000-0000-0000-0000-000000000000', 1, 0, 1, now()
from account, generate_series(1, 10) v;
"""
#: More rows of each list, from one number to another: they sort before, among and after those that were there.
ADD: Mapping[str, str] = {
    "redemptions": """
        insert into redemption select md5('r' || n)::uuid, md5('')::uuid, 1, 0, '/s' || n % 2, 'q' || n / 2, null,
               'm' || n % 3, 'points', 'tea', 'rejected', '', 0, timestamptz '2017-03-01' + (n % 7) * interval '1 day',
               'infinity', null, 1, '[]', ''
        from generate_series($1::int, $2::int) n""",
    "referrals": """
        insert into referral (key, content_hash, archive_seq, archive_index, source, referral_id, referrer, friend,
                              registered_at, state, reason, order_id, order_source, minimum, program_version,
                              referrer_points, friend_points)
        select md5('f' || n)::uuid, md5('')::uuid, 1, 0, '/s' || n % 2, 'f' || n / 2, 'a', 'm' || n,
               timestamptz '2017-03-01' + (n % 7) * interval '1 day', 'open', '', '', '', 0, 0, 0, 0
        from generate_series($1::int, $2::int) n""",
    "notifications": """
        insert into notification select 'k' || n, 'n' || n, 1, 'm' || n % 3, 'redemption-done', 'sent', '', now(),
               'infinity', timestamptz '2017-03-01' + (n % 7) * interval '1 day', now()
        from generate_series($1::int, $2::int) n""",
    "dead_letters": """
        insert into dead_letter (id, service, topic, partition, epoch, record_offset, reason, detail, record,
                                 recorded_at)
        select md5('d' || n), case when n % 2 = 0 then 'earn' else 'tiers' end, 'topic' || n % 3, n % 4, n % 5, n / 2,
               'invalid', '', '', timestamptz '2017-03-01' + (n % 3) * interval '1 day'
        from generate_series($1::int, $2::int) n""",
    "tier_members": """
        with made as (
            insert into account (member, wallet) select 't' || n, 'points' from generate_series($1::int, $2::int) n
            returning account, member)
        insert into standing
        select account, member, 0, 1, (array['gold', 'silver', 'member', ''])[account % 4 + 1], account % 4,
               now(), 'infinity', '', '', 'infinity', now() from made""",
    "balances": """
        insert into account (member, wallet) select 'b' || n, 'w' || n % 3 from generate_series($1::int, $2::int) n""",
    "entries": """
        insert into entry
        select account, 10 + n, 1, 0, 0, 0, 0, 0, 0, timestamptz '2018-01-01' + n * interval '1 hour', now(),
               '00000000-0000-0000-0000-000000000000', 1, 0, 1, now()
        from account, generate_series($1::int, $2::int) n where member = 'm1'""",
    "versions": """
        insert into program (version, program_id, effective_at, content, content_hash, templates)
        select 100 + n, program_id, effective_at, content, 'more' || n, templates
        from program, generate_series($1::int, $2::int) n where version = 1""",
}


class Lists(NamedTuple):
    connection: Any
    versions: Mapping[int, Program]

    def of(self, name: str) -> Callable[..., Awaitable[Page[Any, Any]]]:
        connection, newest = self.connection, self.versions[max(self.versions)]
        assert newest.ladder is not None
        ladder = newest.ladder
        lists: Mapping[str, Callable[..., Awaitable[Page[Any, Any]]]] = {
            "redemptions": lambda **page: redemptions.list_redemptions(connection, **page),
            "referrals": lambda **page: referrals.list_referrals(connection, **page),
            "notifications": lambda **page: notifications.list_notifications(connection, **page),
            "dead_letters": lambda **page: dead_letters.list_dead_letters(connection, **page),
            "tier_members": lambda **page: tier_members.list_tier_members(connection, [newest], ladder, **page),
            "balances": lambda **page: balances.list_balances(connection, newest, now=NOW, **page),
            "entries": lambda **page: entries.list_entries(connection, self.versions, "m1", until=2**61, **page),
            "versions": lambda **page: programs.list_versions(connection, **page),
        }
        return lists[name]


@pytest.fixture
async def lists(servers: Servers) -> AsyncIterator[Lists]:
    connection = await connect(servers.url, "pages")
    try:
        await migrate(connection, "pages")
        await store.publish(connection, PROGRAM, "whole-flow.yaml", TEMPLATES)
        await connection.execute(FILL)
        for sql in ADD.values():
            await connection.execute(sql, 1, ROWS)
        yield Lists(connection, {1: (await programs.versions(connection))[1]})
    finally:
        await connection.execute('drop schema if exists "pages" cascade')
        await connection.close()


async def test_pages_are_the_list_and_the_last_one_says_so(lists: Lists) -> None:
    for name in ADD:
        list_page = lists.of(name)
        whole = await list_page(limit=1_000)
        assert whole.next is None
        assert len(whole.rows) >= ROWS - 2, name
        assert len(set(whole.rows)) == len(whole.rows), name
        for limit in (1, AT_A_TIME, len(whole.rows) - 1, len(whole.rows)):
            rows: list[Any] = []
            after, pages = None, 0
            while pages == 0 or after is not None:
                page = await list_page(limit=limit, after=after)
                rows += page.rows
                after, pages = page.next, pages + 1
            assert tuple(rows) == whole.rows, (name, limit)
            assert pages == -(-len(rows) // limit), (name, limit)


async def test_each_row_is_seen_once_while_rows_are_added(lists: Lists) -> None:
    for name, add in ADD.items():
        list_page = lists.of(name)
        before = (await list_page(limit=1_000)).rows
        rows: list[Any] = []
        after, added = None, ROWS
        while not rows or after is not None:
            page = await list_page(limit=AT_A_TIME, after=after)
            rows += page.rows
            after = page.next
            if added < 2 * ROWS:
                await lists.connection.execute(add, added + 1, added + 5)
                added += 5
        assert len(set(rows)) == len(rows), name
        assert [row for row in rows if row in set(before)] == list(before), name
        assert len((await list_page(limit=1_000)).rows) >= len(before) + 20, name


async def test_a_reservation_is_shown_however_much_was_asked_for_since(lists: Lists) -> None:
    """A till that asks again and again is rejected thousands of times; what is held stays in sight."""
    await lists.connection.execute(
        """
        insert into account (member, wallet) values ('busy', 'points');
        insert into entry
        select account, 1, 5, 1, 0, 0, 5, 0, 0, '2017-03-01', now(), md5('held')::uuid, 1, -3, 4, now()
        from account where member = 'busy';
        insert into redemption
        select md5('held')::uuid, md5('')::uuid, 1, 0, '/s', 'held', account, 'busy', 'points', 'tea', 'reserved', '',
               5, '2017-03-01', 'infinity', null, 1, '[]', ''
        from account where member = 'busy';
        insert into redemption
        select md5('busy' || n)::uuid, md5('')::uuid, 1, 0, '/s', 'b' || n, null, 'busy', 'points', 'tea', 'rejected',
               '', 5, timestamptz '2017-03-02' + n * interval '1 minute', 'infinity', null, 1, '[]', ''
        from generate_series(1, 1100) n;
        """
    )
    found = await redemptions_of(lists.connection, Asked("busy", NOW, None, 10), [])
    assert [one.redemption_id for one in found if one.state == "reserved"] == ["held"]
    assert len(found) == 1_001
