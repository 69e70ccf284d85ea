"""The events of our own services as notify hears them: only the fields that it needs, unknown ones are ignored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter
from pydantic.dataclasses import dataclass

from shared.contracts import points, rewards, tiers
from shared.contracts.contract import Contract
from shared.contracts.fields import CONTRACT, Identifier, Moment, Source

Amount = Annotated[int, Field(ge=0)]
#: An instant as our services write it: "never" is one that does not come.
Instant = Moment | Literal["never"] | None


@dataclass(frozen=True, slots=True, kw_only=True, config=CONTRACT)
class PointsExpiring:
    """So many points will expire."""

    member_id: Identifier
    occurred_at: Moment
    wallet: Identifier
    points: Amount
    days_left: Amount
    expires_at: Moment


@dataclass(frozen=True, slots=True, kw_only=True, config=CONTRACT)
class PointsEarned:
    """An order earned points; with ``referral_id`` it was a referral."""

    member_id: Identifier
    occurred_at: Moment
    wallet: Identifier
    points: Amount
    order_id: Identifier
    order_source: Source
    referral_id: Identifier | None = None
    available_at: Instant = None
    expires_at: Instant = None


@dataclass(frozen=True, slots=True, kw_only=True, config=CONTRACT)
class TierChanged:
    """A tier was reached, or is about to be lost."""

    member_id: Identifier
    occurred_at: Moment
    tier: Identifier
    old_tier: Annotated[str, Field(max_length=128)]
    metric: Literal["spend", "points"]
    valid_from: Instant
    valid_until: Instant = None
    to_keep: int | None = None
    next_tier: Identifier | None = None
    to_next: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True, config=CONTRACT)
class ReferralQualified:
    """A friend (``member_id``) has bought: both are rewarded."""

    member_id: Identifier
    occurred_at: Moment
    referral_id: Identifier
    referral_source: Source
    referrer_id: Identifier
    referrer_points: Amount
    friend_points: Amount


@dataclass(frozen=True, slots=True, kw_only=True, config=CONTRACT)
class RewardRedeemed:
    """Points became a reward."""

    member_id: Identifier
    occurred_at: Moment
    redemption_id: Identifier
    redemption_source: Source
    reward: Identifier
    wallet: Identifier
    points: Amount
    worth: Amount
    currency: Identifier


Heard = PointsExpiring | PointsEarned | TierChanged | ReferralQualified | RewardRedeemed

#: The business keys name the event; what it means, and so what is told once, is in ``news``.
HEARD: Mapping[str, Contract] = {
    contract.type: contract
    for contract in (
        Contract(
            points.EXPIRING,
            TypeAdapter(PointsExpiring),
            lambda event: f"expiring {event.member_id} {event.wallet} {event.expires_at} {event.days_left}",
        ),
        Contract(points.EARNED, TypeAdapter(PointsEarned), lambda event: f"earned {event.order_id} {event.wallet}"),
        Contract(
            points.REFERRAL_QUALIFIED, TypeAdapter(ReferralQualified), lambda event: f"referral {event.referral_id}"
        ),
        Contract(
            tiers.UPGRADED, TypeAdapter(TierChanged), lambda event: f"upgraded {event.member_id} {event.valid_from}"
        ),
        Contract(
            tiers.EXPIRING, TypeAdapter(TierChanged), lambda event: f"expiring {event.member_id} {event.valid_until}"
        ),
        Contract(rewards.REDEEMED, TypeAdapter(RewardRedeemed), lambda event: f"redeemed {event.redemption_id}"),
    )
}
