"""What a batch of redeem must know before it decides, and what it writes. Plain data."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

from services.redeem.model import Redemption
from shared.posting.ledger_batch import LedgerBatch, LedgerEffects, LedgerState


@dataclass(slots=True)
class State(LedgerState):
    """What is known.

    Attributes:
        redemptions: Those that the batch names, by key.
        had: How often members have rewards, by (member, reward).
    """

    redemptions: dict[bytes, Redemption] = field(default_factory=dict)
    had: dict[tuple[str, str], int] = field(default_factory=dict)


class NewRedemption(NamedTuple):
    """A redemption that was asked for, and where the request stands in the archive."""

    redemption: Redemption
    archive_seq: int
    archive_index: int


@dataclass(slots=True)
class Effects(LedgerEffects):
    """What a batch, or a sweep, writes.

    Attributes:
        changed: Redemptions of earlier batches, by key.
        answered: How many answers, by state and reason.
        timed: Points that time moved, by wallet and what it did.
    """

    new: list[NewRedemption] = field(default_factory=list)
    changed: dict[bytes, Redemption] = field(default_factory=dict)
    answered: Counter[tuple[str, str]] = field(default_factory=Counter)
    timed: Counter[tuple[str, str]] = field(default_factory=Counter)


Batch = LedgerBatch[State, Effects]
