"""/metrics for Prometheus, /healthz (the process is alive), /readyz (broker and database answer, batches get on)."""

from __future__ import annotations

import asyncio
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from shared.runtime.consumer import BatchConsumer
from shared.runtime.metrics import STALLED_SECONDS

_DATABASE_SECONDS = 2.0


def add_pages(app: Any, consumer: BatchConsumer) -> None:
    """Add the pages to a Faust app."""

    @app.page("/metrics")
    async def metrics(web: Any, _request: Any) -> Any:
        STALLED_SECONDS.labels(consumer.handler.service).set(consumer.stalled_seconds())
        return web.bytes(generate_latest(), content_type=CONTENT_TYPE_LATEST.split(";")[0])

    @app.page("/healthz")
    async def healthz(web: Any, _request: Any) -> Any:
        alive = not consumer.crashed
        return web.json({"alive": alive}, status=200 if alive else 503)

    @app.page("/readyz")
    async def readyz(web: Any, _request: Any) -> Any:
        ready = {
            "broker": consumer.connected,
            "database": await database_answers(consumer),
            "progress": consumer.stalled_seconds() < consumer.settings.stall_seconds,
        }
        return web.json(ready, status=200 if all(ready.values()) else 503)


async def database_answers(consumer: BatchConsumer) -> bool:
    """Tell whether Postgres answers within two seconds."""
    try:
        async with asyncio.timeout(_DATABASE_SECONDS):
            async with consumer.pool.acquire() as connection:
                await connection.fetchval("select 1")
    except Exception:  # noqa: BLE001 - whatever the reason, the answer is no
        return False
    return True
