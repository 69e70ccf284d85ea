"""Makes every check of the ledger and of what stands on it. Each returns what breaks its invariant."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple

from shared.database.pool import Connection
from shared.ledger.audit.flow import FLOW_CHECKS
from shared.ledger.audit.ledger import LEDGER_CHECKS, Check
from shared.ledger.model import Terms

_SHOWN = 100

CHECKS: tuple[Check, ...] = (*LEDGER_CHECKS, *FLOW_CHECKS)


class Finding(NamedTuple):
    """One thing that is wrong: which check, whose (member and wallet, or a position), and what."""

    check: str
    where: str
    what: str


#: The one check that SQL cannot make: a lot's id is a hash of its terms.
TERMS = Check("terms", "a lot still has the terms that its points were earned under", "", per_account=False)


async def findings(connection: Connection, check: Check, accounts: Sequence[int] | None = None) -> list[Finding]:
    """Return what breaks one invariant, at most a hundred findings.

    Args:
        connection: To the deployment's schema.
        check: One of ``CHECKS``.
        accounts: Look at these only (checks that are per account); None for the whole ledger.
    """
    arguments = [accounts] if check.per_account else []
    rows = await connection.fetch(f"select * from ({check.sql}) found limit {_SHOWN}", *arguments)
    return [Finding(check.name, where, what) for where, what in rows]


async def audit(connection: Connection) -> AsyncIterator[tuple[Check, list[Finding]]]:
    """Make every check over the whole ledger, all of them on one snapshot."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        # One at a time, and each adds up the whole ledger: by default that would go through files.
        await connection.execute("set local work_mem = '64MB'")
        for check in CHECKS:
            yield check, await findings(connection, check)
        yield TERMS, await changed_terms(connection)


async def changed_terms(connection: Connection) -> list[Finding]:
    """Return lots whose terms are not those that their id was made of: somebody moved an expiry."""
    rows = await connection.fetch("select account, lot, available_at, expires_at, fulfils, idle from lot")
    return [
        Finding("terms", f"account {account}", f"lot {lot} has other terms than those it was made for")
        for account, lot, available_at, expires_at, fulfils, idle in rows
        if Terms(available_at, expires_at, fulfils or b"", idle).lot_id() != lot
    ][:_SHOWN]


async def running_audit(connection: Connection, accounts: Sequence[int]) -> list[Finding]:
    """Make the checks that concern single accounts, for some accounts, on one snapshot."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        return [
            finding for check in CHECKS if check.per_account for finding in await findings(connection, check, accounts)
        ]
