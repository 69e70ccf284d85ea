"""Two workers on one member, and one order sent under two members: the order of the load's statements decides."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from services.earn.handler import EarnHandler
from services.earn.state import State
from services.earn.store import batch as store
from shared.database.pool import open_pool
from shared.errors import Fenced, LoadAgain
from shared.ledger import store as ledger
from shared.runtime.batch.decode import decode
from shared.runtime.batch.transaction import transact
from shared.runtime.records import Batch, Decoded, Received, Record
from shared.runtime.tables import watermark
from shared.runtime.tables.watermark import Lease
from tests.support.deployment import Deployment
from tests.support.events import Sent, event, purchase


class MergedLoad(EarnHandler):
    """The mistake that the rule forbids: known orders are read before the lock, as one merged statement would do."""

    async def load(self, connection: Any, events: Sequence[Received]) -> State:
        await self.refresh(connection)
        known = await store.known_keys(connection, [received.key for received in events], [])
        accounts = await ledger.lock_accounts(connection, [received.event.member_id for received in events], ["points"])
        return State({(a.member, a.wallet): a for a in accounts}, self._programs.versions, known=known)


def batch_of(sent: Sent, partition: int) -> tuple[Batch, Decoded]:
    record = Record(0, 0, sent.member.encode(), sent.value, tuple(sent.headers))
    batch = Batch("purchases", partition, 0, [record], 1)
    return batch, decode(batch.records, EarnHandler.contracts, 1_000_000)


class Race:
    """Two batches in two partitions: the second one's load waits for the first one's commit."""

    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment
        self.pool: Any = None

    async def __aenter__(self) -> Race:
        s = self.deployment.settings
        self.pool = await open_pool(s.database_url.get_secret_value(), s.database_schema, size=4)
        async with self.pool.acquire() as connection:
            for partition in (0, 1):
                await watermark.write_lease(connection, "earn", Lease("purchases", partition, 0, 0, "id"))
        return self

    async def __aexit__(self, *_problem: object) -> None:
        await self.pool.close()

    async def transact(self, handler: EarnHandler, sent: Sent, partition: int, lease: Lease | None = None) -> Any:
        batch, decoded = batch_of(sent, partition)
        lease = lease or Lease("purchases", partition, 0, 0, "id")
        while True:
            try:
                return await transact(self.pool, handler, "/test", lease, batch, decoded, [])
            except LoadAgain:
                continue

    async def run(self, first: Sent, second: Sent, handler: EarnHandler) -> Any:
        """Let the second transaction begin while the first holds its locks; return what the second decided."""
        committed = asyncio.Event()

        class Slow(EarnHandler):
            async def store(self, connection: Any, decisions: Any, mark: Any) -> None:
                await super().store(connection, decisions, mark)
                await committed.wait()

        async with self.pool.acquire() as connection:
            await connection.execute("insert into account (member, wallet) values ('m1', 'points'), ('m2', 'points')")
        one = asyncio.create_task(self.transact(Slow("/test"), first, 0))
        await asyncio.sleep(0.5)
        two = asyncio.create_task(self.transact(handler, second, 1))
        await asyncio.sleep(0.5)
        assert not two.done(), "the second must wait for the first one's lock"
        committed.set()
        await one
        return await two


async def test_two_workers_on_one_member_see_each_other(deployment: Deployment) -> None:
    async with Race(deployment) as race:
        outcome = await race.run(event(purchase("o1")), event(purchase("o2")), EarnHandler("/test"))
    assert outcome.counts.accepted == 1
    assert [row[2:6] for row in await deployment.ledger()] == [
        (1, 10, row[4], 10) if version == 1 else (version, 10, row[4], 10 * version)
        for version, row in enumerate(await deployment.ledger(), start=1)
    ]


async def test_one_order_raced_by_two_workers_is_paid_once(deployment: Deployment) -> None:
    async with Race(deployment) as race:
        outcome = await race.run(event(purchase("o1")), event(purchase("o1"), "again"), EarnHandler("/test"))
    assert outcome.counts.duplicates == 1
    assert len(await deployment.ledger()) == 2
    await deployment_is_explained(deployment)


async def test_a_merged_load_would_miss_what_the_lock_waited_for(deployment: Deployment) -> None:
    """A test of the tests above: with the statements in another order, the duplicate is missed."""
    async with Race(deployment) as race:
        with pytest.raises(asyncpg.UniqueViolationError):
            await race.run(event(purchase("o1")), event(purchase("o1"), "again"), MergedLoad("/test"))


async def test_one_order_under_two_members_in_two_partitions(deployment: Deployment) -> None:
    """Different accounts, so no lock orders the two: the unique key does, and the second pass sees a conflict."""
    one, other = purchase("o1", "m1"), purchase("o1", "m2")
    await deployment.send([event(one, partition=0), event(other, partition=1)])
    async with deployment.worker():
        await deployment.idle()
    async with deployment.database() as connection:
        assert await connection.fetchval("select count(*) from purchase") == 1
        assert await connection.fetchval("select reason from dead_letter") == "conflict"
    assert len(await deployment.ledger()) == 2
    await deployment.check_audit()


async def test_one_order_under_two_members_raced_to_the_unique_key(deployment: Deployment) -> None:
    async with Race(deployment) as race:
        with pytest.raises(asyncpg.UniqueViolationError):
            await race.run(event(purchase("o1", "m1")), event(purchase("o1", "m2")), EarnHandler("/test"))
        again = await race.transact(EarnHandler("/test"), event(purchase("o1", "m2")), 1)
    assert again.counts.refused == 1
    assert again.reasons == ["conflict"]


async def test_a_worker_that_lost_its_partition_writes_nothing(deployment: Deployment) -> None:
    async with Race(deployment) as race:
        await race.transact(EarnHandler("/test"), event(purchase("o1")), 0)
        before = await deployment.ledger()
        with pytest.raises(Fenced):
            await race.transact(EarnHandler("/test"), event(purchase("o2")), 0, Lease("purchases", 0, 0, 0, "id"))
    assert await deployment.ledger() == before


async def deployment_is_explained(deployment: Deployment) -> None:
    async with deployment.database() as connection:
        assert await connection.fetchval("select count(*) from purchase") == 1
    await deployment.check_audit()


async def test_a_purchase_from_the_future_locks_no_account_and_makes_none(deployment: Deployment) -> None:
    soon = (datetime.now(UTC) + timedelta(minutes=10)).isoformat()
    async with deployment.database() as connection:
        await connection.execute("insert into account (member, wallet) values ('m1', 'points')")
    async with Race(deployment) as race, deployment.database() as other, other.transaction():
        await other.execute("select from account where member = 'm1' for update")
        for partition, member in enumerate(("m1", "new")):
            sent = event(purchase(f"o{partition}", member, occurred_at=soon))
            # Another one's lock on the account is held all the time.
            outcome = await asyncio.wait_for(race.transact(EarnHandler("/test"), sent, partition), 10)
            assert (outcome.counts.accepted, outcome.reasons) == (0, ["in-the-future"])
    async with deployment.database() as connection:
        assert [tuple(row) for row in await connection.fetch("select member, version from account")] == [("m1", 0)]
        assert await connection.fetchval("select count(*) from dead_letter where reason = 'in-the-future'") == 2


async def test_the_instant_that_judges_a_batch_is_read_before_any_lock(deployment: Deployment) -> None:
    async with deployment.database() as connection:  # else the load begins again, to make it
        await connection.execute("insert into account (member, wallet) values ('m1', 'points')")
    async with Race(deployment) as race:
        async with race.pool.acquire() as other, other.transaction():
            await other.execute("select from watermark where partition = 0 for update")
            waits = asyncio.create_task(race.transact(EarnHandler("/test"), event(purchase("o1")), 0))
            await asyncio.sleep(0.5)
            assert not waits.done()
            released = await other.fetchval("select clock_timestamp()")
        await waits
    async with deployment.database() as connection:
        judged_at, recorded_at = await connection.fetchrow(
            "select judged_at, recorded_at from archive where kind = 'batch'"
        )
    assert judged_at < released < recorded_at
