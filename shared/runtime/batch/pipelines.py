"""The pipelines of one session: one for each partition that the worker's consumer was given."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from aiokafka import ConsumerRebalanceListener

from shared.errors import Transient
from shared.logs import logger
from shared.runtime.batch.leases import Takeover, lease_partition
from shared.runtime.batch.pipeline import Pipeline
from shared.runtime.kafka.topics import InputTopics
from shared.runtime.tables.watermark import Lease
from shared.runtime.worker import Worker

_log = logger(__name__)


class Pipelines(ConsumerRebalanceListener):
    """Starts and stops pipelines as Kafka gives partitions and takes them away."""

    def __init__(
        self,
        worker: Worker,
        consumer: Any,
        topics: InputTopics,
        over: asyncio.Event,
        check: Callable[[], Awaitable[None]],
        failed: Callable[[BaseException], None],
    ) -> None:
        """Begin without any.

        Args:
            worker: Whose pipelines.
            consumer: The aiokafka consumer of the session.
            topics: What it reads.
            over: The end of the session: nothing is started after it.
            check: Sees that the ledger is not older than what Kafka was told.
            failed: Called with what ended a pipeline.
        """
        self._worker = worker
        self._consumer = consumer
        self._topics = topics
        self._over = over
        self._check = check
        self._failed = failed
        self._running: dict[Any, tuple[Pipeline, asyncio.Task[None]]] = {}

    def stalled_seconds(self) -> float:
        """Return for how long the worst of them has had records and stored no batch."""
        return max((pipeline.stalled_seconds() for pipeline, _task in self._running.values()), default=0.0)

    def own_any(self) -> bool:
        """Tell whether any of them has taken its partition over."""
        return any(pipeline.owns_partition for pipeline, _task in self._running.values())

    def sweep_soon(self) -> None:
        """Look at once for what is due."""
        for pipeline, _task in self._running.values():
            pipeline.sweep_soon()

    async def on_partitions_assigned(self, assigned: Iterable[Any]) -> None:
        """Begin with what was given; not where the session ended while the worker joined the group."""
        if self._over.is_set():
            return
        check, accept = _once(self._check), self._worker.settings.accept_restored_ledger
        for tp in assigned:
            name = self._topics.short[tp.topic]
            pipeline = Pipeline(
                worker=self._worker,
                consumer=self._consumer,
                partition=tp,
                topic=name,
                takeover=Takeover(check, functools.partial(self._lease, tp, name), accept=accept),
                shards=functools.partial(self._shards, tp),
            )
            task = asyncio.create_task(pipeline.run(), name=f"pipeline {name}[{tp.partition}]")
            task.add_done_callback(self._on_done)
            self._running[tp] = pipeline, task
        _log.info("partitions assigned", partitions=sorted(tp.partition for tp in assigned))

    async def on_partitions_revoked(self, revoked: Iterable[Any]) -> None:
        """Finish what is in hand before others take over."""
        await self._stop([tp for tp in revoked if tp in self._running])
        _log.info("partitions handed over", partitions=sorted(tp.partition for tp in revoked))

    async def stop(self) -> None:
        """Finish all batches in hand, nothing more."""
        await self._stop(list(self._running))

    async def _stop(self, partitions: list[Any]) -> None:
        leaving = {tp: self._running[tp] for tp in partitions if tp in self._running}
        for pipeline, _task in leaving.values():
            pipeline.stop()
        # Known until they have ended: the end of the session waits for those that a rebalance is stopping, too.
        await asyncio.gather(*(task for _pipeline, task in leaving.values()), return_exceptions=True)
        for tp, left in leaving.items():
            if self._running.get(tp) is left:
                del self._running[tp]

    def _shards(self, tp: Any) -> int:
        return self._topics.shards(tp) if self._worker.handler.sweeps else 0

    async def _lease(self, tp: Any, name: str, shorter: bool) -> Lease:
        topic_ids = await self._topics.find_ids()
        if tp.topic not in topic_ids:
            raise Transient(f"topic {tp.topic} is gone")
        return await lease_partition(
            self._worker.pool, self._consumer, self._worker.handler.service, tp, name, topic_ids[tp.topic], shorter
        )

    def _on_done(self, task: asyncio.Task[None]) -> None:
        problem = None if task.cancelled() else task.exception()
        if problem is not None:
            self._failed(problem)


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
