"""One partition, one pipeline: fetch, transact, publish, and give the partition up cleanly.

While a batch's messages travel to Kafka the next batch is decided and stored; it is not published before they
are acknowledged. So at most two batches of a partition are in the outbox, and memory is bounded.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Any

from shared.errors import Fenced, InvariantBroken, UsageError
from shared.logs import logger
from shared.runtime import metrics
from shared.runtime.batch.counters import IgnoredTypes, Lag, count_batch
from shared.runtime.batch.decode import decode
from shared.runtime.batch.delivery import Delivery
from shared.runtime.batch.leases import Takeover, tell_lost
from shared.runtime.batch.retries import Retries
from shared.runtime.batch.sweeps import Sweeper
from shared.runtime.batch.transaction import Committed, transact
from shared.runtime.failpoints import reach
from shared.runtime.kafka.fetcher import Fetcher
from shared.runtime.kafka.headers import tolerate
from shared.runtime.kafka.offsets import CommittedOffset
from shared.runtime.records import Batch
from shared.runtime.tables.watermark import Lease
from shared.runtime.worker import Worker

_log = logger(__name__)

#: After being fenced: time for Kafka to tell this worker that the partition is no longer its own.
_PAUSE_SECONDS = 1.0
#: How long a pipeline waits for records before it tidies up, and how long when it has nothing to tidy up.
_TIDY_SECONDS, _IDLE_SECONDS = 0.03, 1.0


class Pipeline:
    """Handles the batches of one partition until it is stopped."""

    def __init__(
        self, worker: Worker, consumer: Any, partition: Any, topic: str, takeover: Takeover, shards: Callable[[], int]
    ) -> None:
        """Make a pipeline.

        Args:
            worker: Whose pipeline.
            consumer: The aiokafka consumer; the pipeline reads its own partition only.
            partition: aiokafka's name of the partition.
            topic: The topic's short name.
            takeover: How the partition is taken over.
            shards: Says into how many parts the sweeps are divided, of which this partition's number is one; 0 if
                this pipeline does not sweep.
        """
        self._worker = worker
        self._handler = handler = worker.handler
        self._consumer = consumer
        self._tp = partition
        self._topic = topic
        self._private = topic in handler.private
        self._takeover = takeover
        self._progress_at = time.monotonic()
        self._lease: Lease | None = None
        self._fetcher = Fetcher(worker.settings, consumer, partition)
        self._stopping = asyncio.Event()
        place = (topic, partition.partition)
        self._retried = Retries(
            handler.service, place, self._stopping, handler.contested, quiet=self._private, meanwhile=self._show_lag
        )
        self._delivery = Delivery(worker, place, self._retried)
        self._sweeps = Sweeper(worker, self._delivery, shards)
        self._offset = CommittedOffset(consumer, partition)
        self._ignored = IgnoredTypes(topic)
        self._lag = Lag(handler.service, topic, partition.partition, self._fetcher)

    def stalled_seconds(self) -> float:
        """Return for how long records have waited, or the partition was not taken over, without any progress."""
        waiting = self._lease is None or self._fetcher.waiting(self._lease.next_offset)
        return time.monotonic() - self._progress_at if waiting else 0.0

    @property
    def owns_partition(self) -> bool:
        """Whether the partition was taken over: only then there can be a batch in hand."""
        return self._lease is not None

    def stop(self) -> None:
        """Ask the pipeline to finish its batch and nothing more."""
        self._stopping.set()
        self._fetcher.interrupt()

    def sweep_soon(self) -> None:
        """Look at once for what is due: the clock was moved."""
        if self._sweeps.hurry():
            self._fetcher.interrupt()

    async def run(self) -> None:
        """Lease the partition and handle its batches; returns after ``stop``.

        Raises:
            Exception: Anything that is not transient; the worker must stop, see ``shared.errors``.
        """
        while not self._stopping.is_set():
            try:
                await self._take_over()
                while not self._stopping.is_set():
                    await self._next_batch()
            except Fenced as fenced:
                metrics.FENCED.labels(self._handler.service).inc()
                _log.warning("batch dropped: another worker moved the watermark", position=str(fenced))
                await self._pause()
            except UnicodeDecodeError:
                if not tolerate():
                    raise
            except Exception as problem:
                if not self._retried.can_help(problem):
                    if self._private:
                        # What a database says of a value that it does not take may hold the value.
                        raise InvariantBroken(f"a batch of {self._topic} failed: {type(problem).__name__}") from None
                    raise
                # A fetch that failed may have lost its place; taking over again seeks to the watermark.
                self._retried.tell(problem, 1)
                await self._pause()
        await self._finish()

    async def _pause(self) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), _PAUSE_SECONDS)

    async def _take_over(self) -> None:
        """Find out where the partition stands, and publish first what a crash left behind."""
        await self._delivery.settle()
        try:
            self._lease = await self._takeover.take(self._lease, self._fetcher.shorter, self._retried)
        except UsageError:
            if self._lease is not None:
                # Kafka must know what was handled: whoever starts next looks there.
                await self._offset.commit(self._lease)
            raise
        self._fetcher.start_over()
        await self._delivery.send_left_behind()
        self._consumer.seek(self._tp, self._lease.next_offset)
        # Lag tools see where the ledger stands, also after a restore.
        await self._offset.commit(self._lease)

    async def _next_batch(self) -> None:
        swept = await self._sweep()
        wait = 0.0 if swept else self._sweeps.wait(_TIDY_SECONDS if self._delivery.busy else _IDLE_SECONDS)
        records = await self._fetcher.fetch(self._stopping, seconds=wait)
        assert self._lease is not None
        if not records:
            if not swept:
                await self._skip_to_position()
                await self._tidy_up()
                self._show_lag()
                self._fetcher.look_for_a_shorter_log(self._lease.next_offset)
            self._rest_unless_waiting()
            return
        if records[0].offset < self._lease.next_offset:
            self._fetcher.shorter = self._consumer.highwater(self._tp) < self._lease.next_offset
            raise Fenced(f"Kafka went back to {records[0].offset}, behind {self._lease.next_offset}")
        await self._count_lost(records[0].offset)
        reach("fetched")
        async with self._worker.turns:
            started = time.monotonic()
            # The consumer may have gone past records that nobody gets, such as the end of a transaction.
            next_offset = max(records[-1].offset + 1, await self._fetcher.position())
            batch = Batch(self._topic, self._tp.partition, self._lease.epoch, records, next_offset)
            committed = await self._commit(batch)
            count_batch(self._handler.service, batch, committed, time.monotonic() - started)
            self._show_lag()
            self._handler.count(committed.decisions)
        await self._delivery.start(committed.outbox, self._tell_offset)

    def _rest_unless_waiting(self) -> None:
        assert self._lease is not None
        if not self._fetcher.waiting(self._lease.next_offset):
            self._progress_at = time.monotonic()

    async def _count_lost(self, first: int) -> None:
        """Say so where Kafka's retention removed what follows the watermark."""
        assert self._lease is not None
        lost = await self._fetcher.lost(self._lease.next_offset, first)
        if lost:
            tell_lost(self._handler.service, self._lease, lost)

    async def _sweep(self) -> bool:
        assert self._lease is not None
        return await self._sweeps.sweep(self._lease, self._tell_offset)

    async def _skip_to_position(self) -> None:
        """Store a batch without records where nothing came although the consumer went on.

        Aborted transactions, and the records that end transactions, are skipped by the consumer. The watermark follows,
        so that whoever compares it with the end of the log sees that nothing waits.
        """
        assert self._lease is not None
        position = await self._fetcher.position()
        if position > self._lease.next_offset:
            await self._count_lost(position)
            async with self._worker.turns:
                await self._commit(Batch(self._topic, self._tp.partition, self._lease.epoch, [], position))

    async def _commit(self, batch: Batch) -> Committed[Any]:
        place = (batch.topic, batch.partition, batch.epoch)
        worker, handler = self._worker, self._handler
        decoded = decode(batch.records, handler.contracts, self._worker.settings.record_bytes, place, handler.private)

        async def once() -> Committed[Any]:
            assert self._lease is not None
            forget = self._delivery.published()
            committed = await transact(worker.pool, worker.handler, worker.source, self._lease, batch, decoded, forget)
            self._delivery.forgotten(forget)
            return committed

        self._ignored.warn(decoded.ignored)
        committed = await self._retried(once)
        self._progress_at = time.monotonic()
        return committed

    def _show_lag(self) -> None:
        self._lag.show(self._lease)

    async def _tell_offset(self) -> None:
        assert self._lease is not None
        await self._offset.commit_now_and_then(self._lease)

    async def _tidy_up(self) -> None:
        """Nothing to do: forget what is published, and tell Kafka how far this partition is."""
        assert self._lease is not None
        await self._delivery.tidy_up()
        if self._offset.differs(self._lease):
            await self._tell_offset()

    async def _finish(self) -> None:
        """Leave nothing behind that the next owner would have to do, if Kafka and Postgres are there."""
        if self._lease is None:
            return
        try:
            async with asyncio.timeout(self._worker.settings.stop_seconds):
                await self._delivery.settle()
                await self._delivery.forget()
                await self._offset.commit(self._lease)
        except Exception as problem:
            if not self._retried.can_help(problem):
                raise
            _log.warning("stopped with messages in the outbox; the next owner publishes them", cause=repr(problem))
        self._lag.forget()
