"""What is kept of an order, and what came back of it: enough to take back what it earned, by the rule that paid it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jiter


class Line(NamedTuple):
    """A line of an order as a return needs it; ``qualifies``: its amount counts towards a tier."""

    line_id: str
    quantity: int
    amount: int
    qualifies: bool


class Paid(NamedTuple):
    """What one rule paid for an order: the rule's index in the order's program version, the lot, points by line."""

    rule: int
    lot: int
    line_points: list[int]


@dataclass(slots=True)
class Order:
    """An accepted order.

    Attributes:
        returned: (quantity, amount) that came back so far, by the line's position.
    """

    key: bytes
    source: str
    order_id: str
    member: str
    occurred_at: int
    program_version: int
    lines: list[Line]
    awards: list[Paid]
    returned: dict[int, tuple[int, int]] = field(default_factory=dict)

    @property
    def qualifying(self) -> int:
        """Minor units that count towards a tier and a referral, less what came back."""
        return sum(
            line.amount - amount_back(line, self.returned.get(index))
            for index, line in enumerate(self.lines)
            if line.qualifies
        )

    def add_return(self, lines: list[tuple[int, int, int]]) -> None:
        """Count what came back: (position, quantity, amount) by line."""
        for index, quantity, amount in lines:
            before = self.returned.get(index, (0, 0))
            self.returned[index] = (before[0] + quantity, before[1] + amount)


def amount_back(line: Line, returned: tuple[int, int] | None) -> int:
    """Return the minor units of a line that count as come back; all of them once every piece of it is back."""
    if returned is None:
        return 0
    quantity, amount = returned
    return line.amount if line.quantity and quantity == line.quantity else amount


def read_result(text: str) -> tuple[list[Line], list[Paid]]:
    """Read what is kept with an order (``purchase.result``)."""
    result: dict[str, Any] = jiter.from_json(text.encode())
    lines = [Line(name, quantity, amount, bool(qualifies)) for name, quantity, amount, qualifies in result["lines"]]
    return lines, [Paid(rule, lot, points) for rule, lot, points in result["awards"]]
