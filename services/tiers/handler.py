"""Load, decide, store, for one batch of hints that members' points moved, and for what time alone changes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

import prometheus_client

from services.tiers import processor, store
from services.tiers.hints import CONTRACTS, Moved
from services.tiers.state import Effects, State
from services.tiers.tier_events import TierStatus
from shared.contracts.contract import Contract
from shared.database.pool import Connection
from shared.instants import BEGINNING
from shared.program.cache import Programs
from shared.runtime.handler import Due, Mark
from shared.runtime.records import Decisions, Received

SERVICE: Final = "tiers"
#: How often a shard's accounts are compared with the ledger, in microseconds: messages may be lost, entries are not.
_CATCH_UP = 30_000_000

CHANGES = prometheus_client.Counter("loyalty_tier_changes", "Changes of tiers announced", ["change"])


class TiersHandler:
    """Keeps every member's tier, and announces each change."""

    service = SERVICE
    contracts: Mapping[str, Contract] = CONTRACTS
    contested: frozenset[str] = frozenset()
    private: frozenset[str] = frozenset()
    answers = False
    sweeps = True

    def __init__(self, source: str) -> None:
        """Make the handler; ``source`` is the ``source`` of the events that it publishes."""
        self._source = source
        self._programs = Programs()
        #: By shard: when a slice was compared with the ledger, and under which version all of it was treated.
        self._compared: dict[int, int] = {}
        #: By shard: the last account of the slice; and which shards were walked through once since the start.
        self._looked_at: dict[int, int] = {}
        self._walked: set[int] = set()
        self._treated_under: dict[int, int] = {}

    async def refresh(self, connection: Connection) -> None:
        """Read versions of the program that are newer than those we have."""
        await self._programs.refresh(connection)

    async def load(self, connection: Connection, events: Sequence[Received[Moved]]) -> State:
        """Lock the members' standings, then read the entries after each."""
        await self._programs.need(connection)
        members = sorted({received.event.member_id for received in events})
        standings: list[TierStatus] = []
        if members and self._programs.ladders:
            standings = await store.lock_members(
                connection, members, list(self._programs.ladders), self._programs.version
            )
        await self._programs.stay(connection)
        return self._state(standings)

    def decide(self, state: State, events: Sequence[Received[Moved]], mark: Mark) -> Decisions[Effects]:
        """Treat every standing that a hint names and that has entries to fold; pure but for the state."""
        return processor.process(state, events, mark, self._source)

    async def anything_due(self, connection: Connection, due: Due) -> bool:
        """Tell whether a standing of the shard is due, or it is time to look for what was overlooked."""
        await self._programs.catch_up(connection)
        if not self._programs.ladders:
            return False
        compared = due.recorded_at < self._compared.get(due.shard, BEGINNING) + _CATCH_UP
        treated = self._treated_under.get(due.shard, 0) == self._programs.version
        return not (compared and treated) or await store.anything_due(connection, due)

    async def load_due(self, connection: Connection, due: Due) -> State | None:
        """Lock what is due by the horizon and, from time to time, what the ledger is ahead of."""
        await self._programs.catch_up(connection)
        if not self._programs.ladders:
            return None
        accounts = await store.due(connection, due)
        accounts += await self._overlooked(connection, due)
        standings = await store.lock(connection, sorted(set(accounts)), self._programs.version)
        return self._state(standings) if standings else None

    def decide_due(self, state: State, due: Due, mark: Mark) -> Decisions[Effects]:
        """Treat, up to the horizon, every standing that has anything to treat."""
        return processor.process_due(state, due.horizon, mark, self._source)

    def replay(self, state: State, events: Sequence[Received], facts: bytes, mark: Mark) -> Decisions[Effects]:
        """Fold what the facts say: when a batch was handled, other entries may have waited than wait in a replay."""
        del events
        return processor.replay(state, facts, mark, self._source)

    def replay_sweep(self, state: State, due: Due, facts: bytes, mark: Mark) -> Decisions[Effects]:
        """Fold what the facts say."""
        del due
        return processor.replay(state, facts, mark, self._source)

    async def store(self, connection: Connection, decisions: Decisions[Effects], mark: Mark) -> None:
        """Write standings and history."""
        effects = decisions.effects
        await store.write(connection, effects.treated, effects.program_version, mark.recorded_at)

    def touched(self) -> list[int]:
        """Return nothing: this service writes no ledger."""
        return []

    async def audit(self, connection: Connection, accounts: list[int]) -> list[str]:  # noqa: ARG002 - nothing to check
        """Return nothing: this service writes no ledger."""
        return []

    def count(self, decisions: Decisions[Effects]) -> None:
        """Count what was announced."""
        told = Counter(change.change for one in decisions.effects.treated for _, change in one.news)
        for change, times in told.items():
            CHANGES.labels(change).inc(times)

    async def _overlooked(self, connection: Connection, due: Due) -> list[int]:
        """Return what the ledger is ahead of, and what was not treated under the newest version of the program."""
        accounts: list[int] = []
        wallets = list(self._programs.ladders)
        if due.recorded_at >= self._compared.get(due.shard, BEGINNING) + _CATCH_UP:
            accounts, last = await store.behind(connection, due, wallets, self._looked_at.get(due.shard, 0))
            self._looked_at[due.shard] = last
            self._walked |= {due.shard} if not last else set()
            if due.shard in self._walked and len(accounts) < due.limit:
                self._compared[due.shard] = due.recorded_at
        if self._treated_under.get(due.shard, 0) < self._programs.version:
            older = await store.stale(connection, due, wallets, self._programs.version)
            accounts += older
            if not older:
                self._treated_under[due.shard] = self._programs.version
        return accounts

    def _state(self, standings: Sequence[TierStatus]) -> State:
        known = {(one.member, one.wallet): one for one in standings}
        return State(known, self._programs.ladders, self._programs.versions[-1].program_id, self._programs.version)
