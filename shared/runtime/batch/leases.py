"""Finds out where a partition stands when a worker takes it over.

The watermark in Postgres is the truth, but the topic may not be the one that it was written for: deleted and
recreated, or lost with its broker (the embedded one forgets everything at a restart). Then offsets begin again, and a
worker that seeks to the old one would wait for ever.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from shared.database.pool import Connection
from shared.errors import UsageError
from shared.logs import logger
from shared.runtime import metrics
from shared.runtime.batch.retries import Retries
from shared.runtime.kafka.brokers import Handled
from shared.runtime.tables import watermark
from shared.runtime.tables.watermark import Lease

_log = logger(__name__)


def decide_lease(
    known: Lease | None, topic: str, partition: int, topic_id: str, beginning: int, shorter: bool
) -> tuple[Lease, str | None]:
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
        return Lease(topic, partition, 0, 0, topic_id), None
    if known.topic_id != topic_id:
        return Lease(topic, partition, known.epoch + 1, 0, topic_id), "topic-recreated"
    if shorter:
        return Lease(topic, partition, known.epoch + 1, 0, topic_id), "broker-lost-data"
    if known.next_offset < beginning:
        return known, "records-lost"
    return known, None


def handled_beyond(
    watermarks: Mapping[tuple[str, int], Lease],
    handled: Mapping[tuple[str, int], Handled],
    topic_ids: Mapping[str, str],
) -> list[tuple[str, int, int, int]]:
    """Return where Kafka knows of more than the ledger: (topic, partition, offset in the ledger, offset in Kafka).

    A worker tells Kafka after it has stored, so Kafka is never ahead of the ledger that it served. What was committed
    of a topic that was recreated since, or of a log that the broker lost, is about other records.

    Args:
        watermarks: Of the service, by topic (short name) and partition.
        handled: What the service's group has committed to Kafka, likewise.
        topic_ids: The topics' present ids, by short name.
    """
    beyond = []
    for (topic, partition), (offset, log) in sorted(handled.items()):
        known = watermarks.get((topic, partition))
        if known is not None and (known.topic_id != topic_ids.get(topic) or _is_earlier(log, known)):
            continue
        stands_at = known.next_offset if known is not None else 0
        if offset > stands_at:
            beyond.append((topic, partition, stands_at, offset))
    return beyond


def name_of_log(lease: Lease) -> str:
    """Return which records an offset is about, as it stands beside the offset in Kafka."""
    return f"{lease.topic_id}/{lease.epoch}"


def _is_earlier(log: str, known: Lease) -> bool:
    """Tell whether an offset is about records that were there before those of the watermark; "" says nothing."""
    topic_id, slash, epoch = log.rpartition("/")
    return bool(slash) and epoch.isdecimal() and (topic_id != known.topic_id or int(epoch) < known.epoch)


async def check_not_restored(
    connection: Connection,
    service: str,
    handled: Mapping[tuple[str, int], Handled],
    topic_ids: Mapping[str, str],
    *,
    accept: bool,
) -> None:
    """Refuse to go on with a ledger that knows less than its own workers have handled.

    Args:
        connection: To the ledger.
        service: Whose watermarks.
        handled: What its group has committed to Kafka, read before this is called.
        topic_ids: The topics' present ids, by short name.
        accept: Say so and go on nevertheless.

    Raises:
        UsageError: It was restored from a backup, or is another one.
    """
    beyond = handled_beyond(await watermark.read_watermarks(connection, service), handled, topic_ids)
    if not beyond:
        return
    topic, partition, stands_at, offset = beyond[0]
    records = sum(ahead - known for _topic, _partition, known, ahead in beyond)
    problem = (
        f"the ledger is older than what {service} has handled: {topic}[{partition}] stands at {stands_at} in the "
        f"ledger and at {offset} in Kafka; {records:,} records of {len(beyond)} partitions in all. The database was "
        "restored from a backup, lost its last transactions in a fail-over, or is not the one that this topic prefix "
        "belongs to. What was answered since would be handled again, and may be answered differently: tills and "
        "members may have seen other points and rewards"
    )
    if not accept:
        raise UsageError(
            f"{problem}. Restore the newest state first (docs/operations.md). To go on from where the ledger stands, "
            "start the workers once with LOYALTY_ACCEPT_RESTORED_LEDGER=true"
        )
    _log.error("going on with a restored ledger, as LOYALTY_ACCEPT_RESTORED_LEDGER says", problem=problem)


def check_not_gone_back(before: Lease, now: Lease, *, accept: bool) -> None:
    """See that the ledger still has what this very worker stored: a fail-over may have lost it under us.

    Raises:
        UsageError: It has not, and that is not accepted.
    """
    if (now.epoch, now.next_offset) >= (before.epoch, before.next_offset):
        return
    problem = (
        f"the ledger went back: this worker had stored {before.topic}[{before.partition}] up to "
        f"{before.next_offset}, and it stands at {now.next_offset}. It was restored, or lost its last transactions "
        "in a fail-over"
    )
    if not accept:
        raise UsageError(f"{problem}. See docs/operations.md; LOYALTY_ACCEPT_RESTORED_LEDGER=true goes on")
    _log.error("going on with a restored ledger, as LOYALTY_ACCEPT_RESTORED_LEDGER says", problem=problem)


class Takeover:
    """How a partition is taken over."""

    def __init__(
        self, check: Callable[[], Awaitable[None]], find: Callable[[bool], Awaitable[Lease]], *, accept: bool
    ) -> None:
        """Make it.

        Args:
            check: Sees that the ledger is not older than what Kafka was told of this partition.
            find: Finds out where the partition stands, and writes it down if that is new; told whether the log was
                seen to end before the watermark.
            accept: Go on with a ledger that is older.
        """
        self._check = check
        self._find = find
        self._accept = accept

    async def take(self, before: Lease | None, shorter: bool, retried: Retries) -> Lease:
        """Take the partition over, or take it again.

        Args:
            before: What was known of it so far.
            shorter: The log was seen to end before the watermark.
            retried: How work is tried again.

        Raises:
            UsageError: The ledger knows less than what was handled.
        """
        if before is None:
            await retried(self._check)
        now = await retried(lambda: self._find(shorter))
        if before is not None:
            check_not_gone_back(before, now, accept=self._accept)
        return now


def tell_lost(service: str, lease: Lease, lost: int) -> None:
    """Count records that Kafka's retention removed after the watermark, and tell of them."""
    metrics.RECORDS_LOST.labels(service).inc(lost)
    _log.error(
        "Kafka's retention removed records before they were handled; raise retention.ms",
        first=lease.next_offset,
        last=lease.next_offset + lost - 1,
        topic=lease.topic,
        partition=lease.partition,
    )


async def lease_partition(
    pool: Any, consumer: Any, service: str, tp: Any, topic: str, topic_id: str, shorter: bool
) -> Lease:
    """Read the watermark, compare it with the topic, and store a new lease where one is needed."""
    beginning = (await consumer.beginning_offsets([tp]))[tp]
    async with pool.acquire() as connection:
        known = await watermark.read_watermark(connection, service, topic, tp.partition)
        lease, happened = decide_lease(known, topic, tp.partition, topic_id, beginning, shorter)
        if known is None or lease.epoch != known.epoch:
            await watermark.write_lease(connection, service, lease)
        await watermark.take_over(connection, service, lease)
    if happened in {"topic-recreated", "broker-lost-data"} and known is not None:
        metrics.TOPICS_MADE_ANEW.labels(service, topic).inc()
        _log.error(
            "the topic is not the one we knew; reading it from the beginning, business keys guard",
            happened=happened,
            was_at=known.next_offset,
            topic=topic,
            partition=tp.partition,
            epoch=lease.epoch,
        )
    # Records that were lost are counted with the first batch after them.
    return lease
