"""All four services together, on random traffic: whatever happens, the archive explains every row."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import pytest

from shared.instants import microseconds
from tests import flow
from tests.deployment import Deployment, Servers
from tests.flow import FIRST_DAY, ZONE, Traffic


@pytest.fixture
async def whole(servers: Servers, request: pytest.FixtureRequest) -> AsyncIterator[Deployment]:
    made = Deployment(servers, f"w{abs(hash(request.node.name)) % 10**9}")
    await made.create(flow.PROGRAM, flow.TEMPLATES)
    yield made
    await made.close()


def end_of(day: int) -> int:
    """Midnight after a day of the traffic, where the program lives."""
    return microseconds(datetime.combine(FIRST_DAY + timedelta(days=day + 1), datetime.min.time(), ZONE))


async def test_all_four_services(whole: Deployment) -> None:
    traffic = Traffic(seed=1)
    async with whole.workers(batch_records=20, sweep_seconds=0.1):
        await whole.send(traffic.profiles())
        for day in range(6):
            await whole.send(traffic.day(day))
            await whole.idle()
            await whole.move_clock(end_of(day))
        await whole.move_clock(end_of(100))
        await whole.idle()
    await whole.check_audit()
    await whole.check_replay()
    assert {state for (state,) in await whole.rows("select distinct state from redemption")} >= {"rejected", "redeemed"}
    assert await whole.rows("select 1 from tier_history where change = 'upgraded'")
    assert await whole.rows("select 1 from notification where state = 'sent'")
    assert await whole.rows("select 1 from entry where operation = 7"), "points lapsed"
