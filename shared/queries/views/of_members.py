"""What readers are shown of the ledger and of what stands on it, as typed rows; ``as_json`` is what programs get.

Instants are RFC 3339 in UTC. None stands for what is not there: at once, never, not yet, no reason.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]
Instant = str

#: Metadata of a field that JSON leaves out where it is None: what is shown inside of something else needs not name it.
LEFT_OUT: Mapping[str, bool] = {"left_out": True}


def as_json(value: Any) -> Any:
    """Return a view as JSON has it: objects with the fields of the view, whose order they keep."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            one.name.removesuffix("_"): as_json(getattr(value, one.name))
            for one in dataclasses.fields(value)
            if not (one.metadata.get("left_out") and getattr(value, one.name) is None)
        }
    if isinstance(value, Mapping):
        return {name: as_json(content) for name, content in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [as_json(one) for one in value]
    return value


@dataclass(frozen=True, slots=True)
class CauseView:
    """What made an entry, by the name that its producer gave it; a fulfilment goes by its order's. Time has no name."""

    kind: str
    id: str | None = None
    source: str | None = None

    def __str__(self) -> str:
        return self.kind if self.id is None else f"{self.kind} {self.id}"


@dataclass(frozen=True, slots=True)
class EntryView:
    """One entry of the ledger, with its cause and its rule in words, and the balances after it.

    Attributes:
        counts_at: The instant in whose window its amounts count towards a tier; None: at ``event_at``.
    """

    member_id: str
    wallet: str
    version: int
    occurred_at: Instant | None
    event_at: Instant | None
    counts_at: Instant | None
    operation: str
    points: int
    lot: str | None
    available: int
    pending: int
    reserved: int
    debt: int
    qualifying: int
    cause: CauseView
    rule: str | None
    program_version: int | None


@dataclass(frozen=True, slots=True)
class WalletView:
    """A member's balance in one wallet; ``lapses_unless_used``: when idle points expire if nothing is done before."""

    wallet: str
    available: int
    pending: int
    reserved: int
    debt: int
    lifetime: int
    version: int
    lapses_unless_used: Instant | None


@dataclass(frozen=True, slots=True)
class LotView:
    """What is left of points with the same terms.

    Attributes:
        expires_at: None: never by a date, or not known before they are available.
        idle: How long the member may do nothing.
        life: How long they live once they are available; ``grace``: they live on after their expiry.
    """

    wallet: str
    lot: str
    state: str
    remaining: int
    available_at: Instant | None
    expires_at: Instant | None
    idle: str | None
    life: str | None


@dataclass(frozen=True, slots=True)
class DueView:
    """What time alone has done to a wallet, or will have, and what is not recorded yet."""

    at: Instant | None
    wallet: str
    what: str
    points: int
    lot: str | None
    expires_at: Instant | None
    redemption_id: str | None


@dataclass(frozen=True, slots=True)
class TierView:
    """A tier, until when it is valid, and what keeps or raises it; ``currency``: of what is counted, if it is money."""

    tier: str
    name: str
    since: Instant | None
    valid_until: Instant | None
    metric: str
    metric_value: int
    currency: str | None
    to_keep: int | None
    next_tier: str | None
    to_next: int | None


@dataclass(frozen=True, slots=True)
class TierChangeView:
    """A change of a member's tier; ``announced``: whether subscribers were told of it yet."""

    occurred_at: Instant | None
    change: str
    old_tier: str
    tier: str
    reason: str
    metric_value: int
    announced: bool


@dataclass(frozen=True, slots=True)
class MemberReferralView:
    """A referral as one of its two members sees it."""

    referral_id: str
    source: str
    role: str
    with_: str
    state: str
    reason: str | None
    registered_at: Instant | None
    order_id: str | None
    qualified_at: Instant | None
    points: int


@dataclass(frozen=True, slots=True)
class MemberRedemptionView:
    """A redemption of a member, in the state that it was in."""

    redemption_id: str
    source: str
    reward: str
    wallet: str
    points: int
    state: str
    reason: str | None
    requested_at: Instant | None
    held_until: Instant | None
    settled_at: Instant | None


@dataclass(frozen=True, slots=True)
class MemberNotificationView:
    """What a member was told, or was not."""

    kind: str
    state: str
    reason: str | None
    occurred_at: Instant | None
    not_before: Instant | None
    use_by: Instant | None


@dataclass(frozen=True, slots=True)
class MemberView:
    """All that is known of a member as of an instant; of each list the latest."""

    member_id: str
    as_of: Instant | None
    wallets: tuple[WalletView, ...]
    lots: tuple[LotView, ...]
    reservations: tuple[MemberRedemptionView, ...]
    due: tuple[DueView, ...]
    entries_in_all: int
    entries: tuple[EntryView, ...]
    tier: TierView | None
    tier_history: tuple[TierChangeView, ...]
    referrals: tuple[MemberReferralView, ...]
    redemptions: tuple[MemberRedemptionView, ...]
    notifications: tuple[MemberNotificationView, ...]
