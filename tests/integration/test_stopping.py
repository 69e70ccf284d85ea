"""A worker that is told to stop ends within the time that supervisors give it, wherever Kafka is."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from devstack.embedded.process import free_port
from tests.support.deployment import Deployment

#: Supervisors kill after 20 seconds, compose after 30.
MOST_SECONDS = 15.0


@asynccontextmanager
async def black_hole() -> AsyncIterator[int]:
    """Listen on a port, take what comes and never answer: a broker that is frozen."""
    held: list[asyncio.StreamWriter] = []

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        held.append(writer)
        with contextlib.suppress(ConnectionError):
            while await reader.read(65_536):
                pass

    server = await asyncio.start_server(take, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        for writer in held:
            writer.close()
        server.close()


@asynccontextmanager
async def started(deployment: Deployment, port: int, folder: Path) -> AsyncIterator[Process]:
    """Run a worker as a process of its own, and leave nothing of it behind."""
    variables = {
        f"LOYALTY_{name.upper()}": value
        for name, value in {
            "database_url": deployment.settings.database_url.get_secret_value(),
            "database_schema": deployment.settings.database_schema,
            "kafka_brokers": f"127.0.0.1:{port}",
            "kafka_idempotence": str(deployment.settings.kafka_idempotence),
            "topic_prefix": deployment.settings.topic_prefix,
            "web_port": str(free_port()),
            "data_dir": str(folder),
        }.items()
    }
    worker = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "faust", "-A", "services.earn.app", "worker",
        env={**os.environ, **variables}, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        yield worker
    finally:
        if worker.returncode is None:
            worker.kill()
        await worker.communicate()


async def seconds_to_end(worker: Process) -> float:
    """Tell a worker to stop, and return how long that takes."""
    assert worker.returncode is None, "it runs"
    asked = time.monotonic()
    worker.send_signal(signal.SIGTERM)
    async with asyncio.timeout(60):
        await worker.communicate()
    return time.monotonic() - asked


@pytest.mark.parametrize("after", [3.0, 6.0])
async def test_a_worker_ends_although_nobody_listens(deployment: Deployment, tmp_path: Path, after: float) -> None:
    async with started(deployment, free_port(), tmp_path) as worker:
        await asyncio.sleep(after)
        assert await seconds_to_end(worker) < MOST_SECONDS


async def test_a_worker_ends_although_kafka_never_answers(deployment: Deployment, tmp_path: Path) -> None:
    async with black_hole() as port, started(deployment, port, tmp_path) as worker:
        await asyncio.sleep(5.0)
        assert await seconds_to_end(worker) < MOST_SECONDS


async def test_a_worker_ends_although_kafka_freezes_while_it_starts(deployment: Deployment, tmp_path: Path) -> None:
    """Faust's own consumer, which hears hints only, starts after the batches, and waits a minute for such a broker."""
    broker = deployment.servers.broker
    async with started(deployment, broker.port, tmp_path) as worker:
        assert worker.stderr is not None
        async with asyncio.timeout(30):
            while b"partitions assigned" not in await worker.stderr.readline():
                pass
        os.kill(broker.pid, signal.SIGSTOP)
        try:
            await asyncio.sleep(1.0)
            took = await seconds_to_end(worker)
        finally:
            os.kill(broker.pid, signal.SIGCONT)
    assert took < MOST_SECONDS
