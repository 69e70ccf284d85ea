"""Takes the next records of one partition out of the consumer."""

from __future__ import annotations

import asyncio
import math
import time
from typing import Any

from shared.errors import Fenced
from shared.runtime.records import Record
from shared.settings import Settings

#: A high watermark below our own must last so long to be believed.
_SHORTER_SECONDS = 60.0
#: From the beginning of a rebalance to its end the consumer hands out nothing, however short its time-out; and the
#: rebalance waits for the pipelines. No records are lost: it takes them out and returns them in one go.
_REBALANCING_SECONDS = 0.2
#: Compressed records can be a thousand times larger than what was fetched: few are unpacked at a time.
_STEP_RECORDS = 100
_POSITION_SECONDS = 5.0


class Fetcher:
    """Fetches batches of one partition, and notices a log that ends before what was handled.

    Attributes:
        shorter: The log was seen to end before the watermark.
    """

    def __init__(self, settings: Settings, consumer: Any, partition: Any) -> None:
        self._settings = settings
        self._consumer = consumer
        self._tp = partition
        self.shorter = False
        self._shorter_since: float | None = None
        self._waiting: asyncio.Timeout | None = None

    def start_over(self) -> None:
        """Forget what was seen of the log: the partition was taken over again."""
        self.shorter, self._shorter_since = False, None

    def interrupt(self) -> None:
        """Let a fetch that waits for records return at once with those that are there."""
        if self._waiting is not None and not self._waiting.expired():
            self._waiting.reschedule(asyncio.get_running_loop().time())

    async def fetch(self, stopping: asyncio.Event, *, seconds: float = 0.0) -> list[Record]:
        """Return the next records: at once where there is a backlog, else what comes within the batch time.

        Args:
            stopping: Cuts the batch.
            seconds: How long to wait for the first record; 0: return at once where nothing is there.
        """
        most = self._settings.batch_records
        records = [] if stopping.is_set() else await self._poll(seconds, most)
        deadline = time.monotonic() + self._settings.batch_seconds
        size = sum(_size(record) for record in records)
        while records and len(records) < most and size < self._settings.batch_bytes:
            more = await self._poll(max(0.0, deadline - time.monotonic()), most - len(records))
            if not more or stopping.is_set():
                records += more
                break
            records += more
            size += sum(_size(record) for record in more)
        return records

    async def _poll(self, seconds: float, most: int) -> list[Record]:
        try:
            async with asyncio.timeout(seconds + _REBALANCING_SECONDS) as self._waiting:
                found = await self._consumer.getmany(
                    self._tp, timeout_ms=math.ceil(seconds * 1000), max_records=min(most, _STEP_RECORDS)
                )
        except TimeoutError:
            return []
        finally:
            self._waiting = None
        return [Record(raw.offset, raw.timestamp, raw.key, raw.value, raw.headers) for raw in found.get(self._tp, ())]

    async def position(self) -> int:
        """Return the offset that the consumer reads next: also past what it skips, such as aborted transactions."""
        # aiokafka waits for ever where the position was lost and the broker does not answer: then try again, or stop.
        async with asyncio.timeout(_POSITION_SECONDS):
            return int(await self._consumer.position(self._tp))

    async def lost(self, known: int, first: int) -> int:
        """Return how many records between two offsets Kafka's retention removed; what the consumer skips is no loss."""
        if first <= known:
            return 0
        beginning: int = (await self._consumer.beginning_offsets([self._tp]))[self._tp]
        return max(0, min(first, beginning) - known)

    def waiting(self, next_offset: int) -> int:
        """Return how many offsets lie between ``next_offset`` and what may be read; 0 before the first fetch.

        What may be read ends at the last stable offset: what follows belongs to a transaction that is still open.
        """
        stable = self._consumer.last_stable_offset(self._tp)
        end = self._consumer.highwater(self._tp) if stable is None or stable < 0 else stable
        return 0 if end is None else max(0, end - next_offset)

    def uncommitted(self) -> int:
        """Return how many offsets lie behind the beginning of the oldest transaction that is still open."""
        stable, end = self._consumer.last_stable_offset(self._tp), self._consumer.highwater(self._tp)
        return 0 if end is None or stable is None or stable < 0 else max(0, end - stable)

    def look_for_a_shorter_log(self, next_offset: int) -> None:
        """Notice a broker that lost records which we have handled: we would wait for ever at an offset beyond its end.

        Raises:
            Fenced: It is so, and has been for a minute: longer than a new leader needs to know what it has.
        """
        end = self._consumer.highwater(self._tp)
        if end is None or end >= next_offset:
            self._shorter_since = None
        elif self._shorter_since is None:
            self._shorter_since = time.monotonic()
        elif time.monotonic() - self._shorter_since > _SHORTER_SECONDS:
            self.shorter = True
            raise Fenced(f"the log ends at {end}, before {next_offset}")


def _size(record: Record) -> int:
    return len(record.value or b"") + len(record.key or b"") + 64 * len(record.headers)
