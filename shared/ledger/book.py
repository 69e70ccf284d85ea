"""The accounts of a batch, and what may be done with them: everything that is due first, then the event. Pure.

Before an event at time t is decided, everything due for that account up to t is applied, in due order
(docs/how-it-works.md, "Time"). An event earlier than ``as_of`` is late: it is posted at ``as_of``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from shared.errors import InvariantBroken
from shared.instants import BEGINNING, NEVER
from shared.ledger.due import TimedEffect, announcements, expiry_of, first_due, next_due
from shared.ledger.lots import all_lots, available_lots, burn_order
from shared.ledger.model import BY_TIME, Account, Cause, Hold, Lot, Part, Terms
from shared.ledger.operations import Operation
from shared.ledger.posting import Posting
from shared.program.compiled.lifetimes import day_of, life_until
from shared.program.compiled.program import Program


class Book:
    """The locked accounts of a batch.

    Attributes:
        accounts: By (member, wallet).
        posting: Collects the entries.
        program: The newest version: it says what is announced.
        timed_effects: What time alone did, in order; the service makes events of it.
    """

    __slots__ = ("accounts", "posting", "program", "timed_effects")

    def __init__(self, accounts: Mapping[tuple[str, str], Account], posting: Posting, program: Program) -> None:
        self.accounts = accounts
        self.posting = posting
        self.program = program
        self.timed_effects: list[TimedEffect] = []

    # ---- time

    def advance_to(self, account: Account, instant: int) -> int:
        """Apply what is due up to an instant, and return the instant at which an event of then is posted."""
        if account.next_due <= instant:
            self._apply_due(account, instant)
        if instant > account.as_of:
            account.as_of = instant
            self.posting.accounts[account.account] = account
        return account.as_of

    def apply_due(self, account: Account, horizon: int) -> None:
        """Apply what is due up to an instant, and nothing else, as a sweep does."""
        if account.next_due <= horizon:
            self._apply_due(account, horizon)

    def apply_overdue(self, account: Account) -> None:
        """Apply what an event made due at its own instant, such as points that came after their expiry."""
        if account.next_due <= account.as_of:
            self._apply_due(account, account.as_of)

    def _reschedule(self, account: Account) -> None:
        account.next_due = next_due(account, self.program)
        self.apply_overdue(account)

    def _apply_due(self, account: Account, until: int) -> None:
        self.posting.accounts[account.account] = account
        while (instant := next_due(account, self.program)) <= until:
            self._apply_at(account, max(instant, account.as_of))
        account.next_due = next_due(account, self.program)

    def _apply_at(self, account: Account, instant: int) -> None:
        """Apply everything that is due at one instant: activations, announcements, expiries, time-outs."""
        lots = account.lots
        for lot in sorted(lots.values(), key=burn_order):
            if lot.pending and lot.terms.available_at <= instant:
                self._activate(account, lot, instant, BY_TIME)
        for points, expires_at, days in announcements(account, self.program, instant):
            self._record("expiring", account, points, instant, expires_at=expires_at, days_left=days)
        for lot in sorted(lots.values(), key=burn_order):
            if not lot.pending and expiry_of(account, lot.terms, self.program) <= instant:
                self._expire(account, lot, instant)
        for hold in sorted(account.holds.values(), key=lambda hold: (hold.until, hold.key)):
            if hold.until <= instant:
                self.release(account, hold, instant, Cause(hold.key, 0, 0))
                self.posting.timed_out[hold.key] = instant
                self._record("timed-out", account, hold.points, instant, hold=hold)
        account.as_of = instant

    def _activate(self, account: Account, lot: Lot, instant: int, cause: Cause) -> None:
        points, terms = lot.remaining, lot.terms
        if terms.fulfils:
            terms = terms._replace(available_at=instant, expires_at=self._lives_until(terms, instant))
        self.posting.post(account, Operation.ACTIVATE, points, terms=terms, occurred_at=instant, cause=cause)
        self._record("activated", account, points, instant, lot=lot.lot)
        self.repay(account, instant, cause)

    def _expire(self, account: Account, lot: Lot, instant: int) -> None:
        points, terms = lot.remaining, lot.terms
        expires_at = expiry_of(account, terms, self.program)
        self.posting.post(account, Operation.EXPIRE, points, terms=terms, occurred_at=instant, cause=BY_TIME)
        self._record("expired", account, points, instant, lot=lot.lot, expires_at=expires_at)

    def _record(
        self,
        what: str,
        account: Account,
        points: int,
        instant: int,
        *,
        lot: int = 0,
        expires_at: int = NEVER,
        days_left: int = 0,
        hold: Hold | None = None,
    ) -> None:
        balance = (account.available, account.pending, account.reserved, account.debt)
        self.timed_effects.append(
            TimedEffect(what, account, account.version, balance, points, instant, lot, expires_at, days_left, hold)
        )

    # ---- earning, and what a clawback posts

    def post(
        self,
        account: Account,
        operation: Operation,
        points: int,
        *,
        cause: Cause,
        event_at: int,
        terms: Terms | None = None,
        lot: int = 0,
        qualifying: int = 0,
        counts_at: int | None = None,
    ) -> None:
        """Post one entry of an event at ``account.as_of``; ``event_at`` is the event's own time."""
        at = account.as_of
        self.posting.post(
            account,
            operation,
            points,
            occurred_at=at,
            cause=cause,
            terms=terms,
            lot=lot,
            qualifying=qualifying,
            event_at=min(event_at, at),
            counts_at=counts_at,
        )

    def earn(
        self,
        account: Account,
        points: int,
        *,
        terms: Terms,
        cause: Cause,
        event_at: int,
        qualifying: int = 0,
        counts_at: int | None = None,
    ) -> int:
        """Post points of one rule at ``account.as_of`` and return how many of them repay a debt.

        Call ``advance_to`` first, and ``apply_overdue`` last. Points whose time has come are available at once; for
        those whose order was fulfilled, or claimed, see ``spendable``.
        """
        pending = terms.available_at > account.as_of
        operation = Operation.EARN_PENDING if pending else Operation.EARN
        self.post(
            account,
            operation,
            points,
            cause=cause,
            event_at=event_at,
            terms=terms,
            qualifying=qualifying,
            counts_at=counts_at,
        )
        repaid = 0
        if account.debt and not pending:
            repaid = min(account.debt, points)
            self.posting.post(account, Operation.REPAY, repaid, terms=terms, occurred_at=account.as_of, cause=cause)
        account.next_due = min(account.next_due, first_due(account, terms, self.program, pending=pending))
        return repaid

    def spendable(self, account: Account, terms: Terms) -> Terms:
        """Return the terms of points that would wait for an event which happened before: they live from now on.

        Others are returned as they are. Such points go to another lot than those that did wait, for their life begins
        later. Call ``advance_to`` first.
        """
        if not terms.fulfils:
            return terms
        return Terms(BEGINNING, self._lives_until(terms, account.as_of), idle=terms.idle)

    def _lives_until(self, terms: Terms, instant: int) -> int:
        """Return when points expire that wait for an event, if it makes them available at an instant."""
        zone = self.program.zone
        return life_until(terms.life, day_of(instant, zone), zone)

    def qualify(
        self,
        account: Account,
        operation: Operation,
        qualifying: int,
        *,
        cause: Cause,
        event_at: int,
        counts_at: int | None = None,
    ) -> None:
        """Post an amount that counts towards a tier although no points moved."""
        self.post(account, operation, 0, cause=cause, event_at=event_at, qualifying=qualifying, counts_at=counts_at)

    def fulfil(self, account: Account, lot_id: int, order: bytes, cause: Cause) -> int:
        """Make a lot available that waited for its order, and return its points. Their life begins, or goes on.

        A lot that waits for a day holds points of other orders, too, and goes on waiting.
        """
        lot = all_lots(account).get(lot_id)
        if lot is None or not lot.pending or lot.terms.fulfils != order:
            return 0
        points = lot.remaining
        self._activate(account, lot, account.as_of, cause)
        self._reschedule(account)
        return points

    def repay(self, account: Account, instant: int, cause: Cause) -> None:
        """Pay back what is owed with what is available: nobody owes points and holds some."""
        while account.debt and account.available:
            lot = available_lots(account)[0]
            points = min(account.debt, lot.remaining)
            self.posting.post(account, Operation.REPAY, points, terms=lot.terms, occurred_at=instant, cause=cause)

    # ---- spending

    def reserve(self, account: Account, points: int, cause: Cause) -> tuple[Part, ...]:
        """Reserve points, the soonest to expire first. The caller has checked that enough are available."""
        all_lots(account)
        parts: list[Part] = []
        left = points
        for lot in available_lots(account):
            if part := min(left, lot.remaining):
                parts.append(Part(lot.terms, part))
                left -= part
        self._post_parts(account, Operation.RESERVE, parts, account.as_of, cause)
        if left:
            raise InvariantBroken(f"{left} of {points} points are missing in the lots of account {account.account}")
        return tuple(parts)

    def hold(self, account: Account, hold: Hold) -> None:
        """Keep a reservation until it is redeemed, cancelled or times out."""
        account.holds[hold.key] = hold
        account.next_due = min(account.next_due, hold.until)

    def redeem(self, account: Account, parts: Sequence[Part], key: bytes, cause: Cause) -> None:
        """Spend points that were reserved."""
        account.holds.pop(key, None)
        self._post_parts(account, Operation.REDEEM, parts, account.as_of, cause)

    def release(self, account: Account, hold: Hold, instant: int, cause: Cause) -> None:
        """Give reserved points back to their own lots; the caller expires those that are past their expiry."""
        account.holds.pop(hold.key, None)
        self._post_parts(account, Operation.RELEASE, hold.parts, instant, cause)
        self.repay(account, instant, cause)

    def cancel(self, account: Account, hold: Hold, cause: Cause) -> None:
        """Release a hold because of an event: points past their expiry expire at once."""
        self.release(account, hold, account.as_of, cause)
        self._reschedule(account)

    def refund(self, account: Account, parts: Sequence[Part], cause: Cause) -> None:
        """Give spent points back to their own lots: those past their expiry expire at once."""
        self._post_parts(account, Operation.REFUND, parts, account.as_of, cause)
        self.repay(account, account.as_of, cause)
        self._reschedule(account)

    def _post_parts(
        self, account: Account, operation: Operation, parts: Sequence[Part], instant: int, cause: Cause
    ) -> None:
        for terms, points in parts:
            self.posting.post(account, operation, points, terms=terms, occurred_at=instant, cause=cause)
