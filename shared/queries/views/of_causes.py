"""What readers are shown of why points came and went: of orders, and of what became of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from shared.queries.views.of_members import LEFT_OUT, EntryView, Instant, Json, as_json


@dataclass(frozen=True, slots=True)
class OrderName:
    """An order by the name that its producer gave it."""

    id: str
    source: str


@dataclass(frozen=True, slots=True)
class VerdictView:
    """What became of one rule of a purchase, and why; ``points`` are what it paid."""

    rule: str
    outcome: str
    points: int
    detail: str


@dataclass(frozen=True, slots=True)
class MultiplierView:
    """The tier whose multiplier an order was rated with."""

    tier: str
    multiplier: str


@dataclass(frozen=True, slots=True)
class QualifyingView:
    """What counts towards a tier, in minor units: what was bought, less what was returned."""

    bought: int
    returned: int
    counts: int


@dataclass(frozen=True, slots=True)
class LineView:
    """A line of an order; ``qualifying``: what of its amount counts towards a tier."""

    line_id: str
    quantity: int
    amount: int
    qualifying: int


@dataclass(frozen=True, slots=True)
class AwardView:
    """What a rule paid for an order, in all and by line."""

    rule: str
    wallet: str
    points: int
    lot: str
    lines: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class OrderLotView:
    """What became of the points that lie with those of an order; see ``LotView``. ``moves``: points by operation."""

    wallet: str
    lot: str
    earned: int
    remaining: int
    pending: bool
    available_at: Instant | None
    expires_at: Instant | None
    idle: str | None
    life: str | None
    moves: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class RulePoints:
    """Points of one rule: taken back by a return, or moved by an amendment (then less is negative)."""

    rule: str | None
    points: int


@dataclass(frozen=True, slots=True)
class LineBack:
    """What came back of a line."""

    line_id: str
    quantity: int
    amount: int


@dataclass(frozen=True, slots=True)
class AmendmentView:
    """An amendment of an order, and what it changed; ``order`` where it does not stand with its order."""

    id: str
    source: str
    member_id: str
    number: int
    occurred_at: Instant | None
    changed: tuple[RulePoints, ...]
    entries: tuple[EntryView, ...]
    order: OrderName | None = field(default=None, metadata=LEFT_OUT)


@dataclass(frozen=True, slots=True)
class ReturnView:
    """A return or a cancellation, and what it took back; ``order`` where it does not stand with its order."""

    id: str
    kind: str
    source: str
    member_id: str
    occurred_at: Instant | None
    lines: tuple[LineBack, ...]
    taken_back: tuple[RulePoints, ...]
    entries: tuple[EntryView, ...]
    order: OrderName | None = field(default=None, metadata=LEFT_OUT)


@dataclass(frozen=True, slots=True)
class ClaimView:
    """A member's claim of what an order waited for."""

    id: str
    member_id: str
    occurred_at: Instant | None
    order: OrderName
    entries: tuple[EntryView, ...]


@dataclass(frozen=True, slots=True)
class ReferralExplained:
    """A referral with what decided it; ``entries`` where it does not stand with its order."""

    id: str
    source: str
    referrer_id: str
    friend_id: str
    state: str
    reason: str | None
    registered_at: Instant | None
    qualified_at: Instant | None
    order: OrderName | None
    minimum: int | None
    program_version: int | None
    referrer_points: int
    friend_points: int
    open_until: Instant | None
    too_late: bool
    entries: tuple[EntryView, ...] | None = field(default=None, metadata=LEFT_OUT)


@dataclass(frozen=True, slots=True)
class RedemptionExplained:
    """A redemption with all that was asked of it and answered; ``answers`` as the events say it."""

    id: str
    member_id: str
    reward: str
    wallet: str
    points: int
    state: str
    reason: str | None
    requested_at: Instant | None
    held_until: Instant | None
    settled_at: Instant | None
    program_version: int | None
    answers: tuple[Json, ...]
    entries: tuple[EntryView, ...]


@dataclass(frozen=True, slots=True)
class OrderView:
    """An order as its amendments left it: what it earned, by which rules, and what became of it."""

    id: str
    member_id: str
    occurred_at: Instant | None
    program_version: int
    currency: str
    tier: MultiplierView | None
    points: int
    reason: str | None
    qualifying: QualifyingView
    lines: tuple[LineView, ...]
    awards: tuple[AwardView, ...]
    rules: tuple[VerdictView, ...]
    entries: tuple[EntryView, ...]
    lots: tuple[OrderLotView, ...]
    fulfilled_at: Instant | None
    claimed_at: Instant | None
    amendments: tuple[AmendmentView, ...]
    returns: tuple[ReturnView, ...]
    referrals: tuple[ReferralExplained, ...]


Cause = OrderView | ReturnView | AmendmentView | ClaimView | ReferralExplained | RedemptionExplained


@dataclass(frozen=True, slots=True)
class Explanation:
    """What an id names: which kind of thing, of which source, and all that is known of it."""

    kind: str
    source: str
    about: Cause

    def as_json(self) -> Json:
        """Return it as one object."""
        return {"kind": self.kind, "source": self.source, **as_json(self.about)}


@dataclass(frozen=True, slots=True)
class WaitingView:
    """What waits for an order that has not come."""

    kind: str
    id: str | None
    source: str
    member_id: str
    order_id: str
    order_source: str
    since: Instant | None


@dataclass(frozen=True, slots=True)
class LetterAbout:
    """A dead letter whose event has an id, or is about what has it."""

    id: str
    reason: str
    detail: str
    state: str
    event_id: str | None
    event_type: str | None
    event_source: str | None
    recorded_at: Instant | None
