"""Keeps the stack's processes running: supervisord, with a configuration written for each start.

supervisord restarts what dies, rotates the logs and survives the command that started it.
"""

from __future__ import annotations

import hashlib
import os
import stat
import subprocess
import sys
import tempfile
import xmlrpc.client
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devstack.embedded.process import Command, wait_for
from shared.errors import UsageError

_READY_SECONDS = 20.0
_STOP_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Program:
    """One process of the stack.

    Attributes:
        stop_signal: The signal that stops it cleanly.
        stop_seconds: How long it may take to stop before it is killed.
        autostart: Whether it starts with supervisord; workers wait for their tables and topics.
        settings: Whether it gets the stack's settings, the database's password among them.
    """

    name: str
    command: Command
    stop_signal: str = "TERM"
    stop_seconds: int = 20
    autostart: bool = True
    settings: bool = True


def socket_path(home: Path) -> Path:
    """Return the path of supervisord's socket: short, because such paths are limited to about 100 characters."""
    digest = hashlib.sha256(str(home.resolve()).encode()).hexdigest()[:16]
    folder = Path(tempfile.gettempdir()) / f"loyalty-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if found.st_uid != os.getuid() or not stat.S_ISDIR(found.st_mode):
        raise UsageError(f"{folder} belongs to somebody else; remove it, or set TMPDIR")
    return folder / f"{digest}.sock"


def start(home: Path, programs: Iterable[Program], environment: dict[str, str]) -> None:
    """Start supervisord in the background.

    Args:
        home: The stack's home; logs go to ``home/logs``.
        programs: The processes to run, in order.
        environment: The settings for programs that get them, with the database's password.
    """
    logs = home.resolve() / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    configuration = home / "supervisord.conf"
    configuration.touch(mode=0o600)
    configuration.chmod(0o600)
    configuration.write_text(_configuration(home, logs, programs, environment))
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-W", "ignore", "-m", "supervisor.supervisord", "-c", str(configuration.resolve())],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    if done.returncode:
        raise UsageError(f"the supervisor did not start: {(done.stderr or done.stdout).strip()[-800:]}")
    wait_for("the supervisor", lambda: is_running(home), _READY_SECONDS, logs / "supervisord.log")


def is_running(home: Path) -> bool:
    """Return whether the stack's supervisor answers."""
    try:
        _rpc(home).supervisor.getState()
    except (OSError, xmlrpc.client.Error):
        return False
    return True


def states(home: Path) -> dict[str, dict[str, Any]]:
    """Return the state of each process by name: ``statename``, ``pid``, ``description`` …; empty if nothing runs."""
    try:
        found = _rpc(home).supervisor.getAllProcessInfo()
    except (OSError, xmlrpc.client.Error):
        return {}
    assert isinstance(found, list)
    return {process["name"]: process for process in found}


def start_process(home: Path, name: str) -> None:
    """Start one process.

    Raises:
        UsageError: It ended at once; the message names its log.
    """
    try:
        _rpc(home).supervisor.startProcess(name)
    except xmlrpc.client.Fault as fault:
        if "ALREADY_STARTED" not in fault.faultString:
            raise UsageError(
                f"{name} does not start ({fault.faultString}); its log is {home}/logs/{name}.log"
            ) from None


def stop(home: Path) -> None:
    """Stop each process by its signal, in reverse order of starting, and then supervisord."""
    pid = _rpc(home).supervisor.getPID()
    _rpc(home).supervisor.shutdown()
    assert isinstance(pid, int)
    wait_for("the stack's end", lambda: not _alive(pid), _STOP_SECONDS, home / "logs" / "supervisord.log")


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _rpc(home: Path) -> Any:
    from supervisor.xmlrpc import SupervisorTransport  # noqa: PLC0415 - only in the embedded stack

    transport = SupervisorTransport(None, None, serverurl=f"unix://{socket_path(home)}")
    return xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport)


def _configuration(home: Path, logs: Path, programs: Iterable[Program], environment: dict[str, str]) -> str:
    lines = [
        "[supervisord]",
        f"pidfile={_quoted(home.resolve() / 'supervisord.pid')}",
        f"logfile={_quoted(logs / 'supervisord.log')}",
        f"directory={_quoted(home.resolve())}",
        "[unix_http_server]",
        f"file={_quoted(socket_path(home))}",
        "chmod=0700",
        "[rpcinterface:supervisor]",
        "supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface",
    ]
    for priority, program in enumerate(programs):
        variables = {**(environment if program.settings else {}), **program.command.environment}
        lines += [
            f"[program:{program.name}]",
            "command=" + _quoted(" ".join(f'"{part}"' for part in program.command.argv)),
            "environment=" + ",".join(f'{name}="{_quoted(value)}"' for name, value in variables.items()),
            f"autostart={str(program.autostart).lower()}",
            "autorestart=true",
            "startsecs=1",
            "startretries=30",
            f"stopsignal={program.stop_signal}",
            f"stopwaitsecs={program.stop_seconds}",
            "killasgroup=true",
            f"priority={priority}",
            "redirect_stderr=true",
            f"stdout_logfile={_quoted(logs / (program.name + '.log'))}",
            "stdout_logfile_maxbytes=20MB",
            "stdout_logfile_backups=2",
        ]
        if program.command.user:
            lines.append(f"user={program.command.user}")
    return "\n".join(lines) + "\n"


def _quoted(value: object) -> str:
    """Escape what supervisord's configuration would expand."""
    return str(value).replace("%", "%%")
