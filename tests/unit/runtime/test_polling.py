"""How the embedded broker is asked for records: it answers with nothing where it has too little time to read them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiokafka import TopicPartition

from shared.runtime.kafka import polls as polling

_TP = TopicPartition("t", 0)


class Request:
    """A fetch of one partition."""

    def __init__(self, offset: int) -> None:
        self.topics = [("t", [(0, offset, 1_000_000)])]
        self._max_wait_ms = 0


class State:
    highwater: int | None = None


class Broker:
    """Names the end of the log in each answer, and brings records only to who gives it more than a few milliseconds."""

    def __init__(self, end: int) -> None:
        self.end = end
        self.state = State()
        self.waits: list[int] = []

    def state_value(self, tp: TopicPartition) -> State:
        assert tp == _TP
        return self.state

    async def _proc_fetch_request(self, _assignment: Any, _node: int, request: Any) -> bool:
        self.waits.append(request._max_wait_ms)
        self.state.highwater = self.end
        return bool(request.topics[0][1][0][1] < self.end) and request._max_wait_ms > 200


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    return slept


async def test_who_is_behind_gives_the_broker_time(slept: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(polling, "_QUIET_AFTER_SECONDS", -1.0)
    broker: Any = Broker(end=7)
    polling._ask_again(broker, 100)
    assert not await broker._proc_fetch_request(broker, 0, Request(3))
    assert await broker._proc_fetch_request(broker, 0, Request(3))
    assert broker.waits == [100, 500]
    assert slept == [], "records wait"


async def test_nothing_waits_longer_than_half_of_a_fetch(slept: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(polling, "_QUIET_AFTER_SECONDS", -1.0)
    broker: Any = Broker(end=3)
    polling._ask_again(broker, 100)
    for _ in range(3):
        assert not await broker._proc_fetch_request(broker, 0, Request(3))
    assert broker.waits == [100] * 3
    assert slept == [0.05] * 3


async def test_while_records_come_it_is_asked_again_at_once(slept: list[float]) -> None:
    broker: Any = Broker(end=3)
    polling._ask_again(broker, 100)
    assert not await broker._proc_fetch_request(broker, 0, Request(3))
    assert broker.waits == [25]
    assert slept == []
