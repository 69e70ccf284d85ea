"""Reads from a worker's ``/metrics`` whether it has work left."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from prometheus_client.parser import text_string_to_metric_families

_SECONDS = 5


class Progress(NamedTuple):
    """The progress of a worker.

    Attributes:
        handled: The number of records handled, whatever the result.
        publishing: The number of batches whose messages Kafka has not acknowledged.
        topics: The topics that the worker reads (short names); empty before it has a partition.
    """

    handled: int
    publishing: int
    topics: frozenset[str]

    def is_done(self, records: Mapping[str, int]) -> bool:
        """Return whether the worker has handled all records of its topics and published the results.

        Args:
            records: The number of records by topic (short name).
        """
        return (
            bool(self.topics)
            and self.handled == sum(records.get(topic, 0) for topic in self.topics)
            and not self.publishing
        )


def fetch(port: int) -> Progress:
    """Read the metrics of a worker on this machine."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=_SECONDS) as answer:
        return parse(answer.read().decode())


def parse(page: str) -> Progress:
    """Parse a page of metrics."""
    samples = [sample for family in text_string_to_metric_families(page) for sample in family.samples]
    return Progress(
        _sum(sample.value for sample in samples if sample.name == "loyalty_events_total"),
        _sum(sample.value for sample in samples if sample.name == "loyalty_outbox_batches"),
        frozenset(sample.labels["topic"] for sample in samples if sample.name == "loyalty_lag_records"),
    )


def _sum(values: Iterable[float]) -> int:
    return round(sum(values))
