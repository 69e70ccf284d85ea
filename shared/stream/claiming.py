"""Finds out where a partition stands when a worker takes it over.

The watermark in Postgres is the truth, but the topic may not be the one that it was written for: deleted and made
anew, or lost with its broker (the embedded one forgets everything at a restart). Then offsets begin again, and a
worker that seeks to the old one would wait for ever.
"""

from __future__ import annotations

from typing import Any

from shared.logs import logger
from shared.stream import journal, metrics
from shared.stream.journal import Claim

_log = logger(__name__)


def decide_claim(
    known: Claim | None, topic: str, partition: int, topic_id: str, beginning: int, shorter: bool
) -> tuple[Claim, str | None]:
    """Decide where to go on, and say what happened if it is not simply where we were.

    Args:
        known: The watermark, or None if the service was never there.
        topic: Short name.
        partition: Its number.
        topic_id: The topic's present id.
        beginning: The first offset that Kafka still has.
        shorter: The pipeline saw that the log now ends before the watermark.
    """
    if known is None:
        return Claim(topic, partition, 0, 0, topic_id), None
    if known.topic_id != topic_id:
        return Claim(topic, partition, known.epoch + 1, 0, topic_id), "topic-made-anew"
    if shorter:
        return Claim(topic, partition, known.epoch + 1, 0, topic_id), "broker-lost-data"
    if known.next_offset < beginning:
        return known, "records-lost"
    return known, None


async def claim_partition(
    pool: Any, consumer: Any, service: str, tp: Any, topic: str, topic_id: str, shorter: bool
) -> Claim:
    """Read the watermark, compare it with the topic, and store a new claim where one is needed."""
    beginning = (await consumer.beginning_offsets([tp]))[tp]
    async with pool.acquire() as connection:
        known = await journal.read_watermark(connection, service, topic, tp.partition)
        claim, happened = decide_claim(known, topic, tp.partition, topic_id, beginning, shorter)
        if known is None or claim.epoch != known.epoch:
            await journal.write_claim(connection, service, claim)
        await journal.take_over(connection, service, claim)
    where = {"topic": topic, "partition": tp.partition, "epoch": claim.epoch}
    if happened in {"topic-made-anew", "broker-lost-data"} and known is not None:
        metrics.TOPICS_MADE_ANEW.labels(service, topic).inc()
        _log.error("the topic is not the one we knew; reading it from the beginning, business keys guard",
                   happened=happened, was_at=known.next_offset, **where)  # fmt: skip
    elif happened == "records-lost":
        metrics.RECORDS_LOST.labels(service).inc(beginning - claim.next_offset)
        _log.error("Kafka's retention removed records before they were handled; raise retention.ms",
                   first=claim.next_offset, last=beginning - 1, **where)  # fmt: skip
    return claim
