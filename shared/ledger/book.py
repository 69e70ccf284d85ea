"""What events may do with the accounts of a batch: earn, make available, reserve, spend, refund. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from shared.errors import InvariantBroken
from shared.instants import BEGINNING
from shared.ledger.due import first_due
from shared.ledger.lots import all_lots, available_lots
from shared.ledger.model import Account, Cause, Hold, Part, Terms
from shared.ledger.operations import Operation
from shared.ledger.timeline import Timeline


class Book(Timeline):
    """The locked accounts of a batch. ``advance_to`` the event's time first: everything due comes before it."""

    __slots__ = ()

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

    def cancel(self, account: Account, hold: Hold, cause: Cause) -> None:
        """Release a hold because of an event: see ``refund``."""
        self.release(account, hold, account.as_of, cause)
        self._reschedule(account)

    def refund(self, account: Account, parts: Sequence[Part], cause: Cause) -> None:
        """Give spent points back: those past their expiry live on by the wallet's grace, or expire at once."""
        self._come_back(account, Operation.REFUND, parts, account.as_of, cause)
        self._reschedule(account)
