"""Named places where a worker can be made to die, so that tests can prove that it may.

``LOYALTY_CRASH_AT=stored`` kills the process (SIGKILL) the first time it gets there, ``stored:5`` the fifth time;
``stored:5:STOP`` freezes it there instead, as a zombie that may wake up late.
Tests in one process set ``hook`` instead and raise from it.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

#: In the order of a batch's life: after the records were fetched; after the load; after the decision; after the
#: last write, before the commit; after the commit; after Kafka acknowledged; after the offset was committed.
POINTS = ("fetched", "loaded", "decided", "stored", "committed", "published", "offset-committed")

hook: Callable[[str], None] | None = None


def reach(point: str) -> None:
    """Say that the worker got to ``point``; does nothing unless a crash was ordered there."""
    if hook is not None:
        hook(point)


def order_kill(order: str) -> None:
    """Order a kill at ``point``, ``point:count`` or ``point:count:signal``.

    Raises:
        ValueError: There is no such point.
    """
    global hook  # noqa: PLW0603 - one process, one order to die
    point, count, how, *_ = [*order.split(":"), "", ""]
    if point not in POINTS:
        raise ValueError(f"LOYALTY_CRASH_AT: no crash point {point!r}; there are {', '.join(POINTS)}")
    left = int(count or 1)
    number = signal.Signals[f"SIG{how or 'KILL'}"]

    def kill(reached: str) -> None:
        nonlocal left
        if reached == point:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), number)

    hook = kill
