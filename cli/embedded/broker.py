"""Runs the stack's broker and makes its topics each time it comes up: the embedded one forgets them at a restart.

``python -m cli.embedded.broker {tansu|kafka} PORT FOLDER`` runs until it is told to stop or the broker dies.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType

from cli.embedded import kafka, tansu
from cli.embedded.process import Command, accepts, wait_for
from shared.settings import Settings
from shared.stream.brokers import Admin

_READY_SECONDS = 60.0


def broker_command(kind: str, port: int, folder: Path) -> Command:
    """Return how to start a broker of a kind ("tansu" or "kafka")."""
    return kafka.prepare(folder, port) if kind == "kafka" else tansu.command(port)


def main() -> int:
    """Run the broker named by the arguments; returns its exit status."""
    kind, port, folder = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
    command = broker_command(kind, port, folder)
    broker = subprocess.Popen(command.argv, env={**os.environ, **command.environment})  # noqa: S603

    def stop(_signal: int, _frame: FrameType | None) -> None:
        broker.terminate()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    wait_for("the broker", lambda: broker.poll() is not None or accepts(port), _READY_SECONDS)
    if broker.poll() is None:
        settings = Settings()
        admin = Admin(settings.kafka_brokers)
        admin.create_topics(settings)
        admin.close()
    return broker.wait()


if __name__ == "__main__":
    sys.exit(main())
