"""How a referral is registered, or refused: pure decisions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from services.earn import referrals
from services.earn.orders import Order, Refused
from services.earn.state import Batch, Referral, Registration
from shared.contracts.referrals import ReferralRegistered
from shared.program.compiled.program import Program, in_force
from shared.runtime.records import Received


def decide(batch: Batch, received: Received) -> Refused | None:
    """Register a referral, and look at what the friend has bought so far."""
    event: ReferralRegistered = received.event
    state = batch.state
    bought = state.bought.get(event.member_id, [])
    referral = register(
        event,
        source=received.source,
        key=received.key,
        content_hash=received.content_hash,
        occurred_at=received.occurred_at,
        program=in_force(state.programs, received.occurred_at),
        referred=event.member_id in state.referrals,
        bought=bought,
        referrer_of=state.referrer_of,
    )
    batch.effects.registered.append(Registration(referral, batch.mark.seq, received.position))
    if referral.state == "refused":
        referrals.announce(batch, referral, batch.newest, received.occurred_at)
        return None
    state.referrals[event.member_id] = referral
    state.referrer_of[event.member_id] = event.referrer_id
    for order in sorted(bought, key=lambda order: (order.occurred_at, order.key)):
        referrals.judge_if_open(batch, order, batch.versions[order.program_version])
    return None


def register(
    event: ReferralRegistered,
    *,
    source: str,
    key: bytes,
    content_hash: bytes,
    occurred_at: int,
    program: Program | None,
    referred: bool,
    bought: Sequence[Order],
    referrer_of: Mapping[str, str],
) -> Referral:
    """Accept or refuse a registration.

    Args:
        event: The registration.
        source: The source of its envelope.
        key: Its business key.
        content_hash: Of its content.
        occurred_at: Its instant.
        program: The version in force then, if there was one.
        referred: Whether the friend has a referral that was not refused.
        bought: The friend's orders.
        referrer_of: Who brought whom; complete for everybody above the referrer.
    """
    referral = Referral(key, content_hash, source, event.referral_id, event.referrer_id, event.member_id, occurred_at)
    reason = ""
    if program is None or program.referral is None:
        reason = "no-referral-program"
    elif event.referrer_id == event.member_id or not set(event.referrer_fingerprints).isdisjoint(
        event.friend_fingerprints
    ):
        reason = "oneself"
    elif referred:
        reason = "already-referred"
    elif any(order.occurred_at < occurred_at for order in bought):
        reason = "has-bought-before"
    elif _leads_to(event.member_id, event.referrer_id, referrer_of):
        reason = "cycle"
    if reason:
        referral.state, referral.reason = "refused", reason
    return referral


def _leads_to(friend: str, referrer: str, referrer_of: Mapping[str, str]) -> bool:
    """Return whether the friend stands above the referrer already; cycles cannot exist, so this ends."""
    above: str | None = referrer
    while above is not None:
        if above == friend:
            return True
        above = referrer_of.get(above)
    return False
