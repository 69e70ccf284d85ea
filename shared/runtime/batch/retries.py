"""Retry in place: what is worth trying again, how long to wait, and when to give up (only when asked to stop)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Set
from typing import TypeVar

import asyncpg
from aiokafka.errors import KafkaError
from kafka.errors import KafkaError as AdminKafkaError
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception
from tenacity.wait import wait_exponential_jitter

from shared.errors import Transient
from shared.logs import logger
from shared.runtime import metrics

_log = logger(__name__)

#: First wait, longest wait and jitter in seconds: fast enough after a lost race, gentle on a server that comes back.
_FIRST, _LONGEST, _JITTER = 0.05, 3.0, 0.25

_Result = TypeVar("_Result")

_POSTGRES_IS_AWAY = (
    asyncpg.PostgresConnectionError,  # class 08, among them ConnectionDoesNotExist
    asyncpg.InterfaceError,  # the client's side of a connection that was lost
    asyncpg.InternalClientError,  # the same, lost in the middle of something (a frozen worker wakes up)
    asyncpg.OperatorInterventionError,  # class 57: shutdown, crash, cannot connect now, time-outs
    asyncpg.InsufficientResourcesError,  # class 53: disk full, too many connections
    asyncpg.TransactionRollbackError,  # class 40: deadlock, serialization
    asyncpg.InvalidTransactionStateError,  # class 25: transaction_timeout, a read-only standby
    asyncpg.ObjectNotInPrerequisiteStateError,  # class 55: lock not available
    asyncpg.PostgresIOError,  # class 58
    asyncpg.PostgresSystemError,
)


def is_transient(problem: BaseException, contested: Set[str] = frozenset()) -> bool:
    """Tell whether the same work can succeed later.

    Args:
        problem: What was raised.
        contested: The unique constraints on which two partitions may race.
    """
    if isinstance(problem, asyncpg.UniqueViolationError):
        # A race on a business key: the second pass sees the key. Any other key twice is damage, and must be loud.
        return problem.constraint_name in contested
    if isinstance(problem, asyncpg.InterfaceError) and isinstance(problem, ValueError):
        return False  # asyncpg could not encode a value: no later attempt can
    return isinstance(problem, (Transient, *_POSTGRES_IS_AWAY, KafkaError, AdminKafkaError, OSError, TimeoutError))


def attempts(
    stopping: asyncio.Event, on_retry: Callable[[BaseException, int], None], contested: Set[str] = frozenset()
) -> AsyncRetrying:
    """Try one piece of work until it succeeds; to be used as tenacity's asynchronous loop.

    Transient errors are tried again until they stop or ``stopping`` is set; then the last error is raised, as
    every other error is at once. ``contested``: as for ``is_transient``.
    """

    async def sleep(seconds: float) -> None:
        try:
            await asyncio.wait_for(stopping.wait(), seconds)
        except TimeoutError:
            return

    def before_sleep(state: RetryCallState) -> None:
        problem = state.outcome.exception() if state.outcome else None
        if problem is not None:
            on_retry(problem, state.attempt_number)

    return AsyncRetrying(
        sleep=sleep,
        retry=retry_if_exception(lambda problem: is_transient(problem, contested)),
        wait=wait_exponential_jitter(multiplier=_FIRST, max=_LONGEST, jitter=_JITTER),
        stop=lambda _state: stopping.is_set(),
        before_sleep=before_sleep,
        reraise=True,
    )


class Retries:
    """Does the work of one partition until it succeeds; tells the metrics and the log of each failure."""

    def __init__(
        self,
        service: str,
        place: tuple[str, int],
        stopping: asyncio.Event,
        contested: Set[str],
        *,
        quiet: bool,
        meanwhile: Callable[[], None],
    ) -> None:
        """Make it.

        Args:
            service: Whose work.
            place: Topic (short name) and partition.
            stopping: Ends the trying.
            contested: The unique constraints on which two partitions may race.
            quiet: What a server says of a value may hold it, and must not be shown.
            meanwhile: Called after each failure.
        """
        self._service = service
        self._topic, self._partition = place
        self._stopping = stopping
        self._contested = contested
        self._quiet = quiet
        self._meanwhile = meanwhile

    async def __call__(self, work: Callable[[], Awaitable[_Result]]) -> _Result:
        """Do some work, again and again if need be."""
        async for attempt in attempts(self._stopping, self.tell, self._contested):
            with attempt:
                return await work()
        raise AssertionError("tenacity ended without a result")

    def can_help(self, problem: BaseException) -> bool:
        """Tell whether the same work can succeed later."""
        return is_transient(problem, self._contested)

    def tell(self, problem: BaseException, number: int) -> None:
        """Tell of a failure, before the work is tried again."""
        cause = type(problem).__name__
        metrics.RETRIES.labels(self._service, cause).inc()
        self._meanwhile()
        _log.warning(
            "trying again",
            cause=cause,
            attempt=number,
            topic=self._topic,
            partition=self._partition,
            # The first line only: the next ones may name keys of rows.
            detail="" if self._quiet else str(problem).partition("\n")[0][:300],
        )
