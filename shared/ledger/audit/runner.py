"""Runs the checks of the ledger and of what is built on it. Each returns the violations of its invariant."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple

from shared.database.pool import Connection
from shared.ledger.audit.flow import FLOW_CHECKS
from shared.ledger.audit.ledger import LEDGER_CHECKS, Check
from shared.ledger.audit.lots import LOT_CHECKS, TERMS, changed_terms

_SHOWN = 100

CHECKS: tuple[Check, ...] = (*LEDGER_CHECKS, *LOT_CHECKS, *FLOW_CHECKS)


class Finding(NamedTuple):
    """One violation: the check, where (member and wallet, or a position), and what."""

    check: str
    where: str
    what: str


async def findings(connection: Connection, check: Check, accounts: Sequence[int] | None = None) -> list[Finding]:
    """Return the violations of one invariant, at most a hundred.

    Args:
        connection: A connection to the deployment's schema.
        check: One of ``CHECKS``.
        accounts: Check only these (if the check is per account); None for the whole ledger.
    """
    arguments = [accounts] if check.per_account else []
    rows = await connection.fetch(f"select * from ({check.sql}) found limit {_SHOWN}", *arguments)
    return [Finding(check.name, where, what) for where, what in rows]


async def audit(connection: Connection) -> AsyncIterator[tuple[Check, list[Finding]]]:
    """Run every check over the whole ledger, all on one snapshot."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        # One at a time, and each adds up the whole ledger: by default that would go through files.
        await connection.execute("set local work_mem = '64MB'")
        for check in CHECKS:
            yield check, await findings(connection, check)
        changed = await changed_terms(connection)
        yield TERMS, [Finding(TERMS.name, where, what) for where, what in changed[:_SHOWN]]


async def running_audit(connection: Connection, accounts: Sequence[int]) -> list[Finding]:
    """Run the per-account checks for some accounts, on one snapshot."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        return [
            finding for check in CHECKS if check.per_account for finding in await findings(connection, check, accounts)
        ]
