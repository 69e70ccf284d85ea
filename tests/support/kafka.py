"""One producer, one consumer and one admin client: created when first needed, and kept until the end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Set
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient, MemberToRemove

from shared.runtime.kafka.brokers import Admin
from shared.settings import Settings
from tests.support.events import Sent

_FETCH_SECONDS = 20.0


class Kafka:
    """The topics of one deployment.

    Attributes:
        acknowledged: The offset after the last record that was sent here, by topic (its short name) and partition.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._admin = Admin(settings.kafka_brokers)
        self.acknowledged: dict[tuple[str, int], int] = {}
        self._producer: Any = None
        self._consumer: Any = None
        self._starting = asyncio.Lock()
        self._ids: dict[str, str] = {}
        self._ends: dict[Any, int] = {}

    # ---- topics

    async def create_topics(self) -> None:
        """Create the topics that are missing, and forget what was known about earlier ones."""
        await self.close()
        await asyncio.to_thread(self._admin.create_topics, self._settings)

    async def delete_topics(self, *names: str) -> None:
        await self.close()
        topics = [self._settings.topic(name) for name in names]
        await asyncio.to_thread(self._administer, lambda admin: admin.delete_topics(topics))

    async def remove_members(self, members: set[tuple[str, str]]) -> None:
        """Take members, each with its group, out of their groups, and forget them."""

        def remove(admin: Any) -> None:
            while members:
                group, member = members.pop()
                admin.remove_group_members(group, [MemberToRemove(member)])

        if members:
            await asyncio.to_thread(self._administer, remove)

    def _administer(self, what: Callable[[Any], object]) -> None:
        admin = KafkaAdminClient(bootstrap_servers=self._settings.kafka_brokers)
        try:
            what(admin)
        finally:
            admin.close()

    async def topic_ids(self, names: Set[str]) -> dict[str, str]:
        """Return the ids of topics that exist."""
        if not names <= self._ids.keys():
            found = await self._admin.topics([self._settings.topic(name) for name in names])
            self._ids = {name: found[full].id for name in names if (full := self._settings.topic(name)) in found}
        return self._ids

    # ---- in

    async def send(self, events: Iterable[Sent]) -> None:
        """Publish events, each keyed by its member, and wait for the acknowledgements."""
        async with self._starting:  # tills send at the same time
            if self._producer is None:
                producer = AIOKafkaProducer(
                    bootstrap_servers=self._settings.kafka_brokers, acks="all", max_request_size=9_000_000, linger_ms=2
                )
                await producer.start()
                self._producer = producer
        waiting = [
            await self._producer.send(
                self._settings.topic(one.topic), one.value, key=one.member.encode(), partition=one.place,
                headers=one.headers,
            )
            for one in events
        ]  # fmt: skip
        for done in await asyncio.gather(*waiting):
            place = done.topic.removeprefix(self._settings.topic("")), done.partition
            self.acknowledged[place] = max(done.offset + 1, self.acknowledged.get(place, 0))

    # ---- out

    async def ends(self, topics: Iterable[str]) -> dict[tuple[str, int], int]:
        """Return the offset after the last record of each partition that may be read: the last stable one of a fetch.

        The latest offset that a broker lists does not help: the embedded one names the beginning of the last batch.
        """
        places = {
            (topic, n): self._partition(topic, n) for topic in topics for n in range(self._settings.topic_partitions)
        }
        consumer = await self._assigned(list(places.values()))
        unknown = [tp for tp in places.values() if tp not in self._ends]
        if unknown:
            self._ends |= await consumer.end_offsets(unknown)
        for tp in places.values():
            consumer.seek(tp, self._ends[tp])
        async with asyncio.timeout(_FETCH_SECONDS):
            while any(consumer.highwater(tp) is None for tp in places.values()):
                await consumer.getmany(timeout_ms=10)
        self._ends |= {tp: _end(consumer, tp) for tp in places.values()}
        consumer.unsubscribe()  # or it goes on fetching
        return {place: self._ends[tp] for place, tp in places.items()}

    async def records(self, topic: str) -> list[Any]:
        """Return every record of a topic, partition by partition, in order."""
        ends = {self._partition(*place): end for place, end in (await self.ends([topic])).items()}
        consumer = await self._assigned(list(ends))
        await consumer.seek_to_beginning()
        found: list[Any] = []
        async with asyncio.timeout(_FETCH_SECONDS):
            while [tp for tp, end in ends.items() if await consumer.position(tp) < end]:
                for records in (await consumer.getmany(timeout_ms=200)).values():
                    found += records
        consumer.unsubscribe()
        return sorted(found, key=lambda record: (record.partition, record.offset))

    def _partition(self, topic: str, number: int) -> Any:
        return TopicPartition(self._settings.topic(topic), number)

    async def _assigned(self, partitions: list[Any]) -> Any:
        if self._consumer is None:
            consumer = AIOKafkaConsumer(
                bootstrap_servers=self._settings.kafka_brokers, isolation_level="read_committed", fetch_max_wait_ms=10
            )
            await consumer.start()
            self._consumer = consumer
        self._consumer.assign(partitions)
        return self._consumer

    async def close(self) -> None:
        """Close what is open; it is opened again when needed."""
        producer, consumer, self._producer, self._consumer = self._producer, self._consumer, None, None
        self.acknowledged, self._ids, self._ends = {}, {}, {}
        if producer is not None:
            await producer.stop()
        if consumer is not None:
            await consumer.stop()
        await asyncio.to_thread(self._admin.close)


def _end(consumer: Any, tp: Any) -> int:
    """The embedded broker, which has no transactions, says nothing of them."""
    stable: int = consumer.last_stable_offset(tp)
    end: int = consumer.highwater(tp)
    return stable if 0 <= stable <= end else end
