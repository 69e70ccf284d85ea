"""Signals that end a run: all are handled alike, and none interrupts starting or cleaning up."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

_REQUESTS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def stopping_cleanly() -> Iterator[None]:
    """Let every such signal raise KeyboardInterrupt, even if the shell made the process ignore Ctrl-C."""
    before = {number: signal.getsignal(number) for number in _REQUESTS}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in _REQUESTS[1:]:
        # Through SIGINT, because asyncio has its own way to end what runs in its loop.
        signal.signal(number, lambda _number, _frame: signal.raise_signal(signal.SIGINT))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Delay such signals, which could leave half of an initdb or of a clean-up behind."""
    asked: list[int] = []
    # Handlers, not a signal mask of the thread: another thread would receive the signal.
    before = {number: signal.signal(number, lambda number, _frame: asked.append(number)) for number in _REQUESTS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if asked:
            signal.raise_signal(asked[0])
