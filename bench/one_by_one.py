"""The naive version: Faust agents, one transaction per event, the same tables and the same results.

Business keys make it as exact as the real services under duplicates, but it writes row by row, and Faust acknowledges
the records that its handlers have processed.
"""

from __future__ import annotations

import asyncio
from typing import Any

import faust

from services.earn.handler import EarnHandler
from services.earn.store import batch as earn_store
from services.redeem import store as redeem_store
from services.redeem.handler import RedeemHandler
from shared.database.pool import open_pool
from shared.errors import LoadAgain
from shared.ledger.model import Account, Entry
from shared.ledger.posting import LotChange
from shared.runtime.batch.decode import decode
from shared.runtime.handler import Mark
from shared.runtime.kafka.publisher import partition_of
from shared.runtime.packed import pack
from shared.runtime.records import Batch, Decisions, Message, Record
from shared.runtime.tables.archive import read_clock, take_mark
from shared.settings import settings

_RECORD_BYTES = 1_000_000


class Naive:
    """A Faust app that handles the events of every service one by one."""

    def __init__(self, name: str, connections: int) -> None:
        """Create the app; ``serve`` adds services."""
        self._options = settings()
        self._connections = connections
        self._pool: Any = None
        self._opening = asyncio.Lock()
        self._done: dict[tuple[str, str, int], int] = {}
        self.app = faust.App(
            f"{self._options.topic_prefix}.{name}",
            broker=f"kafka://{self._options.kafka_brokers}",
            datadir=self._options.data_dir,
            web_enabled=False,
            topic_disable_leader=True,
            topic_allow_declare=False,
            table_standby_replicas=0,
            broker_session_timeout=6.0,
            broker_heartbeat_interval=1.0,
            broker_rebalance_timeout=2.0,
            value_serializer="raw",
            worker_redirect_stdouts=False,
        )

    def serve(self, handler: Any, topic: str) -> None:
        """Add an agent that passes the records of a topic to a service's handler, one by one."""

        async def handle(stream: Any) -> None:
            await self._open()
            async for event in stream.events():
                message = event.message
                if message.offset < self._done.get((handler.service, topic, message.partition), 0):
                    continue
                headers = tuple((name, value) for name, value in (message.headers or []))
                record = Record(message.offset, int(message.timestamp * 1000), message.key, message.value, headers)
                batch = Batch(topic, message.partition, 0, [record], record.offset + 1)
                for sent in await self._handle(handler, batch):
                    await self._send(sent)

        channel = self.app.topic(self._options.topic(topic), value_serializer="raw", key_serializer="raw")
        self.app.agent(channel, name=f"{handler.service}.{topic}")(handle)

    async def _open(self) -> None:
        """Open the pool, and read how far the preparation of a run came."""
        async with self._opening:
            if self._pool is None:
                url = self._options.database_url.get_secret_value()
                self._pool = await open_pool(url, self._options.database_schema, size=self._connections)
        async with self._pool.acquire() as connection:
            rows = await connection.fetch("select service, topic, partition, next_offset from watermark")
        self._done = {(service, topic, partition): offset for service, topic, partition, offset in rows}

    async def _send(self, sent: Message) -> None:
        await self.app.producer.send(
            self._options.topic(sent.topic),
            sent.key,
            sent.value,
            partition_of(sent.key, self._options.topic_partitions),
            None,
            dict(sent.headers),
        )

    async def _handle(self, handler: Any, batch: Batch) -> list[Message]:
        place = (batch.topic, batch.partition, batch.epoch)
        decoded = decode(batch.records, handler.contracts, _RECORD_BYTES, place)
        async with self._pool.acquire() as connection:
            while True:
                try:
                    async with connection.transaction():
                        state = await handler.load(connection, decoded.events)
                        mark = await take_mark(connection, await read_clock(connection))
                        decisions: Decisions = handler.decide(state, decoded.events, mark)
                        await _store_effects(connection, handler, decisions, mark)
                        await _store_batch(connection, handler, batch, decisions, mark, decoded.ignored.total())
                        return decisions.messages
                except LoadAgain as again:
                    # As in the real services: missing rows are created first; otherwise loading again is enough.
                    if again.prepare is not None:
                        await again.prepare(connection)


async def _store_effects(connection: Any, handler: Any, decisions: Decisions, mark: Mark) -> None:
    """Write row by row; the services' own stores get at most one row of each kind, because there is one event."""
    effects = decisions.effects
    if not isinstance(handler, (EarnHandler, RedeemHandler)):
        await handler.store(connection, decisions, mark)
        return
    for entry in effects.posting.entries:
        await _insert_entry(connection, entry, mark)
    for lot in effects.posting.lots.values():
        await _change_lot(connection, lot)
    for account in effects.posting.accounts.values():
        await _update_account(connection, account)
    for key, instant in effects.posting.timed_out.items():
        await connection.execute(
            "update redemption set state = 'released', reason = 'timed-out', settled_at = $2 "
            "where key = $1 and state = 'reserved'",
            key,
            instant,
        )
    if isinstance(handler, EarnHandler):
        await earn_store.write(connection, effects)
    else:
        await redeem_store.write(connection, effects)


async def _store_batch(
    connection: Any, handler: Any, batch: Batch, decisions: Decisions, mark: Mark, ignored: int
) -> None:
    assert not decisions.refused, f"the benchmark's events are all good: {decisions.refused}"
    records = [] if batch.topic in handler.private else batch.records
    await connection.execute(
        "insert into archive (seq, kind, service, topic, partition, epoch, first_offset, next_offset, records, "
        "accepted, duplicates, refused, ignored, judged_at, recorded_at, body, facts) "
        "values ($1, 'batch', $2, $3, $4, 0, $5, $6, 1, $7, $8, 0, $9, $10, $10, $11, $12)",
        mark.seq,
        handler.service,
        batch.topic,
        batch.partition,
        batch.first_offset,
        batch.next_offset,
        decisions.accepted,
        decisions.duplicates,
        ignored,
        mark.recorded_at,
        pack(records),
        decisions.facts,
    )
    await connection.execute(
        "insert into watermark (service, topic, partition, epoch, next_offset, topic_id, updated_at) "
        "values ($1, $2, $3, 0, $4, '', $5) on conflict (service, topic, partition) "
        "do update set next_offset = excluded.next_offset, updated_at = excluded.updated_at",
        handler.service,
        batch.topic,
        batch.partition,
        batch.next_offset,
        mark.recorded_at,
    )
    # Insert and delete the outbox row, as the real services do.
    if decisions.messages:
        await connection.execute(
            "insert into outbox (seq, service, topic, partition, body) values ($1, $2, $3, $4, $5)",
            *(mark.seq, handler.service, batch.topic, batch.partition),
            pack(decisions.messages),
        )
        await connection.execute("delete from outbox where seq = $1", mark.seq)


async def _insert_entry(connection: Any, e: Entry, mark: Mark) -> None:
    await connection.execute(
        "insert into entry (account, version, points, lot, available, pending, reserved, debt, qualifying, "
        "occurred_at, event_at, recorded_at, cause, program_version, rule, operation, counts_at) "
        "values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)",
        e.account,
        e.version,
        e.points,
        e.lot,
        e.available,
        e.pending,
        e.reserved,
        e.debt,
        e.qualifying,
        e.occurred_at,
        e.event_at,
        mark.recorded_at,
        e.cause,
        e.program_version,
        e.rule,
        e.operation,
        e.counts_at,
    )


async def _change_lot(connection: Any, lot: LotChange) -> None:
    if lot.terms is not None and lot.remaining >= 0:
        await connection.execute(
            "insert into lot (account, lot, earned, remaining, available_at, expires_at, pending, expired) "
            "values ($1, $2, $3, $4, $5, $6, $7, $8) on conflict (account, lot) do update "
            "set earned = lot.earned + excluded.earned, remaining = lot.remaining + excluded.remaining, "
            "pending = excluded.pending, expired = lot.expired + excluded.expired",
            lot.account,
            lot.lot,
            lot.earned,
            lot.remaining,
            lot.terms.available_at,
            lot.terms.expires_at,
            lot.pending,
            lot.expired,
        )
    else:
        await connection.execute(
            "update lot set earned = earned + $3, remaining = remaining + $4, pending = $5, expired = expired + $6, "
            "excused = excused + $7 where account = $1 and lot = $2",
            lot.account,
            lot.lot,
            lot.earned,
            lot.remaining,
            lot.pending,
            lot.expired,
            lot.excused,
        )


async def _update_account(connection: Any, account: Account) -> None:
    await connection.execute(
        "update account set available = $2, pending = $3, reserved = $4, debt = $5, lifetime = $6, version = $7, "
        "as_of = $8, next_due = $9, earned_at = $10, redeemed_at = $11 where account = $1",
        account.account,
        account.available,
        account.pending,
        account.reserved,
        account.debt,
        account.lifetime,
        account.version,
        account.as_of,
        account.next_due,
        account.earned_at,
        account.redeemed_at,
    )
