"""One deployment for one test: its topics, its schema, its workers, and what came of them."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import pydantic_core
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient

from cli import clock
from cli.embedded.process import free_port
from cli.embedded.servers import Server
from cli.progress import READERS, SERVICES, Watcher
from cli.rehearsal import Rehearsal
from cli.replaying import differences, from_archive
from cli.sending import TOPIC_OF
from services.earn.handler import EarnHandler
from services.notify.handler import NotifyHandler
from services.redeem.handler import RedeemHandler
from services.tiers.handler import TiersHandler
from shared.contracts import points, purchases
from shared.contracts.envelope import seal
from shared.database.migrate import migrate
from shared.database.pool import connect
from shared.ledger import read
from shared.ledger.audit import audit
from shared.program import store
from shared.settings import Settings
from shared.stream.brokers import Admin
from shared.stream.consumer import BatchConsumer
from shared.stream.handler import Mark
from shared.stream.records import Record

PROGRAM = (Path(__file__).parents[1] / "data" / "purchases.yaml").read_text()
SOURCE = "/stores/1"
PARTITIONS = 3


@dataclass(frozen=True)
class Servers:
    home: Path
    postgres: Server
    url: str
    broker: Server
    kind: str


def purchase(order: str, member: str = "m1", cents: Sequence[int] = (1000,), **fields: Any) -> dict[str, Any]:
    """A purchase of one private-brand line and any number of others."""
    lines = [
        {
            "line_id": str(number),
            "product_id": f"p{number}",
            "category": ["GROCERY", "TEA"],
            "brand": "Private" if number == 1 else "National",
            "amount": amount,
        }
        for number, amount in enumerate(cents, start=1)
    ]
    base = {
        "order_id": order, "member_id": member, "occurred_at": "2017-03-01T12:00:00-05:00", "currency": "USD",
        "lines": lines,
    }  # fmt: skip
    return {**base, **fields}


@dataclass(frozen=True)
class Sent:
    member: str
    value: bytes | None
    headers: list[tuple[str, bytes]]
    partition: int | None = None
    topic: str = purchases.TOPIC


def event(data: dict[str, Any], event_id: str = "", source: str = SOURCE, partition: int | None = None) -> Sent:
    member = str(data["member_id"])
    headers = seal(
        event_id=event_id or f"e-{data['order_id']}", source=source, event_type=purchases.COMPLETED,
        time=data["occurred_at"], key=member,
    )  # fmt: skip
    return Sent(member, pydantic_core.to_json(data), headers, partition)


def about(event_type: str, data: dict[str, Any], source: str = SOURCE, event_id: str = "") -> Sent:
    """Any event that comes in."""
    member = str(data["member_id"])
    headers = seal(
        event_id=event_id or f"{event_type}-{member}-{data['occurred_at']}-{sorted(data.items())}"[:200], source=source,
        event_type=event_type, time=data["occurred_at"], key=member,
    )  # fmt: skip
    return Sent(member, pydantic_core.to_json(data), headers, None, TOPIC_OF[event_type])


def partition_of(member: str) -> int:
    """Any fixed rule does; this one is easy to predict."""
    return int.from_bytes(member.encode()) % PARTITIONS


class Deployment:
    def __init__(self, servers: Servers, name: str) -> None:
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
        })  # fmt: skip
        self.sent: list[Sent] = []
        self.services: set[str] = {"earn"}
        self._workers: list[subprocess.Popen[bytes]] = []

    # ---- set up and take down

    async def create(self, program: str = PROGRAM, templates: Mapping[str, str] | None = None) -> None:
        self.create_topics()
        connection = await asyncpg.connect(self.servers.url)
        await connection.execute(f'create schema "{self.settings.database_schema}"')
        await connection.close()
        async with self.database() as connection:
            await migrate(connection, self.settings.database_schema)
            await store.publish(connection, program, "fresh-market.yaml", templates)

    def create_topics(self) -> None:
        admin = Admin(self.settings.kafka_brokers)
        admin.create_topics(self.settings)
        admin.close()

    def delete_topics(self, *names: str) -> None:
        admin = KafkaAdminClient(bootstrap_servers=self.settings.kafka_brokers)
        admin.delete_topics([self.settings.topic(name) for name in names])
        admin.close()

    async def close(self) -> None:
        for worker in self._workers:
            worker.kill()
            worker.wait()
        connection = await asyncpg.connect(self.servers.url)
        await connection.execute(f'drop schema "{self.settings.database_schema}" cascade')
        await connection.close()

    @asynccontextmanager
    async def database(self) -> AsyncIterator[Any]:
        connection = await connect(self.servers.url, self.settings.database_schema)
        try:
            yield connection
        finally:
            await connection.close()

    # ---- in

    async def send(self, events: Iterable[Sent]) -> None:
        """Publish events, each keyed by its member, and remember them."""
        producer = AIOKafkaProducer(
            bootstrap_servers=self.settings.kafka_brokers, acks="all", max_request_size=9_000_000, linger_ms=2
        )
        await producer.start()
        try:
            waiting = []
            for one in events:
                partition = partition_of(one.member) if one.partition is None else one.partition
                waiting.append(
                    await producer.send(
                        self.settings.topic(one.topic),
                        one.value,
                        key=one.member.encode(),
                        partition=partition,
                        headers=one.headers,
                    )
                )
                self.sent.append(one)
            await asyncio.gather(*waiting)
        finally:
            await producer.stop()

    # ---- workers

    def consumer(self, service: str = "earn", **changes: Any) -> BatchConsumer:
        settings = self.settings.model_copy(update=changes)
        source = f"/loyalty/{settings.topic_prefix}/{service}"
        topics = tuple(topic for reader, topic in READERS if reader == service)
        handlers: dict[str, Callable[[], Any]] = {
            "earn": lambda: EarnHandler(source, settings.parked_seconds),
            "redeem": lambda: RedeemHandler(source),
            "tiers": lambda: TiersHandler(source),
            "notify": lambda: NotifyHandler(source, settings.clock),
        }
        handler = handlers[service]()
        return BatchConsumer(settings, handler, topics, source)

    @asynccontextmanager
    async def worker(self, service: str = "earn", **changes: Any) -> AsyncIterator[BatchConsumer]:
        """A worker in this process."""
        self.services.add(service)
        consumer = self.consumer(service, **changes)
        async with consumer:
            yield consumer

    @asynccontextmanager
    async def workers(self, *services: str, **changes: Any) -> AsyncIterator[None]:
        """Workers of several services in this process; of all four unless named."""
        async with AsyncExitStack() as stack:
            for service in services or SERVICES:
                await stack.enter_async_context(self.worker(service, **changes))
            yield

    def environment(self, **changes: Any) -> dict[str, str]:
        values = {**self.settings.model_dump(), **changes}
        values["database_url"] = self.servers.url
        shown = {f"LOYALTY_{name.upper()}": str(value) for name, value in values.items() if value != ""}
        return {**os.environ, **shown}

    def start_process(self, service: str = "earn", **changes: Any) -> subprocess.Popen[bytes]:
        """A worker as users start it, in a process of its own."""
        self.services.add(service)
        changes.setdefault("web_port", free_port())
        log = (self.servers.home / f"{self.settings.topic_prefix}.log").open("ab")
        with log:
            worker = subprocess.Popen(
                [sys.executable, "-m", "faust", "-A", f"services.{service}.app", "worker"],
                env=self.environment(**changes), stdout=log, stderr=log,
            )  # fmt: skip
        self._workers.append(worker)
        return worker

    async def idle(self, seconds: float = 60) -> None:
        """Wait until everything sent is handled and published."""
        async with (
            self.database() as connection,
            Watcher(self.settings, connection, sorted(self.services)) as watcher,
            asyncio.timeout(seconds),
        ):
            await watcher.wait_idle()

    async def move_clock(self, instant: int) -> None:
        async with self.database() as connection:
            await clock.move(connection, self.settings, instant)

    # ---- out

    async def check_replay(self) -> None:
        """What must be true of any run: the archive, replayed in memory, gives the same, row for row."""
        async with self.database() as connection:
            rehearsal = None
            async for rehearsal, _records in from_archive(connection, self.settings.record_bytes):  # noqa: B007
                pass
            assert rehearsal is not None
            assert await differences(connection, rehearsal) == []

    async def rows(self, sql: str, *arguments: Any) -> list[tuple[Any, ...]]:
        async with self.database() as connection:
            return [tuple(row) for row in await connection.fetch(sql, *arguments)]

    async def ledger(self) -> list[tuple[Any, ...]]:
        async with self.database() as connection:
            return [tuple(row) for row in await connection.fetch(read.ENTRIES)]

    def calm_ledger(self, events: Sequence[Sent] | None = None) -> list[tuple[Any, ...]]:
        """The ledger of a calm run: each partition's events in one batch, in memory."""
        rehearsal = Rehearsal()
        rehearsal.publish(PROGRAM)
        by_partition: dict[int, list[Record]] = defaultdict(list)
        for one in self.sent if events is None else events:
            partition = partition_of(one.member) if one.partition is None else one.partition
            records = by_partition[partition]
            records.append(Record(len(records), 0, one.member.encode(), one.value, tuple(one.headers)))
        for records in by_partition.values():
            rehearsal.batch(records, Mark(1, 0, int(time.time() * 1_000_000)))
        names = {account.account: key for key, account in rehearsal.accounts.items()}
        return sorted((*names[entry.account], *tuple(entry)[1:]) for entry in rehearsal.entries)

    async def published(self, topic: str = points.TOPIC) -> list[Any]:
        """Every record of an output topic, partition by partition, in order."""
        consumer = AIOKafkaConsumer(bootstrap_servers=self.settings.kafka_brokers, fetch_max_wait_ms=50)
        await consumer.start()
        found: list[Any] = []
        try:
            tps = [TopicPartition(self.settings.topic(topic), number) for number in range(PARTITIONS)]
            consumer.assign(tps)
            await consumer.seek_to_beginning()
            quiet = 0
            while quiet < 3:
                got = await consumer.getmany(timeout_ms=200)
                quiet = 0 if got else quiet + 1
                for records in got.values():
                    found += records
        finally:
            await consumer.stop()
        return sorted(found, key=lambda record: (record.partition, record.offset))

    async def check(self) -> None:
        """What must be true after any trouble: the calm ledger, a clean audit, every event published in order."""
        assert await self.ledger() == self.calm_ledger()
        await self.check_audit()
        await self.check_published()

    async def check_audit(self) -> None:
        async with self.database() as connection:
            findings = [(check.name, *finding) async for check, found in audit(connection) for finding in found]
        assert not findings, findings

    async def check_published(self) -> None:
        records = await self.published()
        first: dict[str, Any] = {}
        for record in records:
            first.setdefault(dict(record.headers)["ce_id"].decode(), record)
        events = [points.POINTS_EARNED.validate_json(record.value) for record in first.values()]
        paid: dict[tuple[str, str], int] = defaultdict(int)
        versions: dict[tuple[str, str], int] = defaultdict(int)
        for earned in events:
            account = earned["member_id"], earned["wallet"]
            assert earned["version"] > versions[account], "first copies come in version order"
            versions[account] = earned["version"]
            paid[account] += earned["points"]
        ledger: dict[tuple[str, str], int] = defaultdict(int)
        for member, wallet, _version, amount, *_rest in await self.ledger():
            ledger[member, wallet] += amount
        assert paid == ledger, "every points event was published at least once"
