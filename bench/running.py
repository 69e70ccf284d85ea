"""Worker processes as users start them, and what they and Postgres use."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench.cpu import family_seconds, seconds
from devstack.embedded.process import free_port
from devstack.embedded.servers import Server
from shared.settings import Settings

#: How much of the log of a worker that ended is shown.
_SHOWN_BYTES = 4_000
_STOP_SECONDS = 20


@dataclass(frozen=True, slots=True)
class Process:
    """A worker process and its log."""

    popen: subprocess.Popen[bytes]
    log: Path

    @property
    def pid(self) -> int:
        """The id of the process."""
        return self.popen.pid


@contextmanager
def workers(settings: Settings, apps: Sequence[str]) -> Iterator[list[Process]]:
    """Start one worker of each app, and stop them by their process ids, whatever happens."""
    with stopped_at_the_end() as processes:
        for app in apps:
            processes.append(_start(settings, app))
        yield processes


def _start(settings: Settings, app: str) -> Process:
    values = {f"LOYALTY_{name.upper()}": str(value) for name, value in settings.model_dump().items() if value != ""}
    values["LOYALTY_DATABASE_URL"] = settings.database_url.get_secret_value()
    values["LOYALTY_WEB_PORT"] = str(free_port())
    log = Path(f"{settings.data_dir}.{app}.log")
    return start([sys.executable, "-m", "faust", "-A", app, "worker"], {**os.environ, **values}, log)


def start(command: Sequence[str], environment: Mapping[str, str], log: Path, folder: Path | None = None) -> Process:
    """Start a worker in a folder; its standard error goes to a file."""
    with log.open("ab") as said:
        popen = subprocess.Popen(  # noqa: S603
            command, env=environment, cwd=folder, stdout=subprocess.DEVNULL, stderr=said
        )
    return Process(popen, log)


@contextmanager
def stopped_at_the_end() -> Iterator[list[Process]]:
    """Stop the processes in the list at the end, by their ids, whatever happens."""
    processes: list[Process] = []
    try:
        yield processes
    finally:
        _stop(processes)


def _stop(processes: Sequence[Process]) -> None:
    try:
        for process in processes:
            process.popen.send_signal(signal.SIGCONT)  # a halted process does not receive the signal to end
            process.popen.terminate()
        for process in processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.popen.wait(_STOP_SECONDS)
    finally:
        for process in processes:
            process.popen.kill()
            process.popen.wait()


class RunFailed(RuntimeError):
    """A run went wrong: its measurements do not count."""


def check_alive(processes: Iterable[Process]) -> None:
    """Raise if a worker has ended: otherwise waiting for it would never end."""
    for process in processes:
        if process.popen.poll() is not None:
            said = process.log.read_bytes()[-_SHOWN_BYTES:].decode(errors="replace")
            raise RunFailed(f"a worker ended with status {process.popen.returncode}: {said}")


@dataclass(frozen=True, slots=True)
class Used:
    """CPU seconds of the workers and of Postgres, and the largest memory of any worker in MB."""

    workers: list[float]
    postgres: float
    peak_mb: float


class Usage(threading.Thread):
    """Samples CPU and memory of the workers and of Postgres with all its backends."""

    def __init__(self, processes: Iterable[Process], postgres: Server, *, with_start: bool) -> None:
        """Measure some workers.

        Args:
            processes: The workers.
            postgres: The server that they use.
            with_start: Count a worker's CPU from its start; else from its first connection to Postgres, when its first
                batch begins.
        """
        super().__init__(daemon=True)
        self._workers = [psutil.Process(process.pid) for process in processes]
        self._postgres = psutil.Process(postgres.pid)
        self._port = postgres.port
        self._at_first = {worker.pid: 0.0 for worker in self._workers} if with_start else {}
        self._over = threading.Event()
        #: Set once every worker has connected to Postgres.
        self.connected = threading.Event()
        self._peak = 0
        self._before = 0.0

    def run(self) -> None:
        """Sample until stopped."""
        self._before = family_seconds(self._postgres)
        # Often at first, to catch the moment of the first connection.
        while not self._over.wait(0.2 if self.connected.is_set() else 0.02):
            with contextlib.suppress(psutil.Error):  # whoever waits for a process notices that it ended
                self._look_at_workers()

    def _look_at_workers(self) -> None:
        for worker in self._workers:
            self._peak = max(self._peak, worker.memory_info().rss)
            if worker.pid not in self._at_first and self._is_connected(worker):
                self._at_first[worker.pid] = seconds(worker)
        if len(self._at_first) == len(self._workers):
            self.connected.set()

    def stop(self) -> Used:
        """Stop, and return what was used."""
        self._over.set()
        self.join()
        used = [seconds(worker) - self._at_first.get(worker.pid, 0.0) for worker in self._workers]
        return Used(used, family_seconds(self._postgres) - self._before, self._peak / 1e6)

    def _is_connected(self, worker: psutil.Process) -> bool:
        return any(found.raddr and found.raddr.port == self._port for found in worker.net_connections("tcp"))
