"""The batch consumer: a supervised service inside the Faust app, with one pipeline for each partition it owns.

Not a Faust agent: a transaction for each event is too slow, and its acknowledgement loses events. Offsets, fencing and
back-pressure are ours; Faust gives the worker, the lifecycle, web pages and the control topic.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Any

from mode import Service

from shared.database.migrate import check_schema
from shared.database.pool import Pool, open_pool
from shared.errors import UsageError
from shared.logs import logger
from shared.memory import collect_rarely
from shared.runtime import metrics
from shared.runtime.batch.leases import check_not_restored
from shared.runtime.batch.pipelines import Pipelines
from shared.runtime.batch.retries import attempts
from shared.runtime.clock import hear_clock
from shared.runtime.handler import Handler
from shared.runtime.kafka.brokers import Admin
from shared.runtime.kafka.decompression import bound_decompression
from shared.runtime.kafka.polls import consumer_of, unheard_problem
from shared.runtime.kafka.publisher import Publisher
from shared.runtime.kafka.topics import InputTopics
from shared.runtime.worker import Worker
from shared.settings import Clock, Settings

_log = logger(__name__)
#: How long a worker that is told to stop waits for Kafka when no batch is in hand.
_NOTHING_IN_HAND_SECONDS = 2.0


class BatchConsumer(Service):
    """Reads the input topics of one service and runs its pipelines."""

    def __init__(
        self, settings: Settings, handler: Handler, topics: tuple[str, ...], source: str, **kwargs: Any
    ) -> None:
        """Make the consumer.

        Args:
            settings: Of this worker.
            handler: The service's load, decide and store.
            topics: Short names of the input topics.
            source: The ``source`` of outgoing events.
            kwargs: Passed to the service, such as its place in the app's tree.
        """
        super().__init__(**kwargs)
        self.settings = settings
        self.handler = handler
        self._pool: Pool | None = None
        self._connected = False
        self._source = source
        # Not the Faust app's own group, whose members speak another assignment protocol.
        self._group = f"{settings.topic_prefix}.{handler.service}.batches"
        self._publisher = Publisher(settings)
        self._admin = Admin(settings.kafka_brokers)
        self._turns = asyncio.Semaphore(settings.database_connections)
        self._halt = asyncio.Event()
        self._session_over = asyncio.Event()
        self._ended = asyncio.Event()
        self._topics = InputTopics(settings, topics, self._admin)
        self._pipelines: Pipelines | None = None
        self._consumer: Any = None

    @property
    def pool(self) -> Pool:
        """The pool of database connections, once the consumer has started."""
        assert self._pool is not None, "the consumer has not started"
        return self._pool

    @property
    def connected(self) -> bool:
        """Whether the broker answers and the group is joined or joining."""
        return self._connected

    def stalled_seconds(self) -> float:
        """Return for how long the worst of this worker's partitions has had records and stored no batch."""
        return self._pipelines.stalled_seconds() if self._pipelines else 0.0

    def _set_connected(self, connected: bool) -> None:
        self._connected = connected
        metrics.CONNECTED.labels(self.handler.service).set(connected)

    async def on_start(self) -> None:
        """Open the pool; connections themselves are made when needed, and made again when lost."""
        # The Faust worker has just set the log handler's level to its own default, which hides what we say.
        for handler in logging.getLogger().handlers:
            handler.setLevel(self.settings.log_level.upper())
        s = self.settings
        url, size = s.database_url.get_secret_value(), s.database_connections + 1
        self._pool = await open_pool(url, s.database_schema, size=size, transaction_seconds=s.transaction_seconds)
        collect_rarely()
        bound_decompression(s.unpacked_bytes)

    async def on_stop(self) -> None:
        """Finish the batches in hand, nothing more: the session ends its pipelines before its consumer."""
        self._halt.set()
        self._session_over.set()
        # Where no batch can be in hand, whatever the session waits for is Kafka, and not worth waiting for.
        in_hand = self._pipelines is not None and self._pipelines.own_any()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(
                self._ended.wait(), self.settings.stop_seconds if in_hand else _NOTHING_IN_HAND_SECONDS
            )

    async def on_shutdown(self) -> None:
        """Close what is open."""
        await self._publisher.stop()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.to_thread(self._admin.close), _NOTHING_IN_HAND_SECONDS)
        if self._pool is not None:
            self._pool.terminate()

    @Service.task
    async def _sessions(self) -> None:
        """One session after another: a topic that was recreated needs a consumer without old records in its buffers."""
        try:
            while not self._halt.is_set():
                self._session_over.clear()
                async for attempt in attempts(self._halt, self._on_retry):
                    with attempt:
                        await self._session()
        except Exception as problem:  # noqa: BLE001 - whatever it is, the process must end, and loudly
            if not self._halt.is_set():
                if isinstance(problem, UsageError):
                    # Faust tells it once more, with a traceback in which nobody finds what to do.
                    _log.critical("refusing to start", reason=str(problem))
                await self.crash(problem)
        finally:
            self._ended.set()

    @Service.task
    async def _watch_topics(self) -> None:
        while not self._halt.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._halt.wait(), self.settings.topic_check_seconds)
            if self._halt.is_set() or not self._topics.ids:
                continue
            try:
                found = await self._topics.find_ids()
            except Exception as problem:  # noqa: BLE001 - the broker is away; the consumer itself retries
                self._set_connected(False)
                _log.warning("broker not reachable", cause=repr(problem))
                continue
            self._set_connected(True)
            unheard = unheard_problem(self._consumer)
            if unheard is not None:
                _log.error("the consumer is stuck; starting over with a fresh one", cause=repr(unheard))
                self._set_connected(False)
                self._session_over.set()
            if self._topics.differ(found):
                _log.error("a topic was recreated; starting over with a fresh consumer")
                self._session_over.set()

    @Service.task
    async def _watch_clock(self) -> None:
        if self.handler.sweeps and self.settings.clock is Clock.MANUAL:
            await hear_clock(self.settings, self._sweep_soon, self._halt)

    def _sweep_soon(self) -> None:
        if self._pipelines is not None:
            self._pipelines.sweep_soon()

    @Service.task
    async def _audit(self) -> None:
        """Check the invariants of the accounts that were written since the last time, at most a few hundred."""
        while not self._halt.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._halt.wait(), self.settings.audit_seconds)
            accounts = self.handler.touched()
            if self._halt.is_set() or not accounts:
                continue
            try:
                async with self.pool.acquire() as connection:
                    broken = await self.handler.audit(connection, accounts)
            except Exception as problem:  # noqa: BLE001 - the database is away; batches retry by themselves
                _log.warning("running audit not made", cause=repr(problem))
                continue
            metrics.LEDGER_MISMATCHES.labels(self.handler.service).set(len(broken))
            for check in broken:
                # The member's id stays out of the log: `loyalty audit` names it.
                _log.error("the ledger breaks an invariant; run `loyalty audit`", check=check)

    async def _session(self) -> None:
        """Consume until asked to stop, or until a topic changes under us."""
        await self._topics.begin()
        await self._check_ledger()
        consumer = self._consumer = consumer_of(
            self.settings, self.handler.service, self._group, answers=self.handler.answers
        )
        worker = Worker(
            settings=self.settings,
            handler=self.handler,
            source=self._source,
            pool=self.pool,
            turns=self._turns,
            publisher=self._publisher,
        )
        pipelines = self._pipelines = Pipelines(
            worker, consumer, self._topics, self._session_over, self._check_ledger, self._on_failed_pipeline
        )
        try:
            await consumer.start()
            self._set_connected(True)
            consumer.subscribe(list(self._topics.short), listener=pipelines)
            await self._session_over.wait()
        finally:
            self._topics.end()
            self._session_over.set()
            await pipelines.stop()
            with contextlib.suppress(Exception):
                async with asyncio.timeout(self.settings.stop_seconds):
                    await consumer.stop()

    async def _check_ledger(self) -> None:
        """See that the database is one on which this worker may go on.

        Raises:
            UsageError: It is older than this program, or than what this group has handled.
        """
        async with self.pool.acquire() as connection:
            await check_schema(connection)
            # In this order: meanwhile another worker may handle a batch, and it tells Kafka after the ledger.
            handled = await self._admin.committed(self._group, self._topics.short)
            await check_not_restored(
                connection,
                self.handler.service,
                handled,
                self._topics.ids_by_short_name(),
                accept=self.settings.accept_restored_ledger,
            )

    def _on_failed_pipeline(self, problem: BaseException) -> None:
        _log.critical("stopping: the next batch cannot be handled", cause=repr(problem), exc_info=problem)
        self.add_future(self.crash(problem))

    def _on_retry(self, problem: BaseException, number: int) -> None:
        self._set_connected(False)
        metrics.RETRIES.labels(self.handler.service, type(problem).__name__).inc()
        _log.warning("not consuming yet", cause=repr(problem), attempt=number)
