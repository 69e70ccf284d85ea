"""Starts a server as a child of this process and stops it by its process id: for tests and benchmarks.

The stack that users start is supervised instead: see ``devstack.supervision``.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from pathlib import Path
from typing import Self

from devstack.embedded import postgres
from devstack.embedded.broker import broker_command
from devstack.embedded.process import Command, accepts, free_port, wait_for

_READY_SECONDS = 60.0


class Server:
    """A process that listens on a port of the loopback interface."""

    def __init__(self, name: str, command: Command, port: int, log: Path, stop_signal: int = signal.SIGTERM) -> None:
        """Describe the server; ``start`` starts it."""
        self.name = name
        self.port = port
        self._command = command
        self._log = log
        self._stop_signal = stop_signal
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The id of the running process."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> Self:
        """Start the server and wait until it accepts connections."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603
                self._command.argv,
                env={**os.environ, **self._command.environment},
                user=self._command.user,
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd="/",
            )
        wait_for(self.name, self._is_ready, _READY_SECONDS, self._log)
        return self

    def stop(self) -> None:
        """Stop it cleanly."""
        self._end(self._stop_signal)

    def kill(self) -> None:
        """Kill it without any warning."""
        self._end(signal.SIGKILL)

    def _end(self, how: int) -> None:
        if self._process is None:
            return
        self._process.send_signal(how)
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def _is_ready(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise RuntimeError(f"{self.name} ended with status {self._process.returncode}; see {self._log}")
        return accepts(self.port)


def broker_server(kind: str, folder: Path, port: int | None = None) -> Server:
    """Return a broker of a kind ("tansu" or "kafka") with its files in ``folder``, not started yet."""
    port = port or free_port()
    folder.mkdir(parents=True, exist_ok=True)
    return Server(kind, broker_command(kind, port, folder / kind), port, folder / f"{kind}.log")


def postgres_server(home: Path, port: int | None = None) -> Server:
    """Return a PostgreSQL with its data in ``home``, not started yet."""
    port = port or free_port()
    home.mkdir(parents=True, exist_ok=True)
    postgres.prepare(home)
    # SIGINT is the fast shutdown: running transactions are rolled back.
    return Server("PostgreSQL", postgres.command(home, port), port, home / "postgres.log", signal.SIGINT)


def start_postgres(home: Path) -> tuple[Server, str]:
    """Start a PostgreSQL with our database in it; return the server and the URL."""
    server = postgres_server(home).start()
    wait_for("PostgreSQL", lambda: postgres.answers(home, server.port), _READY_SECONDS, home / "postgres.log")
    asyncio.run(postgres.create_database(home, server.port))
    return server, postgres.url(home, server.port)
