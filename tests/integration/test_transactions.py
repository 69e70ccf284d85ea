"""Producers may use Kafka's transactions: events in aborted or open ones have no effect."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from prometheus_client import REGISTRY

from shared.contracts import purchases
from tests.support.deployment import Deployment, Servers
from tests.support.events import PARTITIONS, Sent, event, partition_of, purchase

ORDERS = 30


@pytest.fixture(autouse=True)
def _only_kafka(servers: Servers) -> None:
    if servers.kind != "kafka":
        pytest.skip("the embedded broker refuses transactions; make test-kafka runs this")


def orders(kind: str) -> list[Sent]:
    return [event(purchase(f"{kind}-{number}", f"m{number % 5}")) for number in range(ORDERS)]


@asynccontextmanager
async def transactional(deployment: Deployment) -> AsyncIterator[Any]:
    producer = AIOKafkaProducer(
        bootstrap_servers=deployment.settings.kafka_brokers, transactional_id=deployment.settings.topic_prefix
    )
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


async def send(producer: Any, deployment: Deployment, events: Sequence[Sent]) -> None:
    topic = deployment.settings.topic(purchases.TOPIC)
    for one in events:
        await producer.send_and_wait(
            topic, one.value, key=one.member.encode(), partition=partition_of(one.member), headers=one.headers
        )


async def bought(deployment: Deployment) -> set[str]:
    return {order for (order,) in await deployment.rows("select order_id from purchase")}


async def abort(producer: Any, deployment: Deployment, events: Sequence[Sent]) -> None:
    await producer.begin_transaction()
    await send(producer, deployment, events)
    await producer.abort_transaction()


def gauge(name: str) -> float:
    """The sum over the partitions of the purchases."""
    labels = [{"service": "earn", "topic": "purchases", "partition": str(number)} for number in range(PARTITIONS)]
    return sum(REGISTRY.get_sample_value(name, one) or 0 for one in labels)


async def test_an_aborted_transaction_pays_nothing(deployment: Deployment) -> None:
    async with deployment.worker(), transactional(deployment) as producer:
        await abort(producer, deployment, orders("aborted"))
        async with producer.transaction():
            await send(producer, deployment, orders("committed"))
        await abort(producer, deployment, orders("aborted-last"))
        # Ends only if the watermark follows past what nobody gets: aborted records stand at the end of the log.
        await deployment.idle()
        assert await bought(deployment) == {f"committed-{number}" for number in range(ORDERS)}
        assert gauge("loyalty_lag_records") == 0
    await deployment.check_audit()
    await deployment.check_replay()


async def test_an_open_transaction_waits_and_turns_nothing_red(deployment: Deployment) -> None:
    other = AIOKafkaProducer(bootstrap_servers=deployment.settings.kafka_brokers)
    async with deployment.worker(stall_seconds=1) as worker, transactional(deployment) as producer, other:
        await deployment.send([event(purchase("before"))])
        await producer.begin_transaction()
        await send(producer, deployment, orders("open"))
        await send(other, deployment, [event(purchase("behind", "m1"))])
        await deployment.idle()
        await asyncio.sleep(2.5)
        # m1's partition ends for us where the transaction begins; what was sent after it waits for it, too.
        assert await bought(deployment) == {"before"}
        assert worker.stalled_seconds() < 1
        assert gauge("loyalty_lag_records") == 0
        assert gauge("loyalty_uncommitted_records") > ORDERS
        await producer.commit_transaction()
        await deployment.idle()
        assert await bought(deployment) == {"before", "behind", *(f"open-{number}" for number in range(ORDERS))}
        assert gauge("loyalty_uncommitted_records") == 0
    await deployment.check_audit()
    await deployment.check_replay()


async def test_a_worker_goes_on_behind_an_aborted_transaction(deployment: Deployment) -> None:
    """A worker that starts where only aborted records follow must not wait at their beginning."""
    async with transactional(deployment) as producer:
        await abort(producer, deployment, orders("aborted"))
        for _start in range(2):
            async with deployment.worker():
                await deployment.idle()
    assert await bought(deployment) == set()
    await deployment.check_audit()
