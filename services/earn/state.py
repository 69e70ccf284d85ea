"""What a batch of earn must know before it decides, and what it writes. Plain data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import NamedTuple

from services.earn.orders import Order
from services.earn.rating.awards import Verdict
from services.earn.rows import AmendmentRow, FulfilmentRow, OrderRow, ParkedRow, ParkedState, ReturnRow
from shared.posting.ledger_batch import LedgerBatch, LedgerEffects, LedgerState
from shared.program.compiled.rating_context import Member
from shared.program.compiled.rules import Rule
from shared.program.compiled.tallies import PURCHASES
from shared.runtime.records import Received

#: (member, name, period) of a tally; budgets stand under no member.
TallyKey = tuple[str, str, int]
#: (business key, content hash, instant of the purchase): what is rated, and as of when.
RatedKey = tuple[bytes, bytes, int]


class Place(NamedTuple):
    """Where a record stands in the archive."""

    seq: int
    position: int


@dataclass(slots=True)
class Parked:
    """A return or a fulfilment that waits for its order."""

    order_key: bytes
    received: Received
    parked_at: int
    place: Place


@dataclass(slots=True)
class Referral:
    """A registered referral and what became of it.

    Attributes:
        reason: Why it was refused or taken back; empty otherwise.
        minimum: Minor units that the friend's purchase must have had, once qualified.
        program_version: The version that rewarded it; 0 before.
        referrer_lot: Where the reward went: its terms may depend on what was told of the member since.
    """

    key: bytes
    content_hash: bytes
    source: str
    referral_id: str
    referrer: str
    friend: str
    registered_at: int
    state: str = "open"
    reason: str = ""
    order_key: bytes | None = None
    order_id: str = ""
    order_source: str = ""
    qualified_at: int | None = None
    minimum: int = 0
    program_version: int = 0
    referrer_points: int = 0
    friend_points: int = 0
    referrer_lot: int = 0
    friend_lot: int = 0


class Registration(NamedTuple):
    """A referral that is registered, or refused, and where its event stands."""

    referral: Referral
    seq: int
    position: int


class ToldMember(NamedTuple):
    """What was told of a member, and since when it is so."""

    told_at: int
    member: Member


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
        selected: The rules that could pay for what the batch rates, where the load has worked that out.
    """

    known: dict[bytes, bytes] = field(default_factory=dict)
    orders: dict[bytes, Order] = field(default_factory=dict)
    parked: dict[bytes, list[Parked]] = field(default_factory=dict)
    waiting: Counter[bytes] = field(default_factory=Counter)
    referrals: dict[str, Referral] = field(default_factory=dict)
    referrer_of: dict[str, str] = field(default_factory=dict)
    rewarded: dict[str, list[int]] = field(default_factory=dict)
    tallies: dict[TallyKey, int] = field(default_factory=dict)
    loaded: Set[TallyKey] | None = None
    members: dict[str, Member] = field(default_factory=dict)
    told_at: dict[str, int] = field(default_factory=dict)
    bought: dict[str, list[Order]] = field(default_factory=dict)
    selected: Mapping[RatedKey, Sequence[Rule]] = field(default_factory=dict)

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
        members: What was told of members.
        verdicts: Filled, if anybody asks, with what became of each rule, by the business key of what was rated.
    """

    orders: list[OrderRow] = field(default_factory=list)
    returns: list[ReturnRow] = field(default_factory=list)
    fulfilments: list[FulfilmentRow] = field(default_factory=list)
    amendments: list[AmendmentRow] = field(default_factory=list)
    members: dict[str, ToldMember] = field(default_factory=dict)
    parked: list[ParkedRow] = field(default_factory=list)
    unparked: dict[Place, ParkedState] = field(default_factory=dict)
    accepted: dict[bytes, bytes] = field(default_factory=dict)
    given_back: set[bytes] = field(default_factory=set)
    registered: list[Registration] = field(default_factory=list)
    changed: dict[bytes, Referral] = field(default_factory=dict)
    tallies: dict[TallyKey, int] = field(default_factory=dict)
    issued: Counter[tuple[str, str]] = field(default_factory=Counter)
    reversed: Counter[tuple[str, str]] = field(default_factory=Counter)
    verdicts: dict[bytes, list[Verdict]] | None = None

    def verdicts_of(self, key: bytes) -> list[Verdict] | None:
        """Return where to say what became of each rule; None: nobody asks."""
        return None if self.verdicts is None else self.verdicts.setdefault(key, [])


Batch = LedgerBatch[State, Effects]
