"""Accounts, lots and entries, and how a posting changes them. Pure: no clock, no database.

Instants are microseconds since 1970, see ``shared.instants``.
"""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass
from typing import NamedTuple

from shared.errors import InvariantBroken
from shared.instants import BEGINNING, NEVER
from shared.ledger.operations import EFFECTS, Operation


class Terms(NamedTuple):
    """What makes points alike: points of one account with the same terms gather in one lot."""

    available_at: int
    expires_at: int

    @functools.lru_cache(maxsize=10_000)  # noqa: B019 - keyed by the terms' values; few terms, many events
    def lot_id(self) -> int:
        """Return the lot's id: a function of the terms alone, so that no batching can change it (63 bits)."""
        digest = hashlib.blake2b(b"%d|%d" % self, digest_size=8).digest()
        return int.from_bytes(digest) >> 1


class Entry(NamedTuple):
    """One immutable row of the ledger: what was done, and the four balances after it."""

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
    cause: bytes
    program_version: int
    rule: int
    operation: int


@dataclass(slots=True)
class Account:
    """A member's wallet: the totals of its entries.

    Attributes:
        as_of: The latest instant for which something was posted; entries never go back behind it.
        next_due: The earliest instant at which time alone changes the account (a lot expires).
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


@dataclass(slots=True)
class LotChange:
    """What a batch adds to one lot of one account."""

    account: int
    lot: int
    terms: Terms
    earned: int = 0
    remaining: int = 0


class Cause(NamedTuple):
    """Why an entry exists: the business key, and the rule of the program version that decided it."""

    key: bytes
    program_version: int
    rule: int


class Posting:
    """Collects what a batch posts: entries in order, changed accounts, changed lots."""

    __slots__ = ("accounts", "entries", "lots")

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.accounts: dict[int, Account] = {}
        self.lots: dict[tuple[int, int], LotChange] = {}

    def post(
        self,
        account: Account,
        operation: Operation,
        points: int,
        *,
        terms: Terms,
        occurred_at: int,
        cause: Cause,
        qualifying: int = 0,
    ) -> Entry:
        """Append one entry, and change the account and the lot by the operation's effect.

        Args:
            account: The account, locked by the caller; changed in place.
            operation: What is done.
            points: A positive number, in the wallet's smallest unit.
            terms: Of the points; they name the lot.
            occurred_at: Business time. An event earlier than what the account has already seen is posted at
                ``account.as_of``, so that the history of an account never goes back.
            cause: The business key and the rule behind it.
            qualifying: Minor units that count towards a tier; on one entry an order and wallet.

        Raises:
            InvariantBroken: The entry would make a balance negative, or moves nothing.
        """
        if points <= 0:
            raise InvariantBroken(f"{operation.name} of {points} points: an entry moves a positive number of points")
        effect = EFFECTS[operation]
        account.available += effect.available * points
        account.pending += effect.pending * points
        account.reserved += effect.reserved * points
        account.debt += effect.debt * points
        account.lifetime += effect.lifetime * points
        if min(account.available, account.pending, account.reserved, account.debt) < 0:
            raise InvariantBroken(f"{operation.name} of {points} points makes a balance of account {account} negative")
        account.version += 1
        account.as_of = max(account.as_of, occurred_at)
        account.next_due = min(account.next_due, terms.expires_at)
        lot = terms.lot_id()
        entry = Entry(
            account.account, account.version, points, lot, account.available, account.pending, account.reserved,
            account.debt, qualifying, account.as_of, cause.key, cause.program_version, cause.rule, operation,
        )  # fmt: skip
        self.entries.append(entry)
        self.accounts[account.account] = account
        self._change_lot(account.account, lot, terms, effect.lot * points)
        return entry

    def _change_lot(self, account: int, lot: int, terms: Terms, points: int) -> None:
        change = self.lots.get((account, lot))
        if change is None:
            change = self.lots[account, lot] = LotChange(account, lot, terms)
        change.remaining += points
        if points > 0:
            change.earned += points
