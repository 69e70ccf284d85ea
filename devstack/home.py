"""The home of a stack: where its state is, and how every command finds it."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from shared.errors import UsageError

if TYPE_CHECKING:
    from shared.database.pool import Connection
    from shared.settings import Settings

DEFAULT_HOME = Path(".loyalty")


@dataclass(slots=True)
class Stack:
    """How the embedded stack was started; stored in ``stack.json``.

    Attributes:
        ports: The ports of postgres, broker and each worker, on the loopback interface.
        environment: The settings of its workers, as environment variables, with the database's password.
    """

    broker: str
    program: str
    ports: dict[str, int]
    environment: dict[str, str] = field(default_factory=dict)

    def save(self, home: Path) -> None:
        """Write the file so that only its owner can read it."""
        path = home / "stack.json"
        path.touch(mode=0o600)
        path.chmod(0o600)
        path.write_text(json.dumps(asdict(self), indent=2) + "\n")


def load_stack(home: Path) -> Stack | None:
    """Return the stack that was started in ``home``, running or not."""
    try:
        return Stack(**json.loads((home / "stack.json").read_text()))
    except FileNotFoundError:
        return None


def settings_for(home: Path) -> Settings:
    """Return the settings of a command: those of the stack in ``home``, if any, overridden by the environment.

    Raises:
        UsageError: There is no stack in ``home``, and the environment names no database.
    """
    from shared.settings import Settings

    stack = load_stack(home)
    if stack is None and "LOYALTY_DATABASE_URL" not in os.environ:
        raise UsageError(
            f"no stack in {home}; name another place with --home or LOYALTY_HOME, start one there with "
            f"`loyalty up --home {home}`, or set LOYALTY_DATABASE_URL and the others"
        )
    known = stack.environment if stack else {}
    values = {name.removeprefix("LOYALTY_").lower(): value for name, value in known.items() if name not in os.environ}
    return Settings.model_validate({**Settings().model_dump(exclude_unset=True), **values})


@asynccontextmanager
async def database(settings: Settings) -> AsyncIterator[Connection]:
    """Open one connection to the deployment's schema for the duration of a command."""
    from shared.database.pool import connect

    connection = await connect(settings.database_url.get_secret_value(), settings.database_schema)
    try:
        yield connection
    finally:
        await connection.close()
