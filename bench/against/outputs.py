"""Consumes what a deployment publishes, as a subscriber does."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import Any, NamedTuple, Self

import pydantic_core
from aiokafka import AIOKafkaConsumer, TopicPartition

from bench.load import PARTITIONS
from bench.running import RunFailed
from shared.contracts import dead_letters, notifications, points, rewards, tiers
from shared.settings import Settings

_TOPICS = (points.TOPIC, rewards.TOPIC, tiers.TOPIC, notifications.TOPIC, dead_letters.TOPIC)
_POLL_MS = 20
_SURPLUS_SECONDS = 0.5


class Output(NamedTuple):
    """One published event, and when it was received, on the monotonic clock."""

    at: float
    type: str
    id: str
    value: bytes


class Outputs:
    """Consumes from the beginning, and only stores what comes: it is decoded later, when CPU is free."""

    def __init__(self, settings: Settings, wait_ms: int = 25) -> None:
        """Consume from a deployment.

        Args:
            settings: The deployment's settings.
            wait_ms: How long the broker may hold a fetch, and with it (the embedded broker) what arrives meanwhile.
                A shorter time is more exact, but takes CPU from the workers.
        """
        self._settings = settings
        self._wait_ms = wait_ms
        self._consumer: Any = None
        self._listener: asyncio.Task[None] | None = None
        self._found: dict[str, list[Output]] = {topic: [] for topic in _TOPICS}
        #: When the last event arrived, on the monotonic clock.
        self.last_at = 0.0

    async def __aenter__(self) -> Self:
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=self._settings.kafka_brokers, fetch_max_wait_ms=self._wait_ms
        )
        try:
            await self._consumer.start()
        except BaseException:
            await self._consumer.stop()
            raise
        partitions = [TopicPartition(self._settings.topic(topic), p) for topic in _TOPICS for p in range(PARTITIONS)]
        self._consumer.assign(partitions)
        for partition in partitions:
            self._consumer.seek(partition, 0)
        self._listener = asyncio.create_task(self._listen())
        return self

    async def __aexit__(self, *_problem: object) -> None:
        assert self._listener is not None
        self._listener.cancel()
        await asyncio.gather(self._listener, return_exceptions=True)
        await self._consumer.stop()

    def pause(self) -> None:
        """Stop fetching, so that others have the CPU."""
        self._consumer.pause(*self._consumer.assignment())

    def go_on(self) -> None:
        """Resume fetching."""
        self._consumer.resume(*self._consumer.assignment())

    async def _listen(self) -> None:
        while True:
            for partition, records in (await self._consumer.getmany(timeout_ms=_POLL_MS)).items():
                now = self.last_at = time.monotonic()
                topic = partition.topic.removeprefix(f"{self._settings.topic_prefix}.")
                self._found[topic].extend(_output(record, now) for record in records)

    def count(self, topic: str) -> int:
        """Return how many events arrived on a topic."""
        return len(self._found[topic])

    def after(self, topic: str, count: int) -> list[Output]:
        """Return the events of a topic after the first ``count``."""
        return self._found[topic][count:]

    def counts(self) -> dict[str, int]:
        """Return how many events arrived on each topic."""
        return {topic: len(found) for topic, found in self._found.items()}

    @property
    def quiet_seconds(self) -> float:
        """How long no event has arrived."""
        return time.monotonic() - self.last_at

    def check(self) -> None:
        """Raise if an event was refused, or if the consumer has failed."""
        assert self._listener is not None
        if self._listener.done():
            raise RunFailed(f"the outputs cannot be read: {self._listener.exception()!r}")
        for refused in self._found[dead_letters.TOPIC]:
            raise RunFailed(f"an event of the load was refused: {refused.value[:500].decode(errors='replace')}")

    async def results(self) -> dict[str, int]:
        """Return how many events of each type arrived, and how many points they moved, after waiting for surplus ones.

        Raises:
            RunFailed: An event was refused, or published twice although nothing failed.
        """
        await asyncio.sleep(_SURPLUS_SECONDS)
        self.check()
        everything = [output for found in self._found.values() for output in found]
        if twice := len(everything) - len({output.id for output in everything}):
            raise RunFailed(f"{twice:,} events were published twice")
        found = Counter(output.type for output in everything)
        for output in self._found[points.TOPIC]:
            data = pydantic_core.from_json(output.value)
            if "points" in data:
                found[f"{output.type} points"] += data["points"]
        return dict(found)


def _output(record: Any, at: float) -> Output:
    headers = dict(record.headers)
    return Output(at, headers["ce_type"].decode(), headers["ce_id"].decode(), record.value)
