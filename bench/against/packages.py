"""The interpreter for a revision: this one, or one with the packages in the revision's lock file."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from shared.errors import UsageError

LOCK = "requirements-dev.lock"
_SECONDS = 900
_SHOWN_CHARACTERS = 800


def interpreter_for(repository: Path, tree: Path, say: Callable[[str], None]) -> Path:
    """Return the interpreter that runs a checked-out revision.

    If its lock file differs, it gets its own environment, kept under ``.cache/`` by the lock file's content. The
    revision itself is never installed: its folder is put on the path.

    Raises:
        UsageError: The revision has no lock file, or the packages cannot be installed.
    """
    wanted = tree / LOCK
    if not wanted.exists():
        raise UsageError(f"this revision has no {LOCK}: nobody knows which packages it needs")
    if wanted.read_bytes() == (repository / LOCK).read_bytes():
        return Path(sys.executable)
    folder = repository / ".cache" / "bench-against" / _key(wanted)
    if not (folder / "installed").exists():
        say(f"its {LOCK} differs: installing its packages into {folder.relative_to(repository)} (once)")
        shutil.rmtree(folder, ignore_errors=True)
        python = str(folder / "bin" / "python")
        _run(sys.executable, "-m", "venv", str(folder))
        quietly = ("--quiet", "--disable-pip-version-check")
        _run(python, "-m", "pip", "install", *quietly, "--require-hashes", "-r", str(wanted))
        (folder / "installed").touch()
    return folder / "bin" / "python"


def _key(lock: Path) -> str:
    return f"{hashlib.sha256(lock.read_bytes()).hexdigest()[:16]}-{sys.implementation.cache_tag}"


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_SECONDS)  # noqa: S603
    if done.returncode:
        said = (done.stderr or done.stdout).strip()
        raise UsageError(f"{' '.join(command[1:4])} failed: {said[-_SHOWN_CHARACTERS:]}")
