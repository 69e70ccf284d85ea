"""A real Postgres and a real broker for the whole run; each test has its own schema and topic prefix."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from hypothesis import settings

from devstack.embedded import kafka, postgres
from devstack.embedded.servers import Server, broker_server, start_postgres
from shared.logs import configure
from shared.memory import collect_rarely
from tests.support import traffic
from tests.support.deployment import Deployment, Servers, deployed
from tests.support.examples import QUICK
from tests.support.scheduling import Scheduling

#: "tansu" (only Python needed) or "kafka" (Apache Kafka, by `make test-kafka`). The tests are the same.
BROKER = os.environ.get("LOYALTY_TEST_BROKER", "tansu")
configure("error")
collect_rarely()
settings.load_profile(QUICK)  # unless the command line names one: that is loaded later


def pytest_report_header() -> str:
    return f"broker: {BROKER}"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    return Scheduling(config, log)


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    if BROKER == "kafka" and (problem := kafka.why_not()):
        pytest.exit(problem, returncode=2)
    home: Path = tmp_path_factory.mktemp("servers")
    database, url = start_postgres(home)
    try:
        # Tests kill processes, not machines: what a process has handed over to the kernel is not lost.
        asyncio.run(_without_fsync(url))
        broker: Server = broker_server(BROKER, home).start()
        try:
            yield Servers(home, database, url, broker, BROKER)
        finally:
            broker.stop()
    finally:
        database.stop()
        postgres.remove(home)


async def _without_fsync(url: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute("alter system set fsync = off")
    await connection.execute("select pg_reload_conf()")
    await connection.close()


@pytest.fixture
async def deployment(servers: Servers) -> AsyncIterator[Deployment]:
    """A deployment with the program of ``tests/data/purchases.yaml``."""
    async with deployed(servers) as made:
        yield made


@pytest.fixture
async def whole(servers: Servers) -> AsyncIterator[Deployment]:
    """A deployment with a program that has everything in it, for all four services."""
    async with deployed(servers, traffic.PROGRAM, traffic.TEMPLATES) as made:
        yield made


@pytest.fixture
async def own_broker(servers: Servers, tmp_path: Path) -> AsyncIterator[Deployment]:
    """A deployment on a broker of its own, which the test may kill."""
    broker = broker_server(servers.kind, tmp_path).start()
    try:
        async with deployed(Servers(servers.home, servers.postgres, servers.url, broker, servers.kind)) as made:
            yield made
    finally:
        broker.kill()
