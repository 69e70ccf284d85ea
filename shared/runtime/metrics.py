"""What operators watch. Counted once a batch, never once an event, and never with a label per member."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

EVENTS = Counter("loyalty_events", "Records handled, by outcome", ["service", "outcome"])
DUPLICATES = Counter("loyalty_duplicates", "Events seen before, without a second effect", ["service"])
DEAD_LETTERS = Counter("loyalty_dead_letters", "Records refused", ["service", "reason"])
POINTS_ISSUED = Counter("loyalty_points_issued", "Points earned", ["wallet", "rule"])
POINTS_REVERSED = Counter("loyalty_points_reversed", "Points taken back", ["wallet", "kind"])
POINTS_DUE = Counter(
    "loyalty_points_due", "Points that time moved: activated, expired, expiring, timed-out", ["wallet", "what"]
)
REDEMPTIONS = Counter("loyalty_redemptions", "Answers to redemptions", ["state", "reason"])
BATCH_RECORDS = Histogram(
    "loyalty_batch_records", "Records in a batch", ["service"], buckets=(1, 5, 20, 50, 100, 250, 500, 1000, 2000, 5000)
)
BATCH_SECONDS = Histogram(
    "loyalty_batch_seconds",
    "From the fetch of a batch to its commit",
    ["service"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
)
BUDGET_WAIT_SECONDS = Histogram(
    "loyalty_budget_wait_seconds",
    "Until a batch had the budgets that it may use; workers that share one wait for each other",
    ["service"],
    buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5),
)
EVENT_AGE = Histogram(
    "loyalty_event_age_seconds",
    "From the record's Kafka timestamp to the commit; the oldest record of each batch",
    ["service"],
    buckets=(0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30, 120, 600, 3600),
)
LAG = Gauge("loyalty_lag_records", "Records that wait in Kafka", ["service", "topic", "partition"])
UNCOMMITTED = Gauge(
    "loyalty_uncommitted_records",
    "Records behind the beginning of a producer's transaction that is still open; they are read when it ends",
    ["service", "topic", "partition"],
)
STALLED_SECONDS = Gauge(
    "loyalty_stalled_seconds", "How long records have waited while no batch of their partition was stored", ["service"]
)
CONNECTED = Gauge("loyalty_connected", "1 while the worker consumes, 0 while the broker is away", ["service"])
RETRIES = Counter("loyalty_retries", "Work tried again", ["service", "cause"])
FENCED = Counter("loyalty_fenced", "Batches dropped because another worker owns the partition", ["service"])
TOPICS_MADE_ANEW = Counter(
    "loyalty_topics_made_anew", "Partitions whose topic was deleted or lost", ["service", "topic"]
)
RECORDS_LOST = Counter(
    "loyalty_records_lost", "Offsets that Kafka's retention removed before they were handled", ["service"]
)
OUTBOX_WAITING = Gauge(
    "loyalty_outbox_batches", "Batches of this worker whose messages Kafka has not acknowledged", ["service"]
)
LEDGER_MISMATCHES = Gauge(
    "loyalty_ledger_mismatches",
    "Findings of the running audit, of accounts that were just written; must be 0",
    ["service"],
)
