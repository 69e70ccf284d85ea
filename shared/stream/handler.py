"""What a service gives to the runtime: load, decide, store, for one batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from shared.contracts.contract import Contract
from shared.database.pool import Connection
from shared.stream.records import Decisions, Received


class Mark(NamedTuple):
    """A batch's place in the history.

    Attributes:
        seq: Taken after the account locks: batches that share an account sort in the order in which they commit.
        recorded_at: The wall clock of Postgres.
        judged_at: The later of the wall clock and the manual clock; what is beyond it lies in the future.
    """

    seq: int
    recorded_at: int
    judged_at: int


class Handler(Protocol):
    """One service's work on a batch. ``decide`` is pure: rehearsals and property tests call it without a database."""

    @property
    def service(self) -> str:
        """The service's name: it owns the watermark and labels the metrics."""

    @property
    def contracts(self) -> Mapping[str, Contract]:
        """The event types that this service reads, by CloudEvents type."""

    async def load(self, connection: Connection, events: Sequence[Received]) -> Any:
        """Lock what the events touch, in the order of design §4, and return the state that ``decide`` needs."""

    def decide(self, state: Any, events: Sequence[Received], mark: Mark) -> Decisions:
        """Decide about the events in offset order."""

    async def store(self, connection: Connection, decisions: Decisions, mark: Mark) -> None:
        """Write the decisions' effects, in the transaction of ``load``."""

    async def refresh(self, connection: Connection) -> None:
        """Read ahead what was hinted at on the control topic, so that the next batch need not."""

    def touched(self) -> list[int]:
        """Return (once) accounts that were written lately, for the running audit."""

    def count(self, decisions: Decisions) -> None:
        """Count what was decided, once it is committed."""
