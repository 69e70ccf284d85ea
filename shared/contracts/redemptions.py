"""Topic ``redemptions``: a till requests, confirms or cancels a reward for a member."""

from __future__ import annotations

from pydantic import TypeAdapter
from pydantic.dataclasses import dataclass

from shared.contracts.contract import Contract, OwnId
from shared.contracts.fields import CONTRACT, Identifier, Label, Moment

TOPIC = "redemptions"
REQUESTED = "loyalty.redemption.requested.v1"
CONFIRMED = "loyalty.redemption.confirmed.v1"
CANCELLED = "loyalty.redemption.cancelled.v1"


@dataclass(frozen=True, slots=True, kw_only=True, config=CONTRACT)
class RedemptionRequested:
    """A till requests a reward. The answer is on ``rewards``, with ``redemption_id`` as its correlation id.

    Attributes:
        reward: The reward's id in the program file.
        confirm: True: the points are spent at once; else they are held until confirmed, cancelled or timed out.
    """

    redemption_id: Identifier
    member_id: Identifier
    reward: Identifier
    occurred_at: Moment
    confirm: bool = False
    channel: Label | None = None
    store_id: Label | None = None


@dataclass(frozen=True, slots=True, kw_only=True, config=CONTRACT)
class RedemptionConfirmed:
    """The reward was handed over: the held points are spent."""

    redemption_id: Identifier
    member_id: Identifier
    occurred_at: Moment


@dataclass(frozen=True, slots=True, kw_only=True, config=CONTRACT)
class RedemptionCancelled:
    """The reward is not wanted: before the confirmation the points are released, after it they are refunded."""

    redemption_id: Identifier
    member_id: Identifier
    occurred_at: Moment
    reason: Label | None = None


_OWN = OwnId("redemption_id", "redemption")


def _its_key(event: RedemptionConfirmed | RedemptionCancelled) -> str:
    """Return the key of the redemption that the event is about: it is one thing, in several states."""
    return _OWN(event)


#: All three have the same business key: they are states of one redemption.
CONTRACTS: dict[str, Contract] = {
    REQUESTED: Contract(REQUESTED, TypeAdapter(RedemptionRequested), _OWN),
    CONFIRMED: Contract(CONFIRMED, TypeAdapter(RedemptionConfirmed), _its_key),
    CANCELLED: Contract(CANCELLED, TypeAdapter(RedemptionCancelled), _its_key),
}
