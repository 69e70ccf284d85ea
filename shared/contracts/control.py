"""Topic ``control``: hints to running workers. Postgres is the source of truth: a lost hint only causes a delay."""

from __future__ import annotations

from pydantic import ConfigDict, TypeAdapter, with_config
from typing_extensions import TypedDict

TOPIC = "control"
PROGRAM_PUBLISHED = "loyalty.program.published.v1"
CLOCK_MOVED = "loyalty.clock.moved.v1"


@with_config(ConfigDict(extra="forbid", strict=True))
class ProgramPublished(TypedDict):
    """A new version of the program is in force from ``effective_at``."""

    program_id: str
    version: int
    effective_at: str


@with_config(ConfigDict(extra="forbid", strict=True))
class ClockMoved(TypedDict):
    """The manual clock now stands at ``now``."""

    now: str


PROGRAM_PUBLISHED_DATA = TypeAdapter(ProgramPublished)
CLOCK_MOVED_DATA = TypeAdapter(ClockMoved)
