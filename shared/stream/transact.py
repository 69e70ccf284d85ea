"""One batch, one transaction: load, decide, store. Design §4 steps 2 to 5, in the order that makes them safe."""

from __future__ import annotations

from typing import NamedTuple

from shared.database.pool import Connection, Pool
from shared.errors import LoadAgain
from shared.stream import journal
from shared.stream.crashpoints import reach
from shared.stream.decode import refuse_future
from shared.stream.handler import Handler
from shared.stream.journal import Claim, Counts, OutboxRow
from shared.stream.records import Batch, Decisions, Decoded

#: New members, and at the same moment a program with a new wallet, need three; more is a race that a pause ends.
_LOADS = 5


class Committed(NamedTuple):
    """What a committed batch leaves to do."""

    decisions: Decisions
    counts: Counts
    outbox: OutboxRow | None
    reasons: list[str]


async def transact(
    pool: Pool, handler: Handler, source: str, claim: Claim, batch: Batch, decoded: Decoded, forget: list[int]
) -> Committed:
    """Handle a batch in one transaction and move the claim past it.

    Raises:
        Fenced: Another worker owns the partition; nothing was written.
        Transient: Try again later; nothing was written.
    """
    async with pool.acquire() as connection:
        for attempt in range(1, _LOADS + 1):
            try:
                async with connection.transaction():
                    committed = await _in_transaction(connection, handler, source, claim, batch, decoded, forget)
                    reach("stored")
                break
            except LoadAgain as again:
                if attempt == _LOADS:
                    raise
                # The transaction is rolled back: no lock is held while the rows are made. No pause: nobody is away.
                await again.prepare(connection)
    claim.next_offset = batch.next_offset
    reach("committed")
    return committed


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
    await journal.lock_watermark(connection, handler.service, claim)
    state = await handler.load(connection, decoded.events)
    mark = await journal.take_mark(connection)
    reach("loaded")
    events, from_the_future = refuse_future(decoded.events, mark.judged_at)
    decisions = handler.decide(state, events, mark)
    reach("decided")
    await handler.store(connection, decisions, mark)
    refused = [*decoded.refused, *from_the_future, *decisions.refused]
    counts = Counts(decisions.accepted, decisions.duplicates, len(refused), decoded.ignored.total())
    outbox = await journal.store(
        connection, handler.service, source, batch, mark, counts, refused, decisions.messages, forget,
        decisions.latest_at,
    )  # fmt: skip
    return Committed(decisions, counts, outbox, [refusal.reason for refusal in refused])
