"""What all pipelines of a worker share."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from shared.database.pool import Pool
from shared.runtime.handler import Handler
from shared.runtime.kafka.publisher import Publisher
from shared.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """One process of a service.

    Attributes:
        settings: Of this worker.
        handler: The service's load, decide and store.
        source: The ``source`` of outgoing events.
        pool: Of database connections.
        turns: How many batches it may hold in memory at a time.
        publisher: Of its messages.
    """

    settings: Settings
    handler: Handler
    source: str
    pool: Pool
    turns: asyncio.Semaphore
    publisher: Publisher
