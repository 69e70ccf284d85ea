"""The kinds of notifications. They are apart from their schema so that commands can name them without loading it."""

from __future__ import annotations

from typing import Literal

Kind = Literal[
    "points-expiring", "tier-upgraded", "tier-expiring", "points-earned", "referral-rewarded", "redemption-done"
]
