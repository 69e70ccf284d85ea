"""A redemption, what may be asked of it, and what is answered. Plain data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from shared.ledger.model import Part
from shared.posting.reward_events import RedemptionName

#: What may be asked of a redemption; each question has one answer for ever.
REQUEST, CONFIRM, CANCEL = "request", "confirm", "cancel"


class Answer(NamedTuple):
    """What the till is told: the event's type, its id and its data."""

    type: str
    id: str
    data: Any


@dataclass(slots=True)
class Redemption:
    """One redemption through all its states.

    Attributes:
        points: What it costs; of a rejected one, what it would have cost.
        parts: From which lots the points came.
        answers: What was said, packed, by what was asked.
    """

    key: bytes
    content_hash: bytes
    source: str
    redemption_id: str
    account: int | None
    member: str
    wallet: str
    reward: str
    state: str
    reason: str
    points: int
    requested_at: int
    held_until: int
    settled_at: int | None
    program_version: int
    parts: tuple[Part, ...] = ()
    answers: dict[str, bytes] = field(default_factory=dict)

    @property
    def name(self) -> RedemptionName:
        """What events call it."""
        return RedemptionName(self.redemption_id, self.source, self.reward)

    @property
    def counts(self) -> bool:
        """Whether it counts towards the reward's limit."""
        return self.state in {"reserved", "redeemed"}


class Standing(NamedTuple):
    """The member's tier, where the program has a ladder: its name and its number."""

    tier: str | None
    number: int
