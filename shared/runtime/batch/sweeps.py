"""A partition's share of the sweeps: of what time alone makes happen."""

from __future__ import annotations

import math
import time
from collections.abc import Awaitable, Callable

from shared.runtime.batch.delivery import Delivery
from shared.runtime.batch.transaction import sweep
from shared.runtime.tables.watermark import Lease
from shared.runtime.worker import Worker

_AFTER_A_FAILURE_SECONDS = 10.0
#: Before any instant: a monotonic clock begins near 0 when the machine is started.
_NOT_YET = -math.inf


class Sweeper:
    """Sweeps when it is time to."""

    def __init__(self, worker: Worker, delivery: Delivery, shards: Callable[[], int]) -> None:
        """Make it.

        Args:
            worker: Of the pipeline.
            delivery: Of the pipeline.
            shards: Says into how many parts the sweeps are divided, of which this partition's number is one; 0 if
                this partition has none.
        """
        self._worker = worker
        self._delivery = delivery
        self._shards = shards
        self._seconds = worker.settings.sweep_seconds
        self._swept_at = _NOT_YET

    def wait(self, seconds: float) -> float:
        """Return how long one may wait before it is time, at most so long."""
        if not self._shards():
            return seconds
        return min(seconds, max(0.0, self._swept_at + self._seconds - time.monotonic()))

    def hurry(self) -> bool:
        """Look at once, for the clock was moved; False: a failure is waited out."""
        if self._swept_at > time.monotonic():
            return False
        self._swept_at = _NOT_YET
        return True

    async def sweep(self, lease: Lease, then: Callable[[], Awaitable[None]]) -> bool:
        """Apply what time alone makes happen to some accounts of this partition's share; a batch may come between.

        Not tried again in place: a sweep that was committed although its connection was lost has messages in the
        outbox, which the next take-over publishes.

        Args:
            lease: The partition, in whose name the sweep publishes.
            then: What to do when its messages are delivered.

        Returns:
            Whether anything was due; then there may be more.
        """
        shards = self._shards()
        if not shards or time.monotonic() - self._swept_at < self._seconds:
            return False
        worker = self._worker
        try:
            async with worker.turns:
                forget = self._delivery.published()
                swept = await sweep(worker.pool, worker.handler, worker.settings, worker.source, lease, shards, forget)
        except Exception:
            # Batches go on, whatever it is that a sweep stumbles over.
            self._swept_at = time.monotonic() + _AFTER_A_FAILURE_SECONDS
            raise
        if swept is None:
            self._swept_at = time.monotonic()
            return False
        self._delivery.forgotten(forget)
        worker.handler.count(swept.decisions)
        await self._delivery.start(swept.outbox, then)
        return True
