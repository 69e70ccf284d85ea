"""Measures a backlog: from the moment at which it is complete to the last of its outputs."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

from bench.against import worker_metrics
from bench.against.meter import Meter
from bench.against.stage import Measured, Stage
from bench.load import Event

#: Metrics cost a worker CPU, so they are read only while no output comes.
_QUIET_SECONDS = 0.2
_POLL_SECONDS = 0.05
#: Drained means drained at two readings this far apart, so that messages being published arrive in between.
_TWICE_SECONDS = 0.4


async def drain(stage: Stage, events: Sequence[Event], done: Callable[[], Awaitable[None]]) -> Measured:
    """Write a backlog while warm workers are halted, resume them, and wait until it is processed.

    So neither the start of workers nor the load generator is in the figures, and the work is the same each time.

    Args:
        stage: The side whose turn it is.
        events: The backlog.
        done: Waits until no work is left.
    """
    async with stage.turn():
        with stage.halted():
            await stage.send(events)
            meter = Meter.read(stage.site, stage.workers)
            began = time.monotonic()
        used = _LastUsed(stage, meter)
        watching = asyncio.create_task(used.watch())
        try:
            while True:
                await done()
                last_at = stage.outputs.last_at
                await asyncio.sleep(_TWICE_SECONDS)
                if stage.outputs.last_at == last_at:
                    return Measured(len(events), last_at - began, used.found)
        finally:
            watching.cancel()


class _LastUsed:
    """What was used up to the last output: what a worker does afterwards, while it waits, is not the events' cost.

    Attributes:
        found: The reading right after the last output so far.
    """

    def __init__(self, stage: Stage, meter: Meter) -> None:
        self._stage, self._meter = stage, meter
        self.found = meter.used()

    async def watch(self) -> None:
        """Read after each output, until this is cancelled."""
        seen = 0.0
        while True:
            if self._stage.outputs.last_at != seen:
                seen, self.found = self._stage.outputs.last_at, self._meter.used()
            await asyncio.sleep(_POLL_SECONDS)


async def until_drained(stage: Stage) -> None:
    """Wait until every worker has handled each record of its topics."""
    inputs = Counter(topic for _member, _value, _headers, topic in stage.sent)
    while stage.outputs.quiet_seconds < _QUIET_SECONDS or not await _is_drained(
        stage, {**inputs, **stage.outputs.counts()}
    ):
        stage.check()
        await asyncio.sleep(_POLL_SECONDS)


async def until_settled(stage: Stage) -> None:
    """Wait until everything is drained, twice: a starting worker has only some of its topics at first."""
    for _look in range(2):
        await until_drained(stage)
        await asyncio.sleep(_TWICE_SECONDS)


async def _is_drained(stage: Stage, records: dict[str, int]) -> bool:
    try:
        found = [await asyncio.to_thread(worker_metrics.fetch, worker.web_port) for worker in stage.workers]
    except OSError:
        return False  # a worker that has just started
    return all(progress.is_done(records) for progress in found)
