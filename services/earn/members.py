"""What is told of members: rules may ask for it."""

from __future__ import annotations

from services.earn.orders import Refused
from services.earn.state import Batch, ToldMember
from shared.contracts.members import MemberUpdated
from shared.instants import BEGINNING
from shared.program.compiled.rating_context import Member
from shared.runtime.records import Received


def decide(batch: Batch, received: Received) -> Refused | None:
    """Remember what was told of a member; an older story than the one that is known changes nothing."""
    event: MemberUpdated = received.event
    state = batch.state
    if received.occurred_at >= state.told_at.get(event.member_id, BEGINNING):
        state.told_at[event.member_id] = received.occurred_at
        state.members[event.member_id] = told = Member.from_event(event)
        batch.effects.members[event.member_id] = ToldMember(received.occurred_at, told)
    return None
