"""One batch, one transaction: load, decide, store. Design §4 steps 2 to 5, in the order that makes them safe."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Generic, NamedTuple, TypeVar

from shared.database.pool import Connection, Pool
from shared.errors import LoadAgain
from shared.runtime.batch.decode import refuse_future
from shared.runtime.clock import horizon
from shared.runtime.failpoints import reach
from shared.runtime.handler import Due, Handler
from shared.runtime.records import Batch, Decisions, Decoded
from shared.runtime.tables.archive import Counts, archive_batch, archive_sweep, read_clock, take_mark
from shared.runtime.tables.outbox import OutboxRow, add_to_outbox, forget_published
from shared.runtime.tables.refusals import store_dead_letters
from shared.runtime.tables.watermark import Lease, lock_watermark, move_watermark
from shared.settings import Settings

#: New members, and at the same moment a program with a new wallet, need three; more is a race that a pause ends.
_LOADS = 5


_Result = TypeVar("_Result")
_State = TypeVar("_State")
_Effects = TypeVar("_Effects")


class Committed(NamedTuple, Generic[_Effects]):
    """What a committed batch leaves to do."""

    decisions: Decisions[_Effects]
    counts: Counts
    outbox: OutboxRow | None
    reasons: list[str]


class Swept(NamedTuple, Generic[_Effects]):
    """What a committed sweep leaves to do."""

    decisions: Decisions[_Effects]
    outbox: OutboxRow | None


async def transact(
    pool: Pool,
    handler: Handler[_State, _Effects],
    source: str,
    lease: Lease,
    batch: Batch,
    decoded: Decoded,
    forget: list[int],
) -> Committed[_Effects]:
    """Handle a batch in one transaction and move the lease past it.

    Raises:
        Fenced: Another worker owns the partition; nothing was written.
        Transient: Try again later; nothing was written.
    """

    async def work(connection: Connection) -> Committed[_Effects]:
        return await _in_transaction(connection, handler, source, lease, batch, decoded, forget)

    committed = await _loading(pool, work)
    lease.next_offset = batch.next_offset
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
    handler: Handler[_State, _Effects],
    source: str,
    lease: Lease,
    batch: Batch,
    decoded: Decoded,
    forget: list[int],
) -> Committed[_Effects]:
    # Each of these is a statement of its own: one that waits for a lock goes on with the snapshot from before
    # the wait, so what must be fresh is read by a later statement.
    # Before any lock: what claims to come from the future locks nobody, and makes no account.
    judged_at = await read_clock(connection)
    events, from_the_future = refuse_future(decoded.events, judged_at)
    await lock_watermark(connection, handler.service, lease)
    state = await handler.load(connection, events)
    mark = await take_mark(connection, judged_at)
    reach("loaded")
    decisions = handler.decide(state, events, mark)
    reach("decided")
    await handler.store(connection, decisions, mark)
    refused = [*decoded.refused, *from_the_future, *decisions.refused]
    counts = Counts(decisions.accepted, decisions.duplicates, len(refused), decoded.ignored.total())
    service, private = handler.service, batch.topic in handler.private
    letters = await store_dead_letters(
        connection, service, source, batch, mark, [*refused, *decisions.refused_later], private=private
    )
    await archive_batch(
        connection, service, batch, mark, counts, decisions.facts, private=private, unread=decoded.unread
    )
    outbox = await add_to_outbox(
        connection, service, batch.topic, batch.partition, mark.seq, decisions.messages + letters
    )
    await forget_published(connection, forget)
    await move_watermark(connection, service, batch, mark, decisions.latest_at)
    return Committed(decisions, counts, outbox, [refusal.reason for refusal in refused])


async def sweep(
    pool: Pool,
    handler: Handler[_State, _Effects],
    settings: Settings,
    source: str,
    lease: Lease,
    shards: int,
    forget: list[int],
) -> Swept[_Effects] | None:
    """Apply what time alone makes happen, for some accounts of one shard, in one transaction.

    Returns:
        What it led to; None if nothing was due.

    Raises:
        Fenced: Another worker owns the partition; nothing was written.
        Transient: Try again later; nothing was written.
    """
    async with pool.acquire() as connection:
        # Without locks, and so without a write: mostly there is nothing to do.
        if not await handler.anything_due(connection, await _due(connection, settings, lease, shards)):
            return None

    async def work(connection: Connection) -> Swept[_Effects] | None:
        return await _sweep(connection, handler, settings, source, lease, shards, forget)

    swept = await _loading(pool, work)
    if swept is not None:
        reach("committed")
    return swept


async def _sweep(
    connection: Connection,
    handler: Handler[_State, _Effects],
    settings: Settings,
    source: str,
    lease: Lease,
    shards: int,
    forget: list[int],
) -> Swept[_Effects] | None:
    await lock_watermark(connection, handler.service, lease)
    due = await _due(connection, settings, lease, shards)
    state = await handler.load_due(connection, due)
    if state is None:
        return None
    mark = await take_mark(connection, due.horizon)
    reach("loaded")
    decisions = handler.decide_due(state, due, mark)
    reach("decided")
    await handler.store(connection, decisions, mark)
    service = handler.service
    # Parked records may become dead letters; each of them has its origin.
    nothing = Batch(lease.topic, lease.partition, lease.epoch, [], lease.next_offset)
    letters = await store_dead_letters(connection, service, source, nothing, mark, decisions.refused_later)
    await archive_sweep(connection, service, lease, mark, decisions.facts, due.horizon)
    outbox = await add_to_outbox(
        connection, service, lease.topic, lease.partition, mark.seq, decisions.messages + letters
    )
    await forget_published(connection, forget)
    return Swept(decisions, outbox)


async def _due(connection: Connection, settings: Settings, lease: Lease, shards: int) -> Due:
    lateness = round(settings.lateness_seconds * 1_000_000)
    until, recorded_at = await horizon(connection, settings.clock, lateness)
    return Due(until, recorded_at, lease.partition, shards, settings.sweep_accounts)
