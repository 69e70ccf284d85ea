"""When a partition's share of the sweeps is due: of what time alone makes happen."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

_AFTER_A_FAILURE_SECONDS = 10.0
#: Before any instant: a monotonic clock begins near 0 when the machine is started.
_NOT_YET = -math.inf


class SweepTimes:
    """Says when to sweep.

    Args:
        shards: Says into how many parts the sweeps are divided, of which this partition's number is one; 0 if this
            partition has none.
        seconds: From one look to the next.
    """

    def __init__(self, shards: Callable[[], int], seconds: float) -> None:
        self.shards = shards
        self._seconds = seconds
        self._swept_at = _NOT_YET

    def due(self) -> bool:
        """Tell whether it is time to look."""
        return bool(self.shards()) and time.monotonic() - self._swept_at >= self._seconds

    def wait(self, seconds: float) -> float:
        """Return how long one may wait, at most so long."""
        if not self.shards():
            return seconds
        return min(seconds, max(0.0, self._swept_at + self._seconds - time.monotonic()))

    def hurry(self) -> bool:
        """Look at once, for the clock was moved; False: a failure is waited out."""
        if self._swept_at > time.monotonic():
            return False
        self._swept_at = _NOT_YET
        return True

    def found_nothing(self) -> None:
        """Nothing was due."""
        self._swept_at = time.monotonic()

    def failed(self) -> None:
        """Wait for longer: batches go on, whatever it is that a sweep stumbles over."""
        self._swept_at = time.monotonic() + _AFTER_A_FAILURE_SECONDS
