"""The batch consumer: a supervised service inside the Faust app, with one pipeline for each partition it owns.

Why not a Faust agent: see design §4 step 1. Offsets, fencing and back-pressure are ours; Faust gives the worker,
the lifecycle, timers, web pages and the control topic.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from aiokafka import ConsumerRebalanceListener
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from mode import Service

from shared.database.migrate import check_schema
from shared.database.pool import Pool, open_pool
from shared.errors import Transient, UsageError
from shared.logs import logger
from shared.memory import collect_rarely
from shared.runtime import metrics
from shared.runtime.brokers import Admin
from shared.runtime.clock import hear_clock
from shared.runtime.decompression import bound_decompression
from shared.runtime.handler import Handler
from shared.runtime.journal import Claim
from shared.runtime.leases import check_not_restored, claim_partition
from shared.runtime.pipeline import Pipeline
from shared.runtime.polls import PatientConsumer
from shared.runtime.publisher import Publisher
from shared.runtime.retries import attempts
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
        self.pool: Pool = None
        self._connected = False
        self._topics = {settings.topic(name): name for name in topics}
        self._source = source
        # Not the Faust app's own group, whose members speak another assignment protocol.
        self._group = f"{settings.topic_prefix}.{handler.service}.batches"
        self._publisher = Publisher(settings)
        self._admin = Admin(settings.kafka_brokers)
        self._turns = asyncio.Semaphore(settings.database_connections)
        self._halt = asyncio.Event()
        self._session_over = asyncio.Event()
        self._ended = asyncio.Event()
        self._topic_ids: dict[str, str] = {}
        self._partitions: dict[str, int] = {}
        self._pipelines: dict[Any, tuple[Pipeline, asyncio.Task[None]]] = {}
        self._consumer: Any = None

    @property
    def connected(self) -> bool:
        """Whether the broker answers and the group is joined or joining."""
        return self._connected

    def stalled_seconds(self) -> float:
        """Return for how long the worst of this worker's partitions has had records and stored no batch."""
        return max((pipeline.stalled_seconds() for pipeline, _task in self._pipelines.values()), default=0.0)

    def _set_connected(self, connected: bool) -> None:
        self._connected = connected
        metrics.CONNECTED.labels(self.handler.service).set(connected)

    async def on_start(self) -> None:
        """Open the pool; connections themselves are made when needed, and made again when lost."""
        # The Faust worker has just set the log handler's level to its own default, which hides what we say.
        for handler in logging.getLogger().handlers:
            handler.setLevel(self.settings.log_level.upper())
        s = self.settings
        self.pool = await open_pool(
            s.database_url.get_secret_value(), s.database_schema,
            size=s.database_connections + 1, transaction_seconds=s.transaction_seconds,
        )  # fmt: skip
        collect_rarely()
        bound_decompression(s.unpacked_bytes)

    async def on_stop(self) -> None:
        """Finish the batches in hand, nothing more: the session ends its pipelines before its consumer."""
        self._halt.set()
        self._session_over.set()
        # Where no batch can be in hand, whatever the session waits for is Kafka, and not worth waiting for.
        in_hand = any(pipeline.owns_partition for pipeline, _task in self._pipelines.values())
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(
                self._ended.wait(), self.settings.stop_seconds if in_hand else _NOTHING_IN_HAND_SECONDS
            )

    async def on_shutdown(self) -> None:
        """Close what is open."""
        await self._publisher.stop()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.to_thread(self._admin.close), _NOTHING_IN_HAND_SECONDS)
        if self.pool is not None:
            self.pool.terminate()

    @Service.task
    async def _sessions(self) -> None:
        """One session after another: a topic that was made anew needs a consumer without old records in its buffers."""
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
            if self._halt.is_set() or not self._topic_ids:
                continue
            try:
                found = await self._find_topic_ids()
            except Exception as problem:  # noqa: BLE001 - the broker is away; the consumer itself retries
                self._set_connected(False)
                _log.warning("broker not reachable", cause=repr(problem))
                continue
            self._set_connected(True)
            unheard = self._unheard_problem()
            if unheard is not None:
                _log.error("the consumer is stuck; starting over with a fresh one", cause=repr(unheard))
                self._set_connected(False)
                self._session_over.set()
            if any(found.get(topic, known) != known for topic, known in self._topic_ids.items()):
                _log.error("a topic was made anew; starting over with a fresh consumer")
                self._session_over.set()

    @Service.task
    async def _watch_clock(self) -> None:
        if self.handler.sweeps and self.settings.clock is Clock.MANUAL:
            await hear_clock(self.settings, self._sweep_soon, self._halt)

    def _sweep_soon(self) -> None:
        for pipeline, _task in self._pipelines.values():
            pipeline.sweep_soon()

    def _unheard_problem(self) -> BaseException | None:
        """Return what ended a task of aiokafka's, or waits to be told to whoever asks for records.

        While no partition is assigned nobody asks, and an error of the group would keep the worker out of it for ever.
        """
        fetcher = getattr(self._consumer, "_fetcher", None)
        if fetcher is not None and fetcher.error_future.done():
            return fetcher.error_future.exception() or RuntimeError("the consumer has stopped fetching")
        coordinator = getattr(self._consumer, "_coordinator", None)
        try:
            if coordinator is not None:
                coordinator.check_errors()
        except Exception as problem:  # noqa: BLE001 - whatever it is, a fresh consumer joins anew
            return problem
        return None

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
        self._topic_ids = await self._find_topic_ids()
        missing = sorted(set(self._topics) - set(self._topic_ids))
        if missing:
            raise OSError(f"missing topics: {', '.join(missing)}; make them with `loyalty topics create`")
        await self._check_ledger()
        consumer = self._consumer = self._new_consumer()
        try:
            await consumer.start()
            self._set_connected(True)
            consumer.subscribe(list(self._topics), listener=_Listener(self))
            await self._session_over.wait()
        finally:
            self._topic_ids = {}
            self._session_over.set()
            await self._stop_pipelines(list(self._pipelines))
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
            handled = await self._admin.committed(self._group, self._topics)
            await check_not_restored(
                connection, self.handler.service, handled, {self._topics[n]: i for n, i in self._topic_ids.items()},
                accept=self.settings.accept_restored_ledger,
            )  # fmt: skip

    async def _find_topic_ids(self) -> dict[str, str]:
        found = await self._admin.topics(list(self._topics))
        self._partitions = {name: topic.partitions for name, topic in found.items()}
        return {name: topic.id for name, topic in found.items()}

    def _new_consumer(self) -> Any:
        s = self.settings
        return PatientConsumer(
            # The one broker without idempotent producers is the embedded one.
            broker_holds_back=s.kafka_idempotence,
            answers=self.handler.answers,
            bootstrap_servers=s.kafka_brokers,
            client_id=f"loyalty-{self.handler.service}",
            group_id=self._group,
            # What a transaction wrote exists when the transaction is committed, and not before.
            isolation_level="read_committed",
            partition_assignment_strategy=(StickyPartitionAssignor,),
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_partition_fetch_bytes=s.batch_bytes,
            session_timeout_ms=int(s.session_seconds * 1000),
            # Rebalances are heard of by heartbeats; more than one a second would only keep idle brokers busy.
            heartbeat_interval_ms=int(min(3.0, s.session_seconds / 3, max(1.0, s.session_seconds / 10)) * 1000),
            rebalance_timeout_ms=int(s.rebalance_seconds * 1000),
            # A pipeline that waits for Postgres polls nothing; that is patience, not death.
            max_poll_interval_ms=2**31 - 1,
        )

    def start_pipelines(self, partitions: Any) -> None:
        """Begin with partitions that this worker was given; not where the session ended while it joined the group."""
        if self._session_over.is_set():
            return
        check = _once(self._check_ledger)
        for tp in partitions:
            name = self._topics[tp.topic]
            pipeline = Pipeline(
                settings=self.settings,
                handler=self.handler,
                source=self._source,
                pool=self.pool,
                turns=self._turns,
                publisher=self._publisher,
                consumer=self._consumer,
                partition=tp,
                topic=name,
                check=check,
                claim=functools.partial(self._claim, tp, name),
                shards=functools.partial(self._shards, tp),
            )
            task = asyncio.create_task(pipeline.run(), name=f"pipeline {name}[{tp.partition}]")
            task.add_done_callback(self._on_pipeline_done)
            self._pipelines[tp] = pipeline, task
        _log.info("partitions assigned", partitions=sorted(tp.partition for tp in partitions))

    def _shards(self, tp: Any) -> int:
        """Sweeps are shared out by the partitions of the service's first topic."""
        if not self.handler.sweeps or tp.topic != next(iter(self._topics)):
            return 0
        # While a topic is being made anew there is none: then nothing is swept.
        return self._partitions.get(tp.topic, 0)

    async def _claim(self, tp: Any, name: str, shorter: bool) -> Claim:
        topic_ids = await self._find_topic_ids()
        if tp.topic not in topic_ids:
            raise Transient(f"topic {tp.topic} is gone")
        return await claim_partition(
            self.pool, self._consumer, self.handler.service, tp, name, topic_ids[tp.topic], shorter
        )

    async def stop_pipelines(self, partitions: Any) -> None:
        """Hand partitions over: their batches are finished first."""
        await self._stop_pipelines([tp for tp in partitions if tp in self._pipelines])
        _log.info("partitions handed over", partitions=sorted(tp.partition for tp in partitions))

    async def _stop_pipelines(self, partitions: list[Any]) -> None:
        leaving = {tp: self._pipelines[tp] for tp in partitions if tp in self._pipelines}
        for pipeline, _task in leaving.values():
            pipeline.stop()
        # Known until they have ended: the end of the session waits for those that a rebalance is stopping, too.
        await asyncio.gather(*(task for _pipeline, task in leaving.values()), return_exceptions=True)
        for tp, left in leaving.items():
            if self._pipelines.get(tp) is left:
                del self._pipelines[tp]

    def _on_pipeline_done(self, task: asyncio.Task[None]) -> None:
        problem = None if task.cancelled() else task.exception()
        if problem is not None:
            _log.critical("stopping: the next batch cannot be handled", cause=repr(problem), exc_info=problem)
            self.add_future(self.crash(problem))

    def _on_retry(self, problem: BaseException, number: int) -> None:
        self._set_connected(False)
        metrics.RETRIES.labels(self.handler.service, type(problem).__name__).inc()
        _log.warning("not consuming yet", cause=repr(problem), attempt=number)


def _once(check: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
    """Return a check that several may ask for; it is made until it succeeds, and then no more."""
    turn, made = asyncio.Lock(), False

    async def ask() -> None:
        nonlocal made
        async with turn:
            if not made:
                await check()
                made = True

    return ask


class _Listener(ConsumerRebalanceListener):
    """Passes a rebalance on to the consumer's pipelines."""

    def __init__(self, consumer: BatchConsumer) -> None:
        self._consumer = consumer

    async def on_partitions_revoked(self, revoked: Any) -> None:
        """Finish what is in hand before others take over."""
        await self._consumer.stop_pipelines(revoked)

    async def on_partitions_assigned(self, assigned: Any) -> None:
        """Begin with what was given."""
        self._consumer.start_pipelines(assigned)
