"""The ``loyalty`` command: in this process to test what it does, or as its own process to test that it starts."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from typer.testing import CliRunner, Result

from cli.main import app

ROOT = Path(__file__).parents[2]


async def loyalty(*arguments: str, environment: Mapping[str, str], status: int = 0) -> Result:
    """Run a command in this process, in its own thread, because it runs its own event loop."""
    # Variables of whoever runs the tests must not reach it.
    unset: dict[str, str | None] = {name: None for name in os.environ if name.startswith("LOYALTY_")}
    result = await asyncio.to_thread(CliRunner().invoke, app, list(arguments), env={**unset, **environment})
    assert result.exit_code == status, result.output
    return result


def loyalty_process(
    *arguments: str, environment: Mapping[str, str] | None = None, status: int = 0, seconds: float = 280
) -> str:
    """Run a command as users do; return what it prints, and what it complains about if it must fail."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("LOYALTY_")}
    done = subprocess.run(
        [sys.executable, "-m", "cli", *arguments],
        capture_output=True, text=True, check=False, cwd=ROOT, env={**own, **(environment or {})}, timeout=seconds,
    )  # fmt: skip
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr if status else done.stdout
