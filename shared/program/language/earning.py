"""The earning section of a program file: rules, the lines that they match, the orders to which they apply."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from shared.contracts.fields import Label
from shared.program.calculations import Calculate
from shared.program.language.fields import Day, Part, Slug, Texts, phrase, phrases, some
from shared.program.language.grammar import Expiry, Factor, Give, Rounding
from shared.program.language.phrases import Cap, Money, Percent
from shared.program.language.phrases_of_time import Around, Hours, Nth, Pending, Streak
from shared.program.language.products import ProductMatches


class Dates(Part):
    """A range of days in the program's time zone, the first and the last included."""

    from_: Day | None = Field(None, alias="from")
    to: Day | None = None


class PaidWith(Part):
    """A way of paying: every attribute that is given must match the same tender of the order."""

    method: Texts | None = Field(None, description="Such as card, cash or gift-card")
    brand: Texts | None = Field(None, description="Such as visa")
    card: Texts | None = Field(None, description="The card's own product, such as a co-brand card")

    @model_validator(mode="after")
    def _names_something(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("names no attribute and would match every payment")
        return self


Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
WEEKDAYS: tuple[Weekday, ...] = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


class When(Part):
    """The conditions for a rule to apply to an order: all that are given must hold."""

    channel: Texts | None = None
    store: Texts | None = None
    partner: Texts | None = None
    dates: Dates | None = None
    weekday: some(Weekday, min_length=1) | None = None  # type: ignore[valid-type]
    hours: phrase(Hours) | None = Field(None, description="A part of the day, in the program's time zone")  # type: ignore[valid-type]
    order_of_at_least: phrase(Money) | None = Field(None, description="The least sum of the lines that may earn")  # type: ignore[valid-type]
    lines_of_at_least: phrase(Money) | None = Field(None, description="The least sum of the rule's own lines")  # type: ignore[valid-type]
    items_of_at_least: Annotated[int, Field(ge=1, le=1_000_000)] | None = Field(
        None, description="The least number of items in the rule's own lines"
    )
    paid_with: some(PaidWith, min_length=1, max_length=100) | None = None  # type: ignore[valid-type]
    segment: Texts | None = Field(None, description="Only for members of one of these segments")
    attribute: Annotated[dict[Label, Texts], Field(min_length=1, max_length=64)] | None = Field(
        None, description="Only for members with these attributes: favourite store: [north, south]"
    )
    birthday: phrase(Around) | None = Field(None, description="Around the member's birthday")  # type: ignore[valid-type]
    anniversary: phrase(Around) | None = Field(None, description="Around the day on which the member joined")  # type: ignore[valid-type]
    tier: Slug | None = Field(None, description="Only for members of this tier and higher ones")
    purchase: phrase(Nth) | None = Field(None, description="Which purchase of the member it is")  # type: ignore[valid-type]
    visits: phrase(Streak) | None = Field(  # type: ignore[valid-type]
        None, description="The purchase that completes a streak of periods with a purchase in each"
    )


class EarningRule(Part):
    """One way to earn points: what it pays, or by how much it multiplies what other rules pay."""

    rule: Slug = Field(description="A name for this rule that never changes: the ledger refers to it")
    says: Label | None = Field(None, description="The rule in the words of the marketing page")
    give: phrases(Give, min_length=1, max_length=100) | None = Field(  # type: ignore[valid-type]
        None, description="What it pays; one phrase for each currency if they differ"
    )
    calculate: Calculate | None = Field(None, description="A calculation of another kind, by name")
    multiply: phrase(Factor) | None = Field(None, description="Multiply what other rules pay by this factor")  # type: ignore[valid-type]
    of: some(Slug, min_length=1) | None = Field(  # type: ignore[valid-type]
        None, description="The rules that are multiplied (default: all rules of the wallet)"
    )
    for_: ProductMatches | None = Field(None, alias="for", description="Only these lines (default: the whole order)")
    except_: ProductMatches | None = Field(None, alias="except", description="But not these lines")
    when: When | None = None
    rounding: phrase(Rounding) = Rounding()  # type: ignore[valid-type]
    replaces: some(Slug, min_length=1) | None = Field(  # type: ignore[valid-type]
        None, description="Rules that do not pay for lines that this one pays for"
    )
    best_of: Slug | None = Field(
        None, description="Of the rules with the same name here, only the one that pays most pays"
    )
    cap: phrases(Cap, max_length=8) = Field((), description="The most that it pays to one member")  # type: ignore[valid-type]
    budget: phrases(Cap, max_length=8) = Field((), description="The most that it pays to all members together")  # type: ignore[valid-type]
    split: Annotated[dict[Slug, phrase(Percent)], Field(min_length=2, max_length=16)] | None = Field(  # type: ignore[valid-type]
        None, description="Divide what it pays among wallets"
    )
    wallet: Slug | None = Field(None, description="The wallet that it pays, where the unit leaves that open")
    expiry: phrase(Expiry) | None = Field(None, description="Instead of the wallet's expiry")  # type: ignore[valid-type]
    pending: phrase(Pending) | None = Field(None, description="Instead of the wallet's")  # type: ignore[valid-type]
