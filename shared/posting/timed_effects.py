"""Events about what time alone made happen: points that became available, expired or soon will, holds that timed out.

Whoever applied it announces it: earn and redeem in their batches, redeem in its sweeps. Ids are functions of what
happened, so that it does not matter who it was.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from shared.contracts import points, rewards
from shared.ledger.due import TimedEffect
from shared.ledger.operations import Operation
from shared.posting.events import balance, message, points_expiring, points_moved
from shared.posting.reward_events import RedemptionName, correlation, reward_granted
from shared.program.compiled.program import Program
from shared.runtime.records import Message

#: The fields that come first in every event about time.
_FIRST = ("member_id", "program_id", "wallet", "account", "version", "points", "occurred_at", "balance")


def announce(timed_effects: Iterable[TimedEffect], program: Program, source: str, time: str) -> list[Message]:
    """Return the events of what time made happen.

    Args:
        timed_effects: In order.
        program: The newest version.
        source: The ``source`` of outgoing events.
        time: RFC 3339, when it was recorded.
    """
    return [_message(effect, program, source, time) for effect in timed_effects]


def _message(effect: TimedEffect, program: Program, source: str, time: str) -> Message:
    if effect.what == "timed-out":
        return _timed_out(effect, program, source, time)
    account = effect.account
    data: Mapping[str, Any]
    if effect.what == "expiring":
        event_type, data = points.EXPIRING, points_expiring(program, effect)
        event_id = f"expiring-{account.account}-{effect.expires_at}-{effect.days_left}"
    else:
        operation = Operation.ACTIVATE if effect.what == "activated" else Operation.EXPIRE
        event_type = points.ACTIVATED if operation is Operation.ACTIVATE else points.EXPIRED
        data = points_moved(program, effect, operation)
        event_id = f"{effect.what}-{account.account}-{effect.version}"
    return message(points.TOPIC, event_type, event_id, source, time, account.member, data)


def _timed_out(effect: TimedEffect, program: Program, source: str, time: str) -> Message:
    hold, member = effect.hold, effect.account.member
    assert hold is not None, "only holds time out"
    released: Mapping[str, Any] = reward_granted(
        program,
        effect.account,
        RedemptionName(hold.redemption_id, hold.source, hold.reward),
        state="released",
        reason="timed-out",
        points=effect.points,
        held_until=None,
        occurred_at=effect.instant,
        version=effect.version,
        balance_then=balance(*effect.balance),
    )
    data = {**{field: released[field] for field in _FIRST}, **released}
    event_id = f"released-{hold.key.hex()}"
    return message(
        rewards.TOPIC, rewards.RELEASED, event_id, source, time, member, data, correlation(hold.redemption_id)
    )
