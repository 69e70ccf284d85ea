"""Tells Kafka how far a partition was handled: for lag tools only, the watermark is the truth."""

from __future__ import annotations

import asyncio
import math
import time
from typing import Any

from shared.logs import logger
from shared.runtime.failpoints import reach

_SECONDS = 1.0
_log = logger(__name__)


class CommittedOffset:
    """The offset of one partition as Kafka knows it."""

    def __init__(self, consumer: Any, partition: Any) -> None:
        self._consumer = consumer
        self._tp = partition
        self._at = -math.inf
        self._offset = 0

    def start_over(self, next_offset: int) -> None:
        """Take the offset for known: the partition was claimed anew."""
        self._offset = next_offset

    def differs(self, next_offset: int) -> bool:
        """Tell whether Kafka knows another offset."""
        return self._offset != next_offset

    def due(self) -> bool:
        """Tell whether the last time was long enough ago."""
        return time.monotonic() - self._at > _SECONDS

    async def commit(self, next_offset: int) -> None:
        """Tell Kafka; what keeps it from being told is no reason to stop."""
        self._at = time.monotonic()
        try:
            async with asyncio.timeout(_SECONDS):
                await self._consumer.commit({self._tp: next_offset})
            self._offset = next_offset
        except Exception as problem:  # noqa: BLE001 - a lag tool that lags is no reason to stop
            _log.info("offset not committed to Kafka", cause=repr(problem))
        reach("offset-committed")
