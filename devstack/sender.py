"""Publishes events as a shop's producer would: keyed by member, acknowledged, at a rate or as fast as possible."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.partitioner import DefaultPartitioner

from shared.contracts import purchases
from shared.settings import Settings

_FLUSH_EVERY = 5_000


class Sender:
    """Publishes at a rate or as fast as possible.

    Attributes:
        sent: The offset after the last record that Kafka has acknowledged, by topic (short name) and partition.
    """

    def __init__(self, settings: Settings, rate: float | None = None) -> None:
        self._settings = settings
        self._rate = rate
        self._partitioner = DefaultPartitioner()
        self._partitions: dict[str, int] = {}
        self.sent: dict[tuple[str, int], int] = {}
        self._pending: list[tuple[str, asyncio.Future[Any]]] = []
        self._producer: Any = None
        self._all: list[int] = []
        self._started = 0.0
        self._sent = 0

    async def __aenter__(self) -> Sender:
        self._producer = AIOKafkaProducer(
            bootstrap_servers=self._settings.kafka_brokers,
            acks="all",
            linger_ms=5,
            max_batch_size=512 * 1024,
            enable_idempotence=self._settings.kafka_idempotence,
        )
        try:
            await self._producer.start()
            self._all = sorted(await self._producer.partitions_for(self._settings.topic(purchases.TOPIC)))
        except BaseException:
            await self._producer.stop()
            raise
        self._started = time.monotonic()
        return self

    async def __aexit__(self, *_problem: object) -> None:
        await self._producer.stop()

    async def send(
        self, member: str, value: bytes, headers: list[tuple[str, bytes]], topic: str = purchases.TOPIC
    ) -> None:
        """Publish one event to an input topic (short name), and wait if the rate or the buffer requires it."""
        partition = self._partitions.get(member)
        if partition is None:
            # The standard partitioner (murmur2), cached: in pure Python it costs more than the rest of the send.
            partition = self._partitions[member] = self._partitioner(member.encode(), self._all, self._all)
        sending = await self._producer.send(
            self._settings.topic(topic), value, key=member.encode(), partition=partition, headers=headers
        )
        self._pending.append((topic, sending))
        self._sent += 1
        if self._rate:
            ahead = self._started + self._sent / self._rate - time.monotonic()
            if ahead > 0:
                await asyncio.sleep(ahead)
        if len(self._pending) >= _FLUSH_EVERY:
            await self.flush()

    async def flush(self) -> None:
        """Wait until Kafka has acknowledged everything."""
        pending, self._pending = self._pending, []
        acknowledged = await asyncio.gather(*(sending for _topic, sending in pending))
        for (topic, _sending), record in zip(pending, acknowledged, strict=True):
            place = topic, record.partition
            self.sent[place] = max(self.sent.get(place, 0), record.offset + 1)
