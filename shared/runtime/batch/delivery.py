"""Brings the messages of one partition's batches to Kafka, one batch after the other, and clears the outbox of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from shared.runtime import metrics
from shared.runtime.batch.retries import Retries
from shared.runtime.failpoints import reach
from shared.runtime.tables.outbox import OutboxRow, forget_published, left_behind
from shared.runtime.worker import Worker


class Delivery:
    """The way from the outbox to Kafka. At most one batch is on it while the next one is decided."""

    def __init__(self, worker: Worker, place: tuple[str, int], retried: Retries) -> None:
        """Make it; ``place`` is the topic (short name) and the partition."""
        self._worker = worker
        self._service = worker.handler.service
        self._place = place
        self._retried = retried
        self._underway: asyncio.Task[None] | None = None
        self._published: list[int] = []

    @property
    def busy(self) -> bool:
        """Whether anything is on its way, or acknowledged and still in the outbox."""
        return bool(self._underway or self._published)

    def published(self) -> list[int]:
        """Return the outbox rows that Kafka has acknowledged; the next transaction may delete them."""
        return self._published[:]

    def forgotten(self, seqs: list[int]) -> None:
        """Note that they were deleted. Meanwhile another batch may have been acknowledged: that one is not."""
        self._published = self._published[len(seqs) :]

    async def start(self, row: OutboxRow | None, then: Callable[[], Awaitable[None]]) -> None:
        """Send a batch's messages while others are decided, after those of the batch before it; then do ``then``."""
        if row is not None:
            await self.settle()
            self._underway = asyncio.create_task(self._deliver(row, then))

    async def settle(self) -> None:
        """Wait until the messages that are on their way are acknowledged."""
        if self._underway is not None:
            underway, self._underway = self._underway, None
            await underway

    async def send_left_behind(self) -> None:
        """Send what a crash left unpublished, or unforgotten."""
        rows = await self._retried(self._left_behind)
        for row in rows:
            await self._publish(row)

    async def tidy_up(self) -> None:
        """There is time: clear the outbox."""
        if self._underway is not None and self._underway.done():
            await self.settle()
        if self._published:
            await self._retried(self.forget)

    async def forget(self) -> None:
        """Delete outbox rows that are acknowledged."""
        if forget := self.published():
            async with self._worker.pool.acquire() as connection:
                await forget_published(connection, forget)
            self.forgotten(forget)

    async def _left_behind(self) -> list[OutboxRow]:
        async with self._worker.pool.acquire() as connection:
            return await left_behind(connection, self._service, *self._place)

    async def _publish(self, row: OutboxRow) -> None:
        await self._retried(lambda: self._worker.publisher.publish(row.messages))
        reach("published")
        self._published.append(row.seq)

    async def _deliver(self, row: OutboxRow, then: Callable[[], Awaitable[None]]) -> None:
        metrics.OUTBOX_WAITING.labels(self._service).inc()
        try:
            await self._publish(row)
        finally:
            metrics.OUTBOX_WAITING.labels(self._service).dec()
        await then()
