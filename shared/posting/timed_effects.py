"""Events about what time alone made happen: points that became available, lapsed or soon will, holds that timed out.

Whoever applied it announces it: earn and redeem in their batches, redeem in its sweeps. Ids are functions of what
happened, so that it does not matter who it was.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pydantic_core

from shared.contracts import points, rewards
from shared.contracts.envelope import seal
from shared.contracts.points import Balance
from shared.instants import iso
from shared.ledger.due import TimedEffect
from shared.ledger.operations import Operation
from shared.program.compiled.program import Program
from shared.runtime.records import Message


def balance(lapse: TimedEffect) -> Balance:
    """Return the account's balance right after it."""
    available, pending, reserved, debt = lapse.balance
    return {"available": available, "pending": pending, "reserved": reserved, "debt": debt}


def announce(lapses: Iterable[TimedEffect], program: Program, source: str, time: str) -> list[Message]:
    """Return the events of what time made happen.

    Args:
        lapses: In order.
        program: The newest version.
        source: The ``source`` of outgoing events.
        time: RFC 3339, when it was recorded.
    """
    return [_message(lapse, program, source, time) for lapse in lapses]


def _message(lapse: TimedEffect, program: Program, source: str, time: str) -> Message:
    account = lapse.account
    common = {
        "member_id": account.member,
        "program_id": program.program_id,
        "wallet": account.wallet,
        "account": account.account,
        "version": lapse.version,
        "points": lapse.points,
        "occurred_at": iso(lapse.instant),
        "balance": balance(lapse),
    }
    if lapse.what == "timed-out":
        return _timed_out(lapse, program, source, time, common)
    if lapse.what == "expiring":
        data: dict[str, Any] = {
            **common, "operation": "expiring", "days_left": lapse.days_left, "expires_at": iso(lapse.expires_at),
        }  # fmt: skip
        event_type = points.EXPIRING
        event_id = f"expiring-{account.account}-{lapse.expires_at}-{lapse.days_left}"
    else:
        operation = Operation.ACTIVATE if lapse.what == "activated" else Operation.EXPIRE
        data = {**common, "operation": operation.word, "lot_id": str(lapse.lot)}
        event_type = points.ACTIVATED if operation is Operation.ACTIVATE else points.EXPIRED
        event_id = f"{lapse.what}-{account.account}-{lapse.version}"
    headers = seal(event_id=event_id, source=source, event_type=event_type, time=time, key=account.member)
    return Message(points.TOPIC, account.member.encode(), pydantic_core.to_json(data), headers)


def _timed_out(lapse: TimedEffect, program: Program, source: str, time: str, common: dict[str, Any]) -> Message:
    hold, member = lapse.hold, lapse.account.member
    assert hold is not None, "only holds time out"
    reward = program.rewards.get(hold.reward)
    data = {
        **common,
        "redemption_id": hold.redemption_id,
        "redemption_source": hold.source,
        "reward": hold.reward,
        "state": "released",
        "reason": "timed-out",
        "worth": reward.worth if reward else 0,
        "currency": program.currency,
        "held_until": None,
    }
    headers = [
        *seal(event_id=f"released-{hold.key.hex()}", source=source, event_type=rewards.RELEASED, time=time, key=member),
        ("ce_correlationid", hold.redemption_id.encode()),
    ]
    return Message(rewards.TOPIC, member.encode(), pydantic_core.to_json(data), headers)
