"""What a worker checks before it begins, and what /readyz says when it makes no progress."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest
from aiokafka import AIOKafkaProducer

from shared.contracts import purchases
from shared.database import migrate
from shared.errors import UsageError
from shared.runtime.batch.leases import handled_beyond
from shared.runtime.consumer import BatchConsumer
from shared.runtime.kafka.brokers import Handled
from shared.runtime.tables.watermark import Lease
from tests.support.deployment import Deployment
from tests.support.events import event, partition_of, purchase

TOPIC = {"purchases": "a"}


async def refusal_of(consumer: BatchConsumer, seconds: float = 20) -> str:
    """Start a worker and return why it refused."""
    async with asyncio.timeout(seconds), consumer:
        while not consumer.crashed:
            await asyncio.sleep(0.02)
        problem = consumer._crash_reason
    assert isinstance(problem, UsageError)
    return str(problem)


# ---- a record batch that would unpack to far more than was fetched


async def test_a_bomb_is_one_dead_letter_and_the_partition_goes_on(deployment: Deployment) -> None:
    member = "m1"
    topic, partition = deployment.settings.topic(purchases.TOPIC), partition_of(member)
    await deployment.send([event(purchase("before", member))])
    producer = AIOKafkaProducer(
        bootstrap_servers=deployment.settings.kafka_brokers, compression_type="zstd", max_batch_size=100_000_000
    )
    await producer.start()
    try:
        bomb = producer.create_batch()
        for _ in range(50):
            bomb.append(key=member.encode(), value=b" " * 1_000_000, timestamp=None)
        await (await producer.send_batch(bomb, topic, partition=partition))
    finally:
        await producer.stop()
    await deployment.send([event(purchase("after", member))])
    async with deployment.worker(unpacked_bytes=10_000_000):
        await deployment.idle()
    assert await deployment.rows("select order_id from purchase order by order_id") == [("after",), ("before",)]
    ((reason, offset, detail),) = await deployment.rows("select reason, record_offset, detail from dead_letter")
    assert (reason, offset) == ("batch-too-large", 50)
    assert "offsets 1 to 50" in detail
    (told,) = await deployment.published("dead-letters")
    assert b"offsets 1 to 50" in told.value
    await deployment.check_audit()
    await deployment.check_replay()


# ---- an older schema


async def test_a_worker_on_an_older_schema_names_the_missing_migration(deployment: Deployment) -> None:
    async with deployment.database() as connection:
        await connection.execute("delete from schema_migration where name = '0008_claim_ids'")
    problem = await refusal_of(deployment.consumer())
    assert "0008_claim_ids" in problem
    assert "loyalty database migrate" in problem


async def test_a_worker_on_no_schema_says_what_to_run(deployment: Deployment) -> None:
    problem = await refusal_of(deployment.consumer(database_schema="nobody"))
    assert "loyalty database migrate" in problem


async def test_a_migration_waits_for_batches_and_batches_for_it(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise a batch that holds one table waits for the next, and the migration the other way round: a deadlock."""
    async with deployment.worker():
        await deployment.send([event(purchase("o1"))])
        await deployment.idle()
    later = [*migrate.shipped(), ("9999_later", "create table later (one int)")]
    monkeypatch.setattr(migrate, "shipped", lambda: later)
    async with deployment.database() as batch, deployment.database() as operator:
        async with batch.transaction():
            await batch.execute("select from watermark for update")
            migrating = asyncio.create_task(migrate.migrate(operator, deployment.settings.database_schema))
            done, _waiting = await asyncio.wait([migrating], timeout=0.5)
            assert not done, "it changes tables that a batch may still touch"
        assert await asyncio.wait_for(migrating, 5) == ["9999_later"]


# ---- a restored backup


@pytest.mark.parametrize(
    ("watermark", "committed", "topic_id", "beyond"),
    [
        (50, 50, "a", []),
        (51, 50, "a", []),
        (50, 51, "a", [("purchases", 0, 50, 51)]),
        (50, 80, "b", []),  # the topic was recreated: the watermark is about other records
        (None, 3, "a", [("purchases", 0, 0, 3)]),
        (None, 0, "a", []),
    ],
)
def test_where_kafka_knows_of_more_than_the_ledger(
    watermark: int | None, committed: int, topic_id: str, beyond: list[tuple[str, int, int, int]]
) -> None:
    known = {} if watermark is None else {("purchases", 0): Lease("purchases", 0, 0, watermark, topic_id)}
    assert handled_beyond(known, {("purchases", 0): Handled(committed)}, TOPIC) == beyond


@pytest.mark.parametrize(
    ("log", "beyond"),
    [
        ("a/1", [("purchases", 0, 0, 500)]),
        ("a/0", []),  # the broker lost its data since, and the partition is read from the beginning
        ("b/1", []),  # told of the topic that was there before
        ("", [("purchases", 0, 0, 500)]),  # a broker that keeps no metadata
        ("x", [("purchases", 0, 0, 500)]),
    ],
)
def test_an_offset_of_an_earlier_log_is_no_sign_of_a_restore(log: str, beyond: list[tuple[str, int, int, int]]) -> None:
    known = {("purchases", 0): Lease("purchases", 0, 1, 0, "a")}
    assert handled_beyond(known, {("purchases", 0): Handled(500, log)}, TOPIC) == beyond


class Backup:
    """A copy of all tables, as a backup or a replica that is behind has it."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        self._schema = deployment.settings.database_schema
        self._tables: list[str] = []

    async def take(self) -> None:
        named = "select tablename::text from pg_tables where schemaname = $1"
        self._tables = [table for (table,) in await self._deployment.rows(named, self._schema)]
        async with self._deployment.database() as connection:
            await connection.execute(f"create schema {self._schema}_backup")
            for table in self._tables:
                await connection.execute(f"create table {self._schema}_backup.{table} as table {table}")

    async def restore(self) -> None:
        async with self._deployment.database() as connection, connection.transaction():
            await connection.execute(f"truncate {', '.join(self._tables)}")
            for table in self._tables:
                await connection.execute(f"insert into {table} select * from {self._schema}_backup.{table}")
            await connection.execute(f"drop schema {self._schema}_backup cascade")


async def test_a_worker_on_a_restored_backup_goes_on_only_when_told_to(deployment: Deployment) -> None:
    """The ledger is reset to its state after the first twenty purchases, as by a restore."""
    orders = [event(purchase(f"o-{number}", f"m{number}")) for number in range(40)]
    backup = Backup(deployment)
    async with deployment.worker():
        await deployment.send(orders[:20])
        await deployment.idle()
    await backup.take()
    async with deployment.worker():
        await deployment.send(orders[20:])
        await deployment.idle()
    done = await deployment.ledger()
    await backup.restore()

    problem = await refusal_of(deployment.consumer())
    assert "LOYALTY_ACCEPT_RESTORED_LEDGER" in problem
    assert "20 records" in problem
    assert len(await deployment.rows("select from purchase")) == 20

    async with deployment.worker(accept_restored_ledger=True):
        await deployment.idle()
    assert await deployment.ledger() == done
    # Kafka was told where the ledger stands: the setting is needed once.
    async with deployment.worker():
        await deployment.send([event(purchase("o-last"))])
        await deployment.idle()
    assert len(await deployment.rows("select from purchase")) == 41
    await deployment.check_audit()


async def test_a_fail_over_under_a_running_worker_is_noticed(deployment: Deployment) -> None:
    """The ledger loses its last transactions while a worker runs that had stored them."""
    orders = [event(purchase(f"o-{number}", f"m{number}")) for number in range(40)]
    backup = Backup(deployment)
    async with deployment.worker() as worker:
        await deployment.send(orders[:20])
        await deployment.idle()
        await backup.take()
        await deployment.send(orders[20:])
        await deployment.idle()
        await backup.restore()
        await deployment.send([event(purchase(f"p-{number}", f"m{number}")) for number in range(40)])
        async with asyncio.timeout(20):
            while not worker.crashed:
                await asyncio.sleep(0.05)
        assert isinstance(worker._crash_reason, UsageError)
        assert "LOYALTY_ACCEPT_RESTORED_LEDGER" in str(worker._crash_reason)
    # What Kafka was told is still there: the next start refuses, too.
    assert "LOYALTY_ACCEPT_RESTORED_LEDGER" in await refusal_of(deployment.consumer())
    async with deployment.worker(accept_restored_ledger=True):
        await deployment.idle()
    assert len(await deployment.rows("select from purchase")) == 80
    await deployment.check_audit()


# ---- no progress


async def test_readyz_turns_red_while_no_batch_can_be_stored_and_green_again(deployment: Deployment) -> None:
    async with deployment.worker(stall_seconds=1) as worker:
        await deployment.send([event(purchase("first"))])
        await deployment.idle()
        await asyncio.sleep(1.5)
        assert worker.stalled_seconds() == 0, "nothing waits"
        blocker = await asyncpg.connect(deployment.servers.url)
        try:
            # The database answers, the broker answers, and yet there is no progress: as with a full disk.
            await blocker.execute("begin")
            await blocker.execute(f"lock table {deployment.settings.database_schema}.entry in access exclusive mode")
            await deployment.send([event(purchase("second"))])
            async with asyncio.timeout(20):
                while worker.stalled_seconds() < 1.5:
                    await asyncio.sleep(0.05)
        finally:
            await blocker.close()
        await deployment.idle()
        assert worker.stalled_seconds() < 1
    assert len(await deployment.rows("select from purchase")) == 2
