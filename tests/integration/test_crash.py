"""A worker may die anywhere. Afterwards the ledger is that of an undisturbed run, and everything was published."""

from __future__ import annotations

import asyncio
import signal
import subprocess

import psutil
import pytest

from shared.runtime import failpoints as crashpoints
from shared.runtime.failpoints import POINTS
from tests.support.deployment import Deployment
from tests.support.kills import kill_there
from tests.support.traffic import orders


class SimulatedCrash(Exception):
    """Raised where a worker would be killed."""


@pytest.mark.parametrize("point", POINTS)
async def test_a_crash_at_any_point_leaves_a_calm_ledger(deployment: Deployment, point: str) -> None:
    left = 2

    def crash(reached: str) -> None:
        nonlocal left
        left -= reached == point
        if left <= 0:  # a dead process gets nowhere any more
            raise SimulatedCrash(point)

    await deployment.send(orders(150))
    crashpoints.hook = crash
    try:
        async with deployment.worker(batch_records=20) as worker:
            async with asyncio.timeout(20):
                while not worker.crashed:
                    await asyncio.sleep(0.05)
    finally:
        crashpoints.hook = None
    assert left <= 0
    async with deployment.worker():
        await deployment.send(orders(20, first=1000))
        await deployment.idle()
    await deployment.check()


@pytest.mark.parametrize("point", ["stored", "committed", "published"])
async def test_kill_9(deployment: Deployment, point: str) -> None:
    await kill_there(deployment, f"{point}:2")


async def test_sigterm_finishes_the_batch_and_nothing_more(deployment: Deployment) -> None:
    await deployment.send(orders(400))
    worker = deployment.start_process(batch_records=20)
    async with deployment.database() as connection, asyncio.timeout(30):
        while not await connection.fetchval("select count(*) from entry"):
            await asyncio.sleep(0.02)
    worker.send_signal(signal.SIGTERM)
    try:
        status = await asyncio.to_thread(worker.wait, 20)
    except subprocess.TimeoutExpired:
        pytest.fail("a worker must end soon after SIGTERM")
    assert status == 0
    async with deployment.database() as connection:
        assert await connection.fetchval("select count(*) from outbox") == 0, "what was decided was published"
    await deployment.check_audit()
    async with deployment.worker():
        await deployment.idle()
    await deployment.check()


@pytest.mark.parametrize("point", ["decided", "committed"])
async def test_a_zombie_that_wakes_up_late_changes_nothing(deployment: Deployment, point: str) -> None:
    await deployment.send(orders(150))
    zombie = deployment.start_process(crash_at=f"{point}:2:STOP", batch_records=20, transaction_seconds=3)
    async with asyncio.timeout(40):
        while _state(zombie.pid) != "T":
            await asyncio.sleep(0.1)
    async with deployment.worker(batch_records=20):
        await deployment.idle()
        zombie.send_signal(signal.SIGCONT)
        await deployment.send(orders(60, first=1000))
        await asyncio.sleep(2)
        await deployment.idle()
    assert zombie.poll() is None
    await deployment.check()


def _state(pid: int) -> str:
    return "T" if psutil.Process(pid).status() == psutil.STATUS_STOPPED else "?"
