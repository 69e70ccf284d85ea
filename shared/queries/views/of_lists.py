"""What readers are shown in lists and counts: redemptions, referrals, notifications, tiers, dead letters, programs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from shared.queries.views.of_members import Instant


@dataclass(frozen=True, slots=True)
class RedemptionView:
    """A redemption as it is recorded."""

    redemption_id: str
    source: str
    member_id: str
    reward: str
    state: str
    reason: str | None
    points: int
    requested_at: Instant | None
    held_until: Instant | None
    settled_at: Instant | None


@dataclass(frozen=True, slots=True)
class RedemptionCount:
    """Redemptions of a reward that are in a state for a reason."""

    reward: str
    state: str
    reason: str | None
    redemptions: int
    points: int


@dataclass(frozen=True, slots=True)
class ReferralView:
    """A referral as it is recorded."""

    referral_id: str
    source: str
    referrer_id: str
    friend_id: str
    state: str
    reason: str | None
    order_id: str | None
    registered_at: Instant | None
    qualified_at: Instant | None
    referrer_points: int
    friend_points: int


@dataclass(frozen=True, slots=True)
class ReferralCount:
    """Referrals that are in a state for a reason."""

    state: str
    reason: str | None
    referrals: int
    referrer_points: int
    friend_points: int


@dataclass(frozen=True, slots=True)
class NotificationView:
    """A decision to tell a member something, or not."""

    notification_id: str
    member_id: str
    kind: str
    state: str
    reason: str | None
    occurred_at: Instant | None
    not_before: Instant | None
    use_by: Instant | None


@dataclass(frozen=True, slots=True)
class NotificationCount:
    """Notifications of a kind that are in a state for a reason."""

    kind: str
    state: str
    reason: str | None
    notifications: int


@dataclass(frozen=True, slots=True)
class TierMemberView:
    """A member's tier as the tiers service has last treated it; none while it has not."""

    member_id: str
    tier: str | None
    metric_value: int
    valid_from: Instant | None
    valid_until: Instant | None


@dataclass(frozen=True, slots=True)
class TierCount:
    """Members of a tier; a tier that is not on the ladder any more has no name."""

    tier: str | None
    name: str | None
    members: int


@dataclass(frozen=True, slots=True)
class TierChangeCount:
    """Changes of a kind from one tier to another, in a month such as 2017-03."""

    month: str
    change: str
    old_tier: str | None
    tier: str | None
    changes: int


@dataclass(frozen=True, slots=True)
class DeadLetterView:
    """A record that was refused, without the record."""

    id: str
    reason: str
    topic: str
    partition: int
    epoch: int
    offset: int
    recorded_at: Instant | None
    state: str
    detail: str


@dataclass(frozen=True, slots=True)
class RefusedRecordView:
    """A record that was refused, as it came; a value that was none is said so."""

    id: str
    state: str
    reason: str
    detail: str
    service: str
    topic: str
    partition: int
    epoch: int
    offset: int
    recorded_at: Instant | None
    key: str
    headers: Mapping[str, str]
    value: str


@dataclass(frozen=True, slots=True)
class ProgramVersionView:
    """A published version of the program."""

    version: int
    program: str
    effective: Instant | None
    published: Instant | None
    sha256: str


@dataclass(frozen=True, slots=True)
class StatusView:
    """How far the services are behind.

    Attributes:
        waiting: Records in Kafka, by service.
        outbox_batches: Batches whose messages Kafka has not acknowledged.
        due: Accounts and tiers that a sweep has not treated yet.
        clock: The program's present time, and which clock tells it.
    """

    idle: bool
    waiting: Mapping[str, int]
    outbox_batches: int
    unclaimed_partitions: int
    due: int
    open_dead_letters: int
    clock: str
