"""Topic ``tiers``: a member's tier changed, was kept, or is about to be lost."""

from __future__ import annotations

from typing import Literal

from pydantic import TypeAdapter, with_config
from typing_extensions import TypedDict

from shared.contracts.points import CLOSED

TOPIC = "tiers"
UPGRADED = "loyalty.tier.upgraded.v1"
DOWNGRADED = "loyalty.tier.downgraded.v1"
RETAINED = "loyalty.tier.retained.v1"
EXPIRING = "loyalty.tier.expiring.v1"


@with_config(CLOSED)
class TierChanged(TypedDict):
    """A member's tier, the reason, and what is needed to keep it or to reach the next one.

    Amounts are minor units of the program's currency, or points, depending on ``metric``. ``to_keep`` and ``to_next``
    are what is missing in the period of ``occurred_at``; null if nothing is, or if there is no higher tier.
    ``valid_until`` is null for a tier without an end.
    """

    member_id: str
    program_id: str
    account: int
    version: int
    change: Literal["upgraded", "downgraded", "retained", "expiring"]
    reason: str
    old_tier: str
    tier: str
    metric: Literal["spend", "points"]
    metric_value: int
    valid_from: str
    valid_until: str | None
    to_keep: int | None
    next_tier: str | None
    to_next: int | None
    occurred_at: str


TIER_CHANGED = TypeAdapter(TierChanged)
