"""What a pipeline does where records that it waits for are gone, or where the consumer does not say where it stands."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition

from shared.runtime import metrics
from shared.runtime.batch.pipeline import Pipeline
from shared.runtime.kafka import fetcher
from shared.runtime.kafka.fetcher import Fetcher
from shared.runtime.records import Batch
from shared.runtime.tables.watermark import Lease
from shared.runtime.worker import Worker
from shared.settings import Settings

PARTITION = TopicPartition("t", 0)


class Consumer:
    """Stands at an offset of a log that begins somewhere; there are no records before ``end``."""

    def __init__(self, beginning: int, position: int, end: int) -> None:
        self._beginning, self._position, self.end = beginning, position, end

    async def beginning_offsets(self, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(partitions, self._beginning)

    async def position(self, _partition: TopicPartition) -> int:
        return self._position

    async def getmany(self, *_partitions: TopicPartition, **_limits: Any) -> dict[Any, Any]:
        return {}

    def highwater(self, _partition: TopicPartition) -> int:
        return self.end

    last_stable_offset = highwater

    async def commit(self, _offsets: Any) -> None:
        pass


def pipeline_at(offset: int, consumer: Consumer, monkeypatch: pytest.MonkeyPatch) -> tuple[Pipeline, list[Batch]]:
    unused: Any = None
    handler: Any = SimpleNamespace(
        service="earn", private=frozenset(), sweeps=False, contracts={}, contested=frozenset()
    )
    worker = Worker(
        settings=Settings(), handler=handler, source="s", pool=unused, turns=asyncio.Semaphore(1), publisher=unused
    )
    pipeline = Pipeline(
        worker=worker, consumer=consumer, partition=PARTITION, topic="purchases", takeover=unused, shards=lambda: 0,
    )  # fmt: skip
    pipeline._lease = Lease("purchases", 0, 0, offset, "id", 1)
    stored: list[Batch] = []

    async def commit(batch: Batch) -> None:
        stored.append(batch)
        assert pipeline._lease is not None
        pipeline._lease.next_offset = batch.next_offset

    monkeypatch.setattr(pipeline, "_commit", commit)
    return pipeline, stored


def lost() -> float:
    return float(metrics.RECORDS_LOST.labels("earn")._value.get())


async def test_records_that_retention_removed_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline, stored = pipeline_at(100, Consumer(beginning=900, position=900, end=900), monkeypatch)
    before = lost()
    await pipeline._next_batch()
    assert [batch.next_offset for batch in stored] == [900]
    assert lost() - before == 800


async def test_what_the_consumer_skips_is_no_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    """Aborted transactions and the markers that end them."""
    pipeline, stored = pipeline_at(100, Consumer(beginning=0, position=104, end=104), monkeypatch)
    before = lost()
    await pipeline._next_batch()
    assert [batch.next_offset for batch in stored] == [104]
    assert lost() == before


async def test_nobody_waits_for_ever_for_a_position(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetcher, "_POSITION_SECONDS", 0.05)
    consumer: Any = SimpleNamespace(position=lambda _partition: asyncio.Event().wait())
    with pytest.raises(TimeoutError):
        await Fetcher(Settings(), consumer, PARTITION).position()


async def test_a_long_run_of_sweeps_is_no_stall(monkeypatch: pytest.MonkeyPatch) -> None:
    """While everything due is applied nothing waits; the first record after it has not waited since before."""
    consumer = Consumer(beginning=0, position=100, end=100)
    pipeline, _stored = pipeline_at(100, consumer, monkeypatch)

    async def swept() -> bool:
        return True

    monkeypatch.setattr(pipeline, "_sweep", swept)
    pipeline._progress_at -= 300
    await pipeline._next_batch()
    consumer.end = 101
    assert pipeline.stalled_seconds() < 5
