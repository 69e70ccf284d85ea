"""What a batch of earn must know before it decides, and what it writes. Plain data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Set
from dataclasses import dataclass, field

from services.earn.orders import Order
from services.earn.referring import Referral
from shared.posting.ledger_batch import LedgerEffects, LedgerState
from shared.program.compiled.rating_context import Member
from shared.program.compiled.tallies import PURCHASES
from shared.runtime.records import Received


@dataclass(slots=True)
class Parked:
    """A return or a fulfilment that waits for its order; ``place`` is the archive's seq and position."""

    order_key: bytes
    received: Received
    parked_at: int
    place: tuple[int, int]


@dataclass(slots=True)
class State(LedgerState):
    """What is known.

    Attributes:
        known: Content hashes of what was accepted before, by business key.
        orders: By key; those that returns and fulfilments of the batch name, and those of the batch.
        parked: What waits, by the key of the order.
        waiting: How many wait, by the key of the order.
        referrals: Those that were not refused, by friend.
        referrer_of: Who brought whom.
        rewarded: Instants of rewarded referrals by referrer.
        tallies: What was counted of members, by (member, tally, period); those that the batch may look up. Budgets
            stand under no member.
        loaded: The tallies that were looked for; None: everything is known, as in a rehearsal.
        members: What was told of members, where a rule asks; and when it was so.
        bought: Orders by member; only of members whose referral is being registered.
    """

    known: dict[bytes, bytes] = field(default_factory=dict)
    orders: dict[bytes, Order] = field(default_factory=dict)
    parked: dict[bytes, list[Parked]] = field(default_factory=dict)
    waiting: Counter[bytes] = field(default_factory=Counter)
    referrals: dict[str, Referral] = field(default_factory=dict)
    referrer_of: dict[str, str] = field(default_factory=dict)
    rewarded: dict[str, list[int]] = field(default_factory=dict)
    tallies: dict[tuple[str, str, int], int] = field(default_factory=dict)
    loaded: Set[tuple[str, str, int]] | None = None
    members: dict[str, Member] = field(default_factory=dict)
    told_at: dict[str, int] = field(default_factory=dict)
    bought: dict[str, list[Order]] = field(default_factory=dict)

    def purchases_of(self, member: str) -> int:
        """Return how many purchases of a member were accepted before; a rehearsal keeps all orders by member."""
        known = self.tallies.get((member, *PURCHASES))
        return len(self.bought.get(member, ())) if known is None else known


@dataclass(slots=True)
class Effects(LedgerEffects):
    """What a batch writes.

    Attributes:
        accepted: Business keys taken, with the content's hash.
        given_back: Business keys that are free again.
        tallies: What was counted of members, and of budgets, in the end.
        members: What was told of members, and since when it is so.
    """

    orders: list[tuple[object, ...]] = field(default_factory=list)
    returns: list[tuple[object, ...]] = field(default_factory=list)
    fulfilments: list[tuple[object, ...]] = field(default_factory=list)
    amendments: list[tuple[object, ...]] = field(default_factory=list)
    members: dict[str, tuple[int, Member]] = field(default_factory=dict)
    parked: list[tuple[object, ...]] = field(default_factory=list)
    unparked: dict[tuple[int, int], str] = field(default_factory=dict)
    accepted: dict[bytes, bytes] = field(default_factory=dict)
    given_back: set[bytes] = field(default_factory=set)
    registered: list[tuple[Referral, int, int]] = field(default_factory=list)
    changed: dict[bytes, Referral] = field(default_factory=dict)
    tallies: dict[tuple[str, str, int], int] = field(default_factory=dict)
    issued: Counter[tuple[str, str]] = field(default_factory=Counter)
    reversed: Counter[tuple[str, str]] = field(default_factory=Counter)
