"""What one would write first: a Faust agent, one transaction an event, the same tables and the same result.

It is as exact as the real service under duplicates (the business key), but it loops over single rows, and Faust
acknowledges what its handler did. Started as ``faust -A bench.naive worker``.
"""

from __future__ import annotations

from typing import Any

import faust

from services.earn import store
from services.earn.handler import EarnHandler
from shared.contracts import purchases
from shared.database.pool import open_pool
from shared.ledger.model import Entry, LotChange
from shared.settings import settings
from shared.stream.decode import decode
from shared.stream.handler import Mark
from shared.stream.journal import take_mark
from shared.stream.packing import pack
from shared.stream.records import Batch, Decisions, Message, Record

_options = settings()
app = faust.App(
    f"{_options.topic_prefix}.naive",
    broker=f"kafka://{_options.kafka_brokers}",
    datadir=_options.data_dir,
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
_handler = EarnHandler(f"/loyalty/{_options.topic_prefix}/earn")
_pool: list[Any] = []


@app.agent(app.topic(_options.topic(purchases.TOPIC), value_serializer="raw", key_serializer="raw"))
async def earn(stream: Any) -> None:
    """Handle one purchase after the other."""
    if not _pool:
        url = _options.database_url.get_secret_value()
        _pool.append(await open_pool(url, _options.database_schema, size=2))
    async for event in stream.events():
        message = event.message
        headers = tuple((name, value) for name, value in (message.headers or []))
        record = Record(message.offset, int(message.timestamp * 1000), message.key, message.value, headers)
        for sent in await _handle(record, message.partition):
            await app.producer.send(
                _options.topic(sent.topic), sent.key, sent.value, message.partition, None, dict(sent.headers)
            )


async def _handle(record: Record, partition: int) -> list[Message]:
    decoded = decode([record], _handler.contracts, 1_000_000)
    async with _pool[0].acquire() as connection:
        while True:
            try:
                async with connection.transaction():
                    state = await _handler.load(connection, decoded.events)
                    mark = await take_mark(connection)
                    decisions = _handler.decide(state, decoded.events, mark)
                    await _store(connection, decisions, mark, record, partition)
                    return decisions.messages
            except Exception as again:
                prepare = getattr(again, "prepare", None)
                if prepare is None:
                    raise
                await prepare(connection)


async def _store(connection: Any, decisions: Decisions, mark: Mark, record: Record, partition: int) -> None:
    for entry in decisions.effects.posting.entries:
        await _insert_entry(connection, entry, mark)
    for lot in decisions.effects.posting.lots.values():
        await _change_lot(connection, lot)
    for account in decisions.effects.posting.accounts.values():
        await connection.execute(
            "update account set available = $2, lifetime = $3, version = $4, as_of = $5, next_due = $6 "
            "where account = $1",
            account.account, account.available, account.lifetime, account.version, account.as_of, account.next_due,
        )  # fmt: skip
    await store.write(connection, decisions.effects)
    batch = Batch(purchases.TOPIC, partition, 0, [record], record.offset + 1)
    await connection.execute(
        "insert into archive (seq, kind, service, topic, partition, epoch, first_offset, next_offset, records, "
        "accepted, duplicates, refused, ignored, judged_at, recorded_at, body) "
        "values ($1, 'batch', 'earn', $2, $3, 0, $4, $5, 1, $6, $7, 0, 0, $8, $8, $9)",
        mark.seq, batch.topic, partition, record.offset, batch.next_offset, decisions.accepted, decisions.duplicates,
        mark.recorded_at, pack(batch.records),
    )  # fmt: skip
    await connection.execute(
        "insert into watermark (service, topic, partition, epoch, next_offset, topic_id, updated_at) "
        "values ('earn', $1, $2, 0, $3, '', $4) on conflict (service, topic, partition) "
        "do update set next_offset = excluded.next_offset, updated_at = excluded.updated_at",
        batch.topic, partition, batch.next_offset, mark.recorded_at,
    )  # fmt: skip
    # The outbox row in and out, as the real service writes it.
    if decisions.messages:
        await connection.execute(
            "insert into outbox (seq, service, topic, partition, body) values ($1, 'earn', $2, $3, $4)",
            mark.seq, batch.topic, partition, pack(decisions.messages),
        )  # fmt: skip
        await connection.execute("delete from outbox where seq = $1", mark.seq)


async def _insert_entry(connection: Any, e: Entry, mark: Mark) -> None:
    await connection.execute(
        "insert into entry (account, version, points, lot, available, pending, reserved, debt, qualifying, "
        "occurred_at, event_at, recorded_at, cause, program_version, rule, operation) "
        "values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)",
        e.account, e.version, e.points, e.lot, e.available, e.pending, e.reserved, e.debt, e.qualifying, e.occurred_at,
        e.event_at, mark.recorded_at, e.cause, e.program_version, e.rule, e.operation,
    )  # fmt: skip


async def _change_lot(connection: Any, lot: LotChange) -> None:
    await connection.execute(
        "insert into lot (account, lot, earned, remaining, available_at, expires_at) values ($1, $2, $3, $4, $5, $6) "
        "on conflict (account, lot) do update set earned = lot.earned + excluded.earned, "
        "remaining = lot.remaining + excluded.remaining",
        lot.account, lot.lot, lot.earned, lot.remaining, lot.terms.available_at, lot.terms.expires_at,
    )  # fmt: skip
