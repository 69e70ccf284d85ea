"""How far the services are behind Kafka, and how to wait until they are not."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from aiokafka import TopicPartition

from devstack.ends import Ends
from shared.contracts.catalogue import READERS, SERVICES
from shared.database.pool import Connection
from shared.errors import UsageError
from shared.queries.status import Backlog, backlog, is_busy
from shared.runtime.clock import horizon
from shared.runtime.kafka.brokers import Admin, Topic
from shared.settings import Settings

_POLL_SECONDS = 0.01
#: How often to check whether topics were recreated.
_TOPICS_SECONDS = 5.0
_PATIENCE_SECONDS = 120.0


@dataclass(slots=True)
class Behind:
    """The work that is left.

    Attributes:
        records: How many records wait in Kafka, by service.
        outbox: Batches whose messages are not acknowledged yet.
        unclaimed: Partitions of which no worker has held the lease since their topic was created.
        due: Accounts and tiers that are due and that no sweep has handled yet.
    """

    records: dict[str, int] = field(default_factory=dict)
    outbox: int = 0
    unclaimed: int = 0
    due: int = 0

    @property
    def idle(self) -> bool:
        """Whether no work is left."""
        return not (sum(self.records.values()) or self.outbox or self.unclaimed or self.due)


class Watcher:
    """Compares watermarks with the ends of the topics.

    One comparison is enough. Postgres is read first, in one snapshot, and Kafka afterwards. A batch that is running
    when the snapshot is taken cannot be missed: before its commit its records lie between the watermark and the end;
    after it there is its row in the outbox, until Kafka has the messages, and then there are the messages. A sweep
    cannot be missed because of what is due.
    """

    def __init__(self, settings: Settings, connection: Connection, services: Sequence[str] = SERVICES) -> None:
        """Watch the services that run here."""
        self._readers = [reader for reader in READERS if reader[0] in services]
        self._services = services
        self._settings = settings
        self._connection = connection
        self._admin = Admin(settings.kafka_brokers)
        self._ends = Ends(settings.kafka_brokers)
        self._topics: dict[str, Topic] = {}
        self._topics_at = -math.inf

    async def __aenter__(self) -> Watcher:
        return self

    async def __aexit__(self, *_problem: object) -> None:
        await self._ends.close()
        await asyncio.to_thread(self._admin.close)

    async def behind(self, *, topics_known: bool = False, thorough: bool = True) -> Behind:
        """Return the work that is left now.

        Args:
            topics_known: Whether to reuse topics that were looked up some seconds ago.
            thorough: Whether to compare every tier with the ledger, too: it costs a join of two tables that grow, and
                finds only what the services were never told of, for a broker lost it.
        """
        if not topics_known or time.monotonic() - self._topics_at > _TOPICS_SECONDS:
            names = sorted({self._settings.topic(topic) for _service, topic in self._readers})
            self._topics, self._topics_at = await self._admin.topics(names), time.monotonic()
        tables = await self._snapshot(overtaken=thorough)
        marks = {(mark.service, mark.topic, mark.partition): mark for mark in tables.watermarks}
        positions: dict[TopicPartition, int] = {}
        unclaimed: list[tuple[str, TopicPartition]] = []
        claimed: list[tuple[str, TopicPartition, int]] = []
        for service, topic in self._readers:
            name = self._settings.topic(topic)
            known = self._topics.get(name)
            for partition in range(known.partitions if known else 0):
                tp = TopicPartition(name, partition)
                mark = marks.get((service, topic, partition))
                if known and mark is not None and mark.topic_id == known.id:
                    claimed.append((service, tp, mark.next_offset))
                    positions[tp] = max(positions.get(tp, 0), mark.next_offset)
                else:
                    unclaimed.append((service, tp))
                    positions.setdefault(tp, 0)
        ends = await self._ends.of(positions)
        waiting = dict.fromkeys((service for service, _topic in self._readers), 0)
        found = Behind(waiting, tables.outbox, len(unclaimed), tables.due)
        for service, tp, next_offset in claimed:
            found.records[service] += max(0, ends[tp] - next_offset)
        for service, tp in unclaimed:
            found.records[service] += ends[tp]
        return found

    async def _snapshot(self, *, overtaken: bool) -> Backlog:
        """Return the watermarks, the size of the outbox and the number of due accounts and tiers, as of one instant."""
        lateness = round(self._settings.lateness_seconds * 1_000_000)
        until, _now = await horizon(self._connection, self._settings.clock, lateness)
        return await backlog(self._connection, self._services, until, overtaken=overtaken)

    async def settled(
        self,
        sent: Mapping[tuple[str, int], int] | None = None,
        meanwhile: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """Wait until everything that was sent has been handled, and everything that resulted from it.

        Args:
            sent: The offset after the last record that was sent, by topic (short name) and partition.
            meanwhile: Called after each comparison that found work left.

        Raises:
            UsageError: Nothing has moved for two minutes.
        """
        wanted = [
            (service, topic, partition, end)
            for (topic, partition), end in (sent or {}).items()
            for service, read in self._readers
            if read == topic
        ]
        seen, moved_at = None, time.monotonic()
        while True:
            looked_at = time.monotonic()
            if not await is_busy(self._connection, wanted):
                behind = await self.behind(topics_known=True)
                if behind.idle:
                    return
                if behind != seen:
                    seen, moved_at = behind, time.monotonic()
            if time.monotonic() - moved_at > _PATIENCE_SECONDS:
                if (behind := await self.behind()) == seen:
                    raise UsageError("the workers have not moved for two minutes; see `loyalty status` and their logs")
                seen, moved_at = behind, time.monotonic()
            if meanwhile is not None:
                await meanwhile()
            # A look goes through all accounts: on a busy machine it must not take from those that it waits for.
            await asyncio.sleep(max(_POLL_SECONDS, time.monotonic() - looked_at))

    async def wait_idle(self) -> None:
        """Wait until no work is left."""
        while True:
            if (await self.behind(thorough=False)).idle and (await self.behind()).idle:
                return
            await asyncio.sleep(_POLL_SECONDS * 5)
