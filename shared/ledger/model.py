"""Accounts, lots and entries. Pure: no clock, no database.

Instants are microseconds since 1970, see ``shared.instants``.
"""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass, field
from typing import NamedTuple

from shared.instants import BEGINNING, NEVER

#: The key of the cause of timed effects.
TIME = bytes(16)
#: The life of points that came back after their expiry, with the id of the lot in which they had expired.
GRACE = "grace of "


class Terms(NamedTuple):
    """The terms of points: points of one account with the same terms are in one lot.

    Attributes:
        available_at: BEGINNING: at once; NEVER: when the event for which they wait happens.
        expires_at: NEVER also for points that expire by inactivity. While points wait for an event: what it would be if
            the event had happened at once; nothing expires before it is available.
        fulfils: The key of the event that makes them available: an order's fulfilment or claim. No other order shares
            their lot.
        idle: The inactivity term, such as ``18 months without earn or redeem``; empty: there is none.
        life: How points live that wait for an event, once they are available, in words
            (``calendar.life_terms`` reads them); see also GRACE.
    """

    available_at: int
    expires_at: int
    fulfils: bytes = b""
    idle: str = ""
    life: str = ""

    @functools.lru_cache(maxsize=10_000)  # noqa: B019 - keyed by the terms' values; few terms, many events
    def lot_id(self) -> int:
        """Return the lot's id, a 63-bit hash of the terms: so it does not depend on how events were batched.

        Points that wait for an event get their instants when it happens, and stay in their lot.
        """
        if self.fulfils:
            terms = b"%s|%s|%s" % (self.fulfils, self.idle.encode(), self.life.encode())
        elif self.life:
            terms = self.life.encode()
        else:
            terms = b"%d|%d" % (self.available_at, self.expires_at)
            if self.idle:
                terms += b"|" + self.idle.encode()
        return int.from_bytes(hashlib.blake2b(terms, digest_size=8).digest()) >> 1

    @property
    def in_grace(self) -> bool:
        """Whether they came back after their expiry, and live on once."""
        return self.life.startswith(GRACE)


def terms_in_grace(lot: int, expires_at: int = NEVER) -> Terms:
    """Return the terms of points that came back to a lot after its expiry, and live on until an instant.

    They are in a lot of their own, of which each lot has one: its id does not depend on the instant.
    """
    return Terms(BEGINNING, expires_at, life=f"{GRACE}{lot}")


class Entry(NamedTuple):
    """One immutable row of the ledger: what was done, and the four balances after it.

    ``occurred_at`` never decreases within an account; ``event_at`` is the event's own time, earlier if it came late.
    ``lot`` is 0 where the operation concerns no lot; ``rule`` and ``program_version`` are below 1 where no rule paid.
    ``counts_at`` is the instant of the purchase in whose window the amounts count towards a tier; None: ``event_at``.
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
    counts_at: int | None


@dataclass(slots=True)
class Lot:
    """What remains of the points of one account with the same terms: either all pending or all available."""

    lot: int
    terms: Terms
    remaining: int
    pending: bool


class Part(NamedTuple):
    """The points that a redemption took from one lot."""

    terms: Terms
    points: int


@dataclass(slots=True)
class Hold:
    """The points reserved for a redemption until an instant; ``key`` is the redemption's business key."""

    key: bytes
    until: int
    parts: tuple[Part, ...]
    source: str
    redemption_id: str
    reward: str

    @property
    def points(self) -> int:
        """The number of points reserved."""
        return sum(part.points for part in self.parts)


@dataclass(slots=True)
class Account:
    """A member's wallet: the totals of its entries.

    Attributes:
        as_of: The instant up to which everything due has been applied; no entry is posted before it.
        next_due: The earliest instant at which time alone changes the account (or announces that it will).
        earned_at: When points were last earned, according to the entries.
        redeemed_at: When points were last redeemed.
        lots: The lots with points left, by id.
        expired: Points that expired in a lot and were not excused since, by the lot's id.
        graced: Until when the points live that came back after their expiry, by the id of the lot in which they are.
        holds: Open reservations, by the redemption's key.
        complete: False if the batch did not load everything stored: then ``lots`` has what the batch itself created and
            what is due in it, and nothing else is due before ``unseen_due``, which is after the batch's last event.
        all_expired: False if ``expired`` has only the lots that were loaded.
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
    expired: dict[int, int] = field(default_factory=dict)
    graced: dict[int, int] = field(default_factory=dict)
    holds: dict[bytes, Hold] = field(default_factory=dict)
    complete: bool = True
    all_expired: bool = True
    unseen_due: int = NEVER


class Cause(NamedTuple):
    """Why an entry exists: the business key, and the rule of the program version that decided it."""

    key: bytes
    program_version: int
    rule: int


#: Numbers for causes that are not earning rules.
BY_TIME = Cause(TIME, 0, 0)
REFERRER_RULE = -1
FRIEND_RULE = -2
NO_RULE = -3
