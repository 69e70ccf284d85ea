"""What is kept of an order, and what came back of it: enough to take back what it earned, by the rule that paid it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, NamedTuple

import jiter

from services.earn.rating.awards import POINTS_MAX, Rating
from shared.instants import BEGINNING
from shared.posting.events import OrderName
from shared.program.compiled.program import Program
from shared.program.compiled.rating_context import UNKNOWN_MEMBER, Member
from shared.program.compiled.tallies import Key


class Refused(NamedTuple):
    """An event that must not change the ledger, with the reason of its dead letter."""

    reason: str
    detail: str


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


class Kept(NamedTuple):
    """What the rating knew beside the order: with it the order is rated again as it was then.

    Attributes:
        tier: The number of the member's tier.
        counts: What was counted of the member, where it was not 0.
    """

    tier: int = 0
    counts: Mapping[Key, int] = {}
    member: Member = UNKNOWN_MEMBER


NOTHING_KEPT = Kept()


@dataclass(slots=True)
class Order:
    """An accepted order, as its amendments left it.

    Attributes:
        returned: (quantity, amount) that came back so far, by the line's position.
        amendments: How many there were, and when the last one was made.
    """

    key: bytes
    source: str
    order_id: str
    member: str
    occurred_at: int
    program_version: int
    lines: list[Line]
    awards: list[Paid]
    kept: Kept = NOTHING_KEPT
    amendments: int = 0
    amended_at: int = BEGINNING
    fulfilled: bool = False
    claimed: bool = False
    returned: dict[int, tuple[int, int]] = field(default_factory=dict)

    def result(self, reason: str | None) -> dict[str, Any]:
        """Return what is written down: each line, each award, what the rating knew, and why nothing was earned."""
        kept: dict[str, Any] = {"lines": lines_as_kept(self.lines), "awards": awards_as_kept(self.awards)}
        if reason:
            kept["reason"] = reason
        if self.kept.tier:
            kept["tier"] = self.kept.tier
        if self.kept.counts:
            kept["counts"] = [[*key, number] for key, number in self.kept.counts.items()]
        if self.kept.member is not UNKNOWN_MEMBER:
            kept["member"] = member_as_kept(self.kept.member)
        return kept

    @property
    def name(self) -> OrderName:
        """What events call it."""
        return OrderName(self.order_id, self.source)

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


def other_currency(program: Program, currency: str) -> Refused | None:
    """Return why an order in a currency that the program does not accept is refused."""
    if currency in program.worth:
        return None
    return Refused(
        "other-currency",
        f"the program earns in {', '.join(program.worth)} and this order is in {currency}; "
        "fix the order or the program, then replay",
    )


def too_many_points(rating: Rating) -> Refused | None:
    """Return why an order that would earn absurdly much is refused."""
    if sum([award.points for award in rating.awards]) <= POINTS_MAX:
        return None
    return Refused("too-many-points", f"the order would earn more than {POINTS_MAX:,} points; check its amounts")


def qualifying_back(line: Line, returned: tuple[int, int] | None) -> int:
    """Return how much of what counts towards a tier came back; all of it once every piece of the line is back."""
    if returned is None:
        return 0
    quantity, amount = returned
    if (line.quantity and quantity == line.quantity) or amount == line.amount:
        return line.qualifying
    return line.qualifying * amount // line.amount


def lines_as_kept(lines: Sequence[Line]) -> list[list[Any]]:
    """Return what is written down of lines: the qualifying amount only where it is neither nothing nor all."""
    return [
        [name, quantity, amount, 1]
        if qualifying == amount and amount
        else [name, quantity, amount, 1, qualifying]
        if qualifying
        else [name, quantity, amount, 0]
        for name, quantity, amount, qualifying in lines
    ]


def awards_as_kept(awards: Sequence[Paid]) -> list[list[Any]]:
    """Return what is written down of awards: the wallet only where it is not the rule's own."""
    return [[rule, lot, points, wallet] if wallet else [rule, lot, points] for rule, lot, points, wallet in awards]


def member_as_kept(member: Member) -> list[Any]:
    """Return what is written down of a member; ``read_member`` reads it."""
    joined_on = member.joined_on.isoformat() if member.joined_on else None
    return [joined_on, member.birthday, sorted(member.segments), dict(member.attributes)]


def read_member(kept: Sequence[Any]) -> Member:
    """Read what ``member_as_kept`` wrote."""
    joined_on, birthday, segments, attributes = kept
    return Member(
        date.fromisoformat(joined_on) if joined_on else None,
        (birthday[0], birthday[1]) if birthday else None,
        frozenset(segments),
        attributes,
    )


def read_result(text: str) -> tuple[list[Line], list[Paid], Kept]:
    """Read what is kept with an order (``purchase.result``)."""
    result: dict[str, Any] = jiter.from_json(text.encode())
    lines = [
        Line(name, quantity, amount, more[0] if more else amount * qualifies)
        for name, quantity, amount, qualifies, *more in result["lines"]
    ]
    counts = {(name, period): number for name, period, number in result.get("counts", ())}
    member = read_member(result["member"]) if "member" in result else UNKNOWN_MEMBER
    return lines, [Paid(*kept) for kept in result["awards"]], Kept(result.get("tier", 0), counts, member)
