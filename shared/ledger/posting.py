"""What a batch posts, and how each entry changes its account and its lot. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from shared.errors import InvariantBroken
from shared.ledger.model import Account, Cause, Entry, Lot, Terms
from shared.ledger.operations import EFFECT_OF, Effect, Operation


@dataclass(slots=True)
class LotChange:
    """What a batch adds to the sums of one lot of one account, and how the lot stands after the batch.

    Attributes:
        terms: None where nothing but what was excused changed: then the lot is there.
    """

    account: int
    lot: int
    terms: Terms | None
    pending: bool = False
    earned: int = 0
    remaining: int = 0
    expired: int = 0
    excused: int = 0


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
        lot: int = 0,
        qualifying: int = 0,
        event_at: int | None = None,
        counts_at: int | None = None,
    ) -> Entry:
        """Append one entry, and apply the operation's effect to the account and the lot.

        Args:
            account: The account, locked by the caller; changed in place.
            operation: What is done.
            points: In the wallet's smallest unit; 0 only for an entry that records just a qualifying amount.
            occurred_at: The instant of the posting, not before that of any earlier entry.
            cause: The business key and the rule behind it.
            terms: The terms of the points, if the operation concerns a lot.
            lot: The lot, where nothing is left in it (REVERSE_EXPIRED).
            qualifying: Minor units that count towards a tier (negative: taken back); on one entry per event.
            event_at: The event's own time, if that is earlier.
            counts_at: The instant of the purchase in whose window the amounts count; None: at ``event_at``.

        Raises:
            InvariantBroken: The entry would make a balance or a lot negative, excuse what has not expired, or moves
                nothing.
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
            if effect.earned:
                account.earned_at = occurred_at
            elif operation is Operation.REDEEM:
                account.redeemed_at = occurred_at
        if terms is not None and points:
            lot = terms.lot_id()
            self._change_lot(account, lot, terms, operation, effect, points)
        elif lot:
            self._excuse(account, lot, points)
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
            counts_at,
        )
        self.entries.append(entry)
        self.accounts[account.account] = account
        return entry

    def _change_lot(
        self, account: Account, lot: int, terms: Terms, operation: Operation, effect: Effect, points: int
    ) -> None:
        pending = bool(effect.pending) and operation is not Operation.ACTIVATE
        held = account.lots.get(lot)
        if held is None:
            held = account.lots[lot] = Lot(lot, terms, 0, pending)
        elif operation is Operation.ACTIVATE:
            held.terms = terms
        held.pending = pending
        held.remaining += effect.lot * points
        change = self.lots.get((account.account, lot))
        if change is None:
            change = self.lots[account.account, lot] = LotChange(account.account, lot, terms)
        change.terms = held.terms
        change.pending = pending
        change.remaining += effect.lot * points
        change.earned += effect.earned * points
        if effect.expired:
            change.expired += points
            if account.all_expired or lot in account.expired:
                account.expired[lot] = account.expired.get(lot, 0) + points
        if held.remaining < 0:
            raise InvariantBroken(f"{operation.name} of {points} points makes lot {lot} of {account.account} negative")
        if not held.remaining:
            del account.lots[lot]

    def _excuse(self, account: Account, lot: int, points: int) -> None:
        left = account.expired.get(lot, 0) - points
        if left < 0:
            raise InvariantBroken(f"more of lot {lot} of account {account.account} is excused than expired")
        account.expired[lot] = left
        change = self.lots.get((account.account, lot))
        if change is None:
            held = account.lots.get(lot)
            pending = held is not None and held.pending
            change = self.lots[account.account, lot] = LotChange(account.account, lot, None, pending)
        change.excused += points
