"""One batch, one transaction: load, decide, store. Design §4 steps 2 to 5, in the order that makes them safe."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NamedTuple, TypeVar

from shared.database.pool import Connection, Pool
from shared.errors import LoadAgain
from shared.runtime import journal
from shared.runtime.decode import refuse_future
from shared.runtime.failpoints import reach
from shared.runtime.handler import Due, Handler
from shared.runtime.journal import Claim, Counts, OutboxRow
from shared.runtime.records import Batch, Decisions, Decoded
from shared.settings import Settings

#: New members, and at the same moment a program with a new wallet, need three; more is a race that a pause ends.
_LOADS = 5


_Result = TypeVar("_Result")


class Committed(NamedTuple):
    """What a committed batch leaves to do."""

    decisions: Decisions
    counts: Counts
    outbox: OutboxRow | None
    reasons: list[str]


class Swept(NamedTuple):
    """What a committed sweep leaves to do."""

    decisions: Decisions
    outbox: OutboxRow | None


async def transact(
    pool: Pool, handler: Handler, source: str, claim: Claim, batch: Batch, decoded: Decoded, forget: list[int]
) -> Committed:
    """Handle a batch in one transaction and move the claim past it.

    Raises:
        Fenced: Another worker owns the partition; nothing was written.
        Transient: Try again later; nothing was written.
    """

    async def work(connection: Connection) -> Committed:
        return await _in_transaction(connection, handler, source, claim, batch, decoded, forget)

    committed = await _loading(pool, work)
    claim.next_offset = batch.next_offset
    reach("committed")
    return committed


async def _loading(pool: Pool, work: Callable[[Connection], Awaitable[_Result]]) -> _Result:
    """Do work in one transaction; where its load must begin again, make the rows that it needs first."""
    async with pool.acquire() as connection:
        for attempt in range(1, _LOADS + 1):
            try:
                async with connection.transaction():
                    result = await work(connection)
                    reach("stored")
            except LoadAgain as again:
                if attempt == _LOADS:
                    raise
                # The transaction is rolled back: no lock is held while the rows are made. No pause: nobody is away.
                if again.prepare is not None:
                    await again.prepare(connection)
            else:
                return result
    raise AssertionError("the loop returns or raises")


async def _in_transaction(
    connection: Connection,
    handler: Handler,
    source: str,
    claim: Claim,
    batch: Batch,
    decoded: Decoded,
    forget: list[int],
) -> Committed:
    # Each of these is a statement of its own: one that waits for a lock goes on with the snapshot from before
    # the wait, so what must be fresh is read by a later statement.
    # Before any lock: what claims to come from the future locks nobody, and makes no account.
    judged_at = await journal.read_clock(connection)
    events, from_the_future = refuse_future(decoded.events, judged_at)
    await journal.lock_watermark(connection, handler.service, claim)
    state = await handler.load(connection, events)
    mark = await journal.take_mark(connection, judged_at)
    reach("loaded")
    decisions = handler.decide(state, events, mark)
    reach("decided")
    await handler.store(connection, decisions, mark)
    refused = [*decoded.refused, *from_the_future, *decisions.refused]
    counts = Counts(decisions.accepted, decisions.duplicates, len(refused), decoded.ignored.total())
    outbox = await journal.store(
        connection, handler.service, source, batch, mark, counts, [*refused, *decisions.refused_later],
        decisions.messages, forget, decisions.latest_at, decisions.facts, batch.topic in handler.private,
        decoded.unread,
    )  # fmt: skip
    return Committed(decisions, counts, outbox, [refusal.reason for refusal in refused])


async def sweep(
    pool: Pool, handler: Handler, settings: Settings, source: str, claim: Claim, shards: int, forget: list[int]
) -> Swept | None:
    """Apply what time alone makes happen, for some accounts of one shard, in one transaction.

    Returns:
        What it led to; None if nothing was due.

    Raises:
        Fenced: Another worker owns the partition; nothing was written.
        Transient: Try again later; nothing was written.
    """
    async with pool.acquire() as connection:
        # Without locks, and so without a write: mostly there is nothing to do.
        if not await handler.anything_due(connection, await _due(connection, settings, claim, shards)):
            return None

    async def work(connection: Connection) -> Swept | None:
        return await _sweep(connection, handler, settings, source, claim, shards, forget)

    swept = await _loading(pool, work)
    if swept is not None:
        reach("committed")
    return swept


async def _sweep(
    connection: Connection,
    handler: Handler,
    settings: Settings,
    source: str,
    claim: Claim,
    shards: int,
    forget: list[int],
) -> Swept | None:
    await journal.lock_watermark(connection, handler.service, claim)
    due = await _due(connection, settings, claim, shards)
    state = await handler.load_due(connection, due)
    if state is None:
        return None
    mark = await journal.take_mark(connection, due.horizon)
    reach("loaded")
    decisions = handler.decide_due(state, due, mark)
    reach("decided")
    await handler.store(connection, decisions, mark)
    outbox = await journal.store_sweep(
        connection, handler.service, source, claim, mark, decisions.messages, decisions.refused_later,
        decisions.facts, due.horizon, forget,
    )  # fmt: skip
    return Swept(decisions, outbox)


async def _due(connection: Connection, settings: Settings, claim: Claim, shards: int) -> Due:
    lateness = round(settings.lateness_seconds * 1_000_000)
    horizon, recorded_at = await journal.horizon(connection, settings.clock, lateness)
    return Due(horizon, recorded_at, claim.partition, shards, settings.sweep_accounts)
