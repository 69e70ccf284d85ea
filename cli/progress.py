"""How far the services are behind Kafka, and waiting until they are not."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from shared.contracts import members, points, profiles, purchases, redemptions, referrals, rewards, tiers
from shared.database.pool import Connection
from shared.errors import UsageError
from shared.settings import Settings
from shared.stream import journal
from shared.stream.brokers import Admin

#: Which service reads which topic, upstream first.
READERS = (
    ("earn", purchases.TOPIC),
    ("earn", referrals.TOPIC),
    ("earn", members.TOPIC),
    ("redeem", redemptions.TOPIC),
    ("tiers", points.TOPIC),
    ("tiers", rewards.TOPIC),
    ("notify", profiles.TOPIC),
    ("notify", points.TOPIC),
    ("notify", rewards.TOPIC),
    ("notify", tiers.TOPIC),
)
SERVICES = tuple(dict.fromkeys(service for service, _topic in READERS))
#: What a sweep of the service has still to do, up to an instant.
_DUE = {
    "redeem": "select count(*) from account where next_due <= $1",
    "tiers": """
        select (select count(*) from standing where next_due <= $1)
             + (select count(*) from standing s join account a using (account) where a.version > s.version)
    """,
}
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
        due: Accounts and tiers that a sweep has not treated yet.
    """

    records: dict[str, int] = field(default_factory=dict)
    outbox: int = 0
    unclaimed: int = 0
    due: int = 0

    @property
    def idle(self) -> bool:
        """Whether nothing is left to do."""
        return not (sum(self.records.values()) or self.outbox or self.unclaimed or self.due)


class Watcher:
    """Compares watermarks with the ends of the topics."""

    def __init__(self, settings: Settings, connection: Connection, services: Sequence[str] = SERVICES) -> None:
        """Watch some services; the others do not run here."""
        self._readers = [reader for reader in READERS if reader[0] in services]
        self._settings = settings
        self._connection = connection
        self._admin = Admin(settings.kafka_brokers)
        self._consumer: Any = None

    async def __aenter__(self) -> Watcher:
        return self

    async def __aexit__(self, *_problem: object) -> None:
        if self._consumer is not None:
            await self._consumer.stop()
        await asyncio.to_thread(self._admin.close)

    async def behind(self) -> Behind:
        """Return what is left to do now."""
        found = Behind()
        known = await self._admin.topics(sorted({self._settings.topic(topic) for _service, topic in self._readers}))
        partitions = [TopicPartition(name, p) for name, topic in known.items() for p in range(topic.partitions)]
        ends = await self._ends(partitions)
        rows = await self._connection.fetch("select service, topic, partition, next_offset, topic_id from watermark")
        marks = {(row["service"], row["topic"], row["partition"]): row for row in rows}
        for service, topic in self._readers:
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
            found.records[service] = found.records.get(service, 0) + waiting
        found.outbox = await self._connection.fetchval("select count(*) from outbox")
        lateness = round(self._settings.lateness_seconds * 1_000_000)
        until, _now = await journal.horizon(self._connection, self._settings.clock, lateness)
        running = {service for service, _topic in self._readers}
        for service, sql in _DUE.items():
            if service in running:
                found.due += await self._connection.fetchval(sql, until)
        return found

    async def settled(self) -> None:
        """Wait until nothing is left to do, seen twice in a row: what the first look overtook, the second one sees.

        Raises:
            UsageError: Nothing has moved for two minutes.
        """
        calm, seen, moved_at = 0, None, time.monotonic()
        while calm < 2:
            behind = await self.behind()
            calm = calm + 1 if behind.idle else 0
            if behind != seen:
                seen, moved_at = behind, time.monotonic()
            elif time.monotonic() - moved_at > _PATIENCE_SECONDS:
                raise UsageError("the workers have not moved for two minutes; see `loyalty status` and their logs")
            if not calm:
                await asyncio.sleep(_POLL_SECONDS)

    async def wait_idle(self) -> None:
        """Wait until nothing is left to do, twice, half a second apart."""
        calm = 0
        while calm < 2:
            calm = calm + 1 if (await self.behind()).idle else 0
            await asyncio.sleep(_TWICE_SECONDS if calm else _POLL_SECONDS * 5)

    async def _ends(self, partitions: list[Any]) -> dict[Any, int]:
        """Return the offset after the last record that may be read of each partition: the last stable one of a fetch.

        Not what the broker lists as the latest offset: the embedded one names the beginning of the last batch.
        """
        if not partitions:
            return {}
        consumer = await self._started()
        # Assigned anew, the consumer forgets the high watermarks that it knew.
        consumer.assign(partitions)
        for tp, listed in (await consumer.end_offsets(partitions)).items():
            consumer.seek(tp, listed)
        async with asyncio.timeout(_FETCH_SECONDS):
            while any(consumer.highwater(tp) is None for tp in partitions):
                await consumer.getmany(timeout_ms=10)
        return {
            tp: stable if (stable := consumer.last_stable_offset(tp)) >= 0 else consumer.highwater(tp)
            for tp in partitions
        }

    async def _started(self) -> Any:
        if self._consumer is None:
            consumer = AIOKafkaConsumer(
                bootstrap_servers=self._settings.kafka_brokers,
                isolation_level="read_committed",
                max_partition_fetch_bytes=1,
                fetch_max_wait_ms=10,
            )
            try:
                await consumer.start()
            except BaseException:
                await consumer.stop()
                raise
            self._consumer = consumer
        return self._consumer
