"""Topic ``profiles``: who a member is. Personal data: only notify reads it, and it is not archived."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, TypeAdapter
from pydantic.dataclasses import dataclass

from shared.contracts.contract import Contract
from shared.contracts.fields import CONTRACT, Identifier, Label, Moment, TimeZone

TOPIC = "profiles"
UPDATED = "loyalty.profile.updated.v1"

Channel = Literal["email", "sms", "push"]


@dataclass(frozen=True, slots=True, kw_only=True, config=CONTRACT)
class ProfileUpdated:
    """A member's complete profile; the latest ``occurred_at`` counts.

    Attributes:
        locale: BCP 47, such as ``en-US``.
        consent: The channels on which the member agreed to be contacted.
    """

    member_id: Identifier
    occurred_at: Moment
    name: Label | None = None
    email: Annotated[str, StringConstraints(pattern=r"^[^@\s\x00-\x1f]{1,64}@[^@\s\x00-\x1f]{1,190}$")] | None = None
    phone: Annotated[str, StringConstraints(pattern=r"^\+[0-9]{6,15}$")] | None = None
    locale: Annotated[str, StringConstraints(pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}$")] = "en"
    time_zone: TimeZone | None = None
    consent: Annotated[tuple[Channel, ...], Field(max_length=8)] = ()


PROFILE_UPDATED = Contract(
    type=UPDATED,
    adapter=TypeAdapter(ProfileUpdated),
    business_key=lambda event: f"profile\x1f{event.member_id}\x1f{event.occurred_at.isoformat()}",
    private=True,
)
