"""How often a broker is asked for records: rarely while nothing comes, at once where something does.

Kafka holds a fetch back until records come, and answers at once then. The embedded broker answers at once only with
what is there when it is asked; within a fetch that it holds back it looks again after half of the time that is left.
So it is asked for short times, and not asked for half of one in between: so long a record waits at most. Without
either, four idle workers would keep a third of a core busy.

It also answers with nothing when it could not read within that time what is there: for much, or on a busy machine,
it needs some milliseconds, and whoever asks each time for one has to be lucky. So who is behind gives it more.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor

from shared.settings import Settings

#: Kafka's own default. A rebalance or a stop does not wait for it.
_HELD_BACK_MS = 500
#: A fetch that leaves partitions out, whose records are still to be handled, must not keep them waiting once they are.
_SHORT_MS = 25
#: For the embedded broker: while records come, when none came for some time, and where nobody waits for an answer.
_BUSY_MS, _QUIET_MS, _PATIENT_MS = 25, 100, 400
#: Where records wait that the last answer did not bring.
_BEHIND_MS = 500
_QUIET_AFTER_SECONDS = 1.0


class PatientConsumer(AIOKafkaConsumer):
    """A consumer that asks no more often than it must.

    aiokafka knows one time for all fetches. Its fetcher builds each request and sends it; both are wrapped here.
    """

    def __init__(self, *, broker_holds_back: bool, answers: bool, **kwargs: Any) -> None:
        """Make the consumer.

        Args:
            broker_holds_back: Whether the broker answers a fetch when records come; else it is asked again and again.
            answers: Whether somebody waits for what comes of a record: then it is asked more often.
            kwargs: Passed to aiokafka's consumer.
        """
        super().__init__(fetch_max_wait_ms=_SHORT_MS, **kwargs)
        self._broker_holds_back = broker_holds_back
        self._quiet_ms = _QUIET_MS if answers else _PATIENT_MS

    async def start(self) -> None:
        """Connect."""
        await super().start()
        if self._broker_holds_back:
            _hold_back_longer(self._fetcher)
        else:
            _ask_again(self._fetcher, self._quiet_ms)


def _hold_back_longer(fetcher: Any) -> None:
    plan = fetcher._get_actions_per_node

    def plan_patiently(assignment: Any) -> Any:
        requests, *others = plan(assignment)
        for node, request in requests:
            led = sum(1 for tp in assignment.tps if fetcher._select_read_replica(tp) == node)
            if sum(len(partitions) for _topic, partitions in request.topics) == led:
                request._max_wait_ms = _HELD_BACK_MS
        return requests, *others

    fetcher._get_actions_per_node = plan_patiently


def _ask_again(fetcher: Any, quiet_ms: int) -> None:
    fetch = fetcher._proc_fetch_request
    heard_at = time.monotonic()

    async def fetch_in_time(assignment: Any, node: int, request: Any) -> bool:
        nonlocal heard_at
        quiet = time.monotonic() - heard_at > _QUIET_AFTER_SECONDS
        behind = _is_behind(assignment, request)
        request._max_wait_ms = _BEHIND_MS if behind else quiet_ms if quiet else _BUSY_MS
        found: bool = await fetch(assignment, node, request)
        if found:
            heard_at = time.monotonic()
        elif quiet and not _is_behind(assignment, request):
            # As in aiokafka's own fetch: whoever cancels it, waits for it, and must not be cancelled with it.
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(quiet_ms / 2000)
        return found

    fetcher._proc_fetch_request = fetch_in_time


def _is_behind(assignment: Any, request: Any) -> bool:
    """Tell whether an earlier answer named a later end of one of the partitions."""
    for topic, partitions in request.topics:
        for partition, offset, _bytes in partitions:
            end = assignment.state_value(TopicPartition(topic, partition)).highwater
            if end is not None and end > offset:
                return True
    return False


def consumer_of(settings: Settings, service: str, group: str, *, answers: bool) -> PatientConsumer:
    """Return the consumer of a service's input topics, in the service's group; ``answers`` as for its class."""
    session = settings.session_seconds
    return PatientConsumer(
        # The one broker without idempotent producers is the embedded one.
        broker_holds_back=settings.kafka_idempotence,
        answers=answers,
        bootstrap_servers=settings.kafka_brokers,
        client_id=f"loyalty-{service}",
        group_id=group,
        # What a transaction wrote exists when the transaction is committed, and not before.
        isolation_level="read_committed",
        partition_assignment_strategy=(StickyPartitionAssignor,),
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=settings.batch_bytes,
        session_timeout_ms=int(session * 1000),
        # Rebalances are heard of by heartbeats; more than one a second would only keep idle brokers busy.
        heartbeat_interval_ms=int(min(3.0, session / 3, max(1.0, session / 10)) * 1000),
        rebalance_timeout_ms=int(settings.rebalance_seconds * 1000),
        # A pipeline that waits for Postgres polls nothing; that is patience, not death.
        max_poll_interval_ms=2**31 - 1,
    )


def unheard_problem(consumer: Any) -> BaseException | None:
    """Return what ended a task of aiokafka's, or waits to be told to whoever asks for records.

    While no partition is assigned nobody asks, and an error of the group would keep the worker out of it for ever.
    """
    fetcher = getattr(consumer, "_fetcher", None)
    if fetcher is not None and fetcher.error_future.done():
        return fetcher.error_future.exception() or RuntimeError("the consumer has stopped fetching")
    coordinator = getattr(consumer, "_coordinator", None)
    try:
        if coordinator is not None:
            coordinator.check_errors()
    except Exception as problem:  # noqa: BLE001 - whatever it is, a fresh consumer joins again
        return problem
    return None
