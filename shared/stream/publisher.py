"""Sends messages to Kafka and waits for the acknowledgement of each; order within a partition is kept."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from aiokafka import AIOKafkaProducer

from shared.settings import Settings
from shared.stream.records import Message

#: Small enough for a broker's default request limit of 1 MB.
_CHUNK_BYTES = 900_000
_MESSAGE_BYTES = 9_000_000
#: An idempotent producer never gives up by itself; after this a new one is made and the messages are sent again.
_ACKNOWLEDGE_SECONDS = 30.0


class Publisher:
    """One producer a worker.

    A batch's messages go to the partition from which the batch came (modulo the target's number of partitions),
    so everything that one partition's owner says about a member is in one place, in order.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._producer: Any = None
        self._changing = asyncio.Lock()

    async def publish(self, messages: Sequence[Message], partition: int) -> None:
        """Publish and wait until Kafka has acknowledged everything.

        Raises:
            KafkaError, TimeoutError: Not everything was acknowledged; all of it may be sent again.
        """
        producer = await self._started()
        try:
            async with asyncio.timeout(_ACKNOWLEDGE_SECONDS):
                for topic, group in _by_topic(messages):
                    await self._send(producer, topic, group, partition)
        except BaseException:
            # A producer that failed once may be in any state; the next attempt gets a fresh one.
            await self._discard(producer)
            raise

    async def stop(self) -> None:
        """Close the producer."""
        if self._producer is not None:
            await self._discard(self._producer)

    async def _send(self, producer: Any, topic: str, messages: Iterable[Message], partition: int) -> None:
        name = self._settings.topic(topic)
        target = partition % len(await producer.partitions_for(name))
        now = int(time.time() * 1000)
        batch = producer.create_batch()
        for message in messages:
            if batch.append(key=message.key, value=message.value, timestamp=now, headers=message.headers) is None:
                # Chunk after chunk, each acknowledged: a later one must never stand before an earlier one.
                await (await producer.send_batch(batch, name, partition=target))
                batch = producer.create_batch()
                if batch.append(key=message.key, value=message.value, timestamp=now, headers=message.headers) is None:
                    await producer.send_and_wait(
                        name, message.value, key=message.key, partition=target, headers=message.headers
                    )
        if batch.record_count():
            await (await producer.send_batch(batch, name, partition=target))

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
            return


def _by_topic(messages: Sequence[Message]) -> Iterable[tuple[str, list[Message]]]:
    groups: dict[str, list[Message]] = defaultdict(list)
    for message in messages:
        groups[message.topic].append(message)
    return groups.items()
