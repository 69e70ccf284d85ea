"""What the services that write the ledger share: what a batch knows, what it writes, how it is decided."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import pydantic_core

from shared.contracts.envelope import seal
from shared.database.pool import Connection
from shared.instants import iso
from shared.ledger.audit.runner import running_audit
from shared.ledger.book import Book
from shared.ledger.due import TimedEffect
from shared.ledger.model import Account
from shared.ledger.posting import Posting
from shared.posting.timed_effects import announce
from shared.program.cache import Programs
from shared.program.compiled.ladders import Ladders
from shared.program.compiled.program import Program
from shared.runtime.handler import Mark
from shared.runtime.records import Decisions, Message, Received, Refusal
from shared.tier_status.lookup import TierLookup
from shared.tier_status.read import Loaded

#: Accounts that the running audit looks at each time, and through all of their history, which grows: enough to see a
#: bug within minutes, cheap enough to run for ever.
_AUDITED = 200


@dataclass(slots=True)
class LedgerState:
    """What is known before a batch is decided. A worker loads what its batch needs; a rehearsal keeps everything.

    Attributes:
        accounts: Locked, by (member, wallet).
        programs: Every version, oldest first.
        standings: Tiers by account, where anything depends on them.
        ladders: The ladders of all versions, by wallet.
    """

    accounts: dict[tuple[str, str], Account]
    programs: Sequence[Program]
    standings: dict[int, Loaded] = field(default_factory=dict)
    ladders: Mapping[str, Ladders] = field(default_factory=dict)


@dataclass(slots=True)
class LedgerEffects:
    """What a batch, or a sweep, posts."""

    posting: Posting = field(default_factory=Posting)


State = TypeVar("State", bound=LedgerState)
Effects = TypeVar("Effects", bound=LedgerEffects)


class LedgerDeciding(Generic[State, Effects]):
    """The decisions about one batch or one sweep; pure but for the state, which belongs to the batch."""

    #: The topic of what the service tells.
    topic: str

    def __init__(self, state: State, effects: Effects, mark: Mark, source: str) -> None:
        """Begin.

        Args:
            state: What is known; changed in place.
            effects: Empty; filled with what is to be written.
            mark: The batch's place in the history.
            source: The ``source`` of outgoing events.
        """
        self.effects = effects
        self.decisions = Decisions(effects)
        self._state = state
        self._mark = mark
        self._source = source
        self._newest = state.programs[-1]
        self._book = Book(state.accounts, effects.posting, self._newest)
        self._tiers = TierLookup(state.standings, state.ladders, effects.posting)
        self._time = iso(mark.recorded_at)

    def _announce_lapses(self) -> None:
        """Tell what time made happen so far, before what is decided next."""
        if self._book.timed_effects:
            for lapse in self._book.timed_effects:
                self._lapsed(lapse)
            self.decisions.messages.extend(announce(self._book.timed_effects, self._newest, self._source, self._time))
            self._book.timed_effects.clear()

    def _lapsed(self, lapse: TimedEffect) -> None:
        """Note one of them."""

    def _message(
        self, event_id: str, event_type: str, member: str, data: Any, *more_headers: tuple[str, bytes]
    ) -> Message:
        headers = seal(event_id=event_id, source=self._source, event_type=event_type, time=self._time, key=member)
        return Message(self.topic, member.encode(), pydantic_core.to_json(data), [*headers, *more_headers])

    def _accepted(self, received: Received) -> None:
        self.decisions.accepted += 1
        self.decisions.latest_at = max(self.decisions.latest_at, received.occurred_at)

    def _refuse(self, received: Received, reason: str, detail: str) -> None:
        self.decisions.refused.append(Refusal.of(received, reason, detail))


class LedgerHandler(ABC, Generic[State, Effects]):
    """The part of a handler that does not depend on what its service decides."""

    private: frozenset[str] = frozenset()
    answers = True
    sweeps = True

    def __init__(self, source: str) -> None:
        """Make the handler; ``source`` is the ``source`` of the events that it publishes."""
        self._source = source
        self._programs = Programs()
        self._touched: set[int] = set()

    @abstractmethod
    def decide(self, state: State, events: Sequence[Received], mark: Mark) -> Decisions[Effects]:
        """Decide about the events in offset order."""

    def replay(self, state: State, events: Sequence[Received], facts: bytes, mark: Mark) -> Decisions[Effects]:
        """Decide again about a batch: its records are all that mattered."""
        del facts
        return self.decide(state, events, mark)

    async def refresh(self, connection: Connection) -> None:
        """Read versions of the program that are newer than those we have."""
        await self._programs.refresh(connection)

    def touched(self) -> list[int]:
        """Return (once) accounts that were written lately, for the running audit."""
        touched, self._touched = sorted(self._touched)[:_AUDITED], set()
        return touched

    async def audit(self, connection: Connection, accounts: list[int]) -> list[str]:
        """Make the checks that concern single accounts; return the name of the check for each thing that is wrong."""
        return [finding.check for finding in await running_audit(connection, accounts)]

    def _remember(self, posting: Posting) -> None:
        """Remember some accounts for the running audit."""
        if len(self._touched) < _AUDITED:
            self._touched.update(posting.accounts)
