"""Waits until all running services have handled everything that was sent and published their messages.

One check is enough, because it reads in the right order. First, in one snapshot of Postgres: every record that was
sent is before a watermark, no message waits in the outbox, and no sweep has work. So all messages until then are
published. Then the ends of all topics: if the watermarks of that snapshot have reached them, no work was left when
the snapshot was taken, and so none can have come up since.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Any

from shared.contracts.catalogue import READERS
from shared.runtime.clock import horizon
from shared.settings import Settings
from tests.support.kafka import Kafka

_POLL_SECONDS = 0.02
#: What a sweep of each service still has to do, up to an instant: independent of the product, as are the readers.
_DUE = {
    "redeem": "select count(*) from account where next_due <= $1",
    "tiers": """
        select (select count(*) from standing where next_due <= $1)
             + (select count(*) from standing s join account a using (account) where a.version > s.version)
    """,
}
_Marks = dict[tuple[str, str, int], int]


class Idle:
    """The work that is left in a deployment."""

    def __init__(self, settings: Settings, kafka: Kafka, connection: Any, services: Collection[str]) -> None:
        self._settings = settings
        self._kafka = kafka
        self._connection = connection
        self._readers = [reader for reader in READERS if reader[0] in services]
        self._services = services

    async def wait(self, seconds: float) -> None:
        """Return as soon as no work is left.

        Raises:
            TimeoutError: It took too long; the message says what is left.
        """
        left = "nothing was looked at"
        try:
            async with asyncio.timeout(seconds):
                while left := await self.left():
                    await asyncio.sleep(_POLL_SECONDS)
        except TimeoutError:
            raise TimeoutError(f"not idle after {seconds} seconds: {left}") from None

    async def left(self) -> str:
        """Describe the work that is left; empty if there is none."""
        ids = await self._kafka.topic_ids({topic for _service, topic in self._readers})
        marks, more = await self._snapshot(ids)
        sent = self._kafka.acknowledged
        if left := more or self._behind(marks, sent):
            return left
        return self._behind(marks, await self._kafka.ends(ids))

    async def _snapshot(self, ids: dict[str, str]) -> tuple[_Marks, str]:
        lateness = round(self._settings.lateness_seconds * 1_000_000)
        async with self._connection.transaction(isolation="repeatable_read", readonly=True):
            rows = await self._connection.fetch(
                "select service, topic, partition, next_offset, topic_id from watermark"
            )
            if waiting := await self._connection.fetchval("select count(*) from outbox"):
                return {}, f"{waiting} batches in the outbox"
            until, _now = await horizon(self._connection, self._settings.clock, lateness)
            for service, sql in _DUE.items():
                if service in self._services and (due := await self._connection.fetchval(sql, until)):
                    return {}, f"{due} due for {service}"
        # A watermark of a topic that was recreated since means nothing.
        return {
            (row["service"], row["topic"], row["partition"]): row["next_offset"]
            for row in rows if ids.get(row["topic"]) == row["topic_id"]
        }, ""  # fmt: skip

    def _behind(self, marks: _Marks, ends: dict[tuple[str, int], int]) -> str:
        for service, topic in self._readers:
            for partition in range(self._settings.topic_partitions):
                mark, end = marks.get((service, topic, partition)), ends.get((topic, partition), 0)
                if mark is None:
                    return f"{service} has not claimed {topic} {partition}"
                if mark < end:
                    return f"{service} is at {mark} of {end} in {topic} {partition}"
        return ""
