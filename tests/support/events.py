"""What tests send: events with their headers and their partition."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pydantic_core

from shared.contracts import purchases
from shared.contracts.catalogue import EVENTS
from shared.contracts.envelope import seal
from tests.support import build

SOURCE = "/stores/1"
PARTITIONS = 3


@dataclass(frozen=True)
class Sent:
    member: str
    value: bytes | None
    headers: list[tuple[str, bytes]]
    partition: int | None = None
    topic: str = purchases.TOPIC

    @property
    def place(self) -> int:
        """The partition."""
        return partition_of(self.member) if self.partition is None else self.partition


def partition_of(member: str) -> int:
    """Any fixed rule does; this one is easy to predict."""
    return int.from_bytes(member.encode()) % PARTITIONS


def purchase(order: str, member: str = "m1", cents: Sequence[int] = (1000,), **fields: Any) -> dict[str, Any]:
    """A purchase of one private-brand line and any number of others."""
    lines = [
        build.line(str(number), amount, category=["GROCERY", "TEA"], brand="Private" if number == 1 else "National")
        for number, amount in enumerate(cents, start=1)
    ]
    return build.purchase(**{"lines": lines, "order_id": order, "member_id": member, **fields})


def event(data: dict[str, Any], event_id: str = "", source: str = SOURCE, partition: int | None = None) -> Sent:
    """A completed purchase."""
    return about(purchases.COMPLETED, data, source, event_id or f"e-{data['order_id']}", partition)


def about(
    event_type: str, data: dict[str, Any], source: str = SOURCE, event_id: str = "", partition: int | None = None
) -> Sent:
    """Any event, on the topic of its type."""
    member = str(data["member_id"])
    headers = seal(
        event_id=event_id or f"{event_type}-{member}-{data['occurred_at']}-{sorted(data.items())}"[:200], source=source,
        event_type=event_type, time=data["occurred_at"], key=member,
    )  # fmt: skip
    return Sent(member, pydantic_core.to_json(data), headers, partition, EVENTS[event_type].topic)
