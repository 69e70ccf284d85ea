"""Makes the Faust app of a service: ``faust -A services.<name>.app worker`` starts it."""

from __future__ import annotations

import os
import socket
import tempfile
import threading
from collections.abc import Iterable
from typing import Any

import faust
import mode.loop

from shared.contracts import control
from shared.contracts.catalogue import topics_of
from shared.logs import configure, dict_config, logger
from shared.runtime import failpoints as crashpoints
from shared.runtime.consumer import BatchConsumer
from shared.runtime.handler import Handler
from shared.runtime.web import add_pages
from shared.settings import Settings, settings

_log = logger(__name__)
#: How long Faust's own parts may take to stop once the batches have: all that they do is to hear hints.
_FAUST_SECONDS = 5.0


def create_app(service: str, handler: Handler, *, options: Settings | None = None) -> Any:
    """Wire a service: its batch consumer, its web pages, and the agent of the control topic.

    Args:
        service: The service's name.
        handler: Its load, decide and store. Which topics it reads is in the catalogue.
        options: Settings; read from the environment unless given.
    """
    options = options or settings()
    configure(options.log_level)
    if options.crash_at:
        crashpoints.order_kill(options.crash_at)
    _use_uvloop()
    batches = BatchConsumer(options, handler, topics_of(service), f"/loyalty/{options.topic_prefix}/{service}")
    app = _App(
        batches,
        # A group of its own for each worker: every one of them must hear the hints of the control topic, and none
        # has to wait for the others to form a group. Batches are shared out in another group, see BatchConsumer.
        f"{options.topic_prefix}.{service}.control.{socket.gethostname()}.{os.getpid()}",
        broker=[f"kafka://{broker.strip()}" for broker in options.kafka_brokers.split(",")],
        datadir=options.data_dir or tempfile.mkdtemp(prefix="loyalty-faust-"),
        web_host=options.web_host,
        web_port=options.web_port,
        web_bind=options.web_host,
        consumer_auto_offset_reset="latest",
        topic_disable_leader=True,
        topic_allow_declare=False,
        # No tables, so no standbys: Faust then uses a plain assignor instead of its own.
        table_standby_replicas=0,
        broker_session_timeout=options.session_seconds,
        # A group of one has nobody to take partitions over from.
        broker_heartbeat_interval=min(3.0, options.session_seconds / 3),
        broker_rebalance_timeout=options.rebalance_seconds,
        producer_request_timeout=10.0,
        value_serializer="raw",
        # Standard error is where the logs go; redirecting it into the logs would swallow them.
        worker_redirect_stdouts=False,
        logging_config=dict_config(options.log_level),
    )
    add_pages(app, batches)

    @app.agent(app.topic(options.topic(control.TOPIC), value_serializer="raw", internal=False))
    async def hints(stream: Any) -> None:
        """Hear that a program was published or the clock moved; what counts is read from Postgres with each batch."""
        async for event in stream.events():
            kind = dict(event.message.headers or {}).get("ce_type") or b""
            _log.info("control", type=kind.decode(errors="replace"))
            if kind == control.PROGRAM_PUBLISHED.encode():
                await _refresh(batches)

    return app


class _App(faust.App):
    """A Faust app that starts the batch consumer first.

    Services added by ``app.service`` wait until Faust's own consumer has joined its group; points must not.
    """

    def __init__(self, batches: BatchConsumer, *args: Any, **kwargs: Any) -> None:
        self._batches = batches
        super().__init__(*args, **kwargs)

    def on_init_dependencies(self) -> Iterable[Any]:
        """Return the services that run inside the app, in the order of starting."""
        return [self._batches, *super().on_init_dependencies()]

    async def stop(self) -> None:
        """Stop the batch consumer first; for Faust's own parts, which may hang on a dead broker, nobody waits long."""
        if not self._stopped.is_set():
            await self._batches.stop()
            last = threading.Timer(_FAUST_SECONDS, os._exit, [0])
            last.daemon = True
            last.start()
        await super().stop()


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
