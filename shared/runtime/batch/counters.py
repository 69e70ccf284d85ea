"""Counts what became of a batch, once it is committed, and warns of events that nobody reads."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable
from typing import Any

from shared.contracts.catalogue import EVENTS
from shared.logs import logger
from shared.runtime import metrics
from shared.runtime.batch.transaction import Committed
from shared.runtime.kafka.fetcher import Fetcher
from shared.runtime.records import Batch
from shared.runtime.tables.watermark import Lease

#: A hostile producer could invent types for ever.
_IGNORED_TYPES_NAMED = 50
_log = logger(__name__)


class IgnoredTypes:
    """Says once of each type on a topic that nobody reads it: a misspelt one would vanish without a trace."""

    def __init__(self, topic: str) -> None:
        self._topic = topic
        self._named: set[str] = set()

    def warn(self, types: Iterable[str]) -> None:
        """Warn of those that were not named yet. What is known and read by other services is no misspelling."""
        for unknown in set(types) - self._named - EVENTS.keys():
            if len(self._named) < _IGNORED_TYPES_NAMED:
                self._named.add(unknown)
                _log.warning("events of a type that this service does not read", type=unknown, topic=self._topic)


class Lag:
    """What waits in one partition, as operators see it."""

    def __init__(self, service: str, topic: str, partition: int, fetcher: Fetcher) -> None:
        self._labels = (service, topic, str(partition))
        self._fetcher = fetcher

    def show(self, lease: Lease | None) -> None:
        """Also when nothing moves: that is when an operator looks."""
        if lease is not None:
            metrics.LAG.labels(*self._labels).set(self._fetcher.waiting(lease.next_offset))
            metrics.UNCOMMITTED.labels(*self._labels).set(self._fetcher.uncommitted())

    def forget(self) -> None:
        """The partition is handed over."""
        with contextlib.suppress(KeyError):
            metrics.LAG.remove(*self._labels)
            metrics.UNCOMMITTED.remove(*self._labels)


def count_batch(service: str, batch: Batch, committed: Committed[Any], seconds: float) -> None:
    """Count a batch's records by outcome, its size, its duration and the age of its oldest record."""
    counts = committed.counts
    metrics.EVENTS.labels(service, "accepted").inc(counts.accepted)
    metrics.EVENTS.labels(service, "duplicate").inc(counts.duplicates)
    metrics.EVENTS.labels(service, "refused").inc(counts.refused)
    metrics.EVENTS.labels(service, "ignored").inc(counts.ignored)
    metrics.DUPLICATES.labels(service).inc(counts.duplicates)
    for reason in committed.reasons:
        metrics.DEAD_LETTERS.labels(service, reason).inc()
    metrics.BATCH_RECORDS.labels(service).observe(len(batch.records))
    metrics.BATCH_SECONDS.labels(service).observe(seconds)
    metrics.EVENT_AGE.labels(service).observe(max(0.0, time.time() - batch.records[0].timestamp / 1000))
