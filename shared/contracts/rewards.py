"""Topic ``rewards``: the answers to redemptions. The extension ``correlationid`` is the redemption's id."""

from __future__ import annotations

from typing import Literal

from pydantic import TypeAdapter, with_config
from typing_extensions import TypedDict

from shared.contracts.points import CLOSED, Balance

TOPIC = "rewards"
RESERVED = "loyalty.redemption.reserved.v1"
REJECTED = "loyalty.redemption.rejected.v1"
REDEEMED = "loyalty.redemption.redeemed.v1"
RELEASED = "loyalty.redemption.released.v1"
REFUNDED = "loyalty.redemption.refunded.v1"

Reason = Literal[
    "no-program",
    "unknown-reward",
    "not-enough-points",
    "tier-too-low",
    "limit-reached",
    "reservation-timed-out",
    "cancelled",
]


@with_config(CLOSED)
class RewardGranted(TypedDict):
    """Points were held for a reward (``reserved``), spent (``redeemed``), ``released`` or ``refunded``.

    ``held_until`` is present while they are held. The ``reason`` of a release is ``cancelled`` or ``timed-out``.
    ``worth`` is what the reward is worth in minor units of ``currency``.
    """

    redemption_id: str
    redemption_source: str
    member_id: str
    program_id: str
    reward: str
    state: Literal["reserved", "redeemed", "released", "refunded"]
    reason: str | None
    wallet: str
    account: int
    version: int
    points: int
    worth: int
    currency: str
    held_until: str | None
    occurred_at: str
    balance: Balance


@with_config(CLOSED)
class RewardRejected(TypedDict):
    """A redemption that is not possible, the reason, the points available, and the rewards for which they suffice."""

    redemption_id: str
    redemption_source: str
    member_id: str
    program_id: str
    reward: str
    state: Literal["rejected"]
    reason: Reason
    points_needed: int
    points_available: int
    possible_rewards: list[str]
    tier: str | None
    tier_needed: str | None
    occurred_at: str


REWARD_GRANTED = TypeAdapter(RewardGranted)
REWARD_REJECTED = TypeAdapter(RewardRejected)
