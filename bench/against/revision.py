"""Another revision of this repository, checked out beside it for the duration of a comparison."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.interrupts import undisturbed
from shared.errors import UsageError

_SECONDS = 120


def commit_of(repository: Path, revision: str) -> str:
    """Return the abbreviated id of the commit that a revision names.

    Raises:
        UsageError: There is no such commit.
    """
    done = _git(repository, "rev-parse", "--short", "--verify", "--end-of-options", f"{revision}^{{commit}}")
    if done.returncode:
        raise UsageError(f"{revision!r} names no commit of this repository: {done.stderr.strip()}")
    return done.stdout.strip()


def is_changed(repository: Path) -> bool:
    """Return whether files, including new ones, differ from the commit that is checked out."""
    return bool(_git(repository, "status", "--porcelain").stdout.strip())


@contextmanager
def checked_out(repository: Path, commit: str) -> Iterator[Path]:
    """Check a commit out into a temporary folder; the worktree is removed whatever happens.

    Raises:
        UsageError: git failed.
    """
    folder = Path(tempfile.mkdtemp(prefix="loyalty-revision-")).resolve()
    tree = folder / commit
    try:
        # Without hooks: they belong to this checkout, and may take long.
        done = _git(
            repository, "-c", "core.hooksPath=/dev/null", "worktree", "add", "--detach", "--quiet", str(tree), commit
        )
        if done.returncode:
            raise UsageError(f"{commit} cannot be checked out: {done.stderr.strip()}")
        yield tree
    finally:
        with undisturbed():
            if _git(repository, "worktree", "remove", "--force", "--force", str(tree)).returncode:
                shutil.rmtree(tree, ignore_errors=True)
                _git(repository, "worktree", "prune")
            shutil.rmtree(folder, ignore_errors=True)


def _git(repository: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603
        ["git", "-C", str(repository), *arguments],  # noqa: S607 - whichever git the user works with
        capture_output=True,
        text=True,
        check=False,
        timeout=_SECONDS,
    )
