"""``loyalty replay completejourney | file``: publish purchases to Kafka, with progress."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Iterable, Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import jiter
import pydantic_core
import typer
from aiokafka import AIOKafkaProducer
from aiokafka.partitioner import DefaultPartitioner
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from cli import clock
from cli.home import DEFAULT_HOME, Home, settings_for
from cli.output import command, console, errors, say
from cli.progress import Watcher
from shared.contracts import purchases
from shared.contracts.envelope import seal
from shared.database.pool import connect
from shared.errors import UsageError
from shared.instants import microseconds
from shared.settings import Clock, Settings

app = typer.Typer(help="Publish purchases to Kafka: real ones, or yours.", no_args_is_help=True)

Rate = Annotated[float | None, typer.Option(min=0.1, help="Events a second; flat out unless given.")]
_FLUSH_EVERY = 5_000


@app.command()
@command
async def completejourney(
    limit: Annotated[int | None, typer.Option(min=1, help="Most baskets.")] = None,
    rate: Rate = None,
    first: Annotated[datetime | None, typer.Option("--from", formats=["%Y-%m-%d"], help="First day.")] = None,
    last: Annotated[datetime | None, typer.Option("--to", formats=["%Y-%m-%d"], help="Last day.")] = None,
    barrier: Annotated[
        bool, typer.Option(help="Day by day: wait until all services are idle, then move the manual clock on.")
    ] = True,
    home: Home = DEFAULT_HOME,
) -> None:
    """Publish the Complete Journey: 155,848 baskets of 2,469 households in 2017, in order of time."""
    from cli.completejourney import ZONE, Baskets  # noqa: PLC0415 - reads 35 MB of Parquet with pyarrow

    with errors.status("reading the data set"):
        baskets = Baskets(first and first.date(), last and last.date(), limit)
    if not len(baskets):
        raise UsageError("no baskets in that range; the data set covers 2017-01-01 to 2017-12-31")
    settings = settings_for(home)
    connection = await connect(settings.database_url.get_secret_value(), settings.database_schema)
    started = time.monotonic()
    try:
        async with Sender(settings, rate) as sender, Watcher(settings, connection) as watcher:
            with _progress() as progress:
                bar = progress.add_task("replaying", total=len(baskets))
                if barrier:
                    await watcher.wait_idle()
                for day, of_day in itertools.groupby(baskets, key=lambda purchase: purchase.day):
                    for purchase in of_day:
                        await sender.send(purchase.member_id, purchase.value, purchase.headers)
                        progress.advance(bar)
                    if barrier:
                        await sender.flush()
                        await watcher.passed(sender.ends)
                        await _end_of_day(connection, settings, day, ZONE)
                await sender.flush()
            published = time.monotonic() - started
            say("waiting until everything is in the ledger")
            await watcher.passed(sender.ends)
            if not barrier:
                await _end_of_day(connection, settings, day, ZONE)
    finally:
        await connection.close()
    seconds = time.monotonic() - started
    console.print(
        f"{len(baskets):,} purchases published in {published:.1f} s and in the ledger after {seconds:.1f} s "
        f"({len(baskets) / seconds:,.0f} a second)"
    )


@app.command("file")
@command
async def file(
    path: Annotated[Path, typer.Argument(help="JSON Lines: one structured CloudEvent a line.")],
    rate: Rate = None,
    home: Home = DEFAULT_HOME,
) -> None:
    """Publish the events of a JSON Lines file, in its order."""
    settings = settings_for(home)
    count = 0
    async with Sender(settings, rate) as sender:
        with _progress() as progress:
            events = list(_read_events(path))
            bar = progress.add_task("publishing", total=len(events))
            for member, value, headers in events:
                await sender.send(member, value, headers)
                progress.advance(bar)
                count += 1
            await sender.flush()
    console.print(f"{count:,} events published")


class Sender:
    """Publishes to the purchases topic, at a rate or flat out, and knows where each partition ends."""

    def __init__(self, settings: Settings, rate: float | None = None) -> None:
        self._settings = settings
        self._rate = rate
        self._topic = settings.topic(purchases.TOPIC)
        self._partitioner = DefaultPartitioner()
        self._partitions: dict[str, int] = {}
        self._pending: list[asyncio.Future[Any]] = []
        self._producer: Any = None
        self._all: list[int] = []
        self._started = 0.0
        self._sent = 0
        #: By (short topic name, partition): the offset after the last record sent.
        self.ends: dict[tuple[str, int], int] = {}

    async def __aenter__(self) -> Sender:
        self._producer = AIOKafkaProducer(
            bootstrap_servers=self._settings.kafka_brokers, acks="all", linger_ms=5, max_batch_size=512 * 1024,
            enable_idempotence=self._settings.kafka_idempotence,
        )  # fmt: skip
        try:
            await self._producer.start()
            self._all = sorted(await self._producer.partitions_for(self._topic))
        except BaseException:
            await self._producer.stop()
            raise
        self._started = time.monotonic()
        return self

    async def __aexit__(self, *_problem: object) -> None:
        await self._producer.stop()

    async def send(self, member: str, value: bytes, headers: list[tuple[str, bytes]]) -> None:
        """Publish one event; waits where the rate or the broker demands it."""
        partition = self._partitions.get(member)
        if partition is None:
            # The standard partitioner (murmur2), remembered: in pure Python it costs more than the rest of the send.
            partition = self._partitions[member] = self._partitioner(member.encode(), self._all, self._all)
        self._pending.append(
            await self._producer.send(self._topic, value, key=member.encode(), partition=partition, headers=headers)
        )
        self._sent += 1
        if self._rate:
            ahead = self._started + self._sent / self._rate - time.monotonic()
            if ahead > 0:
                await asyncio.sleep(ahead)
        if len(self._pending) >= _FLUSH_EVERY:
            await self.flush()

    async def flush(self) -> None:
        """Wait until Kafka has everything."""
        for sent in await asyncio.gather(*self._pending):
            where = (purchases.TOPIC, sent.partition)
            self.ends[where] = max(self.ends.get(where, 0), sent.offset + 1)
        self._pending.clear()


class _SpeedColumn(ProgressColumn):
    """Events a second."""

    def render(self, task: Task) -> Text:
        """Show the speed once there is one."""
        return Text(f"{task.speed:,.0f}/s" if task.speed else "")


def _progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _SpeedColumn(), TimeRemainingColumn())
    return Progress(*columns, console=errors)


async def _end_of_day(connection: Any, settings: Settings, day: date, zone: Any) -> None:
    """Move the manual clock to the end of a day, unless it is there already (a replay of a replay)."""
    if settings.clock is not Clock.MANUAL:
        return
    end = microseconds(datetime.combine(day + timedelta(days=1), datetime.min.time(), tzinfo=zone))
    if end > await clock.now(connection, settings):
        await clock.move(connection, settings, end)


def _read_events(path: Path) -> Iterator[tuple[str, bytes, list[tuple[str, bytes]]]]:
    """Read structured events; they are sent in binary mode, keyed by member."""
    for number, line in enumerate(_lines(path), start=1):
        try:
            event = jiter.from_json(line.encode())
            data, member = event["data"], str(event["data"]["member_id"])
            headers = seal(
                event_id=str(event["id"]), source=str(event["source"]), event_type=str(event["type"]),
                time=str(event.get("time", data.get("occurred_at", ""))), key=member,
            )  # fmt: skip
        except (ValueError, KeyError, TypeError) as problem:
            raise UsageError(f"{path}:{number}: not a structured CloudEvent with data.member_id: {problem!r}") from None
        yield member, pydantic_core.to_json(data), headers


def _lines(path: Path) -> Iterable[str]:
    try:
        return [line for line in path.read_text().splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as problem:
        raise UsageError(f"cannot read {path}: {problem}") from None
