"""How far the services are behind Kafka, and waiting until they are not."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from shared.contracts import purchases
from shared.database.pool import Connection
from shared.errors import UsageError
from shared.settings import Settings
from shared.stream.brokers import Admin

#: Which service reads which input topic.
READERS = (("earn", purchases.TOPIC),)
_POLL_SECONDS = 0.02
_FETCH_SECONDS = 20.0
_PATIENCE_SECONDS = 120.0
#: Idle means idle twice, so far apart: a message that is just being published shows up meanwhile.
_TWICE_SECONDS = 0.5


@dataclass(slots=True)
class Behind:
    """What is left to do.

    Attributes:
        records: Waiting in Kafka, by service.
        outbox: Batches whose messages are not acknowledged yet.
        unclaimed: Partitions that no worker has claimed since their topic was made.
    """

    records: dict[str, int] = field(default_factory=dict)
    outbox: int = 0
    unclaimed: int = 0

    @property
    def idle(self) -> bool:
        """Whether nothing is left to do."""
        return not (sum(self.records.values()) or self.outbox or self.unclaimed)


class Watcher:
    """Compares watermarks with the ends of the topics."""

    def __init__(self, settings: Settings, connection: Connection) -> None:
        self._settings = settings
        self._connection = connection
        self._admin = Admin(settings.kafka_brokers)

    async def __aenter__(self) -> Watcher:
        return self

    async def __aexit__(self, *_problem: object) -> None:
        await asyncio.to_thread(self._admin.close)

    async def behind(self) -> Behind:
        """Return what is left to do now."""
        found = Behind()
        topics = [self._settings.topic(topic) for _service, topic in READERS]
        known = await self._admin.topics(topics)
        partitions = [TopicPartition(name, p) for name, topic in known.items() for p in range(topic.partitions)]
        ends = await self._ends(partitions)
        rows = await self._connection.fetch("select service, topic, partition, next_offset, topic_id from watermark")
        marks = {(row["service"], row["topic"], row["partition"]): row for row in rows}
        for service, topic in READERS:
            name = self._settings.topic(topic)
            waiting = 0
            for tp, end in ends.items():
                if tp.topic != name:
                    continue
                mark = marks.get((service, topic, tp.partition))
                if mark is None or mark["topic_id"] != known[name].id:
                    waiting += end
                    found.unclaimed += 1
                else:
                    waiting += max(0, end - mark["next_offset"])
            found.records[service] = waiting
        found.outbox = await self._connection.fetchval("select count(*) from outbox")
        return found

    async def passed(self, ends: dict[tuple[str, int], int]) -> None:
        """Wait until every watermark is at or past the given ends (by topic and partition) and all is published.

        Raises:
            UsageError: Nothing has moved for two minutes.
        """
        names = {topic: self._settings.topic(topic) for topic, _partition in ends}
        ids = {name: topic.id for name, topic in (await self._admin.topics(list(names.values()))).items()}
        seen, moved_at = None, time.monotonic()
        while True:
            rows = await self._connection.fetch("select topic, partition, next_offset, topic_id from watermark")
            # A watermark of the topic's predecessor says nothing about this one.
            marks = {
                (row["topic"], row["partition"]): row["next_offset"]
                for row in rows
                if row["topic_id"] == ids.get(names.get(row["topic"], ""))
            }
            waiting = await self._connection.fetchval("select exists (select from outbox)")
            if not waiting and all(marks.get(where, 0) >= end for where, end in ends.items()):
                return
            if marks != seen:
                seen, moved_at = marks, time.monotonic()
            elif time.monotonic() - moved_at > _PATIENCE_SECONDS:
                raise UsageError("the workers have not moved for two minutes; see `loyalty status` and their logs")
            await asyncio.sleep(_POLL_SECONDS)

    async def wait_idle(self) -> None:
        """Wait until nothing is left to do, twice, half a second apart."""
        calm = 0
        while calm < 2:
            calm = calm + 1 if (await self.behind()).idle else 0
            await asyncio.sleep(_TWICE_SECONDS if calm else _POLL_SECONDS * 5)

    async def _ends(self, partitions: list[Any]) -> dict[Any, int]:
        """Return the offset after the last record of each partition: the high watermark of a fetch.

        Not what the broker lists as the latest offset: the embedded one names the beginning of the last batch.
        """
        if not partitions:
            return {}
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._settings.kafka_brokers, max_partition_fetch_bytes=1, fetch_max_wait_ms=25
        )
        try:
            await consumer.start()
            consumer.assign(partitions)
            for tp, listed in (await consumer.end_offsets(partitions)).items():
                consumer.seek(tp, listed)
            async with asyncio.timeout(_FETCH_SECONDS):
                while any(consumer.highwater(tp) is None for tp in partitions):
                    await consumer.getmany(timeout_ms=25)
            return {tp: consumer.highwater(tp) for tp in partitions}
        finally:
            await consumer.stop()
