"""Requests to end: Ctrl-C and its kin all take one way, and none of them breaks into starting or cleaning up."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

_REQUESTS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def stopping_cleanly() -> Iterator[None]:
    """Let every request to end raise KeyboardInterrupt, also where the shell ignores Ctrl-C for us."""
    before = {number: signal.getsignal(number) for number in _REQUESTS}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in _REQUESTS[1:]:
        # Through SIGINT, for asyncio has a way of its own to end what runs in its loop.
        signal.signal(number, lambda _number, _frame: signal.raise_signal(signal.SIGINT))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Let requests to end wait: half of an initdb, or half of a clean-up, would stay behind."""
    asked: list[int] = []
    # Handlers, not a mask of the thread: any other thread would take the signal for the process.
    before = {number: signal.signal(number, lambda number, _frame: asked.append(number)) for number in _REQUESTS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if asked:
            signal.raise_signal(asked[0])
