"""The accounts of a batch, and what may be done with them: everything due first, then the event. Pure.

Design §8: before an event at time t is decided, everything due for that account up to t is applied, in due order.
An event earlier than ``as_of`` is late: it is posted at ``as_of``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from shared.errors import InvariantBroken
from shared.instants import NEVER
from shared.ledger.model import BY_TIME, Account, Cause, Hold, Lot, Part, Posting, Terms
from shared.ledger.operations import Operation
from shared.program.compiled.program import Program


class TimedEffect(NamedTuple):
    """Something that time alone made happen: what an event about it needs."""

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


class ClawbackResult(NamedTuple):
    """What a return took back: from lots, and what was spent already by what the wallet does about it."""

    taken: int
    owed: int
    waived: int
    withheld: int


class ClawbackRequest(NamedTuple):
    """Points to take back of one award: the cause to write, and the lot that the award went to."""

    cause: Cause
    lot: int
    points: int


class Book:
    """The locked accounts of a batch.

    Attributes:
        accounts: By (member, wallet).
        posting: Collects the entries.
        program: The newest version: it says what is announced.
        timed_effects: What time alone made happen, in order; the service makes events of it.
    """

    __slots__ = ("accounts", "posting", "program", "timed_effects")

    def __init__(self, accounts: Mapping[tuple[str, str], Account], posting: Posting, program: Program) -> None:
        self.accounts = accounts
        self.posting = posting
        self.program = program
        self.timed_effects: list[TimedEffect] = []

    # ---- time

    def advance_to(self, account: Account, instant: int) -> int:
        """Apply what is due up to an instant and return the instant that an event of then is posted at."""
        if account.next_due <= instant:
            self._apply_due(account, instant)
        if instant > account.as_of:
            account.as_of = instant
            self.posting.accounts[account.account] = account
        return account.as_of

    def apply_due(self, account: Account, horizon: int) -> None:
        """Apply what is due up to an instant, and nothing else: the sweep's part."""
        if account.next_due <= horizon:
            self._apply_due(account, horizon)

    def _apply_due(self, account: Account, until: int) -> None:
        self.posting.accounts[account.account] = account
        while (instant := self._next_due(account)) <= until:
            self._apply_at(account, max(instant, account.as_of))
        account.next_due = self._next_due(account)

    def _apply_at(self, account: Account, instant: int) -> None:
        """Apply everything that is due at one instant: activations, announcements, expiries, time-outs."""
        lots = account.lots
        for lot in sorted(lots.values(), key=_burn_order):
            if lot.pending and lot.terms.available_at <= instant:
                self._activate(account, lot, instant)
        self._announce(account, instant)
        for lot in sorted(lots.values(), key=_burn_order):
            if not lot.pending and self._expires_at(account, lot.terms) <= instant:
                self.expire(account, lot, instant)
        for hold in sorted(account.holds.values(), key=lambda hold: (hold.until, hold.key)):
            if hold.until <= instant:
                self.release(account, hold, instant, Cause(hold.key, 0, 0))
                self.posting.timed_out[hold.key] = instant
                self._record("timed-out", account, hold.points, instant, hold=hold)
        account.as_of = instant

    def _next_due(self, account: Account) -> int:
        due = account.unseen_due
        for lot in account.lots.values():
            due = min(due, self._first_due(account, lot.terms, pending=lot.pending))
        for hold in account.holds.values():
            due = min(due, hold.until)
        return due

    def _first_due(self, account: Account, terms: Terms, *, pending: bool) -> int:
        if pending:
            return terms.available_at
        expires_at = self._expires_at(account, terms)
        for instant, _days in self.program.reminders(account.wallet, expires_at):
            if instant > account.as_of:
                return min(instant, expires_at)
        return expires_at

    def _expires_at(self, account: Account, terms: Terms) -> int:
        """Return when points lapse: by their own terms, or because the member does nothing for too long."""
        if not terms.idle:
            return terms.expires_at
        return self.program.idle_until(terms.idle, account.earned_at, account.redeemed_at)

    def _announce(self, account: Account, instant: int) -> None:
        """Say how many points will lapse, summed over the lots that do so at the same time."""
        expiring: dict[int, int] = {}
        for lot in account.lots.values():
            if not lot.pending:
                expires_at = self._expires_at(account, lot.terms)
                expiring[expires_at] = expiring.get(expires_at, 0) + lot.remaining
        for expires_at, points in sorted(expiring.items()):
            for at, days in self.program.reminders(account.wallet, expires_at):
                if account.as_of < at == instant < expires_at:
                    self._record("expiring", account, points, instant, expires_at=expires_at, days_left=days)

    def _activate(self, account: Account, lot: Lot, instant: int) -> None:
        points = lot.remaining
        self.posting.post(
            account, Operation.ACTIVATE, points, terms=lot.terms, occurred_at=instant, cause=BY_TIME
        )  # fmt: skip
        self._record("activated", account, points, instant, lot=lot.lot)
        self.repay(account, instant, BY_TIME)

    def expire(self, account: Account, lot: Lot, instant: int) -> None:
        """Let what is left of a lot lapse."""
        points = lot.remaining
        self.posting.post(account, Operation.EXPIRE, points, terms=lot.terms, occurred_at=instant, cause=BY_TIME)
        self._record("expired", account, points, instant, lot=lot.lot, expires_at=self._expires_at(account, lot.terms))

    def _record(
        self, what: str, account: Account, points: int, instant: int, *, lot: int = 0, expires_at: int = NEVER,
        days_left: int = 0, hold: Hold | None = None,
    ) -> None:  # fmt: skip
        balance = (account.available, account.pending, account.reserved, account.debt)
        self.timed_effects.append(
            TimedEffect(what, account, account.version, balance, points, instant, lot, expires_at, days_left, hold)
        )

    # ---- earning

    def earn(
        self, account: Account, points: int, *, terms: Terms, cause: Cause, event_at: int, qualifying: int = 0,
        at_once: bool = False,
    ) -> int:  # fmt: skip
        """Post points of one rule at ``account.as_of`` and return how many of them repay a debt.

        Call ``advance_to`` first, and ``apply_overdue`` last. Points whose time has come are available at once. With
        ``at_once``, so are points whose lot was made available: all of a lot is pending, or none of it.
        """
        pending = terms.available_at > account.as_of and not at_once
        self.posting.post(
            account, Operation.EARN_PENDING if pending else Operation.EARN, points, terms=terms,
            occurred_at=account.as_of, cause=cause, qualifying=qualifying, event_at=min(event_at, account.as_of),
        )  # fmt: skip
        repaid = 0
        if account.debt and not pending:
            repaid = min(account.debt, points)
            self.posting.post(
                account, Operation.REPAY, repaid, terms=terms, occurred_at=account.as_of, cause=cause
            )  # fmt: skip
        account.next_due = min(account.next_due, self._first_due(account, terms, pending=pending))
        return repaid

    def qualify(self, account: Account, operation: Operation, qualifying: int, *, cause: Cause, event_at: int) -> None:
        """Post an amount that counts towards a tier although no points moved."""
        self.posting.post(
            account, operation, 0, occurred_at=account.as_of, cause=cause, qualifying=qualifying,
            event_at=min(event_at, account.as_of),
        )  # fmt: skip

    def fulfil(self, account: Account, lot_id: int, order: bytes, cause: Cause) -> int:
        """Make a lot available that waited for its order, and return its points; what lapsed meanwhile expires.

        A lot that waits for a day holds points of other orders, too, and goes on waiting.
        """
        lot = _all_lots(account).get(lot_id)
        if lot is None or not lot.pending or lot.terms.fulfils != order:
            return 0
        points, terms = lot.remaining, lot.terms
        self.posting.post(
            account, Operation.ACTIVATE, points, terms=terms, occurred_at=account.as_of, cause=cause
        )  # fmt: skip
        self._record("activated", account, points, account.as_of, lot=lot_id)
        self.repay(account, account.as_of, cause)
        self._reschedule(account)
        return points

    def repay(self, account: Account, instant: int, cause: Cause) -> None:
        """Pay back what is owed with what is available: nobody owes points and holds some."""
        while account.debt and account.available:
            lot = self._burnable(account)[0]
            points = min(account.debt, lot.remaining)
            self.posting.post(account, Operation.REPAY, points, terms=lot.terms, occurred_at=instant, cause=cause)

    # ---- taking back

    def claw_back(
        self, account: Account, wants: Sequence[ClawbackRequest], *, policy: str, event_at: int, qualifying: int
    ) -> ClawbackResult:
        """Take back awards: from their own lots, then from others in burn order, then from pending ones.

        Reserved points are never taken. What is missing then follows the wallet's policy (design §5).

        Args:
            account: Brought to the event's time.
            wants: What to take back, award by award.
            policy: ``debt``, ``clamp`` or ``withhold``.
            event_at: The return's own time.
            qualifying: What the return takes from the amount that counts towards a tier (not positive).
        """
        left = [want.points for want in wants]
        own = [want.lot for want in wants]
        searches: tuple[Callable[[ClawbackRequest], list[Lot]], ...] = (
            lambda want: _lots_by_id(account, [want.lot]),
            lambda _want: _lots_by_id(account, own),
            lambda _want: self._burnable(account),
            lambda _want: sorted((lot for lot in _all_lots(account).values() if lot.pending), key=_burn_order),
        )
        for search in searches:
            for index, want in enumerate(wants):
                for lot in search(want) if left[index] else ():
                    points = min(left[index], lot.remaining)
                    if points:
                        operation = Operation.REVERSE_PENDING if lot.pending else Operation.REVERSE
                        self._reverse(account, operation, points, want.cause, event_at, qualifying, lot.terms)
                        qualifying = 0
                        left[index] -= points
        missing = sum(left)
        operation = {
            "debt": Operation.REVERSE_OWED, "clamp": Operation.REVERSE_WAIVED, "withhold": Operation.REVERSE_WITHHELD,
        }[policy]  # fmt: skip
        for want, points in zip(wants, left, strict=True):
            if points:
                self._reverse(account, operation, points, want.cause, event_at, qualifying, None)
                qualifying = 0
        taken = sum(want.points for want in wants) - missing
        parts = {name: missing if policy == name else 0 for name in ("debt", "clamp", "withhold")}
        return ClawbackResult(taken, parts["debt"], parts["clamp"], parts["withhold"])

    def _reverse(
        self, account: Account, operation: Operation, points: int, cause: Cause, event_at: int, qualifying: int,
        terms: Terms | None,
    ) -> None:  # fmt: skip
        self.posting.post(
            account, operation, points, terms=terms, occurred_at=account.as_of, cause=cause, qualifying=qualifying,
            event_at=min(event_at, account.as_of),
        )  # fmt: skip

    # ---- spending

    def reserve(self, account: Account, points: int, cause: Cause) -> tuple[Part, ...]:
        """Hold points, those that lapse soonest first. The caller has seen that enough are available."""
        _all_lots(account)
        parts: list[Part] = []
        left = points
        for lot in self._burnable(account):
            part = min(left, lot.remaining)
            if part:
                parts.append(Part(lot.terms, part))
                self.posting.post(
                    account, Operation.RESERVE, part, terms=lot.terms, occurred_at=account.as_of, cause=cause
                )  # fmt: skip
                left -= part
        if left:
            raise InvariantBroken(f"{left} of {points} points are missing in the lots of account {account.account}")
        return tuple(parts)

    def hold(self, account: Account, hold: Hold) -> None:
        """Remember a reservation until it is settled or times out."""
        account.holds[hold.key] = hold
        account.next_due = min(account.next_due, hold.until)

    def redeem(self, account: Account, parts: Sequence[Part], key: bytes, cause: Cause) -> None:
        """Spend points that were held."""
        account.holds.pop(key, None)
        for terms, points in parts:
            self.posting.post(account, Operation.REDEEM, points, terms=terms, occurred_at=account.as_of, cause=cause)

    def release(self, account: Account, hold: Hold, instant: int, cause: Cause) -> None:
        """Give held points back to their own lots; the caller lets lapse what is past its expiry."""
        account.holds.pop(hold.key, None)
        self._give_back(account, Operation.RELEASE, hold.parts, instant, cause)

    def cancel(self, account: Account, hold: Hold, cause: Cause) -> None:
        """Release a hold because of an event: what lapsed meanwhile expires at once."""
        self.release(account, hold, account.as_of, cause)
        self._reschedule(account)

    def refund(self, account: Account, parts: Sequence[Part], cause: Cause) -> None:
        """Give spent points back to their own lots: what lapsed meanwhile expires at once."""
        self._give_back(account, Operation.REFUND, parts, account.as_of, cause)
        self._reschedule(account)

    def _give_back(
        self, account: Account, operation: Operation, parts: Sequence[Part], instant: int, cause: Cause
    ) -> None:
        for terms, points in parts:
            self.posting.post(account, operation, points, terms=terms, occurred_at=instant, cause=cause)
        self.repay(account, instant, cause)

    def apply_overdue(self, account: Account) -> None:
        """Apply what an event made due at its own instant: points that came so late that they have lapsed."""
        if account.next_due <= account.as_of:
            self._apply_due(account, account.as_of)

    def _reschedule(self, account: Account) -> None:
        account.next_due = self._next_due(account)
        self.apply_overdue(account)

    def _burnable(self, account: Account) -> list[Lot]:
        return sorted((lot for lot in account.lots.values() if not lot.pending), key=_burn_order)


def _burn_order(lot: Lot) -> tuple[int, int, int]:
    """Soonest to expire first, then oldest; the id only makes the order total."""
    return (lot.terms.expires_at, lot.terms.available_at, lot.lot)


def _lots_by_id(account: Account, ids: Sequence[int]) -> list[Lot]:
    lots = _all_lots(account)
    return [lots[lot] for lot in dict.fromkeys(ids) if lot in lots]


def _all_lots(account: Account) -> dict[int, Lot]:
    if not account.complete:
        raise InvariantBroken(f"the lots of account {account.account} were not loaded")
    return account.lots
