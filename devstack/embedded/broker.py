"""Runs the stack's broker and creates its topics at each start: the embedded broker forgets them at a restart.

``python -m devstack.embedded.broker {tansu|kafka} PORT FOLDER`` becomes the broker: the process that the supervisor
knows is the broker itself, so that killing it leaves nothing behind. A child creates the topics once the port answers.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from pathlib import Path

from devstack.embedded import kafka, tansu
from devstack.embedded.process import Command, accepts, wait_for
from shared.runtime.kafka.brokers import Admin
from shared.settings import Settings

_READY_SECONDS = 60.0


def broker_command(kind: str, port: int, folder: Path) -> Command:
    """Return the command that starts a broker of a kind ("tansu" or "kafka")."""
    return kafka.prepare(folder, port) if kind == "kafka" else tansu.command(port)


def make_topics(port: int) -> None:
    """Wait for the broker, and create the topics that are missing."""
    wait_for("the broker", lambda: accepts(port), _READY_SECONDS)
    settings = Settings()
    admin = Admin(settings.kafka_brokers)
    admin.create_topics(settings)
    admin.close()


def main() -> None:
    """Become the broker that the arguments name."""
    kind, port, folder = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
    command = broker_command(kind, port, folder)
    multiprocessing.get_context("spawn").Process(target=make_topics, args=(port,)).start()
    os.execve(command.argv[0], command.argv, {**os.environ, **command.environment})  # noqa: S606 - the point of it


if __name__ == "__main__":
    main()
