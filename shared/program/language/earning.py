"""The earning section of a program file: rules, the lines that they count, the orders that they apply to."""

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
    """A window of days in the program's time zone; the first and the last day belong to it."""

    from_: Day | None = Field(None, alias="from")
    to: Day | None = None


class PaidWith(Part):
    """A way of paying: every attribute that is named must match one and the same tender of the order."""

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
    """What the order must be for a rule to apply: every condition that is named must hold."""

    channel: Texts | None = None
    store: Texts | None = None
    partner: Texts | None = None
    dates: Dates | None = None
    weekday: some(Weekday, min_length=1) | None = None  # type: ignore[valid-type]
    hours: phrase(Hours) | None = Field(None, description="A part of the day, where the program lives")  # type: ignore[valid-type]
    order_of_at_least: phrase(Money) | None = Field(None, description="What the lines that may earn come to")  # type: ignore[valid-type]
    lines_of_at_least: phrase(Money) | None = Field(None, description="What the rule's own lines come to")  # type: ignore[valid-type]
    items_of_at_least: Annotated[int, Field(ge=1, le=1_000_000)] | None = Field(
        None, description="How many of the rule's own lines, by quantity"
    )
    paid_with: some(PaidWith, min_length=1, max_length=100) | None = None  # type: ignore[valid-type]
    segment: Texts | None = Field(None, description="Only for members of one of these segments")
    attribute: Annotated[dict[Label, Texts], Field(min_length=1, max_length=64)] | None = Field(
        None, description="Only for members of whom this was told: favourite store: [north, south]"
    )
    birthday: phrase(Around) | None = Field(None, description="Around the member's birthday")  # type: ignore[valid-type]
    anniversary: phrase(Around) | None = Field(None, description="Around the day on which the member joined")  # type: ignore[valid-type]
    tier: Slug | None = Field(None, description="Only for members of this tier and higher ones")
    purchase: phrase(Nth) | None = Field(None, description="Which purchase of the member it is")  # type: ignore[valid-type]
    visits: phrase(Streak) | None = Field(  # type: ignore[valid-type]
        None, description="The purchase that makes so many periods in a row with one"
    )


class EarningRule(Part):
    """One way to earn points: what it gives, or by how much it multiplies what others give."""

    rule: Slug = Field(description="A name for this rule that never changes: it stands in the ledger")
    says: Label | None = Field(None, description="The rule as the marketing page says it")
    give: phrases(Give, min_length=1, max_length=100) | None = Field(  # type: ignore[valid-type]
        None, description="What it pays; one for each currency that differs"
    )
    calculate: Calculate | None = Field(None, description="A calculation of another kind, by name")
    multiply: phrase(Factor) | None = Field(None, description="Pay what other rules pay so many times instead of once")  # type: ignore[valid-type]
    of: some(Slug, min_length=1) | None = Field(  # type: ignore[valid-type]
        None, description="The rules that are multiplied (default: all of the wallet)"
    )
    for_: ProductMatches | None = Field(None, alias="for", description="Only these lines (default: the whole order)")
    except_: ProductMatches | None = Field(None, alias="except", description="But not these lines")
    when: When | None = None
    rounding: phrase(Rounding) = Rounding()  # type: ignore[valid-type]
    replaces: some(Slug, min_length=1) | None = Field(  # type: ignore[valid-type]
        None, description="Rules that do not pay for lines that this one pays for"
    )
    best_of: Slug | None = Field(None, description="Of the rules with this word, only the one that pays most pays")
    cap: phrases(Cap, max_length=8) = Field((), description="Pay a member at most so many")  # type: ignore[valid-type]
    budget: phrases(Cap, max_length=8) = Field((), description="Pay all members together at most so many")  # type: ignore[valid-type]
    split: Annotated[dict[Slug, phrase(Percent)], Field(min_length=2, max_length=16)] | None = Field(  # type: ignore[valid-type]
        None, description="Part what it pays among wallets"
    )
    wallet: Slug | None = Field(None, description="Whose points it pays, where the unit does not say")
    expiry: phrase(Expiry) | None = Field(None, description="Instead of the wallet's")  # type: ignore[valid-type]
    pending: phrase(Pending) | None = Field(None, description="Instead of the wallet's")  # type: ignore[valid-type]
