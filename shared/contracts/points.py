"""Topic ``points``: what happened to a member's points, one event an order and wallet.

Outgoing events are TypedDicts: they are written in the fast path, as plain dictionaries, and validated by tests.
"""

from __future__ import annotations

from pydantic import ConfigDict, TypeAdapter, with_config
from typing_extensions import TypedDict

TOPIC = "points"
EARNED = "loyalty.points.earned.v1"

_CLOSED = ConfigDict(extra="forbid", strict=True)


@with_config(_CLOSED)
class Award(TypedDict):
    """What one rule paid for the order."""

    rule: str
    points: int
    lot_id: str


@with_config(_CLOSED)
class Balance(TypedDict):
    """The account after this event, in the wallet's smallest unit."""

    available: int
    pending: int
    reserved: int
    debt: int


@with_config(_CLOSED)
class PointsEarned(TypedDict):
    """Points that an order earned in one wallet.

    ``version`` is the account's version after the event: by it a subscriber orders what several publishers sent.
    ``expires_at`` is null for points that never expire.
    """

    member_id: str
    program_id: str
    program_version: int
    wallet: str
    account: int
    version: int
    operation: str
    points: int
    order_id: str
    order_source: str
    occurred_at: str
    expires_at: str | None
    awards: list[Award]
    balance: Balance


POINTS_EARNED = TypeAdapter(PointsEarned)
