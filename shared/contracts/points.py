"""Topic ``points``: what happened to a member's points.

Outgoing events are TypedDicts: the fast path writes them as plain dictionaries, and tests validate them. ``account``
and ``version`` are the account and its version after the event; subscribers use them to order the events of several
publishers. Points are in the wallet's smallest unit.
"""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, TypeAdapter, with_config
from typing_extensions import TypedDict

TOPIC = "points"
EARNED = "loyalty.points.earned.v1"
REVERSED = "loyalty.points.reversed.v1"
ACTIVATED = "loyalty.points.activated.v1"
EXPIRED = "loyalty.points.expired.v1"
EXPIRING = "loyalty.points.expiring.v1"
QUALIFIED = "loyalty.spend.qualified.v1"
REFERRAL_QUALIFIED = "loyalty.referral.qualified.v1"
REFERRAL_REFUSED = "loyalty.referral.refused.v1"
REFERRAL_REVERSED = "loyalty.referral.reversed.v1"

CLOSED = ConfigDict(extra="forbid", strict=True)


@with_config(CLOSED)
class Award(TypedDict):
    """What one rule paid for the order."""

    rule: str
    points: int
    lot_id: str


@with_config(CLOSED)
class Balance(TypedDict):
    """The account after this event, in the wallet's smallest unit."""

    available: int
    pending: int
    reserved: int
    debt: int


@with_config(CLOSED)
class PointsEarned(TypedDict):
    """Points that an order, or a referral, earned in one wallet.

    ``operation`` is ``earn``, or ``earn-pending`` for pending points. ``available_at`` is null for points that can be
    spent at once, and "never" for points that wait for the order's fulfilment; ``expires_at`` is null for points that
    never expire, and for those that wait: when they become available, it is known. ``referral_id`` is present if a
    referral earned them.
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
    referral_id: str | None
    occurred_at: str
    available_at: str | None
    expires_at: str | None
    awards: list[Award]
    repaid: int
    balance: Balance


@with_config(CLOSED)
class PointsReversed(TypedDict):
    """A reversal of points. ``points`` = ``taken`` + ``excused`` + ``owed`` + ``waived`` + ``withheld``.

    ``return_id`` is the id of the return, the cancellation or the amendment that took them back.

    What had expired is ``excused``. What was already spent follows the wallet's ``on_return``: it is ``owed`` (the next
    points repay it), ``waived``, or ``withheld`` (to be deducted from the refund).
    """

    member_id: str
    program_id: str
    wallet: str
    account: int
    version: int
    operation: str
    points: int
    taken: int
    excused: int
    owed: int
    waived: int
    withheld: int
    return_id: str
    order_id: str
    order_source: str
    referral_id: str | None
    occurred_at: str
    awards: list[Award]
    balance: Balance


@with_config(CLOSED)
class PointsMoved(TypedDict):
    """Pending points became available (``activate``), or points expired (``expire``)."""

    member_id: str
    program_id: str
    wallet: str
    account: int
    version: int
    operation: str
    points: int
    lot_id: str
    occurred_at: str
    balance: Balance


@with_config(CLOSED)
class PointsExpiring(TypedDict):
    """Points that will expire at ``expires_at`` unless they are used, counted at ``occurred_at``."""

    member_id: str
    program_id: str
    wallet: str
    account: int
    version: int
    operation: str
    points: int
    days_left: int
    expires_at: str
    occurred_at: str
    balance: Balance


@with_config(CLOSED)
class SpendQualified(TypedDict):
    """An order or a return that moved no points but counts towards the tier, in minor units."""

    member_id: str
    program_id: str
    wallet: str
    account: int
    version: int
    operation: str
    amount: int
    order_id: str
    order_source: str
    occurred_at: str


@with_config(CLOSED)
class ReferralChanged(TypedDict):
    """A referral was qualified by the friend's purchase, refused with a reason, or taken back by a return."""

    member_id: str
    program_id: str
    referral_id: str
    referral_source: str
    referrer_id: str
    state: Literal["qualified", "refused", "reversed"]
    reason: str | None
    order_id: str | None
    order_source: str | None
    referrer_points: int
    friend_points: int
    occurred_at: str


POINTS_EARNED = TypeAdapter(PointsEarned)
POINTS_REVERSED = TypeAdapter(PointsReversed)
POINTS_MOVED = TypeAdapter(PointsMoved)
POINTS_EXPIRING = TypeAdapter(PointsExpiring)
SPEND_QUALIFIED = TypeAdapter(SpendQualified)
REFERRAL_CHANGED = TypeAdapter(ReferralChanged)
