"""One partition, one pipeline: fetch, transact, publish, and give the partition up cleanly.

While a batch's messages travel to Kafka the next batch is decided and stored; it is not published before they
are acknowledged. So at most two batches of a partition are in the outbox, and memory is bounded.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from shared.contracts.catalogue import EVENTS
from shared.errors import Fenced, InvariantBroken, UsageError
from shared.logs import logger
from shared.runtime import journal, metrics
from shared.runtime.counters import count_batch
from shared.runtime.decode import decode
from shared.runtime.failpoints import reach
from shared.runtime.fetcher import Fetcher
from shared.runtime.headers import tolerate
from shared.runtime.journal import Claim, OutboxRow
from shared.runtime.leases import name_of_log
from shared.runtime.publisher import Publisher
from shared.runtime.records import Batch
from shared.runtime.retries import attempts, is_transient
from shared.runtime.transaction import Committed, sweep, transact
from shared.settings import Settings

_log = logger(__name__)

#: The offset in Kafka is for lag tools only; the watermark is the truth.
_OFFSET_COMMIT_SECONDS = 1.0
#: After being fenced: time for Kafka to tell this worker that the partition is no longer its own.
_PAUSE_SECONDS = 1.0
_AFTER_A_FAILED_SWEEP_SECONDS = 10.0
#: How long a pipeline waits for records before it tidies up, and how long when it has nothing to tidy up.
_TIDY_SECONDS, _IDLE_SECONDS = 0.03, 1.0
#: Before any instant: a monotonic clock begins near 0 when the machine is started.
_NOT_YET = -math.inf
#: A hostile producer could invent types for ever.
_IGNORED_TYPES_NAMED = 50
#: What is known and read by other services is no misspelling.
_OUR_TYPES = frozenset(EVENTS)


class Pipeline:
    """Handles the batches of one partition until it is stopped."""

    def __init__(
        self,
        *,
        settings: Settings,
        handler: Any,
        source: str,
        pool: Any,
        turns: asyncio.Semaphore,
        publisher: Publisher,
        consumer: Any,
        partition: Any,
        topic: str,
        check: Callable[[], Awaitable[None]],
        claim: Callable[[bool], Awaitable[Claim]],
        shards: Callable[[], int],
    ) -> None:
        """Make a pipeline.

        Args:
            settings: Of this worker.
            handler: The service's load, decide and store.
            source: The ``source`` of outgoing events.
            pool: Of database connections.
            turns: How many batches this worker may hold in memory at a time.
            publisher: Of this worker.
            consumer: The aiokafka consumer; the pipeline reads its own partition only.
            partition: aiokafka's name of the partition.
            topic: The topic's short name.
            check: Sees that the ledger is not older than what Kafka was told of this partition.
            claim: Finds out where the partition stands, and writes it down if that is new; told whether the log
                was seen to end before the watermark.
            shards: Says into how many parts the sweeps are divided, of which this partition's number is one; 0 if
                this pipeline does not sweep.
        """
        self._settings = settings
        self._handler = handler
        self._source = source
        self._pool = pool
        self._turns = turns
        self._publisher = publisher
        self._consumer = consumer
        self._tp = partition
        self._topic = topic
        self._private = topic in handler.private
        self._check_ledger = check
        self._find_claim = claim
        self._shards = shards
        self._swept_at = _NOT_YET
        self._progress_at = time.monotonic()
        self._claim: Claim | None = None
        self._fetcher = Fetcher(settings, consumer, partition)
        self._stopping = asyncio.Event()
        self._publishing: asyncio.Task[None] | None = None
        self._published: list[int] = []
        self._ignored: set[str] = set()
        self._offset_committed_at = _NOT_YET
        self._offset_committed = 0
        self._labels = (handler.service, topic, str(partition.partition))

    def stalled_seconds(self) -> float:
        """Return for how long records have waited, or the partition was not taken over, without any progress."""
        waiting = self._claim is None or self._fetcher.waiting(self._claim.next_offset)
        return time.monotonic() - self._progress_at if waiting else 0.0

    @property
    def owns_partition(self) -> bool:
        """Whether the partition was taken over: only then there can be a batch in hand."""
        return self._claim is not None

    def stop(self) -> None:
        """Ask the pipeline to finish its batch and nothing more."""
        self._stopping.set()
        self._fetcher.interrupt()

    def sweep_soon(self) -> None:
        """Look at once for what is due: the clock was moved."""
        if self._swept_at <= time.monotonic():
            self._swept_at = _NOT_YET
            self._fetcher.interrupt()

    async def run(self) -> None:
        """Claim the partition and handle its batches; returns after ``stop``.

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
                if not is_transient(problem):
                    if self._private:
                        # What a database says of a value that it does not take may hold the value.
                        raise InvariantBroken(f"a batch of {self._topic} failed: {type(problem).__name__}") from None
                    raise
                # A fetch that failed may have lost its place; claiming anew seeks to the watermark.
                self._on_retry(problem, 1)
                await self._pause()
        await self._finish()

    async def _pause(self) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), _PAUSE_SECONDS)

    async def _take_over(self) -> None:
        """Find out where the partition stands, and publish first what a crash left behind."""
        await self._settle()
        before = self._claim
        if before is None:
            await self._retried(self._check_ledger)
        self._claim = await self._retried(lambda: self._find_claim(self._fetcher.shorter))
        if before is not None:
            await self._refuse_an_older_ledger(before, self._claim)
        self._fetcher.start_over()
        self._offset_committed = self._claim.next_offset
        left = await self._retried(self._left_behind)
        for row in left:
            await self._publish(row)
        self._consumer.seek(self._tp, self._claim.next_offset)
        # Lag tools see where the ledger stands, also after a restore.
        await self._commit_offset()

    async def _refuse_an_older_ledger(self, before: Claim, now: Claim) -> None:
        """See that the ledger still has what this very pipeline stored: a fail-over may have lost it under us."""
        if (now.epoch, now.next_offset) >= (before.epoch, before.next_offset):
            return
        problem = (
            f"the ledger went back: this worker had stored {self._topic}[{self._tp.partition}] up to "
            f"{before.next_offset}, and it stands at {now.next_offset}. It was restored, or lost its last transactions "
            "in a fail-over"
        )
        if not self._settings.accept_restored_ledger:
            # Kafka must know what was handled: whoever starts next looks there.
            self._claim = before
            await self._commit_offset()
            raise UsageError(f"{problem}. See docs/operations.md; LOYALTY_ACCEPT_RESTORED_LEDGER=true goes on")
        _log.error("going on with a restored ledger, as LOYALTY_ACCEPT_RESTORED_LEDGER says", problem=problem)

    async def _next_batch(self) -> None:
        swept = await self._sweep()
        records = await self._fetcher.fetch(self._stopping, seconds=0.0 if swept else self._patience())
        assert self._claim is not None
        if not records and swept:
            self._rest_unless_waiting()
            return
        if not records:
            await self._skip_to_position()
            await self._tidy_up()
            self._show_lag()
            self._fetcher.look_for_a_shorter_log(self._claim.next_offset)
            self._rest_unless_waiting()
            return
        if records[0].offset < self._claim.next_offset:
            self._fetcher.shorter = self._consumer.highwater(self._tp) < self._claim.next_offset
            raise Fenced(f"Kafka went back to {records[0].offset}, behind {self._claim.next_offset}")
        await self._count_lost(records[0].offset)
        reach("fetched")
        async with self._turns:
            started = time.monotonic()
            # The consumer may have gone past records that nobody gets, such as the end of a transaction.
            next_offset = max(records[-1].offset + 1, await self._fetcher.position())
            batch = Batch(self._topic, self._tp.partition, self._claim.epoch, records, next_offset)
            committed = await self._commit(batch)
            count_batch(self._handler.service, batch, committed, time.monotonic() - started)
            self._show_lag()
            self._handler.count(committed.decisions)
        if committed.outbox is not None:
            await self._settle()
            self._publishing = asyncio.create_task(self._publish_batch(committed.outbox))

    def _rest_unless_waiting(self) -> None:
        assert self._claim is not None
        if not self._fetcher.waiting(self._claim.next_offset):
            self._progress_at = time.monotonic()

    async def _count_lost(self, first: int) -> None:
        """Say so where Kafka's retention removed what follows the watermark; what the consumer skips is no loss."""
        assert self._claim is not None
        known = self._claim.next_offset
        if first <= known:
            return
        lost = min(first, (await self._consumer.beginning_offsets([self._tp]))[self._tp]) - known
        if lost > 0:
            metrics.RECORDS_LOST.labels(self._handler.service).inc(lost)
            _log.error("Kafka's retention removed records before they were handled; raise retention.ms",
                       first=known, last=known + lost - 1, topic=self._topic, partition=self._tp.partition)  # fmt: skip

    def _patience(self) -> float:
        """Return how long to wait for records before there is something else to do."""
        seconds = _TIDY_SECONDS if self._publishing or self._published else _IDLE_SECONDS
        if self._shards():
            seconds = min(seconds, max(0.0, self._swept_at + self._settings.sweep_seconds - time.monotonic()))
        return seconds

    async def _sweep(self) -> bool:
        """Apply what time alone makes happen to some accounts of this partition's share; a batch may come between.

        Not tried again in place: a sweep that was committed although its connection was lost has messages in the
        outbox, which taking over anew publishes.

        Returns:
            Whether anything was due; then there may be more.
        """
        shards = self._shards()
        if not shards or time.monotonic() - self._swept_at < self._settings.sweep_seconds:
            return False
        assert self._claim is not None
        try:
            async with self._turns:
                forget = self._published[:]
                swept = await sweep(
                    self._pool, self._handler, self._settings, self._source, self._claim, shards, forget
                )
        except Exception:
            # Batches go on, whatever it is that a sweep stumbles over.
            self._swept_at = time.monotonic() + _AFTER_A_FAILED_SWEEP_SECONDS
            raise
        if swept is None:
            self._swept_at = time.monotonic()
            return False
        self._published = self._published[len(forget) :]
        self._handler.count(swept.decisions)
        if swept.outbox is not None:
            await self._settle()
            self._publishing = asyncio.create_task(self._publish_batch(swept.outbox))
        return True

    async def _skip_to_position(self) -> None:
        """Store a batch without records where nothing came although the consumer went on.

        Aborted transactions, and the records that end transactions, are skipped by the consumer. The watermark follows,
        so that whoever compares it with the end of the log sees that nothing waits.
        """
        assert self._claim is not None
        position = await self._fetcher.position()
        if position > self._claim.next_offset:
            await self._count_lost(position)
            async with self._turns:
                await self._commit(Batch(self._topic, self._tp.partition, self._claim.epoch, [], position))

    async def _commit(self, batch: Batch) -> Committed:
        place = (batch.topic, batch.partition, batch.epoch)
        contracts = self._handler.contracts
        decoded = decode(batch.records, contracts, self._settings.record_bytes, place, self._handler.private)

        async def once() -> Committed:
            assert self._claim is not None
            forget = self._published[:]
            committed = await transact(self._pool, self._handler, self._source, self._claim, batch, decoded, forget)
            self._published = self._published[len(forget) :]
            return committed

        self._warn_of_ignored(decoded.ignored)
        committed: Committed = await self._retried(once)
        self._progress_at = time.monotonic()
        return committed

    async def _publish(self, row: OutboxRow) -> None:
        await self._retried(lambda: self._publisher.publish(row.messages))
        reach("published")
        self._published.append(row.seq)

    async def _publish_batch(self, row: OutboxRow) -> None:
        metrics.OUTBOX_WAITING.labels(self._handler.service).inc()
        try:
            await self._publish(row)
        finally:
            metrics.OUTBOX_WAITING.labels(self._handler.service).dec()
        if time.monotonic() - self._offset_committed_at > _OFFSET_COMMIT_SECONDS:
            await self._commit_offset()

    async def _settle(self) -> None:
        """Wait until the messages that are on their way are acknowledged."""
        if self._publishing is not None:
            publishing, self._publishing = self._publishing, None
            await publishing

    async def _tidy_up(self) -> None:
        """Nothing to do: forget what is published, and tell Kafka how far this partition is."""
        assert self._claim is not None
        if self._publishing is not None and self._publishing.done():
            await self._settle()
        if self._published:
            await self._retried(self._forget)
        told = self._offset_committed == self._claim.next_offset
        if not told and time.monotonic() - self._offset_committed_at > _OFFSET_COMMIT_SECONDS:
            await self._commit_offset()

    async def _finish(self) -> None:
        """Leave nothing behind that the next owner would have to do, if Kafka and Postgres are there."""
        if self._claim is None:
            return
        try:
            async with asyncio.timeout(self._settings.stop_seconds):
                await self._settle()
                await self._forget()
                await self._commit_offset()
        except Exception as problem:
            if not is_transient(problem):
                raise
            _log.warning("stopped with messages in the outbox; the next owner publishes them", cause=repr(problem))
        with contextlib.suppress(KeyError):
            metrics.LAG.remove(*self._labels)
            metrics.UNCOMMITTED.remove(*self._labels)

    async def _forget(self) -> None:
        forget = self._published[:]
        if forget:
            async with self._pool.acquire() as connection:
                await journal.forget_published(connection, forget)
            # Meanwhile another batch may have been acknowledged: that one is not forgotten yet.
            self._published = self._published[len(forget) :]

    async def _left_behind(self) -> list[OutboxRow]:
        async with self._pool.acquire() as connection:
            return await journal.left_behind(connection, self._handler.service, self._topic, self._tp.partition)

    async def _commit_offset(self) -> None:
        assert self._claim is not None
        self._offset_committed_at = time.monotonic()
        offset = self._claim.next_offset
        try:
            async with asyncio.timeout(_OFFSET_COMMIT_SECONDS):
                await self._consumer.commit({self._tp: (offset, name_of_log(self._claim))})
            self._offset_committed = offset
        except Exception as problem:  # noqa: BLE001 - a lag tool that lags is no reason to stop
            _log.info("offset not committed to Kafka", cause=repr(problem))
        reach("offset-committed")

    async def _retried(self, work: Callable[[], Awaitable[Any]]) -> Any:
        async for attempt in attempts(self._stopping, self._on_retry):
            with attempt:
                return await work()
        raise AssertionError("tenacity ended without a result")

    def _warn_of_ignored(self, types: Iterable[str]) -> None:
        """Say once of each type that nobody reads it: a misspelt one would vanish without a trace."""
        for unknown in set(types) - self._ignored - _OUR_TYPES:
            if len(self._ignored) < _IGNORED_TYPES_NAMED:
                self._ignored.add(unknown)
                _log.warning("events of a type that this service does not read", type=unknown, topic=self._topic)

    def _on_retry(self, problem: BaseException, number: int) -> None:
        cause = type(problem).__name__
        metrics.RETRIES.labels(self._handler.service, cause).inc()
        self._show_lag()
        _log.warning(
            "trying again", cause=cause, attempt=number, topic=self._topic, partition=self._tp.partition,
            # The first line only: the next ones may name keys of rows.
            detail="" if self._private else str(problem).partition("\n")[0][:300],
        )  # fmt: skip

    def _show_lag(self) -> None:
        """Also when nothing moves: that is when an operator looks."""
        if self._claim is not None:
            metrics.LAG.labels(*self._labels).set(self._fetcher.waiting(self._claim.next_offset))
            metrics.UNCOMMITTED.labels(*self._labels).set(self._fetcher.uncommitted())
