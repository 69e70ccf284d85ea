"""A real Postgres and a real broker for the whole run; a schema and a topic prefix of its own for each test."""

from __future__ import annotations

import itertools
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from cli.embedded import kafka, postgres
from cli.embedded.servers import Server, broker_server, start_postgres
from shared.logs import configure
from shared.memory import collect_rarely
from tests.support import traffic as flow
from tests.support.deployment import Deployment, Servers
from tests.support.examples import QUICK

#: "tansu" (only Python needed) or "kafka" (Apache Kafka, by `make test-kafka`). The tests are the same.
BROKER = os.environ.get("LOYALTY_TEST_BROKER", "tansu")
configure("error")
collect_rarely()
settings.load_profile(QUICK)  # unless the command line names one: that is loaded later
_numbers = itertools.count(1)


def pytest_report_header() -> str:
    return f"broker: {BROKER}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest test: one that begins last is waited for by an idle worker."""
    items.sort(key=lambda item: item.get_closest_marker("year") is None)


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    if BROKER == "kafka" and (problem := kafka.why_not()):
        pytest.exit(problem, returncode=2)
    home: Path = tmp_path_factory.mktemp("servers")
    database, url = start_postgres(home)
    broker: Server = broker_server(BROKER, home).start()
    yield Servers(home, database, url, broker, BROKER)
    broker.stop()
    database.stop()
    postgres.remove(home)


@pytest.fixture
async def deployment(servers: Servers) -> AsyncIterator[Deployment]:
    made = Deployment(servers, f"t{os.getpid()}x{next(_numbers)}")
    await made.create()
    yield made
    await made.close()


@pytest.fixture
async def whole(servers: Servers, request: pytest.FixtureRequest) -> AsyncIterator[Deployment]:
    made = Deployment(servers, f"w{abs(hash(request.node.name)) % 10**9}")
    await made.create(flow.PROGRAM, flow.TEMPLATES)
    yield made
    await made.close()
