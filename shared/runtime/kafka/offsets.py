"""Tells Kafka how far a partition was handled: for lag tools only, the watermark is the truth."""

from __future__ import annotations

import asyncio
import math
import time
from typing import Any

from shared.logs import logger
from shared.runtime.batch.leases import name_of_log
from shared.runtime.failpoints import reach
from shared.runtime.tables.watermark import Lease

_SECONDS = 1.0
_log = logger(__name__)


class CommittedOffset:
    """The offset of one partition as Kafka knows it."""

    def __init__(self, consumer: Any, partition: Any) -> None:
        self._consumer = consumer
        self._tp = partition
        self._at = -math.inf
        self._offset = 0

    def differs(self, lease: Lease) -> bool:
        """Tell whether Kafka knows another offset."""
        return self._offset != lease.next_offset

    async def commit_now_and_then(self, lease: Lease) -> None:
        """Tell Kafka, if the last time was long enough ago."""
        if time.monotonic() - self._at > _SECONDS:
            await self.commit(lease)

    async def commit(self, lease: Lease) -> None:
        """Tell Kafka, and of which records it is the offset; what keeps it from being told is no reason to stop."""
        self._at = time.monotonic()
        offset = lease.next_offset
        try:
            async with asyncio.timeout(_SECONDS):
                await self._consumer.commit({self._tp: (offset, name_of_log(lease))})
            self._offset = offset
        except Exception as problem:  # noqa: BLE001 - a lag tool that lags is no reason to stop
            _log.info("offset not committed to Kafka", cause=repr(problem))
        reach("offset-committed")
