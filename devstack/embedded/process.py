"""What is needed to run a server: its command, environment and user, free ports, and waiting for it."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from shared.errors import UsageError


@dataclass(frozen=True, slots=True)
class Command:
    """How a server is started.

    Attributes:
        argv: Program and arguments.
        environment: Added to the environment of the parent.
        user: Run as this user; None: the current one.
    """

    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    user: str | None = None


def free_port() -> int:
    """Return a TCP port of the loopback interface on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def port_is_free(port: int) -> bool:
    """Return whether a port of the loopback interface is free."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def accepts(port: int) -> bool:
    """Return whether something accepts connections on a port of the loopback interface."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def wait_for(what: str, ready: Callable[[], bool], seconds: float, log: Path | None = None) -> None:
    """Wait until ``ready()``.

    Raises:
        UsageError: It took longer than ``seconds``; the message names the log.
    """
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            hint = f"; its log is {log}" if log else ""
            raise UsageError(f"{what} did not get ready within {seconds:.0f} seconds{hint}")
        time.sleep(0.05)


def is_root() -> bool:
    """Return whether this process runs as root (never on Windows)."""
    return hasattr(os, "geteuid") and os.geteuid() == 0
