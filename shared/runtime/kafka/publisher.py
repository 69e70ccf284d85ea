"""Sends messages to Kafka and waits for the acknowledgement of each; order within a partition is kept."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import time
from collections import defaultdict
from collections.abc import Awaitable, Iterable, Sequence
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.partitioner import murmur2

from shared.runtime.records import Message
from shared.settings import Settings

#: Small enough for a broker's default request limit of 1 MB.
_CHUNK_BYTES = 900_000
_MESSAGE_BYTES = 9_000_000
#: An idempotent producer never gives up by itself; after this a new one is made and the messages are sent again.
_ACKNOWLEDGE_SECONDS = 30.0


class Publisher:
    """One producer a worker.

    A message goes to the partition that its key hashes to, as Kafka's own clients do it: everything about a member is
    in one place, whoever says it, and what one partition's owner says stays in order.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._producer: Any = None
        self._changing = asyncio.Lock()

    async def publish(self, messages: Sequence[Message]) -> None:
        """Publish and wait until Kafka has acknowledged everything.

        Raises:
            KafkaError, TimeoutError: Not everything was acknowledged; all of it may be sent again.
        """
        producer = await self._started()
        try:
            for topic, group in _by_topic(messages):
                name = self._settings.topic(topic)
                partitions = len(await _in_time(producer.partitions_for(name)))
                for partition, part in _by_partition(group, partitions):
                    await self._send(producer, name, part, partition)
        except BaseException:
            # A producer that failed once may be in any state; the next attempt gets a fresh one.
            await self._discard(producer)
            raise

    async def stop(self) -> None:
        """Close the producer."""
        if self._producer is not None:
            await self._discard(self._producer)

    async def _send(self, producer: Any, name: str, messages: Iterable[Message], target: int) -> None:
        now = int(time.time() * 1000)
        batch = producer.create_batch()
        for message in messages:
            if batch.append(key=message.key, value=message.value, timestamp=now, headers=message.headers) is None:
                # Chunk after chunk, each acknowledged: a later one must never stand before an earlier one.
                await _acknowledged(producer.send_batch(batch, name, partition=target))
                batch = producer.create_batch()
                if batch.append(key=message.key, value=message.value, timestamp=now, headers=message.headers) is None:
                    await _acknowledged(
                        producer.send(name, message.value, key=message.key, partition=target, headers=message.headers)
                    )
        if batch.record_count():
            await _acknowledged(producer.send_batch(batch, name, partition=target))

    async def _started(self) -> Any:
        async with self._changing:
            if self._producer is None:
                producer = AIOKafkaProducer(
                    bootstrap_servers=self._settings.kafka_brokers,
                    client_id="loyalty-publisher",
                    acks="all",
                    enable_idempotence=self._settings.kafka_idempotence,
                    max_batch_size=_CHUNK_BYTES,
                    max_request_size=_MESSAGE_BYTES,
                    request_timeout_ms=10_000,
                )
                try:
                    await producer.start()
                except BaseException:
                    await producer.stop()
                    raise
                self._producer = producer
            return self._producer

    async def _discard(self, producer: Any) -> None:
        async with self._changing:
            if self._producer is not producer:
                return
            self._producer = None
        # Stopping waits for pending sends, which may be stuck; nothing depends on it.
        try:
            async with asyncio.timeout(5):
                await producer.stop()
        except TimeoutError:
            # Its sender would go on with what is left, long after others have sent it again.
            with contextlib.suppress(Exception):
                async with asyncio.timeout(5):
                    await producer.client.close()


async def _in_time(work: Awaitable[Any]) -> Any:
    async with asyncio.timeout(_ACKNOWLEDGE_SECONDS):
        return await work


async def _acknowledged(sending: Awaitable[Any]) -> None:
    """Wait until a chunk is taken, and acknowledged; each has its own time, however many there are."""
    async with asyncio.timeout(_ACKNOWLEDGE_SECONDS):
        await (await sending)


def _by_topic(messages: Sequence[Message]) -> Iterable[tuple[str, list[Message]]]:
    groups: dict[str, list[Message]] = defaultdict(list)
    for message in messages:
        groups[message.topic].append(message)
    return groups.items()


def _by_partition(messages: Sequence[Message], partitions: int) -> Iterable[tuple[int, list[Message]]]:
    groups: dict[int, list[Message]] = defaultdict(list)
    for message in messages:
        groups[partition_of(message.key, partitions)].append(message)
    return groups.items()


@functools.lru_cache(maxsize=50_000)
def partition_of(key: bytes, partitions: int) -> int:
    """Return the partition of a key by murmur2, as Kafka's default partitioner does."""
    return int((murmur2(key) & 0x7FFFFFFF) % partitions)
