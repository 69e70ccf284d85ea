"""Clawback: taking back what an order, or a referral, earned. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from shared.ledger.book import Book
from shared.ledger.lots import available_lots, lots_by_id, pending_lots
from shared.ledger.model import Account, Cause, Lot, Terms
from shared.ledger.operations import Operation

#: What is done about points that were spent already, by the wallet's policy.
_MISSING = {
    "debt": Operation.REVERSE_OWED,
    "clamp": Operation.REVERSE_WAIVED,
    "withhold": Operation.REVERSE_WITHHELD,
}


class ClawbackRequest(NamedTuple):
    """Points of one award that are to be taken back: the cause to write, and the lot that the award went to."""

    cause: Cause
    lot: int
    points: int


class ClawbackResult(NamedTuple):
    """Points taken from lots, and points that were spent already, by what the wallet's policy does about them."""

    taken: int
    owed: int
    waived: int
    withheld: int


def claw_back(
    book: Book,
    account: Account,
    requests: Sequence[ClawbackRequest],
    *,
    policy: str,
    event_at: int,
    qualifying: int,
) -> ClawbackResult:
    """Take back awards: from their own lots, then from others in burn order, then from pending ones.

    Reserved points are never taken. What is missing then follows the wallet's policy (docs/how-it-works.md, "The
    ledger").

    Args:
        book: The book that holds the account.
        account: Advanced to the event's time.
        requests: What to take back, award by award.
        policy: ``debt``, ``clamp`` or ``withhold``.
        event_at: The event's own time.
        qualifying: What the event takes from the amount that counts towards a tier (not positive).
    """
    own = [request.lot for request in requests]
    left = [request.points for request in requests]
    searches: tuple[Callable[[ClawbackRequest], list[Lot]], ...] = (
        lambda request: lots_by_id(account, [request.lot]),
        lambda _request: lots_by_id(account, own),
        lambda _request: available_lots(account),
        lambda _request: pending_lots(account),
    )

    def reverse(operation: Operation, points: int, cause: Cause, terms: Terms | None) -> None:
        """Post one entry; the first one of the event carries the qualifying amount."""
        nonlocal qualifying
        book.post(account, operation, points, cause=cause, event_at=event_at, terms=terms, qualifying=qualifying)
        qualifying = 0

    for search in searches:
        for index, request in enumerate(requests):
            for lot in search(request) if left[index] else ():
                if points := min(left[index], lot.remaining):
                    operation = Operation.REVERSE_PENDING if lot.pending else Operation.REVERSE
                    reverse(operation, points, request.cause, lot.terms)
                    left[index] -= points
    for request, points in zip(requests, left, strict=True):
        if points:
            reverse(_MISSING[policy], points, request.cause, None)
    missing = sum(left)
    taken = sum(request.points for request in requests) - missing
    owed, waived, withheld = (missing if policy == name else 0 for name in _MISSING)
    return ClawbackResult(taken, owed, waived, withheld)
