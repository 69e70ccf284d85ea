"""Accounts, lots and entries, and how a posting changes them. Pure: no clock, no database.

Instants are microseconds since 1970, see ``shared.instants``.
"""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass, field
from typing import NamedTuple

from shared.errors import InvariantBroken
from shared.instants import BEGINNING, NEVER
from shared.ledger.operations import EFFECT_OF, Effect, Operation

#: The cause of what time alone makes happen.
TIME = bytes(16)


class Terms(NamedTuple):
    """What makes points alike: points of one account with the same terms gather in one lot.

    Attributes:
        available_at: BEGINNING: at once; NEVER: when what they wait for happens.
        expires_at: NEVER also for points that lapse without activity.
        fulfils: The key of what they wait for: an order that is fulfilled, or claimed; they gather with nobody else's.
        idle: How long the member may do nothing, such as ``18 months without earn or redeem``; empty: for ever.
    """

    available_at: int
    expires_at: int
    fulfils: bytes = b""
    idle: str = ""

    @functools.lru_cache(maxsize=10_000)  # noqa: B019 - keyed by the terms' values; few terms, many events
    def lot_id(self) -> int:
        """Return the lot's id: a function of the terms alone, so that no batching can change it (63 bits)."""
        terms = b"%d|%d" % (self.available_at, self.expires_at)
        digest = hashlib.blake2b(terms + self.fulfils + self.idle.encode(), digest_size=8).digest()
        return int.from_bytes(digest) >> 1


class Entry(NamedTuple):
    """One immutable row of the ledger: what was done, and the four balances after it.

    ``occurred_at`` never goes back within an account; ``event_at`` is the event's own time, earlier if it came late.
    ``lot`` is 0 where no lot is concerned, ``rule`` and ``program_version`` are below 1 where no rule paid.
    """

    account: int
    version: int
    points: int
    lot: int
    available: int
    pending: int
    reserved: int
    debt: int
    qualifying: int
    occurred_at: int
    event_at: int
    cause: bytes
    program_version: int
    rule: int
    operation: int


@dataclass(slots=True)
class Lot:
    """What is left of the points of one account with the same terms; all of it pending, or all of it available."""

    lot: int
    terms: Terms
    remaining: int
    pending: bool


class Part(NamedTuple):
    """Points that a redemption took from one lot."""

    terms: Terms
    points: int


@dataclass(slots=True)
class Hold:
    """Points reserved for a redemption until an instant; ``key`` is the redemption's."""

    key: bytes
    until: int
    parts: tuple[Part, ...]
    source: str
    redemption_id: str
    reward: str

    @property
    def points(self) -> int:
        """All of them."""
        return sum(part.points for part in self.parts)


@dataclass(slots=True)
class Account:
    """A member's wallet: the totals of its entries.

    Attributes:
        as_of: The latest instant up to which everything due was applied; entries never go back behind it.
        next_due: The earliest instant at which time alone changes the account (or announces that it will).
        earned_at: When points were earned last, as entries tell it.
        redeemed_at: When points were redeemed last.
        lots: The lots with something left, by id.
        holds: Open reservations, by the redemption's key.
        complete: False where a batch did without all that stood in the database: then ``lots`` has what it made itself
            and what is due in it, and nothing of the rest is due before ``unseen_due``, beyond the batch's last event.
    """

    account: int
    member: str
    wallet: str
    available: int = 0
    pending: int = 0
    reserved: int = 0
    debt: int = 0
    lifetime: int = 0
    version: int = 0
    as_of: int = BEGINNING
    next_due: int = NEVER
    earned_at: int = BEGINNING
    redeemed_at: int = BEGINNING
    lots: dict[int, Lot] = field(default_factory=dict)
    holds: dict[bytes, Hold] = field(default_factory=dict)
    complete: bool = True
    unseen_due: int = NEVER


@dataclass(slots=True)
class LotChange:
    """What a batch adds to one lot of one account, and whether its points are pending in the end."""

    account: int
    lot: int
    terms: Terms
    pending: bool = False
    earned: int = 0
    remaining: int = 0


class Cause(NamedTuple):
    """Why an entry exists: the business key, and the rule of the program version that decided it."""

    key: bytes
    program_version: int
    rule: int


#: Rules that are not in the list of earning rules.
BY_TIME = Cause(TIME, 0, 0)
REFERRER_RULE = -1
FRIEND_RULE = -2
NO_RULE = -3


class Posting:
    """Collects what a batch posts: entries in order, changed accounts and lots, holds that timed out and when."""

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
        """Append one entry, and change the account and the lot by the operation's effect.

        Args:
            account: The account, locked by the caller; changed in place.
            operation: What is done.
            points: In the wallet's smallest unit; 0 only where a qualifying amount is all that the entry tells.
            occurred_at: The instant that it is posted at, not before any earlier entry's.
            cause: The business key and the rule behind it.
            terms: Of the points, where the operation concerns a lot.
            qualifying: Minor units that count towards a tier (negative: taken back); on one entry an event.
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
        entry = Entry(
            account.account, account.version, points, lot, account.available, account.pending, account.reserved,
            account.debt, qualifying, occurred_at, occurred_at if event_at is None else event_at, cause.key,
            cause.program_version, cause.rule, operation,
        )  # fmt: skip
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
