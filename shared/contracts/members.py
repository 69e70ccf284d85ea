"""Topic ``members``: what a program may know about a member, never who it is: that is in ``profiles``."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints, TypeAdapter
from pydantic.dataclasses import dataclass

from shared.contracts.contract import Contract
from shared.contracts.fields import CONTRACT, Identifier, Label, Moment
from shared.instants import microseconds

TOPIC = "members"
UPDATED = "loyalty.member.updated.v1"


def _day_of_a_year(text: str) -> str:
    date(2000, int(text[:2]), int(text[3:]))  # a leap year
    return text


def _sorted(labels: tuple[str, ...]) -> tuple[str, ...]:
    """Return labels in order, so that the producer's order does not change the content hash."""
    return tuple(sorted(set(labels)))


def _sorted_by_name(attributes: dict[str, str]) -> dict[str, str]:
    return dict(sorted(attributes.items()))


MonthAndDay = Annotated[str, StringConstraints(pattern=r"^\d\d-\d\d$"), AfterValidator(_day_of_a_year)]


@dataclass(frozen=True, slots=True, kw_only=True, config=CONTRACT)
class MemberUpdated:
    """Everything that a program may know about a member; it replaces what was known before. No personal data.

    Attributes:
        occurred_at: When it became so; an event older than the latest one is ignored.
        joined_on: The day on which the membership began.
        birthday: Month and day: 02-29.
        segments: Groups that the member belongs to, such as students.
        attributes: Anything else that rules may use, such as a favourite store.
    """

    member_id: Identifier
    occurred_at: Moment
    joined_on: date | None = None
    birthday: MonthAndDay | None = None
    segments: Annotated[tuple[Label, ...], Field(max_length=64), AfterValidator(_sorted)] = ()
    attributes: Annotated[dict[Label, Label], Field(max_length=64), AfterValidator(_sorted_by_name)] = Field(
        default_factory=dict
    )


MEMBER_UPDATED = Contract(
    type=UPDATED,
    adapter=TypeAdapter(MemberUpdated),
    business_key=lambda event: f"member\x1f{event.member_id}\x1f{microseconds(event.occurred_at)}",
)
