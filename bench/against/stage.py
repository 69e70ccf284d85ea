"""A tree whose workers run warm and stand still between their turns."""

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

#: After standing still a worker has timers to catch up with, and perhaps a fetch that timed out.
_BREATH_SECONDS = 0.5
#: Nobody misses halted workers, for the embedded broker expels no silent member of a group. But a fetch of theirs that
#: is under way fails after 40 seconds, and that must not happen in a turn of theirs.
_HALTED_SECONDS = 30
_POLL_SECONDS = 0.05


class Measured(NamedTuple):
    """What one turn gave.

    Attributes:
        events: How many.
        seconds: From the first of them to the last output.
        used: CPU in this time.
        latencies: Seconds to each answer, where that is what is measured.
    """

    events: int
    seconds: float
    used: Used
    latencies: Sequence[float] = ()


@dataclass(slots=True)
class Stage:
    """The workers of a site, what they publish, and what was sent to them so far."""

    site: Site
    outputs: Outputs
    _running: ExitStack
    workers: list[Worker] = field(default_factory=list)
    sent: list[Event] = field(default_factory=list)

    def start(self, *services: str) -> None:
        """Start workers, in the place of those that run."""
        self._running.close()
        self.workers = self._running.enter_context(self.site.workers(*services))

    async def send(self, events: Sequence[Event], rate: float | None = None) -> list[float]:
        """Publish events, all of them acknowledged; return when each one was sent, on the monotonic clock."""
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
        """Let the workers run, and stand still afterwards."""
        self.outputs.go_on()
        self._signal(signal.SIGCONT)
        await asyncio.sleep(_BREATH_SECONDS)
        yield
        self.rest()

    def rest(self) -> None:
        """Let the workers stand still in the middle of whatever they do; they use no CPU until their next turn."""
        self._signal(signal.SIGSTOP)
        self.outputs.pause()

    @contextmanager
    def halted(self) -> Iterator[None]:
        """Let the workers stand still while something is prepared for them."""
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
        """Wait until so many events came on a topic."""
        while self.outputs.count(topic) < count:
            self.check()
            await asyncio.sleep(_POLL_SECONDS)

    def check(self) -> None:
        """Raise where waiting is in vain: a worker has ended, or an event was refused."""
        self.outputs.check()
        check_alive(worker.process for worker in self.workers)


@asynccontextmanager
async def staged(site: Site, wait_ms: int) -> AsyncIterator[Stage]:
    """Listen to a site, and stop its workers at the end; see ``Outputs`` for ``wait_ms``."""
    async with Outputs(site.settings, wait_ms) as outputs:
        with ExitStack() as running:
            yield Stage(site, outputs, running)
