"""What a worker says of itself on ``/metrics``, as far as it tells whether there is work left."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from prometheus_client.parser import text_string_to_metric_families

_SECONDS = 5


class Progress(NamedTuple):
    """How far a worker is.

    Attributes:
        handled: Records, whatever became of them.
        publishing: Batches whose messages Kafka has not acknowledged.
        topics: What the worker reads (short names); none before it has a partition.
    """

    handled: int
    publishing: int
    topics: frozenset[str]

    def is_done(self, records: Mapping[str, int]) -> bool:
        """Tell whether the worker has handled all records of its topics, and published what came of them.

        Args:
            records: How many there are, by topic (short name).
        """
        return (
            bool(self.topics)
            and self.handled == sum(records.get(topic, 0) for topic in self.topics)
            and not self.publishing
        )


def fetch(port: int) -> Progress:
    """Ask a worker of this machine."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=_SECONDS) as answer:
        return parse(answer.read().decode())


def parse(page: str) -> Progress:
    """Read a page of metrics."""
    samples = [sample for family in text_string_to_metric_families(page) for sample in family.samples]
    return Progress(
        _sum(sample.value for sample in samples if sample.name == "loyalty_events_total"),
        _sum(sample.value for sample in samples if sample.name == "loyalty_outbox_batches"),
        frozenset(sample.labels["topic"] for sample in samples if sample.name == "loyalty_lag_records"),
    )


def _sum(values: Iterable[float]) -> int:
    return round(sum(values))
