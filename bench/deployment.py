"""The servers that all rows share, and the deployments on them: one schema and one set of topics per run."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

from bench.load import PARTITIONS, Event
from bench.running import Process, Usage, Used, check_alive, workers
from devstack.embedded.servers import Server
from devstack.progress import Watcher
from devstack.sender import Sender
from shared.contracts.catalogue import SERVICES
from shared.database.migrate import migrate
from shared.database.pool import Connection, connect, only_row
from shared.program import store
from shared.program.language.loader import load
from shared.program.templates import read_templates
from shared.runtime.kafka.brokers import Admin
from shared.settings import Settings

APPS = {service: f"services.{service}.app" for service in SERVICES}
_PATIENCE_SECONDS = 900
#: Rarely: polling costs CPU, and the times that count are in the archive.
_LOOK_SECONDS = 0.5
_SPAN = """
select extract(epoch from min(recorded_at))::float8, extract(epoch from max(recorded_at))::float8
from archive where kind = 'batch' and service = any($1::text[]) and seq > $2
"""


class Span(NamedTuple):
    """When the first and the last batch of a run were decided, in seconds since 1970."""

    first: float
    last: float

    @property
    def seconds(self) -> float:
        """The time between them."""
        return self.last - self.first


@dataclass(slots=True)
class Servers:
    """A running broker and a running Postgres."""

    broker: Server
    postgres: Server
    url: str
    folder: Path
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))

    async def deploy(self, program: Path, more: str = "", **changes: Any) -> Deployment:
        """Create the topics and tables of a new deployment, and publish a program.

        Args:
            program: The program file; its templates are in the folder that it names.
            more: Sections to add to the file.
            changes: Settings that differ.
        """
        name = f"bench{next(self._numbers)}"
        settings = Settings.model_validate(
            {
                "kafka_brokers": f"127.0.0.1:{self.broker.port}",
                "kafka_idempotence": False,
                "topic_prefix": name,
                "topic_partitions": PARTITIONS,
                "database_url": self.url,
                "database_schema": name,
                "session_seconds": 6,
                "rebalance_seconds": 2,
                "data_dir": str(self.folder / name),
                "log_level": "warning",
                **changes,
                **json.loads(os.environ.get("LOYALTY_BENCH_SETTINGS", "{}")),
            }
        )
        admin = Admin(settings.kafka_brokers)
        await asyncio.to_thread(admin.create_topics, settings)
        admin.close()
        made = Deployment(self, settings)
        text = await asyncio.to_thread(program.read_text) + more
        async with made.database() as connection:
            await migrate(connection, name)
            await store.publish(connection, text, program.name, read_templates(program, load(text)))
        return made


@dataclass(frozen=True, slots=True)
class Deployment:
    """The topics and tables of one run."""

    servers: Servers
    settings: Settings

    @asynccontextmanager
    async def database(self) -> AsyncIterator[Connection]:
        """Open a connection to the schema."""
        connection = await connect(self.servers.url, self.settings.database_schema)
        try:
            yield connection
        finally:
            await connection.close()

    async def value(self, sql: str, *arguments: object) -> Any:
        """Return the single value of a query."""
        async with self.database() as connection:
            return await connection.fetchval(sql, *arguments)

    async def send(self, events: Iterable[Event]) -> None:
        """Publish events, and wait until all are acknowledged."""
        async with Sender(self.settings) as sender:
            for event in events:
                await sender.send(*event)
            await sender.flush()

    async def work_off(self, *services: str) -> None:
        """Let services process the backlog, without measuring."""
        with workers(self.settings, [APPS[service] for service in services]) as processes:
            await self.until_drained(services, processes)

    async def measure(self, apps: Sequence[str], services: Sequence[str]) -> tuple[Span, Used, int]:
        """Let apps, in place of services, process the backlog.

        Returns:
            When the first and the last batch were decided, what was used in between, and the archive row before them.
        """
        before: int = await self.value("select coalesce(max(seq), 0) from archive")
        with workers(self.settings, apps) as processes:
            usage = Usage(processes, self.servers.postgres, with_start=False)
            await self.begin(usage, processes)
            await self.until_drained(services, processes)
            used = usage.stop()
        return await self.span(services, before), used, before

    async def begin(self, usage: Usage, processes: Sequence[Process]) -> float:
        """Let workers begin together once all have started; return the time of Postgres at that moment.

        A worker that reads the watermark of a partition waits for the table that is locked here.
        """
        async with asyncio.timeout(_PATIENCE_SECONDS), self.database() as connection, connection.transaction():
            await connection.execute("lock table watermark in access exclusive mode")
            usage.start()
            while not await asyncio.to_thread(usage.connected.wait, _LOOK_SECONDS):
                check_alive(processes)
            now: float = await connection.fetchval("select extract(epoch from clock_timestamp())::float8")
            return now

    async def span(self, services: Sequence[str] = SERVICES, after: int = 0) -> Span:
        """Return when the first and the last batch after an archive row were decided by the services."""
        async with self.database() as connection:
            return Span(*await only_row(connection, _SPAN, list(services), after))

    async def until_drained(self, services: Sequence[str], processes: Sequence[Process]) -> None:
        """Wait until every service is at the end of its topics and the outbox is empty, twice in a row.

        It does not wait for sweeps: tiers reads entries without a message of their own, those of redemptions, only
        every half minute.
        """
        calm = 0
        async with (
            asyncio.timeout(_PATIENCE_SECONDS),
            self.database() as connection,
            Watcher(self.settings, connection, services) as watcher,
        ):
            while calm < 2:
                check_alive(processes)
                behind = await watcher.behind()
                calm = 0 if sum(behind.records.values()) or behind.outbox or behind.unclaimed else calm + 1
                await asyncio.sleep(_LOOK_SECONDS)

    async def until(self, sql: str, processes: Sequence[Process], *arguments: object, seconds: float = 0.1) -> float:
        """Wait until a query returns true; return the time of Postgres then, in seconds since 1970."""
        async with asyncio.timeout(_PATIENCE_SECONDS), self.database() as connection:
            while not await connection.fetchval(sql, *arguments):
                check_alive(processes)
                await asyncio.sleep(seconds)
            now: float = await connection.fetchval("select extract(epoch from clock_timestamp())::float8")
            return now
