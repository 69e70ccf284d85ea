"""The part of a handler that earn and redeem share, who both write the ledger."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Generic, TypeVar

from shared.database.pool import Connection
from shared.ledger.audit.runner import running_audit
from shared.ledger.posting import Posting
from shared.posting.ledger_batch import LedgerEffects, LedgerState
from shared.program.cache import Programs
from shared.runtime.handler import Mark
from shared.runtime.records import Decisions, Received

#: Accounts that the running audit looks at each time, and through all of their history, which grows: enough to see a
#: bug within minutes, cheap enough to run for ever.
_AUDITED = 200

State = TypeVar("State", bound=LedgerState)
Effects = TypeVar("Effects", bound=LedgerEffects)


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
