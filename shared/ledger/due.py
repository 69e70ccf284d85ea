"""When time alone changes an account, and what it changed. Pure: nothing here changes an account."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from shared.instants import BEGINNING, NEVER
from shared.ledger.model import Account, Hold, Terms
from shared.program.compiled.lifetimes import after_day, day_of
from shared.program.compiled.program import Program


class TimedEffect(NamedTuple):
    """What time alone did to an account: all that an event about it needs.

    Attributes:
        what: ``activated``, ``expiring``, ``expired`` or ``timed-out``.
        version: The account's version after it.
        balance: Available, pending, reserved and debt after it.
        expires_at: Of points that expired or will expire.
        days_left: Days from an announcement to the expiry.
        hold: The reservation that timed out.
    """

    what: str
    account: Account
    version: int
    balance: tuple[int, int, int, int]
    points: int
    instant: int
    lot: int = 0
    expires_at: int = NEVER
    days_left: int = 0
    hold: Hold | None = None


def next_due(account: Account, program: Program) -> int:
    """Return the earliest instant at which time alone changes an account, or an expiry is to be announced."""
    due = account.unseen_due
    for lot in account.lots.values():
        due = min(due, first_due(account, lot.terms, program, pending=lot.pending))
    for hold in account.holds.values():
        due = min(due, hold.until)
    return due


def first_due(account: Account, terms: Terms, program: Program, *, pending: bool) -> int:
    """Return the earliest instant at which time alone does something to points with these terms."""
    if pending:
        return terms.available_at
    expires_at = expiry_of(account, terms, program)
    for instant, _days in program.reminders(account.wallet, expires_at):
        if instant > account.as_of:
            return min(instant, expires_at)
    return expires_at


def expiry_of(account: Account, terms: Terms, program: Program) -> int:
    """Return when points expire: by their own terms, or because the member has been inactive for too long."""
    if not terms.idle:
        return terms.expires_at
    gone = program.idle_until(terms.idle, account.earned_at, account.redeemed_at)
    if terms.available_at == BEGINNING:
        return gone
    # Whoever was inactive while they waited can still spend them.
    return max(gone, after_day(day_of(terms.available_at, program.zone), 0, program.zone))


def announcements(account: Account, program: Program, instant: int) -> Iterator[tuple[int, int, int]]:
    """Yield (points, their expiry, days left) of what is to be announced at an instant, summed by expiry."""
    expiring: dict[int, int] = {}
    for lot in account.lots.values():
        if not lot.pending:
            expires_at = expiry_of(account, lot.terms, program)
            expiring[expires_at] = expiring.get(expires_at, 0) + lot.remaining
    for expires_at, points in sorted(expiring.items()):
        for at, days in program.reminders(account.wallet, expires_at):
            if account.as_of < at == instant < expires_at:
                yield points, expires_at, days
