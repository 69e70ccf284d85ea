"""A purchase as the conditions of rules see it: the order itself, and what is known beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal, NamedTuple, Self

from shared.contracts.members import MemberUpdated
from shared.contracts.purchases import PurchaseCompleted
from shared.program.compiled.tallies import Count, before, never_counted, visits_key


class MemberFieldsUsed(NamedTuple):
    """What a program asks about members."""

    joined_on: bool
    birthday: bool
    segments: frozenset[str]
    attributes: frozenset[str]


class Member(NamedTuple):
    """What a program may ask about a member: never who it is.

    Attributes:
        joined_on: The day on which the membership began.
        birthday: Month and day.
    """

    joined_on: date | None = None
    birthday: tuple[int, int] | None = None
    segments: frozenset[str] = frozenset()
    attributes: Mapping[str, str] = {}

    def only(self, used: MemberFieldsUsed) -> Member:
        """Return what a program asks about, and nothing else: that much is kept with an order."""
        return Member(
            self.joined_on if used.joined_on else None,
            self.birthday if used.birthday else None,
            self.segments & used.segments,
            {name: value for name, value in self.attributes.items() if name in used.attributes},
        )

    @classmethod
    def from_event(cls, event: MemberUpdated) -> Self:
        """Return a member as an event tells of it."""
        birthday = (int(event.birthday[:2]), int(event.birthday[3:])) if event.birthday else None
        return cls(event.joined_on, birthday, frozenset(event.segments), event.attributes)


#: Nothing was ever told of this member.
UNKNOWN_MEMBER = Member()


class MemberContext(NamedTuple):
    """What rating an order knows beside the order.

    Attributes:
        tier: The number of the member's tier then; 0, the lowest, where there is no ladder.
        count: How much was counted of the member before, see ``shared.program.compiled.tallies``.
    """

    tier: int = 0
    count: Count = never_counted
    member: Member = UNKNOWN_MEMBER


NOTHING_KNOWN = MemberContext()


@dataclass(slots=True)
class RatingContext:
    """A purchase as conditions see it.

    Attributes:
        local: When it happened, where the program lives.
        amount: What the lines that may earn come to, in minor units of the program's currency.
    """

    purchase: PurchaseCompleted
    local: datetime
    amount: int
    known: MemberContext

    def visits(self, per: Literal["day", "week", "month"]) -> tuple[bool, int]:
        """Return whether this is the first purchase of its period, and how many periods in a row that makes."""
        key = visits_key(per, self.local.date())
        in_a_row = self.known.count(key)
        return not in_a_row, in_a_row or self.known.count(before(per, key)) + 1
