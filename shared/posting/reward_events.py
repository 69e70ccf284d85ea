"""The one builder of each event on the topic ``rewards``. The order of the fields is part of the bytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from shared.contracts.points import Balance
from shared.contracts.rewards import Reason, RewardGranted, RewardRejected
from shared.instants import iso
from shared.ledger.model import Account
from shared.program.compiled.program import Program


class RedemptionName(NamedTuple):
    """The redemption that an event is about, and the reward that it is for."""

    redemption_id: str
    source: str
    reward: str


def correlation(redemption_id: str) -> tuple[str, bytes]:
    """Return the header by which a till finds the answer to its request."""
    return "ce_correlationid", redemption_id.encode()


def reward_granted(
    program: Program,
    account: Account,
    redemption: RedemptionName,
    *,
    state: Literal["reserved", "redeemed", "released", "refunded"],
    reason: str,
    points: int,
    held_until: int | None,
    occurred_at: int,
    version: int,
    balance_then: Balance,
) -> RewardGranted:
    """Return the event about points that are held for a reward, spent on it, free again or given back.

    Args:
        program: The version that says what the reward is worth.
        account: The wallet's account.
        redemption: Which one.
        state: What became of it.
        reason: Empty where nothing needs one.
        points: What it costs.
        held_until: While they are held.
        occurred_at: When it became so.
        version: Of the account, right after it.
        balance_then: Of the account, right after it.
    """
    reward = program.rewards.get(redemption.reward)
    return {
        "redemption_id": redemption.redemption_id,
        "redemption_source": redemption.source,
        "member_id": account.member,
        "program_id": program.program_id,
        "reward": redemption.reward,
        "state": state,
        "reason": reason or None,
        "wallet": account.wallet,
        "account": account.account,
        "version": version,
        "points": points,
        "worth": reward.worth if reward else 0,
        "currency": program.currency,
        "held_until": None if held_until is None else iso(held_until),
        "occurred_at": iso(occurred_at),
        "balance": balance_then,
    }


def reward_rejected(
    program: Program,
    account: Account,
    redemption: RedemptionName,
    *,
    reason: Reason,
    points: int,
    possible: Sequence[str],
    tier: str | None,
    tier_needed: str | None,
    occurred_at: int,
) -> RewardRejected:
    """Return the event about a redemption that is not possible, and what would be.

    Args:
        program: Any version.
        account: The wallet that would have paid.
        redemption: Which one.
        reason: Why not.
        points: What it would have cost.
        possible: Rewards that the points at hand suffice for.
        tier: That the member has.
        tier_needed: That the reward asks for.
        occurred_at: When it was asked for.
    """
    return {
        "redemption_id": redemption.redemption_id,
        "redemption_source": redemption.source,
        "member_id": account.member,
        "program_id": program.program_id,
        "reward": redemption.reward,
        "state": "rejected",
        "reason": reason,
        "points_needed": points,
        "points_available": account.available,
        "possible_rewards": list(possible),
        "tier": tier,
        "tier_needed": tier_needed,
        "occurred_at": iso(occurred_at),
    }
