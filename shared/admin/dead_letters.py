"""Sends refused records again, or closes them as dealt with; they stay on record."""

from __future__ import annotations

from collections.abc import AsyncIterator

from aiokafka import AIOKafkaProducer

from shared.database.pool import Connection
from shared.runtime.records import Record
from shared.settings import Settings

_SETTLE = "update dead_letter set state = $2, settled_at = now() where id = $1"
_REQUEST_BYTES = 9_000_000


async def close_dead_letter(connection: Connection, letter: str) -> None:
    """Mark a dead letter as dealt with."""
    await connection.execute(_SETTLE, letter, "closed")


async def send_again(
    connection: Connection, settings: Settings, letters: AsyncIterator[tuple[str, str, Record]]
) -> AsyncIterator[str]:
    """Send records to the topics that they came from, and yield each one's id.

    Each is settled as soon as Kafka has it: a failure leaves the rest open.

    Args:
        connection: To the deployment's schema.
        settings: Of the deployment.
        letters: (id, topic, record) of each.
    """
    producer = AIOKafkaProducer(
        bootstrap_servers=settings.kafka_brokers,
        acks="all",
        max_request_size=_REQUEST_BYTES,
        enable_idempotence=settings.kafka_idempotence,
    )
    await producer.start()
    try:
        async for letter, topic, record in letters:
            # Kafka wants a key or a value; a record that had neither gets its letter's id.
            key = record.key if record.key or record.value is not None else letter.encode()
            await producer.send_and_wait(settings.topic(topic), record.value, key=key, headers=list(record.headers))
            await connection.execute(_SETTLE, letter, "replayed")
            yield letter
    finally:
        await producer.stop()
