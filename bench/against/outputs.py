"""What a deployment publishes, heard as a subscriber hears it."""

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
    """One event that was published, and when it was heard, on the monotonic clock."""

    at: float
    type: str
    id: str
    value: bytes


class Outputs:
    """Listens from the beginning; only keeps what comes, for whoever decodes it has the CPU later."""

    def __init__(self, settings: Settings, wait_ms: int = 25) -> None:
        """Listen to a deployment.

        Args:
            settings: Where it is.
            wait_ms: How long the broker may keep a fetch, and with it what comes meanwhile: the embedded one does.
                Less is more exact, and takes CPU from the workers.
        """
        self._settings = settings
        self._wait_ms = wait_ms
        self._consumer: Any = None
        self._listener: asyncio.Task[None] | None = None
        self._found: dict[str, list[Output]] = {topic: [] for topic in _TOPICS}
        #: When the last event came, on the monotonic clock.
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
        """Fetch nothing, so that somebody else has the CPU."""
        self._consumer.pause(*self._consumer.assignment())

    def go_on(self) -> None:
        """Fetch again."""
        self._consumer.resume(*self._consumer.assignment())

    async def _listen(self) -> None:
        while True:
            for partition, records in (await self._consumer.getmany(timeout_ms=_POLL_MS)).items():
                now = self.last_at = time.monotonic()
                topic = partition.topic.removeprefix(f"{self._settings.topic_prefix}.")
                self._found[topic].extend(_output(record, now) for record in records)

    def count(self, topic: str) -> int:
        """Return how many events came on a topic."""
        return len(self._found[topic])

    def after(self, topic: str, count: int) -> list[Output]:
        """Return what came on a topic after so many events."""
        return self._found[topic][count:]

    def counts(self) -> dict[str, int]:
        """Return how many events came on each topic."""
        return {topic: len(found) for topic, found in self._found.items()}

    @property
    def quiet_seconds(self) -> float:
        """How long nothing has come."""
        return time.monotonic() - self.last_at

    def check(self) -> None:
        """Raise where something was refused, or nothing can be heard any more."""
        assert self._listener is not None
        if self._listener.done():
            raise RunFailed(f"the outputs cannot be read: {self._listener.exception()!r}")
        for refused in self._found[dead_letters.TOPIC]:
            raise RunFailed(f"an event of the load was refused: {refused.value[:500].decode(errors='replace')}")

    async def results(self) -> dict[str, int]:
        """Return how many events of each type came, and how many points they moved; waits for some that are too many.

        Raises:
            RunFailed: Something was refused, or published twice although nothing failed.
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
