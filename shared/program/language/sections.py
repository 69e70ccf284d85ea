"""The other sections of a program file: referral, rewards, conversions, ladder, notifications."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from shared.contracts.fields import Label
from shared.program.language.fields import Part, Slug, many, phrase
from shared.program.language.phrases import Into, Money, Points, Threshold
from shared.program.language.phrases_of_time import Duration, Hours


class Referral(Part):
    """What a member and the friend that they referred get once the friend has bought something."""

    referrer: phrase(Points)  # type: ignore[valid-type]
    friend: phrase(Points)  # type: ignore[valid-type]
    purchase_of_at_least: phrase(Money)  # type: ignore[valid-type]
    within_days: Annotated[
        int, Field(ge=1, le=366, description="How many days after the registration the purchase counts")
    ]
    at_most_a_month: Annotated[
        int, Field(ge=1, le=10_000, description="For how many friends a month a referrer is rewarded")
    ] = 10_000


class Reward(Part):
    """What points buy."""

    reward: Slug = Field(description="A name for this reward that never changes: tills ask for it")
    name: Label
    cost: phrase(Points)  # type: ignore[valid-type]
    worth: phrase(Money)  # type: ignore[valid-type]
    tier: Slug | None = Field(None, description="Only for members of this tier and higher ones")
    limit: Annotated[int, Field(ge=1, description="How often one member may redeem it")] | None = None
    hold: phrase(Duration) = Duration(15, "minute")  # type: ignore[valid-type]


class Conversion(Part):
    """A conversion of points, each time that a member has enough of them."""

    rule: Slug = Field(description="A name for this rule that never changes: the ledger refers to it")
    convert: phrase(Points)  # type: ignore[valid-type]
    into: phrase(Into)  # type: ignore[valid-type]


def _plain_number(text: object) -> object:
    """Reject what only programmers read as a number: 1e1, 1_0, 0x2."""
    if not isinstance(text, str | Fraction) or re.fullmatch(r"\d{1,9}(\.\d{1,9})?(/\d{1,9})?", str(text)) is None:
        raise ValueError("is no number")
    return text


class Tier(Part):
    """One tier of the ladder."""

    tier: Slug
    name: Label
    from_: phrase(Threshold) = Field(alias="from")  # type: ignore[valid-type]
    multiplier: Annotated[
        Fraction,
        BeforeValidator(_plain_number),
        Field(ge=1, le=100, description="What members of this tier earn is multiplied by this"),
    ] = Fraction(1)


class Ladder(Part):
    """The tiers, what counts for them, and how long they are kept."""

    metric: Literal["spend", "points"]
    window: Literal["calendar year", "membership year", "rolling 12 months", "lifetime"]
    keep: Literal["the rest of the period and the next", "while the metric holds"]
    soft_landing: bool = Field(default=False, description="A member moves down at most one tier at a time")
    grace_days: Annotated[int, Field(ge=0, le=366)] = 0
    warn_days: Annotated[int, Field(ge=0, le=366, description="Announce the end of a tier this many days before")] = 0
    wallet: Slug | None = Field(None, description="The wallet whose points count (where there are several)")
    tiers: Annotated[tuple[Tier, ...], Field(min_length=2, max_length=32)]


Kind = Literal[
    "points-expiring", "tier-upgraded", "tier-expiring", "points-earned", "referral-rewarded", "redemption-done"
]
Channel = Literal["email", "sms", "push"]
Language = Annotated[str, Field(pattern=r"^[a-z]{2,3}$")]


class Notifications(Part):
    """Notifications of members: which, when, and with which texts (templates ``<kind>.<language>.txt`` in a folder)."""

    templates: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,100}$")] = Field(
        description="The folder of the templates, beside this file"
    )
    languages: Annotated[
        tuple[Language, ...],
        Field(min_length=1),
        BeforeValidator(many, json_schema_input_type=Language | tuple[Language, ...]),
    ] = Field(("en",), description="The languages of the templates; the first one is for all other members")
    tell: Annotated[
        tuple[Kind, ...], Field(min_length=1), BeforeValidator(many, json_schema_input_type=Kind | tuple[Kind, ...])
    ] = (
        "points-expiring",
        "tier-upgraded",
        "tier-expiring",
        "points-earned",
        "referral-rewarded",
        "redemption-done",
    )
    channels: Annotated[
        tuple[Channel, ...],
        Field(min_length=1),
        BeforeValidator(many, json_schema_input_type=Channel | tuple[Channel, ...]),
    ] = ("email",)
    quiet_hours: phrase(Hours) | None = Field(None, description="No messages then, in the member's time zone")  # type: ignore[valid-type]
    send_window: phrase(Hours) | None = Field(None, description="Messages only then")  # type: ignore[valid-type]
    points_earned_over: Annotated[int, Field(ge=1)] = Field(
        500, description="Announce only orders that earned more than this"
    )
    good_for_days: Annotated[int, Field(ge=1, le=366)] = Field(
        3, description="After this many days a notification is not sent any more"
    )
