"""One run of one tree: its topics, tables and workers, on new servers."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench.against import witness
from bench.against.tree import Tree
from bench.load import PARTITIONS
from bench.running import Process, stopped_at_the_end
from bench.servers import Running
from devstack.embedded.process import free_port
from shared.settings import Settings

_PREFIX = "bench"
#: The embedded broker lets a group wait for half of this before it assigns partitions.
_SESSION_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker of a service."""

    service: str
    process: Process
    web_port: int
    report: Path


@dataclass(frozen=True, slots=True)
class Site:
    """A tree and the servers of one run.

    Attributes:
        variables: The settings of its workers and commands, as environment variables, and only those that a benchmark
            needs: the tree's own defaults are part of what is measured.
        settings: The same for this side, which sends the load and listens.
    """

    tree: Tree
    servers: Running
    variables: dict[str, str]
    settings: Settings
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    @classmethod
    def of(cls, tree: Tree, servers: Running, clock: str) -> Site:
        """Return the site of a tree on servers; ``clock`` is ``wall`` or ``manual``."""
        values = {
            "kafka_brokers": f"127.0.0.1:{servers.broker.port}",
            "kafka_idempotence": "false",
            "topic_prefix": _PREFIX,
            "topic_partitions": str(PARTITIONS),
            "database_url": servers.url,
            "database_schema": _PREFIX,
            "session_seconds": str(_SESSION_SECONDS),
            "rebalance_seconds": "2",
            "clock": clock,
            "log_level": "warning",
            **{name: str(value) for name, value in json.loads(os.environ.get("LOYALTY_BENCH_SETTINGS", "{}")).items()},
        }
        variables = {f"LOYALTY_{name.upper()}": value for name, value in values.items()}
        # The settings of a stack that runs in the tree must not be used.
        variables["LOYALTY_HOME"] = str(servers.folder / "home")
        return cls(tree, servers, variables, Settings.model_validate(values))

    def deploy(self, program: Path) -> None:
        """Create tables and topics and publish a program, with the tree's own commands."""
        for command in (["database", "migrate"], ["topics", "create"], ["program", "publish", str(program)]):
            self.tree.run(self._report(), self.variables, "cli", *command)

    @contextmanager
    def workers(self, *services: str) -> Iterator[list[Worker]]:
        """Run one worker of each service; at the end, check that all of them ran the tree's own code."""
        found: list[Worker] = []
        with stopped_at_the_end() as processes:
            for service in services:
                found.append(self._start(service))
                processes.append(found[-1].process)
            yield found
        for worker in found:
            witness.check(worker.report, self.tree.root, [_app(worker.service)])

    def _start(self, service: str) -> Worker:
        report, port = self._report(), free_port()
        files = self.servers.folder / report.stem
        variables = {**self.variables, "LOYALTY_WEB_PORT": str(port), "LOYALTY_DATA_DIR": str(files)}
        log = files.with_suffix(".log")
        process = self.tree.start(report, variables, log, "faust", "-A", _app(service), "worker")
        return Worker(service, process, port, report)

    def _report(self) -> Path:
        return self.servers.folder / f"process-{next(self._numbers)}.json"


def _app(service: str) -> str:
    return f"services.{service}.app"
