"""Kills workers at failpoints, and checks what must be true afterwards."""

from __future__ import annotations

import asyncio
import contextlib
import signal

from shared.contracts.catalogue import SERVICES
from shared.runtime.packed import unpack_records
from tests.support.deployment import Deployment
from tests.support.traffic import Traffic, end_of, orders


async def kill_there(deployment: Deployment, order: str) -> None:
    """Kill a worker of earn at a failpoint; the next one must complete everything."""
    await deployment.send(orders(150))
    worker = deployment.start_process(crash_at=order, batch_records=20)
    assert await asyncio.to_thread(worker.wait, 80) == -signal.SIGKILL
    async with deployment.worker(batch_records=20):
        await deployment.send(orders(20, first=1000))
        await deployment.idle()
    await deployment.check()


async def kill_one(whole: Deployment, service: str, order: str) -> None:
    """Kill one of four processes at a failpoint, restart it, and check that the archive explains everything."""
    workers = {
        name: whole.start_process(name, batch_records=20, sweep_seconds=0.2, crash_at=order if name == service else "")
        for name in SERVICES
    }
    traffic = Traffic(seed=len(service) * 7 + len(order))
    await whole.send(traffic.profiles())
    day = 0
    while workers[service].poll() is None:
        assert day < 12, f"{service} never came to {order}"
        await whole.send(traffic.day(day, 80))
        await whole.move_clock(end_of(day))
        # It dies in the middle of the day's work, or there is more to do on the next day.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(8):
                while workers[service].poll() is None and await whole.left():
                    await asyncio.sleep(0.1)
        day += 1
    assert workers[service].returncode == -signal.SIGKILL
    whole.start_process(service, batch_records=20, sweep_seconds=0.2)
    await whole.send(traffic.day(day, 80))
    await whole.idle(90)
    await whole.move_clock(end_of(100))
    await whole.idle(90)
    await whole.check_audit()
    await whole.check_replay()
    await check_nothing_personal(whole)


async def outlive_the_broker(deployment: Deployment, seconds: float) -> None:
    """Kill the deployment's own broker in the middle of the work, and start it again after a while."""
    broker = deployment.servers.broker
    async with deployment.worker(batch_records=10):
        await deployment.send(orders(400))
        await until_some_points(deployment)
        await asyncio.to_thread(broker.kill)
        await asyncio.sleep(seconds)
        await asyncio.to_thread(broker.start)
        await deployment.kafka.create_topics()  # the embedded broker came back empty
        await deployment.send([*deployment.sent, *orders(50, first=1000)])
        await deployment.idle()
    assert await deployment.ledger() == deployment.calm_ledger()
    await deployment.check_audit()
    if deployment.servers.kind == "kafka":
        await deployment.check_published()


async def until_some_points(deployment: Deployment) -> None:
    async with deployment.database() as connection, asyncio.timeout(30):
        while not await connection.fetchval("select count(*) from entry"):
            await asyncio.sleep(0.01)


async def check_nothing_personal(deployment: Deployment) -> None:
    """Check that what was planted in profiles is in the table of profiles, and nowhere else."""
    tables = await deployment.rows(
        "select table_name from information_schema.tables where table_schema = current_schema()"
    )
    for (table,) in tables:
        text = str(await deployment.rows(f'select t::text from "{table}" t'))
        assert ("planted" in text.lower()) == (table == "profile"), table
    for kind, body in await deployment.rows("select kind, body from archive"):
        if kind == "batch":
            assert b"lanted" not in b"".join(record.value or b"" for record in unpack_records(body))
    logged = deployment.servers.home / f"{deployment.settings.topic_prefix}.log"
    assert not logged.exists() or b"lanted" not in logged.read_bytes()
