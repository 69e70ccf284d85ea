"""What is kept of an order, and what came back of it: enough to take back what it earned, by the rule that paid it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jiter


class Line(NamedTuple):
    """A line of an order as a return needs it.

    Attributes:
        amount: What was paid for it, in minor units of the order's currency.
        qualifying: What counts towards a tier, in minor units of the program's currency; 0 if the line never earns.
    """

    line_id: str
    quantity: int
    amount: int
    qualifying: int

    def as_kept(self) -> list[object]:
        """Return what is written down; the qualifying amount only where it is neither nothing nor all."""
        kept: list[object] = [self.line_id, self.quantity, self.amount, int(self.qualifying > 0)]
        return kept if self.qualifying in {0, self.amount} else [*kept, self.qualifying]


class Paid(NamedTuple):
    """What one rule paid for an order into one wallet.

    Attributes:
        rule: The rule's index in the order's program version.
        wallet: Empty: the rule's own.
    """

    rule: int
    lot: int
    line_points: list[int]
    wallet: str = ""

    def as_kept(self) -> list[object]:
        """Return what is written down."""
        return [self.rule, self.lot, self.line_points, *([self.wallet] if self.wallet else [])]


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
            line.qualifying - qualifying_back(line, self.returned.get(index)) for index, line in enumerate(self.lines)
        )

    def add_return(self, lines: list[tuple[int, int, int]]) -> None:
        """Count what came back: (position, quantity, amount) by line."""
        for index, quantity, amount in lines:
            before = self.returned.get(index, (0, 0))
            self.returned[index] = (before[0] + quantity, before[1] + amount)


def qualifying_back(line: Line, returned: tuple[int, int] | None) -> int:
    """Return how much of what counts towards a tier came back; all of it once every piece of the line is back."""
    if returned is None:
        return 0
    quantity, amount = returned
    if (line.quantity and quantity == line.quantity) or amount == line.amount:
        return line.qualifying
    return line.qualifying * amount // line.amount


def read_result(text: str) -> tuple[list[Line], list[Paid]]:
    """Read what is kept with an order (``purchase.result``)."""
    result: dict[str, Any] = jiter.from_json(text.encode())
    lines = [
        Line(name, quantity, amount, more[0] if more else amount * qualifies)
        for name, quantity, amount, qualifies, *more in result["lines"]
    ]
    return lines, [Paid(*kept) for kept in result["awards"]]
