"""The part of a handler that earn and redeem share, who both write the ledger."""

from __future__ import annotations

from shared.database.pool import Connection
from shared.ledger.audit.runner import running_audit
from shared.ledger.model import Posting
from shared.program.cache import Programs

#: Accounts that the running audit looks at each time: enough to see a bug at once, cheap enough to run for ever.
_AUDITED = 2000


class LedgerHandler:
    """The part of a handler that does not depend on what its service decides."""

    private: frozenset[str] = frozenset()
    answers = True
    sweeps = True

    def __init__(self, source: str) -> None:
        """Make the handler; ``source`` is the ``source`` of the events that it publishes."""
        self._source = source
        self._programs = Programs()
        self._touched: set[int] = set()

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
