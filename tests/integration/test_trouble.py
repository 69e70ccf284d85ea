"""Postgres restarts, brokers vanish, topics are recreated, workers come and go: nothing is lost or doubled."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.consumer.group_coordinator import CoordinatorGroupRebalance
from aiokafka.errors import KafkaError

from devstack.embedded import postgres
from devstack.embedded.process import wait_for
from shared.runtime.kafka.fetcher import Fetcher
from tests.support.deployment import Deployment, Servers
from tests.support.kills import outlive_the_broker, until_some_points
from tests.support.traffic import orders


async def until_noticed(deployment: Deployment) -> None:
    async with deployment.database() as connection, asyncio.timeout(30):
        while await connection.fetchval("select min(epoch) from watermark where topic = 'purchases'") < 1:
            await asyncio.sleep(0.05)


async def test_workers_come_and_go(deployment: Deployment) -> None:
    await deployment.send(orders(300))
    async with deployment.worker(batch_records=10):
        await until_some_points(deployment)
        async with deployment.worker(batch_records=10):
            await deployment.send(orders(300, first=1000))
            await asyncio.sleep(3)
        await deployment.send(orders(100, first=2000))
        await deployment.idle()
    await deployment.check()


async def test_a_fetch_ends_although_a_rebalance_has_begun(deployment: Deployment) -> None:
    """A pipeline that asks for records just then must not wait for the new assignment, which waits for pipelines."""
    settings = deployment.settings
    topic = settings.topic("purchases")
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=settings.kafka_brokers, group_id=f"{settings.topic_prefix}.x")
    await consumer.start()
    try:
        while not consumer.assignment():
            await asyncio.sleep(0.05)
        consumer._subscription.begin_reassignment()
        fetcher = Fetcher(settings, consumer, TopicPartition(topic, 0))
        assert await asyncio.wait_for(fetcher.fetch(asyncio.Event()), 5) == []
    finally:
        await consumer.stop()


async def test_postgres_restarts_in_the_middle(deployment: Deployment) -> None:
    await deployment.send(orders(300))
    async with deployment.worker(batch_records=10):
        await until_some_points(deployment)
        await asyncio.to_thread(deployment.servers.postgres.kill)
        await asyncio.sleep(1)
        await asyncio.to_thread(_start_postgres, deployment.servers)
        await deployment.send(orders(50, first=1000))
        await asyncio.sleep(1)
        await deployment.idle()
    await deployment.check()


def _start_postgres(servers: Servers) -> None:
    """Start it again and wait until it has recovered from the kill."""
    port = servers.postgres.start().port
    wait_for("PostgreSQL", lambda: postgres.answers(servers.home, port), 60)


async def test_a_topic_made_anew(deployment: Deployment) -> None:
    async with deployment.worker():
        await deployment.send(orders(100))
        await deployment.idle()
        await deployment.kafka.delete_topics("purchases")
        await asyncio.sleep(1)
        await deployment.kafka.create_topics()
        await until_noticed(deployment)
        # Tills that got no acknowledgement send again: known events have no second effect.
        again = deployment.sent[50:]
        await deployment.send([*again, *orders(50, first=1000)])
        await deployment.idle()
    await deployment.check()
    async with deployment.database() as connection:
        epochs = [
            row["epoch"] for row in await connection.fetch("select epoch from watermark where topic = 'purchases'")
        ]
    assert epochs == [1, 1, 1]


async def test_the_broker_is_gone_for_3_seconds(own_broker: Deployment) -> None:
    """`make test-crash` has the same with 20 seconds."""
    await outlive_the_broker(own_broker, 3)


async def test_a_fresh_start_on_the_data_of_before(own_broker: Deployment) -> None:
    """What `loyalty up` finds after `loyalty down`: the whole ledger, and a broker that may have lost everything."""
    deployment, broker = own_broker, own_broker.servers.broker
    async with deployment.worker():
        await deployment.send(orders(100))
        await deployment.idle()
    before = await deployment.ledger()
    await asyncio.to_thread(broker.stop)
    await asyncio.to_thread(broker.start)
    await deployment.kafka.create_topics()
    async with deployment.worker():
        await deployment.send(list(deployment.sent))
        await deployment.idle()
        assert await deployment.ledger() == before
        await deployment.send(orders(20, first=1000))
        await deployment.idle()
    assert await deployment.ledger() == deployment.calm_ledger()
    await deployment.check_audit()


async def test_an_error_of_the_group_does_not_keep_a_worker_out_for_ever(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """aiokafka raises such an error when records are fetched; while it has no partitions, nothing is fetched."""
    join = CoordinatorGroupRebalance.perform_group_join
    failed: list[bool] = []

    async def fail_once(self: Any) -> Any:
        if not failed:
            failed.append(True)
            raise KafkaError("the group is full")
        return await join(self)

    monkeypatch.setattr(CoordinatorGroupRebalance, "perform_group_join", fail_once)
    await deployment.send(orders(50))
    async with deployment.worker():
        await deployment.idle()
    assert failed
    await deployment.check()


@pytest.mark.parametrize("seconds", [0, 0.03, 0.1])
async def test_a_worker_that_stops_while_it_joins_leaves_nothing_behind(deployment: Deployment, seconds: float) -> None:
    await deployment.send(orders(50))
    async with deployment.worker() as worker:
        await deployment.idle()
        worker._consumer._coordinator.request_rejoin()
        await asyncio.sleep(seconds)
    await asyncio.sleep(0.5)
    assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("pipeline ")]
    assert not worker.crashed
    await deployment.check()
