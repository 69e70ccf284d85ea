"""A tree under test: its code, its interpreter, and how to run its commands."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.against import witness
from bench.running import Process, RunFailed, start

_COMMAND_SECONDS = 180
_SHOWN_CHARACTERS = 2_000


@dataclass(frozen=True, slots=True)
class Tree:
    """One of the two revisions.

    Attributes:
        name: The name that is printed.
        root: The folder of its code.
        python: The interpreter that has its packages.
        packages: Names of packages that must come from ``root`` and nowhere else.
    """

    name: str
    root: Path
    python: Path
    packages: frozenset[str]

    def run(self, report: Path, variables: Mapping[str, str], module: str, *arguments: str) -> None:
        """Run a module as ``python -m`` does, and wait for its end.

        Raises:
            RunFailed: It failed, or ran code of another tree.
        """
        done = subprocess.run(  # noqa: S603
            self._command(report, module, arguments),
            env=self._environment(variables),
            cwd=self.root,
            capture_output=True,
            text=True,
            check=False,
            timeout=_COMMAND_SECONDS,
        )
        if done.returncode:
            said = (done.stderr or done.stdout).strip()[-_SHOWN_CHARACTERS:]
            raise RunFailed(f"{self.name}: {module} {' '.join(arguments)} failed: {said}")
        witness.check(report, self.root, [module.partition(".")[0]])

    def start(self, report: Path, variables: Mapping[str, str], log: Path, module: str, *arguments: str) -> Process:
        """Start a module as ``python -m`` does; whoever stops it must check the report."""
        return start(self._command(report, module, arguments), self._environment(variables), log, self.root)

    def _command(self, report: Path, module: str, arguments: Sequence[str]) -> list[str]:
        packages = ",".join(sorted(self.packages))
        return [str(self.python), "-c", witness.PROGRAM, str(report), packages, module, *arguments]

    def _environment(self, variables: Mapping[str, str]) -> dict[str, str]:
        """Return this process's environment without the product's settings, and with the tree first on the path."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("LOYALTY_")}
        return {**kept, **variables, "PYTHONPATH": str(self.root)}
