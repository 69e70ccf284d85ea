"""What the conditions of rules see: the purchase, and what is known about the member."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal, NamedTuple, Self

from shared.contracts.members import MemberUpdated
from shared.contracts.purchases import PurchaseCompleted
from shared.program.compiled.tallies import Count, before, never_counted, visits_key


class MemberFieldsUsed(NamedTuple):
    """The member fields that a program uses."""

    joined_on: bool
    birthday: bool
    segments: frozenset[str]
    attributes: frozenset[str]


class Member(NamedTuple):
    """What a program may know about a member: never who it is.

    Attributes:
        joined_on: The day on which the membership began.
        birthday: (month, day).
    """

    joined_on: date | None = None
    birthday: tuple[int, int] | None = None
    segments: frozenset[str] = frozenset()
    attributes: Mapping[str, str] = {}

    def only(self, used: MemberFieldsUsed) -> Member:
        """Return the fields that a program uses and no others: these are stored with an order."""
        return Member(
            self.joined_on if used.joined_on else None,
            self.birthday if used.birthday else None,
            self.segments & used.segments,
            {name: value for name, value in self.attributes.items() if name in used.attributes},
        )

    @classmethod
    def from_event(cls, event: MemberUpdated) -> Self:
        """Return the member that an event describes."""
        birthday = (int(event.birthday[:2]), int(event.birthday[3:])) if event.birthday else None
        return cls(event.joined_on, birthday, frozenset(event.segments), event.attributes)


#: No event has described this member.
UNKNOWN_MEMBER = Member()


class MemberContext(NamedTuple):
    """What rating an order knows about the member.

    Attributes:
        tier: The number of the member's tier at the time; 0, the lowest, where there is no ladder.
        count: Looks up what was counted before the purchase, see ``shared.program.compiled.tallies``.
    """

    tier: int = 0
    count: Count = never_counted
    member: Member = UNKNOWN_MEMBER


NOTHING_KNOWN = MemberContext()


@dataclass(slots=True)
class RatingContext:
    """A purchase, and its member at the time.

    Attributes:
        local: When it happened, in the program's time zone.
        amount: The sum of the lines that may earn, in minor units of the program's currency.
    """

    purchase: PurchaseCompleted
    local: datetime
    amount: int
    known: MemberContext

    def visits(self, per: Literal["day", "week", "month"]) -> tuple[bool, int]:
        """Return whether this is the first purchase of its period, and how many periods in a row have had one."""
        key = visits_key(per, self.local.date())
        in_a_row = self.known.count(key)
        return not in_a_row, in_a_row or self.known.count(before(per, key)) + 1
