"""Counts what became of a batch, once it is committed."""

from __future__ import annotations

import time
from typing import Any

from shared.runtime import metrics
from shared.runtime.records import Batch
from shared.runtime.transaction import Committed


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
