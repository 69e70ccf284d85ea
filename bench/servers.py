"""A broker and a Postgres for one benchmark, in a temporary folder; both are stopped and removed with it."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from bench.interrupts import undisturbed
from devstack.embedded import postgres
from devstack.embedded.process import wait_for
from devstack.embedded.servers import Server, broker_server, postgres_server

_READY_SECONDS = 60


class Running(NamedTuple):
    """Running servers, and a folder for the files of a benchmark."""

    broker: Server
    postgres: Server
    url: str
    folder: Path


@contextmanager
def running_servers() -> Iterator[Running]:
    """Start the servers; stop them and remove their data whatever happens, even while they start.

    Not for use in an event loop.
    """
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="loyalty-bench-"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        stack.callback(postgres.remove, folder)
        try:
            with undisturbed():
                database = postgres_server(folder)
            stack.callback(database.stop)
            broker = broker_server("tansu", folder)
            stack.callback(broker.stop)
            database.start()
            broker.start()
            wait_for("PostgreSQL", lambda: postgres.answers(folder, database.port), _READY_SECONDS)
            asyncio.run(postgres.create_database(folder, database.port))
            yield Running(broker, database, postgres.url(folder, database.port), folder)
        finally:
            with undisturbed():
                stack.close()
