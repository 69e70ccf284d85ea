"""Load, decide, store, for one batch of redemptions; and for the sweep of what is due."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgpack

from services.redeem import store
from services.redeem.processor import apply_due, begin, process
from services.redeem.state import Effects, State
from shared.contracts.catalogue import contracts_of
from shared.contracts.contract import Contract
from shared.database.pool import Connection
from shared.ledger import store as ledger
from shared.ledger.due_lots import load_due
from shared.posting.ledger_handler import LedgerHandler
from shared.runtime import metrics
from shared.runtime.handler import Due, Mark
from shared.runtime.records import Decisions, Received
from shared.tier_status.read import load as load_standings

SERVICE: Final = "redeem"


class RedeemHandler(LedgerHandler[State, Effects]):
    """Turns points into rewards, and expires what is due."""

    service = SERVICE
    contracts: Mapping[str, Contract] = contracts_of(SERVICE)
    contested = frozenset({"redemption_pkey"})

    async def load(self, connection: Connection, events: Sequence[Received]) -> State:
        """Lock the members' accounts, then read what is known: docs/how-it-works.md says why in this order."""
        programs = self._programs
        await programs.need(connection)
        members = list({received.event.member_id for received in events})
        locked = await ledger.lock_accounts(connection, members, programs.wallets) if members else []
        await programs.stay(connection)
        state = State({(a.member, a.wallet): a for a in locked}, programs.versions, ladders=programs.ladders)
        await ledger.load_lots(connection, locked)
        state.redemptions = await store.load(connection, list({received.key for received in events}))
        state.had = await store.counts(connection, members)
        ladders = [a.account for a in locked if a.wallet in programs.ladders]
        state.standings = await load_standings(connection, ladders)
        return state

    def decide(self, state: State, events: Sequence[Received], mark: Mark) -> Decisions[Effects]:
        """Decide about events in offset order; pure but for the state, which belongs to this batch."""
        batch = begin(state, mark, self._source)
        process(batch, events)
        return batch.decisions

    async def store(self, connection: Connection, decisions: Decisions[Effects], mark: Mark) -> None:
        """Write redemptions, entries, lots and accounts."""
        effects = decisions.effects
        await ledger.write(connection, effects.posting, mark.recorded_at)
        await store.write(connection, effects)

    async def anything_due(self, connection: Connection, due: Due) -> bool:
        """Tell whether an account of the shard has something due."""
        return await ledger.anything_due(connection, due.horizon, due.shards, due.shard)

    async def load_due(self, connection: Connection, due: Due) -> State | None:
        """Lock accounts that have something due."""
        await self._programs.need(connection)
        locked = await ledger.lock_due(connection, due.horizon, due.shards, due.shard, due.limit)
        if not locked:
            return None
        await self._programs.catch_up(connection)
        await load_due(connection, locked, [due.horizon] * len(locked), self._programs.versions[-1])
        return State({(a.member, a.wallet): a for a in locked}, self._programs.versions)

    def decide_due(self, state: State, due: Due, mark: Mark) -> Decisions[Effects]:
        """Apply what is due; ``facts`` are the accounts and up to when."""
        return self._apply_due(state, list(state.accounts), due, mark)

    def replay_sweep(self, state: State, due: Due, facts: bytes, mark: Mark) -> Decisions[Effects]:
        """Apply what was due to the accounts that the facts name."""
        named = [(member, wallet) for member, wallet in msgpack.unpackb(facts)["swept"]]
        return self._apply_due(state, [key for key in named if key in state.accounts], due, mark)

    def _apply_due(self, state: State, swept: Sequence[tuple[str, str]], due: Due, mark: Mark) -> Decisions[Effects]:
        batch = begin(state, mark, self._source)
        apply_due(batch, [state.accounts[key] for key in swept], due.horizon)
        batch.decisions.facts = msgpack.packb({"swept": swept, "horizon": due.horizon})
        return batch.decisions

    def count(self, decisions: Decisions[Effects]) -> None:
        """Count answers and timed_effects; remember some accounts for the running audit."""
        effects = decisions.effects
        self._remember(effects.posting)
        for (state, reason), number in effects.answered.items():
            metrics.REDEMPTIONS.labels(state, reason).inc(number)
        for (wallet, what), points in effects.timed.items():
            metrics.POINTS_DUE.labels(wallet, what).inc(points)
