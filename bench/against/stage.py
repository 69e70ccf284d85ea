"""A tree with warm workers that are halted between their turns."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

from bench.against.meter import Used
from bench.against.outputs import Outputs
from bench.against.site import Site, Worker
from bench.load import Event
from bench.running import RunFailed, check_alive
from devstack.sender import Sender

#: After a halt a worker has timers to catch up with, and perhaps a fetch that timed out.
_BREATH_SECONDS = 0.5
#: Halted workers keep their partitions, because the embedded broker does not expel silent members of a group. But a
#: pending fetch of theirs fails after 40 seconds, and that must not happen during their turn.
_HALTED_SECONDS = 30
_POLL_SECONDS = 0.05


class Measured(NamedTuple):
    """The results of one turn.

    Attributes:
        events: The number of events.
        seconds: The time from the first event to the last output.
        used: The CPU used in this time.
        latencies: Seconds to each answer, in rows that measure this.
    """

    events: int
    seconds: float
    used: Used
    latencies: Sequence[float] = ()


@dataclass(slots=True)
class Stage:
    """The workers of a site, their outputs, and what was sent to them so far."""

    site: Site
    outputs: Outputs
    _running: ExitStack
    workers: list[Worker] = field(default_factory=list)
    sent: list[Event] = field(default_factory=list)

    def start(self, *services: str) -> None:
        """Start workers in place of those that are running."""
        self._running.close()
        self.workers = self._running.enter_context(self.site.workers(*services))

    async def send(self, events: Sequence[Event], rate: float | None = None) -> list[float]:
        """Publish events, wait until all are acknowledged; return when each was sent, on the monotonic clock."""
        times = []
        async with Sender(self.site.settings, rate) as sender:
            for event in events:
                times.append(time.monotonic())
                await sender.send(*event)
            await sender.flush()
        self.sent.extend(events)
        return times

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Let the workers run, and halt them afterwards."""
        self.outputs.go_on()
        self._signal(signal.SIGCONT)
        await asyncio.sleep(_BREATH_SECONDS)
        yield
        self.rest()

    def rest(self) -> None:
        """Halt the workers in the middle of whatever they do; they use no CPU until their next turn."""
        self._signal(signal.SIGSTOP)
        self.outputs.pause()

    @contextmanager
    def halted(self) -> Iterator[None]:
        """Halt the workers while something is prepared for them."""
        began = time.monotonic()
        self._signal(signal.SIGSTOP)
        yield
        if time.monotonic() - began > _HALTED_SECONDS:
            raise RunFailed(f"the backlog was not written within {_HALTED_SECONDS} seconds; take a smaller one")
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        for worker in self.workers:
            with contextlib.suppress(ProcessLookupError):
                worker.process.popen.send_signal(number)

    async def until_published(self, topic: str, count: int) -> None:
        """Wait until a number of events has arrived on a topic."""
        while self.outputs.count(topic) < count:
            self.check()
            await asyncio.sleep(_POLL_SECONDS)

    def check(self) -> None:
        """Raise if waiting makes no sense: a worker has ended, or an event was refused."""
        self.outputs.check()
        check_alive(worker.process for worker in self.workers)


@asynccontextmanager
async def staged(site: Site, wait_ms: int) -> AsyncIterator[Stage]:
    """Consume a site's outputs, and stop its workers at the end; see ``Outputs`` for ``wait_ms``."""
    async with Outputs(site.settings, wait_ms) as outputs:
        with ExitStack() as running:
            yield Stage(site, outputs, running)
