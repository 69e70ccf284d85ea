"""An idle worker does little, and reacts at once when something happens."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import Fetcher as KafkaFetcher
from asyncpg.connection import Connection

from shared.contracts import purchases
from shared.instants import microseconds
from shared.runtime.batch import sweeps
from shared.runtime.kafka.fetcher import Fetcher
from shared.runtime.kafka.polls import PatientConsumer
from tests.support.deployment import Deployment
from tests.support.events import event, purchase
from tests.support.traffic import ZONE

_SECONDS = 2.0
LATER = microseconds(datetime(2018, 6, 1, tzinfo=ZONE))


async def test_an_idle_worker_asks_little(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    fetches = 0
    statements: list[str] = []
    private: Any = Connection
    fetch, execute = KafkaFetcher._proc_fetch_request, private._do_execute

    async def counted_fetch(*args: Any) -> Any:
        nonlocal fetches
        fetches += 1
        return await fetch(*args)

    async def counted_execute(self: Any, query: str, *args: Any, **kwargs: Any) -> Any:
        statements.append(query)
        return await execute(self, query, *args, **kwargs)

    monkeypatch.setattr(KafkaFetcher, "_proc_fetch_request", counted_fetch)
    monkeypatch.setattr(Connection, "_do_execute", counted_execute)
    async with deployment.worker():
        await deployment.send([event(purchase("o1"))])
        await deployment.idle()
        await asyncio.sleep(1.5)
        fetches, statements[:] = 0, []
        await asyncio.sleep(_SECONDS)
        asked, said = fetches, list(statements)
    # One fetch for all partitions: every 50 ms of a broker that answers at once, two a second of one that waits.
    assert 1 <= asked <= _SECONDS * 20
    # For each partition, once a second: the clock, and whether anything waits too long.
    assert 1 <= len(said) <= (_SECONDS + 1) * 3 * 2
    assert not [query for query in said if "for update" in query], "a lock is a write"


async def test_the_clock_wakes_who_looks_rarely(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    # A machine that was started a moment ago: its monotonic clock is younger than an hour.
    started = time.monotonic()
    monkeypatch.setattr(sweeps, "time", SimpleNamespace(monotonic=lambda: time.monotonic() - started))
    async with deployment.worker(), deployment.worker("redeem", sweep_seconds=3600):
        await deployment.send([event(purchase("o1"))])
        await deployment.idle()
        assert [row[3] for row in await deployment.ledger()] == [10, 10]
        # In March 2017 bought, after March 2018 gone; the next look would be in an hour.
        await deployment.move_clock(LATER)
        await deployment.idle(20)
        ledger = await deployment.ledger()
        assert len(ledger) == 3, "one lot of two awards was earned, and has expired"
        assert ledger[-1][5] == 0
    await deployment.check_replay()


async def test_a_fetch_that_waits_is_interrupted(deployment: Deployment) -> None:
    topic = deployment.settings.topic(purchases.TOPIC)
    consumer: Any = PatientConsumer(
        broker_holds_back=deployment.settings.kafka_idempotence, answers=True,
        bootstrap_servers=deployment.settings.kafka_brokers, auto_offset_reset="earliest",
    )  # fmt: skip
    await consumer.start()
    try:
        tp = TopicPartition(topic, 0)
        consumer.assign([tp])
        fetcher = Fetcher(deployment.settings, consumer, tp)
        fetcher.interrupt()  # nobody waits: nothing happens
        waiting = asyncio.create_task(fetcher.fetch(asyncio.Event(), seconds=60))
        await asyncio.sleep(0.1)
        started = time.monotonic()
        fetcher.interrupt()
        fetcher.interrupt()
        assert await waiting == []
        assert time.monotonic() - started < 30
        # What comes later is not lost.
        await deployment.send([event(purchase("o1"), partition=0)])
        (record,) = await fetcher.fetch(asyncio.Event(), seconds=20)
        assert record.key == b"m1"
    finally:
        await consumer.stop()
