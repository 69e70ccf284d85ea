"""The program file as models: what may stand in each field. What fields mean together is in ``contradictions``."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from shared.contracts.fields import CurrencyCode, Label, TimeZone
from shared.program.fields import CategoryPaths, Day, Part, Slug, Texts, many, phrase
from shared.program.grammar import Expiry, Give, Rounding
from shared.program.phrases import Pending
from shared.program.sections import Ladder, Notifications, Referral, Reward


class ProductMatch(Part):
    """Lines of an order: every attribute that is named must match; of a list, one entry is enough."""

    category: CategoryPaths | None = Field(
        None, description="Beginnings of category paths: FUEL, [FUEL, COUPON], or [[GROCERY, TEA]] for two levels"
    )
    brand: Texts | None = Field(None, description="Brand, exactly as the till sends it")
    product: Texts | None = Field(None, description="Product id")
    sku: Texts | None = None
    tag: Texts | None = Field(None, description="Tag or collection")

    @model_validator(mode="after")
    def _names_something(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("names no attribute and would match every line")
        return self


ProductMatches = Annotated[
    tuple[ProductMatch, ...],
    BeforeValidator(many, json_schema_input_type=ProductMatch | tuple[ProductMatch, ...]),
    Field(min_length=1, max_length=1000),
]


DaysBefore = Annotated[int, Field(ge=1, le=366)]


class Dates(Part):
    """A window of days in the program's time zone; the first and the last day belong to it."""

    from_: Day | None = Field(None, alias="from")
    to: Day | None = None


class When(Part):
    """What the order must be for a rule to apply: every condition that is named must hold."""

    channel: Texts | None = None
    store: Texts | None = None
    dates: Dates | None = None


class Wallet(Part):
    """A kind of points."""

    name: Label
    unit: Annotated[str, Field(pattern=r"^[^\W\d][\w -]{0,30}$")] = Field(description="What one is called: point, star")
    expiry: phrase(Expiry)  # type: ignore[valid-type]
    pending: phrase(Pending) | None = Field(None, description="When points become available (default: at once)")  # type: ignore[valid-type]
    on_return: Literal["debt", "clamp", "withhold"] = Field(
        "debt", description="Points of a return that are spent already: owed, let go, or kept from the refund"
    )
    remind: Annotated[
        tuple[DaysBefore, ...],
        Field(max_length=10),
        BeforeValidator(many, json_schema_input_type=DaysBefore | tuple[DaysBefore, ...]),
    ] = Field((), description="Announce an expiry so many days before")


class EarningRule(Part):
    """One way to earn points."""

    rule: Slug = Field(description="A name for this rule that never changes: it stands in the ledger")
    says: Label | None = Field(None, description="The rule as the marketing page says it")
    give: phrase(Give)  # type: ignore[valid-type]
    for_: ProductMatches | None = Field(None, alias="for", description="Only these lines (default: the whole order)")
    except_: ProductMatches | None = Field(None, alias="except", description="But not these lines")
    when: When | None = None
    rounding: phrase(Rounding) = Rounding()  # type: ignore[valid-type]


class ProgramFile(Part):
    """A loyalty program, version 1 of the language."""

    program: Slug = Field(description="A name for this program that never changes; schema and topics are named by it")
    name: Label
    currency: CurrencyCode
    time_zone: TimeZone = Field(description="IANA name; all dates are meant there")
    effective: Day = Field(description="This version rates purchases from the beginning of this day")
    wallets: Annotated[dict[Slug, Wallet], Field(min_length=1, max_length=16)]
    never_earns: ProductMatches | None = Field(None, description="Lines that no rule rewards (gift cards never earn)")
    earning: Annotated[tuple[EarningRule, ...], Field(min_length=1, max_length=10_000)]
    referral: Referral | None = None
    rewards: Annotated[tuple[Reward, ...], Field(max_length=10_000)] = ()
    ladder: Ladder | None = None
    notifications: Notifications | None = None


def wallet_with_unit(program: ProgramFile, unit: str) -> list[str]:
    """Return the wallets whose unit is named, singular or plural."""
    return [slug for slug, wallet in program.wallets.items() if singular(wallet.unit) == singular(unit)]


def singular(unit: str) -> str:
    """Return a unit as it is compared: ``Points`` and ``point`` are one."""
    return unit.lower().removesuffix("s")
