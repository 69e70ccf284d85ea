"""What a batch posts, and how each entry changes its account and its lot. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from shared.errors import InvariantBroken
from shared.ledger.model import Account, Cause, Entry, Lot, Terms
from shared.ledger.operations import EFFECT_OF, Effect, Operation


@dataclass(slots=True)
class LotChange:
    """What a batch adds to one lot of one account, and whether its points are pending after the batch."""

    account: int
    lot: int
    terms: Terms
    pending: bool = False
    earned: int = 0
    remaining: int = 0


class Posting:
    """Collects what a batch posts: entries in order, changed accounts and lots, and when holds timed out."""

    __slots__ = ("accounts", "entries", "lots", "timed_out")

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.accounts: dict[int, Account] = {}
        self.lots: dict[tuple[int, int], LotChange] = {}
        self.timed_out: dict[bytes, int] = {}

    def post(
        self,
        account: Account,
        operation: Operation,
        points: int,
        *,
        occurred_at: int,
        cause: Cause,
        terms: Terms | None = None,
        qualifying: int = 0,
        event_at: int | None = None,
    ) -> Entry:
        """Append one entry, and apply the operation's effect to the account and the lot.

        Args:
            account: The account, locked by the caller; changed in place.
            operation: What is done.
            points: In the wallet's smallest unit; 0 only for an entry that records just a qualifying amount.
            occurred_at: The instant of the posting, not before that of any earlier entry.
            cause: The business key and the rule behind it.
            terms: The terms of the points, if the operation concerns a lot.
            qualifying: Minor units that count towards a tier (negative: taken back); on one entry per event.
            event_at: The event's own time, if that is earlier.

        Raises:
            InvariantBroken: The entry would make a balance or a lot negative, or moves nothing.
        """
        if points < 0 or (points == 0 and not qualifying):
            raise InvariantBroken(f"{operation.name} of {points} points: an entry moves a positive number of points")
        effect = EFFECT_OF[operation]
        account.available += effect.available * points
        account.pending += effect.pending * points
        account.reserved += effect.reserved * points
        account.debt += effect.debt * points
        account.lifetime += effect.lifetime * points
        if min(account.available, account.pending, account.reserved, account.debt) < 0:
            raise InvariantBroken(f"{operation.name} of {points} points makes a balance of account {account} negative")
        account.version += 1
        if points:
            if effect.lifetime > 0:
                account.earned_at = occurred_at
            elif operation is Operation.REDEEM:
                account.redeemed_at = occurred_at
        lot = 0
        if terms is not None and points:
            lot = terms.lot_id()
            self._change_lot(account, lot, terms, operation, effect, points)
        event_at = occurred_at if event_at is None else event_at
        entry = Entry(
            account.account,
            account.version,
            points,
            lot,
            account.available,
            account.pending,
            account.reserved,
            account.debt,
            qualifying,
            occurred_at,
            event_at,
            cause.key,
            cause.program_version,
            cause.rule,
            operation,
        )
        self.entries.append(entry)
        self.accounts[account.account] = account
        return entry

    def _change_lot(
        self, account: Account, lot: int, terms: Terms, operation: Operation, effect: Effect, points: int
    ) -> None:
        pending = bool(effect.pending) and operation is not Operation.ACTIVATE
        change = self.lots.get((account.account, lot))
        if change is None:
            change = self.lots[account.account, lot] = LotChange(account.account, lot, terms)
        change.pending = pending
        change.remaining += effect.lot * points
        change.earned += effect.earned * points
        held = account.lots.get(lot)
        if held is None:
            held = account.lots[lot] = Lot(lot, terms, 0, pending)
        held.pending = pending
        held.remaining += effect.lot * points
        if held.remaining < 0:
            raise InvariantBroken(f"{operation.name} of {points} points makes lot {lot} of {account.account} negative")
        if not held.remaining:
            del account.lots[lot]
