"""Makes the Faust app of a service: ``faust -A services.<name>.app worker`` starts it."""

from __future__ import annotations

import tempfile
from typing import Any

import faust
import mode.loop

from shared.contracts import control
from shared.logs import configure, dict_config, logger
from shared.settings import Settings, settings
from shared.stream import crashpoints
from shared.stream.consumer import BatchConsumer
from shared.stream.handler import Handler
from shared.stream.web import add_pages

_log = logger(__name__)


def create_app(service: str, handler: Handler, topics: tuple[str, ...], *, options: Settings | None = None) -> Any:
    """Wire a service: its batch consumer, its web pages, and the agent of the control topic.

    Args:
        service: The service's name.
        handler: Its load, decide and store.
        topics: Short names of the topics that it reads in batches.
        options: Settings; read from the environment unless given.
    """
    options = options or settings()
    configure(options.log_level)
    if options.crash_at:
        crashpoints.order_kill(options.crash_at)
    _use_uvloop()
    app = faust.App(
        f"{options.topic_prefix}.{service}",
        broker=[f"kafka://{broker.strip()}" for broker in options.kafka_brokers.split(",")],
        datadir=options.data_dir or tempfile.mkdtemp(prefix="loyalty-faust-"),
        web_host=options.web_host,
        web_port=options.web_port,
        web_bind=options.web_host,
        topic_disable_leader=True,
        topic_allow_declare=False,
        # No tables, so no standbys: Faust then uses a plain assignor instead of its own.
        table_standby_replicas=0,
        broker_session_timeout=options.session_seconds,
        broker_heartbeat_interval=min(3.0, options.session_seconds / 10),
        broker_rebalance_timeout=options.rebalance_seconds,
        producer_request_timeout=10.0,
        value_serializer="raw",
        logging_config=dict_config(options.log_level),
    )
    running: list[BatchConsumer] = []

    class Batches(BatchConsumer):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(options, handler, topics, f"/loyalty/{options.topic_prefix}/{service}", **kwargs)
            running[:] = [self]

    app.service(Batches)
    add_pages(app, lambda: running[0] if running else None)

    @app.agent(app.topic(options.topic(control.TOPIC), value_serializer="raw", internal=False))
    async def hints(stream: Any) -> None:
        """Hear that a program was published or the clock moved; what counts is read from Postgres with each batch."""
        async for event in stream.events():
            kind = dict(event.message.headers or {}).get("ce_type") or b""
            _log.info("control", type=kind.decode(errors="replace"))
            if kind == control.PROGRAM_PUBLISHED.encode() and running:
                await _refresh(running[0])

    return app


async def _refresh(consumer: BatchConsumer) -> None:
    """Let the handler read ahead; a failure costs nothing, for the next batch reads by itself."""
    try:
        async with consumer.pool.acquire() as connection:
            await consumer.handler.refresh(connection)
    except Exception as problem:  # noqa: BLE001 - an exception would end the agent
        _log.warning("could not read the new program ahead", cause=repr(problem))


def _use_uvloop() -> None:
    try:
        mode.loop.use("uvloop")
    except ImportError:
        _log.info("uvloop is not installed here; asyncio's own loop is used")
