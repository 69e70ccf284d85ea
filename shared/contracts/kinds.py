"""The kinds of notifications; apart from their schema, for commands name them before they load anything else."""

from __future__ import annotations

from typing import Literal

Kind = Literal[
    "points-expiring", "tier-upgraded", "tier-expiring", "points-earned", "referral-rewarded", "redemption-done"
]
