"""kill -9 at every failpoint, and a long outage of the broker: ``make test-crash``."""

from __future__ import annotations

import pytest

from shared.contracts.catalogue import SERVICES
from shared.runtime.failpoints import POINTS
from tests.support.deployment import Deployment
from tests.support.kills import kill_one, kill_there, outlive_the_broker

pytestmark = pytest.mark.crash


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("point", POINTS)
async def test_kill_9_everywhere(deployment: Deployment, point: str, count: int) -> None:
    await kill_there(deployment, f"{point}:{count}")


@pytest.mark.timeout(240)
@pytest.mark.parametrize("point", ["loaded:2", "stored:3", "committed:2", "published:2"])
@pytest.mark.parametrize("service", SERVICES)
async def test_a_kill_of_each_service(whole: Deployment, service: str, point: str) -> None:
    await kill_one(whole, service, point)


async def test_the_broker_is_gone_for_20_seconds(own_broker: Deployment) -> None:
    await outlive_the_broker(own_broker, 20)
