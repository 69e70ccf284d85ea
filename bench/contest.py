"""One contestant's run: load the topic, start workers, wait until all is done, measure."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import psutil
from aiokafka import AIOKafkaConsumer, TopicPartition

from bench.load import purchases
from cli.embedded.process import free_port
from cli.embedded.servers import Server
from cli.sending import Sender
from shared.contracts import points
from shared.database.migrate import migrate
from shared.database.pool import connect
from shared.program import store
from shared.settings import Settings
from shared.stream.brokers import Admin

PROGRAM = Path(__file__).parents[1] / "programs" / "fresh-market.yaml"
PARTITIONS = 8


@dataclass(frozen=True, slots=True)
class Result:
    """What was measured of one contestant.

    Attributes:
        per_second: Events from the first to the last commit, divided by that time.
        worker_us: CPU of all workers an event, in microseconds; postgres_us the same of Postgres.
        peak_mb: Largest resident memory of any worker.
        checksum: Over all balances: equal results have equal ones.
    """

    events: int
    per_second: float
    worker_us: float
    postgres_us: float
    peak_mb: float
    checksum: str


class Contest:
    """Runs contestants one after the other on the same servers, each in a schema and topics of its own."""

    def __init__(self, broker: Server, postgres: Server, url: str, folder: Path) -> None:
        """Use running servers."""
        self._broker = broker
        self._postgres = postgres
        self._url = url
        self._folder = folder
        self._number = 0

    def settings(self) -> Settings:
        """Return the settings of a new deployment."""
        self._number += 1
        name = f"bench{self._number}"
        return Settings.model_validate({
            "kafka_brokers": f"127.0.0.1:{self._broker.port}", "kafka_idempotence": False, "topic_prefix": name,
            "topic_partitions": PARTITIONS, "database_url": self._url, "database_schema": name,
            "session_seconds": 6, "rebalance_seconds": 2, "data_dir": str(self._folder / name), "log_level": "warning",
            **json.loads(os.environ.get("LOYALTY_BENCH_SETTINGS", "{}")),
        })  # fmt: skip

    async def prepare(self, settings: Settings) -> None:
        """Make topics and tables, and publish the program."""
        admin = Admin(settings.kafka_brokers)
        await asyncio.to_thread(admin.create_topics, settings)
        admin.close()
        connection = await connect(self._url, settings.database_schema)
        await migrate(connection, settings.database_schema)
        await store.publish(connection, PROGRAM.read_text(), PROGRAM.name)
        await connection.close()

    async def backlog(self, app: str, workers: int, events: int, members: int) -> Result:
        """Let workers handle a backlog that is there when they start."""
        settings = self.settings()
        await self.prepare(settings)
        async with Sender(settings) as sender:
            for member, value, headers in purchases(events, members):
                await sender.send(member, value, headers)
            await sender.flush()
        processes = [start_worker(settings, app) for _ in range(workers)]
        usage = Usage(processes, self._postgres.pid)
        usage.start()
        try:
            await self._until_done(settings, events)
            worker_seconds, postgres_seconds, peak = usage.stop()
        finally:
            stop_workers(processes)
        first, last, checksum = await self._outcome(settings)
        return Result(
            events,
            events / (last - first),
            worker_seconds / events * 1e6,
            postgres_seconds / events * 1e6,
            peak,
            checksum,
        )

    async def latency(self, rate: float, seconds: float, members: int) -> tuple[float, float, int]:
        """Publish at a rate; return p50 and p99 from publish to points event in seconds, and how many were measured."""
        settings = self.settings()
        await self.prepare(settings)
        processes = [start_worker(settings, "services.earn.app")]
        try:
            async with Sender(settings) as warm:
                for member, value, headers in purchases(500, members):
                    await warm.send(member, value, headers)
                await warm.flush()
            await self._until_done(settings, 500)
            latencies = await _measure_latency(settings, rate, int(rate * seconds), members)
        finally:
            stop_workers(processes)
        latencies.sort()
        return latencies[len(latencies) // 2], latencies[int(len(latencies) * 0.99)], len(latencies)

    async def _until_done(self, settings: Settings, events: int) -> None:
        connection = await connect(self._url, settings.database_schema)
        try:
            async with asyncio.timeout(600):
                while True:
                    done = await connection.fetchval("select coalesce(sum(next_offset), 0) from watermark")
                    if done >= events and not await connection.fetchval("select count(*) from outbox"):
                        return
                    await asyncio.sleep(0.1)
        finally:
            await connection.close()

    async def _outcome(self, settings: Settings) -> tuple[float, float, str]:
        connection = await asyncpg.connect(self._url, server_settings={"search_path": settings.database_schema})
        try:
            # The first batch's own time is part of the work: count from the watermark's claim, its first update.
            first, last = await connection.fetchrow(
                "select extract(epoch from min(recorded_at))::float8, extract(epoch from max(recorded_at))::float8 "
                "from archive where kind = 'batch'"
            )
            checksum = await connection.fetchval(
                "select md5(string_agg(concat_ws(' ', member, wallet, available, lifetime, version), ',' "
                "order by member, wallet)) from account"
            )
        finally:
            await connection.close()
        return first, last, checksum


def start_worker(settings: Settings, app: str) -> subprocess.Popen[bytes]:
    """Start a worker process as users do."""
    values = {f"LOYALTY_{name.upper()}": str(value) for name, value in settings.model_dump().items() if value != ""}
    values["LOYALTY_DATABASE_URL"] = settings.database_url.get_secret_value()
    values["LOYALTY_WEB_PORT"] = str(free_port())
    return subprocess.Popen(  # noqa: S603
        [sys.executable, "-m", "faust", "-A", app, "worker"],
        env={**os.environ, **values}, stdout=subprocess.DEVNULL, stderr=sys.stderr.fileno(),
    )  # fmt: skip


def stop_workers(processes: Iterable[subprocess.Popen[bytes]]) -> None:
    """Stop workers by their process ids."""
    for process in processes:
        process.terminate()
    for process in processes:
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class Usage(threading.Thread):
    """Samples CPU and memory of the workers and of Postgres with all its backends."""

    def __init__(self, workers: Iterable[subprocess.Popen[bytes]], postgres: int) -> None:
        super().__init__(daemon=True)
        self._workers = [psutil.Process(worker.pid) for worker in workers]
        self._postgres = psutil.Process(postgres)
        self._over = threading.Event()
        self._peak = 0
        self._backends: dict[int, float] = {}
        self._before: dict[int, float] = {}

    def run(self) -> None:
        """Sample until stopped."""
        self._before = self._sample()
        while not self._over.wait(0.2):
            self._backends.update(self._sample())
            for worker in self._workers:
                self._peak = max(self._peak, worker.memory_info().rss)

    def stop(self) -> tuple[float, float, float]:
        """Return CPU seconds of the workers and of Postgres, and the peak memory of a worker in MB."""
        self._over.set()
        self.join()
        self._backends.update(self._sample())
        workers = sum(sum(worker.cpu_times()[:2]) for worker in self._workers)
        postgres = sum(seconds - self._before.get(pid, 0.0) for pid, seconds in self._backends.items())
        return workers, postgres, self._peak / 1e6

    def _sample(self) -> dict[int, float]:
        found = {}
        for process in [self._postgres, *self._postgres.children(recursive=True)]:
            try:
                times = process.cpu_times()
            except psutil.NoSuchProcess:
                continue
            found[process.pid] = times.user + times.system
        return found


async def _measure_latency(settings: Settings, rate: float, events: int, members: int) -> list[float]:
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.kafka_brokers, fetch_max_wait_ms=5)
    await consumer.start()
    sent: dict[str, float] = {}
    latencies: list[float] = []
    consumer.assign([TopicPartition(settings.topic(points.TOPIC), p) for p in range(PARTITIONS)])
    await consumer.seek_to_end()
    over = asyncio.Event()

    async def listen() -> None:
        while not over.is_set():
            for records in (await consumer.getmany(timeout_ms=20)).values():
                now = time.monotonic()
                for record in records:
                    order = points.POINTS_EARNED.validate_json(record.value)["order_id"]
                    if order in sent:
                        latencies.append(now - sent.pop(order))

    listener = asyncio.create_task(listen())
    prepared = list(purchases(events, members, first=1_000_000))
    async with Sender(settings, rate) as sender:
        for number, (member, value, headers) in enumerate(prepared, start=1_000_000):
            await sender.send(member, value, headers)
            sent[f"{number:010d}"] = time.monotonic()
        await sender.flush()
    await asyncio.sleep(2)
    over.set()
    await listener
    await consumer.stop()
    return latencies
