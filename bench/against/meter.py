"""Measures the CPU of workers, Postgres and all other processes on the machine."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import psutil

from bench.against.site import Site, Worker
from bench.cpu import family_seconds, seconds


class Used(NamedTuple):
    """CPU seconds.

    Attributes:
        workers: Those of each service's worker.
        postgres: Those of all its processes.
        others: The share of the machine's CPU that went to processes outside the run.
    """

    workers: dict[str, float]
    postgres: float
    others: float


@dataclass(frozen=True, slots=True)
class Meter:
    """The CPU time that everything had used at one reading."""

    site: Site
    running: Sequence[Worker]
    at: float
    workers: dict[str, float]
    postgres: float
    own: float
    machine: float

    @classmethod
    def read(cls, site: Site, running: Sequence[Worker]) -> Meter:
        """Take a reading."""
        workers = {worker.service: seconds(psutil.Process(worker.process.pid)) for worker in running}
        postgres = family_seconds(psutil.Process(site.servers.postgres.pid))
        own = seconds(psutil.Process()) + seconds(psutil.Process(site.servers.broker.pid))
        return cls(site, running, time.monotonic(), workers, postgres, own + sum(workers.values()) + postgres, _busy())

    def used(self) -> Used:
        """Return what was used since this reading."""
        now = Meter.read(self.site, self.running)
        workers = {service: value - self.workers[service] for service, value in now.workers.items()}
        capacity = (now.at - self.at) * (psutil.cpu_count() or 1)
        others = (now.machine - self.machine) - (now.own - self.own)
        return Used(workers, now.postgres - self.postgres, max(0.0, others / capacity))


def _busy() -> float:
    """Return the busy seconds of the machine's processors, time stolen for other machines included."""
    times = psutil.cpu_times()
    return sum(getattr(times, name, 0.0) for name in ("user", "nice", "system", "irq", "softirq", "steal"))
