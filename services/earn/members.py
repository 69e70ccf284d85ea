"""What is told of members: rules may ask for it."""

from __future__ import annotations

from services.earn.orders import Refused
from services.earn.state import Batch, ToldMember
from shared.contracts.members import MemberUpdated
from shared.instants import BEGINNING
from shared.program.compiled.rating_context import Member
from shared.runtime.records import Received


def decide(batch: Batch, received: Received) -> Refused | None:
    """Remember what was told of a member."""
    event: MemberUpdated = received.event
    remember(batch, event.member_id, Member.from_event(event), received.occurred_at)
    return None


def remember(batch: Batch, member: str, told: Member, occurred_at: int) -> None:
    """Remember a member as of an instant; an older story than the one that is known changes nothing."""
    state = batch.state
    if occurred_at >= state.told_at.get(member, BEGINNING):
        state.told_at[member] = occurred_at
        state.members[member] = told
        batch.effects.members[member] = ToldMember(occurred_at, told)
