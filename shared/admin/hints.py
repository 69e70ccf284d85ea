"""Sends hints on the control topic. The truth is in Postgres already; a hint that gets lost only delays."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime

import pydantic_core
from kafka import KafkaProducer
from kafka.errors import KafkaError

from shared.contracts import control
from shared.contracts.envelope import seal
from shared.settings import Settings

_SECONDS = 5


async def send_hint(settings: Settings, event_type: str, data: Mapping[str, object]) -> str | None:
    """Send one event; return why it was not sent, in a sentence, for workers find out with their next batch anyway."""
    try:
        await asyncio.to_thread(_send, settings, event_type, data)
    except KafkaError as problem:
        return f"the hint to running workers was not sent ({problem!r}); they notice with their next batch"
    return None


def _send(settings: Settings, event_type: str, data: Mapping[str, object]) -> None:
    producer = KafkaProducer(
        bootstrap_servers=settings.kafka_brokers.split(","), enable_idempotence=False, max_block_ms=_SECONDS * 1000
    )
    try:
        headers = seal(
            event_id=str(uuid.uuid4()),
            source=f"/loyalty/{settings.topic_prefix}/cli",
            event_type=event_type,
            time=datetime.now(UTC).isoformat(),
            key="control",
        )
        sent = producer.send(
            settings.topic(control.TOPIC), pydantic_core.to_json(data), key=b"control", headers=headers
        )
        sent.get(timeout=_SECONDS)
    finally:
        producer.close(timeout=_SECONDS)
