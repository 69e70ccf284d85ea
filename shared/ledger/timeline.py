"""The accounts of a batch, and what time does to them: everything that is due first, then the event. Pure.

Before an event at time t is decided, everything due for that account up to t is applied, in due order
(docs/how-it-works.md, "Time"). An event earlier than ``as_of`` is late: it is posted at ``as_of``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from shared.instants import NEVER
from shared.ledger.due import TimedEffect, announcements, expiry_of, next_due
from shared.ledger.lots import all_lots, available_lots, burn_order
from shared.ledger.model import BY_TIME, Account, Cause, Hold, Lot, Part, Terms, terms_in_grace
from shared.ledger.operations import Operation
from shared.ledger.posting import Posting
from shared.program.compiled.lifetimes import after_day, day_of, life_until
from shared.program.compiled.program import Program


class Timeline:
    """The locked accounts of a batch, brought from instant to instant.

    Attributes:
        accounts: By (member, wallet).
        posting: Collects the entries.
        program: The newest version: it says what is announced, and which grace points have that come back.
        timed_effects: What time alone did, in order; the service makes events of it.
    """

    __slots__ = ("accounts", "posting", "program", "timed_effects")

    def __init__(self, accounts: Mapping[tuple[str, str], Account], posting: Posting, program: Program) -> None:
        self.accounts = accounts
        self.posting = posting
        self.program = program
        self.timed_effects: list[TimedEffect] = []

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

    def _lives_until(self, terms: Terms, instant: int) -> int:
        """Return when points expire that wait for an event, if it makes them available at an instant."""
        zone = self.program.zone
        return life_until(terms.life, day_of(instant, zone), zone)

    # ---- points that come back

    def release(self, account: Account, hold: Hold, instant: int, cause: Cause) -> None:
        """Give reserved points back, see ``_come_back``; the caller expires those that are past their expiry."""
        account.holds.pop(hold.key, None)
        self._come_back(account, Operation.RELEASE, hold.parts, instant, cause)

    def _come_back(
        self, account: Account, operation: Operation, parts: Sequence[Part], instant: int, cause: Cause
    ) -> None:
        """Give points back to their own lots; they repay a debt first.

        After the expiry of a lot its points live on by the wallet's grace, in a lot beside it. A lot has grace once:
        what comes back when that is over, too, goes to its own lot, to expire.
        """
        all_lots(account)
        parts = [part._replace(terms=self._terms_back(account, part.terms, instant)) for part in parts]
        self._post_parts(account, operation, parts, instant, cause)
        self.repay(account, instant, cause)

    def _terms_back(self, account: Account, terms: Terms, instant: int) -> Terms:
        if terms.in_grace or expiry_of(account, terms, self.program) > instant:
            return terms
        later = terms_in_grace(terms.lot_id())
        until = account.graced.get(later.lot_id())
        if until is None:
            wallet, zone = self.program.terms.get(account.wallet), self.program.zone
            if wallet is None or not wallet.grace_days:
                return terms
            until = account.graced[later.lot_id()] = after_day(day_of(instant, zone), wallet.grace_days, zone)
        return later._replace(expires_at=until) if until > instant else terms

    def _post_parts(
        self, account: Account, operation: Operation, parts: Sequence[Part], instant: int, cause: Cause
    ) -> None:
        for terms, points in parts:
            self.posting.post(account, operation, points, terms=terms, occurred_at=instant, cause=cause)

    def repay(self, account: Account, instant: int, cause: Cause) -> None:
        """Pay back what is owed with what is available: nobody owes points and holds some."""
        while account.debt and account.available:
            lot = available_lots(account)[0]
            points = min(account.debt, lot.remaining)
            self.posting.post(account, Operation.REPAY, points, terms=lot.terms, occurred_at=instant, cause=cause)
