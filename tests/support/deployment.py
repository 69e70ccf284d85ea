"""One deployment for one test: its topics, its schema, its workers, and their results."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
from typer.testing import Result

from devstack.embedded.process import free_port
from devstack.embedded.servers import Server
from services.earn.handler import EarnHandler
from services.notify.handler import NotifyHandler
from services.redeem.handler import RedeemHandler
from services.tiers.handler import TiersHandler
from shared.admin import clock
from shared.contracts import points
from shared.contracts.catalogue import SERVICES, topics_of
from shared.database.migrate import migrate
from shared.database.pool import connect
from shared.program import store
from shared.queries import balances as read
from shared.runtime.consumer import BatchConsumer
from shared.settings import Settings
from tests.support import checks, commands
from tests.support.events import PARTITIONS, Sent
from tests.support.idle import Idle
from tests.support.kafka import Kafka

PROGRAM = (Path(__file__).parents[1] / "data" / "purchases.yaml").read_text()
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Servers:
    """What runs for all tests: a Postgres and a broker ("tansu" or "kafka")."""

    home: Path
    postgres: Server
    url: str
    broker: Server
    kind: str


class Deployment:
    """Made by ``deployed``."""

    def __init__(self, servers: Servers, name: str, **changes: Any) -> None:
        self.servers = servers
        self.settings = Settings.model_validate({
            "kafka_brokers": f"127.0.0.1:{servers.broker.port}",
            "kafka_idempotence": servers.kind == "kafka",
            "topic_prefix": name,
            "topic_partitions": PARTITIONS,
            "database_url": servers.url,
            "database_schema": name,
            "session_seconds": 2,
            "rebalance_seconds": 1,
            "topic_check_seconds": 0.5,
            "batch_records": 50,
            "stop_seconds": 5,
            "web_port": free_port(),
            "data_dir": str(servers.home / name),
            "clock": "manual",
            "log_level": "info",
            **changes,
        })  # fmt: skip
        self.kafka = Kafka(self.settings)
        self.sent: list[Sent] = []
        self.services: set[str] = {"earn"}
        self._workers: list[subprocess.Popen[bytes]] = []
        self._connections: list[Any] = []
        self._left_behind: set[tuple[str, str]] = set()

    # ---- set up and take down

    async def create(self, program: str = PROGRAM, templates: Mapping[str, str] | None = None) -> None:
        await self.kafka.create_topics()
        async with self.database() as connection:
            await migrate(connection, self.settings.database_schema)
            await store.publish(connection, program, "fresh-market.yaml", templates)

    async def close(self) -> None:
        for worker in self._workers:
            worker.kill()
            worker.wait()
        await self.kafka.close()
        while self._connections:
            self._connections.pop().terminate()
        connection = await asyncpg.connect(self.servers.url)
        await connection.execute(f'drop schema if exists "{self.settings.database_schema}" cascade')
        await connection.close()

    @asynccontextmanager
    async def database(self) -> AsyncIterator[Any]:
        """Open a connection as the deployment's owner; returned connections are used again."""
        connection = None
        while self._connections and connection is None:
            connection = self._connections.pop()
            connection = None if connection.is_closed() else connection
        connection = connection or await connect(self.servers.url, self.settings.database_schema)
        try:
            yield connection
            await connection.reset()
        except BaseException:
            connection.terminate()
            raise
        self._connections.append(connection)

    # ---- in

    async def send(self, events: Iterable[Sent]) -> None:
        """Publish events and remember them."""
        events = list(events)
        self.sent += events
        await self.kafka.send(events)

    async def move_clock(self, instant: int) -> None:
        async with self.database() as connection:
            await clock.move(connection, self.settings, instant)

    # ---- workers

    def consumer(self, service: str = "earn", **changes: Any) -> BatchConsumer:
        settings = self.settings.model_copy(update=changes)
        source = f"/loyalty/{settings.topic_prefix}/{service}"
        handlers: dict[str, Callable[[], Any]] = {
            "earn": lambda: EarnHandler(source, settings.parked_seconds),
            "redeem": lambda: RedeemHandler(source),
            "tiers": lambda: TiersHandler(source),
            "notify": lambda: NotifyHandler(source, settings.clock),
        }
        handler = handlers[service]()
        return BatchConsumer(settings, handler, topics_of(service), source)

    @asynccontextmanager
    async def worker(self, service: str = "earn", **changes: Any) -> AsyncIterator[BatchConsumer]:
        """A worker in this process."""
        self.services.add(service)
        await self.kafka.remove_members(self._left_behind)
        consumer = self.consumer(service, **changes)
        async with consumer:
            try:
                yield consumer
            finally:
                self._left_behind |= set(_membership(consumer))

    @asynccontextmanager
    async def workers(self, *services: str, **changes: Any) -> AsyncIterator[None]:
        """Workers of several services in this process; of all four unless named."""
        async with AsyncExitStack() as stack:
            for service in services or SERVICES:
                await stack.enter_async_context(self.worker(service, **changes))
            yield

    def environment(self, **changes: Any) -> dict[str, str]:
        """The variables of a worker or a command."""
        values = {**self.settings.model_dump(), **changes}
        values["database_url"] = self.servers.url
        return {f"LOYALTY_{name.upper()}": str(value) for name, value in values.items() if value != ""}

    def start_process(self, service: str = "earn", **changes: Any) -> subprocess.Popen[bytes]:
        """A worker as users start it, in a process of its own."""
        self.services.add(service)
        changes.setdefault("web_port", free_port())
        log = (self.servers.home / f"{self.settings.topic_prefix}.log").open("ab")
        with log:
            worker = subprocess.Popen(
                [sys.executable, "-m", "faust", "-A", f"services.{service}.app", "worker"],
                env={**os.environ, **self.environment(**changes)}, stdout=log, stderr=log,
            )  # fmt: skip
        self._workers.append(worker)
        return worker

    async def idle(self, seconds: float = 60) -> None:
        """Wait until all services that ran here have handled everything sent and published their messages."""
        async with self.database() as connection:
            await Idle(self.settings, self.kafka, connection, self.services).wait(seconds)

    async def left(self) -> str:
        """Describe the work that is left; empty if there is none."""
        async with self.database() as connection:
            return await Idle(self.settings, self.kafka, connection, self.services).left()

    async def loyalty(self, *arguments: str, status: int = 0) -> Result:
        """Run a command against this deployment, in this process."""
        return await commands.loyalty(
            *arguments, environment={**self.environment(), "LOYALTY_HOME": "/nonexistent"}, status=status
        )

    # ---- out

    async def rows(self, sql: str, *arguments: Any) -> list[tuple[Any, ...]]:
        async with self.database() as connection:
            return [tuple(row) for row in await connection.fetch(sql, *arguments)]

    async def ledger(self) -> list[tuple[Any, ...]]:
        return await self.rows(read.ENTRIES)

    def calm_ledger(self, events: Sequence[Sent] | None = None) -> list[tuple[Any, ...]]:
        """The ledger of an undisturbed run of what was sent."""
        return checks.calm_ledger(PROGRAM, self.sent if events is None else events)

    async def published(self, topic: str = points.TOPIC) -> list[Any]:
        """Every record of an output topic, partition by partition, in order."""
        return await self.kafka.records(topic)

    async def check(self) -> None:
        """Check what must hold after any trouble: the expected ledger, a clean audit, events published in order."""
        assert await self.ledger() == self.calm_ledger()
        await self.check_audit()
        await self.check_published()

    async def check_audit(self) -> None:
        await checks.check_audit(self)

    async def check_published(self) -> None:
        await checks.check_published(self)

    async def check_replay(self) -> None:
        await checks.check_replay(self)


def _membership(worker: BatchConsumer) -> Iterator[tuple[str, str]]:
    """The group and the id of a member that will not leave.

    aiokafka leaves a group from its generation 1 on, and the embedded broker counts from 0: there the next worker would
    wait until this one's session is over.
    """
    coordinator = getattr(worker._consumer, "_coordinator", None)
    if coordinator is not None and coordinator.generation == 0:
        yield coordinator.group_id, coordinator.member_id


@asynccontextmanager
async def deployed(
    servers: Servers, program: str = PROGRAM, templates: Mapping[str, str] | None = None, **changes: Any
) -> AsyncIterator[Deployment]:
    """Create a deployment with its own names, removed at the end whatever happens; ``changes`` are settings."""
    made = Deployment(servers, f"t{os.getpid()}x{next(_numbers)}", **changes)
    try:
        await made.create(program, templates)
        yield made
    finally:
        await made.close()
