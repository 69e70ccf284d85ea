"""Clawback: taking back what an order, or a referral, earned. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from shared.ledger.book import Book
from shared.ledger.lots import available_lots, expired_of, lots_by_id, pending_lots, with_grace
from shared.ledger.model import Account, Cause, Lot, Terms
from shared.ledger.operations import Operation

#: Only pending points of the order's own lots are taken; the rest is let go.
WITHIN_PENDING = "within pending"
#: What is done about points that are missing, by the wallet's policy.
_MISSING = {
    "debt": Operation.REVERSE_OWED,
    "clamp": Operation.REVERSE_WAIVED,
    "withhold": Operation.REVERSE_WITHHELD,
    WITHIN_PENDING: Operation.REVERSE_WAIVED,
}


class ClawbackRequest(NamedTuple):
    """Points of one award that are to be taken back: the cause to write, and the lots that the award went to."""

    cause: Cause
    lots: tuple[int, ...]
    points: int


class ClawbackResult(NamedTuple):
    """What became of the points that were to be taken back.

    Attributes:
        taken: From lots.
        excused: They had expired: nobody is charged for them.
        owed: The member owes them.
        waived: They are let go.
        withheld: They are let go, and the refund is reduced by what they were worth.
    """

    taken: int
    excused: int
    owed: int
    waived: int
    withheld: int


def claw_back(
    book: Book,
    account: Account,
    requests: Sequence[ClawbackRequest],
    *,
    own: Sequence[int],
    policy: str,
    event_at: int,
    qualifying: int,
    counts_at: int | None = None,
) -> ClawbackResult:
    """Take back awards: from their own lots, then from others of the order; what had expired there is excused.

    What is then missing is taken from other available lots in burn order, then from other pending ones; reserved points
    never. The rest follows the wallet's policy (docs/how-it-works.md, "The ledger").

    Args:
        book: The book that holds the account.
        account: Advanced to the event's time, with all its lots, and with what expired of the order's lots.
        requests: What to take back, award by award.
        own: All lots of the order in this wallet; those that changed first.
        policy: ``debt``, ``clamp``, ``withhold`` or ``within pending``.
        event_at: The event's own time.
        qualifying: What the event takes from the amount that counts towards a tier (not positive).
        counts_at: The instant of the purchase in whose window all of it counts; None: at ``event_at``.

    Raises:
        InvariantBroken: It is not known what expired of the order's lots.
    """
    clawback = _Clawback(book, account, requests, event_at, qualifying, counts_at)
    if policy == WITHIN_PENDING:
        clawback.take(lambda request: _pending(account, request.lots))
        clawback.take(lambda _request: _pending(account, own))
    else:
        clawback.take(lambda request: _pending_first(account, request.lots))
        clawback.take(lambda _request: _pending_first(account, own))
        clawback.excuse(lambda request: with_grace(account, request.lots))
        clawback.excuse(lambda _request: with_grace(account, own))
        clawback.take(lambda _request: available_lots(account))
        clawback.take(lambda _request: pending_lots(account))
    operation = _MISSING[policy]
    missing = clawback.give_up(operation)
    return ClawbackResult(
        clawback.taken,
        clawback.excused,
        owed=missing if operation is Operation.REVERSE_OWED else 0,
        waived=missing if operation is Operation.REVERSE_WAIVED else 0,
        withheld=missing if operation is Operation.REVERSE_WITHHELD else 0,
    )


def _pending_first(account: Account, ids: Iterable[int]) -> list[Lot]:
    """Return the lots of some ids, those that are pending before those that are available."""
    return sorted(lots_by_id(account, with_grace(account, ids)), key=lambda lot: not lot.pending)


def _pending(account: Account, ids: Iterable[int]) -> list[Lot]:
    return [lot for lot in lots_by_id(account, ids) if lot.pending]


class _Clawback:
    """What is still wanted of each request, and what was done about it so far."""

    def __init__(
        self,
        book: Book,
        account: Account,
        requests: Sequence[ClawbackRequest],
        event_at: int,
        qualifying: int,
        counts_at: int | None,
    ) -> None:
        self._book, self._account, self._requests = book, account, requests
        self._event_at, self._qualifying, self._counts_at = event_at, qualifying, counts_at
        self._wanted = [request.points for request in requests]
        self.taken = self.excused = 0

    def take(self, search: Callable[[ClawbackRequest], Sequence[Lot]]) -> None:
        """Take what is wanted from the lots that are found for each request."""
        for index, request in enumerate(self._requests):
            for lot in search(request) if self._wanted[index] else ():
                if points := min(self._wanted[index], lot.remaining):
                    operation = Operation.REVERSE_PENDING if lot.pending else Operation.REVERSE
                    self._post(operation, points, request.cause, terms=lot.terms)
                    self._wanted[index] -= points
                    self.taken += points

    def excuse(self, search: Callable[[ClawbackRequest], Sequence[int]]) -> None:
        """Excuse what is wanted as far as it expired in the lots that are found for each request."""
        for index, request in enumerate(self._requests):
            for lot in search(request) if self._wanted[index] else ():
                if points := min(self._wanted[index], expired_of(self._account, lot)):
                    self._post(Operation.REVERSE_EXPIRED, points, request.cause, lot=lot)
                    self._wanted[index] -= points
                    self.excused += points

    def give_up(self, operation: Operation) -> int:
        """Post what is missing, and return how much that is."""
        for request, points in zip(self._requests, self._wanted, strict=True):
            if points:
                self._post(operation, points, request.cause)
        return sum(self._wanted)

    def _post(
        self, operation: Operation, points: int, cause: Cause, *, terms: Terms | None = None, lot: int = 0
    ) -> None:
        """Post one entry; the first one of the event carries the qualifying amount."""
        self._book.post(
            self._account,
            operation,
            points,
            cause=cause,
            event_at=self._event_at,
            terms=terms,
            lot=lot,
            qualifying=self._qualifying,
            counts_at=self._counts_at,
        )
        self._qualifying = 0
