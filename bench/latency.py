"""Measures how long answers take: publishes events at a rate, and consumes the answers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from bench.figures import percentile
from bench.load import PARTITIONS, Event
from devstack.sender import Sender
from shared.settings import Settings

_LAST_SECONDS = 2


@dataclass(frozen=True, slots=True)
class Latencies:
    """Seconds from publishing each event to receiving its answer, and how many events had no answer."""

    p50: float
    p99: float
    answered: int
    unanswered: int


async def measure(
    settings: Settings, events: Sequence[tuple[str, Event]], rate: float, topic: str, identity: Callable[[Any], str]
) -> Latencies:
    """Publish events at a rate, and measure the time to their answers.

    Args:
        settings: The deployment's settings.
        events: The events, each with the id by which its answer is recognised.
        rate: Events per second.
        topic: The topic of the answers (short name).
        identity: Returns that id from a record of an answer.
    """
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.kafka_brokers, fetch_max_wait_ms=5)
    await consumer.start()
    sent: dict[str, float] = {}
    latencies: list[float] = []
    over = asyncio.Event()

    async def listen() -> None:
        while not over.is_set():
            for records in (await consumer.getmany(timeout_ms=20)).values():
                now = time.monotonic()
                names = (identity(record) for record in records)
                latencies.extend(now - sent.pop(name) for name in names if name in sent)

    try:
        consumer.assign([TopicPartition(settings.topic(topic), p) for p in range(PARTITIONS)])
        await consumer.seek_to_end()
        listener = asyncio.create_task(listen())
        async with Sender(settings, rate) as sender:
            for name, event in events:
                sent[name] = time.monotonic()
                await sender.send(*event)
            await sender.flush()
        await asyncio.sleep(_LAST_SECONDS)
        over.set()
        await listener
    finally:
        await consumer.stop()
    latencies.sort()
    return Latencies(percentile(latencies, 0.5), percentile(latencies, 0.99), len(latencies), len(sent))
