"""Tells Kafka how far a partition was handled: for lag tools only, the watermark is the truth."""

from __future__ import annotations

import asyncio
import math
import time
from typing import Any

from shared.logs import logger
from shared.runtime.failpoints import reach
from shared.runtime.leases import name_of_log
from shared.runtime.watermark import Claim

_SECONDS = 1.0
_log = logger(__name__)


class CommittedOffset:
    """The offset of one partition as Kafka knows it."""

    def __init__(self, consumer: Any, partition: Any) -> None:
        self._consumer = consumer
        self._tp = partition
        self._at = -math.inf
        self._offset = 0

    def differs(self, claim: Claim) -> bool:
        """Tell whether Kafka knows another offset."""
        return self._offset != claim.next_offset

    async def commit_now_and_then(self, claim: Claim) -> None:
        """Tell Kafka, if the last time was long enough ago."""
        if time.monotonic() - self._at > _SECONDS:
            await self.commit(claim)

    async def commit(self, claim: Claim) -> None:
        """Tell Kafka, and of which records it is the offset; what keeps it from being told is no reason to stop."""
        self._at = time.monotonic()
        offset = claim.next_offset
        try:
            async with asyncio.timeout(_SECONDS):
                await self._consumer.commit({self._tp: (offset, name_of_log(claim))})
            self._offset = offset
        except Exception as problem:  # noqa: BLE001 - a lag tool that lags is no reason to stop
            _log.info("offset not committed to Kafka", cause=repr(problem))
        reach("offset-committed")
