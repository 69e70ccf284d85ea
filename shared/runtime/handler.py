"""What a service gives to the runtime: load, decide, store, for one batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from typing_extensions import TypeVar

from shared.contracts.contract import Contract
from shared.database.pool import Connection
from shared.runtime.records import Decisions, Received


class Mark(NamedTuple):
    """A batch's place in the history.

    Attributes:
        seq: Taken after the account locks: batches that share an account sort in the order in which they commit.
        recorded_at: The wall clock of Postgres.
        judged_at: Read before any lock, the later of the wall clock and the manual clock: what is beyond it lies in
            the future. Of a sweep: up to when it applied what is due.
    """

    seq: int
    recorded_at: int
    judged_at: int


class Due(NamedTuple):
    """What a sweep is to look for.

    Attributes:
        horizon: Apply what is due up to here: the program's clock less ``LOYALTY_LATENESS_SECONDS``.
        recorded_at: The wall clock of Postgres; what waits for real time goes by it.
        shard: This sweep's part of the members, of ``shards``: ``account % shards = shard``.
        limit: Most accounts at a time.
    """

    horizon: int
    recorded_at: int
    shard: int
    shards: int
    limit: int


State = TypeVar("State", default=Any)
Effects = TypeVar("Effects", default=Any)


class Handler(Protocol[State, Effects]):
    """One service's work on a batch: what it must know (``State``), and what it writes (``Effects``).

    Whatever decides is pure: simulations and property tests call it without a database, with one state that is kept
    for ever and that the decisions change.
    """

    @property
    def service(self) -> str:
        """The service's name: it owns the watermark and labels the metrics."""

    @property
    def contracts(self) -> Mapping[str, Contract]:
        """The event types that this service reads, by CloudEvents type."""

    @property
    def private(self) -> frozenset[str]:
        """Short names of topics with personal data: their records are neither archived nor kept in dead letters."""

    @property
    def contested(self) -> frozenset[str]:
        """The unique constraints on which two partitions may race; the second one tries again and sees the key."""

    @property
    def answers(self) -> bool:
        """Whether somebody waits for what this service says, as a till does; else it may take its time."""

    @property
    def sweeps(self) -> bool:
        """Whether time alone makes anything happen here."""

    # ---- a batch

    async def load(self, connection: Connection, events: Sequence[Received]) -> State:
        """Lock what the events touch, in the order of docs/how-it-works.md; return the state that ``decide`` needs."""

    def decide(self, state: State, events: Sequence[Received], mark: Mark) -> Decisions[Effects]:
        """Decide about the events in offset order."""

    def replay(self, state: State, events: Sequence[Received], facts: bytes, mark: Mark) -> Decisions[Effects]:
        """Decide again about an archived batch, as it was decided with what its ``facts`` say."""

    async def store(self, connection: Connection, decisions: Decisions[Effects], mark: Mark) -> None:
        """Write the decisions' effects, in the transaction of ``load``."""

    # ---- a sweep

    async def anything_due(self, connection: Connection, due: Due) -> bool:
        """Tell, without a lock, whether ``load_due`` may find anything."""

    async def load_due(self, connection: Connection, due: Due) -> State | None:
        """Lock (``for update skip locked``) what is due, and return the state for it; None if nothing is."""

    def decide_due(self, state: State, due: Due, mark: Mark) -> Decisions[Effects]:
        """Decide what time alone makes happen. ``facts`` must say of what, for the replay."""

    def replay_sweep(self, state: State, due: Due, facts: bytes, mark: Mark) -> Decisions[Effects]:
        """Do again what an archived sweep did to what its ``facts`` name; what is not in the state is passed over."""

    # ---- beside the batches

    async def refresh(self, connection: Connection) -> None:
        """Read ahead what was hinted at on the control topic, so that the next batch need not."""

    def touched(self) -> list[int]:
        """Return (once) accounts that were written lately, for the running audit."""

    async def audit(self, connection: Connection, accounts: list[int]) -> list[str]:
        """Check accounts; return the name of the check for each thing that is wrong."""

    def count(self, decisions: Decisions[Effects]) -> None:
        """Count what was decided, once it is committed."""
