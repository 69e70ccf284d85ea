"""The program file as models: field by field what may stand in it. What fields mean together is in ``loader``."""

from __future__ import annotations

import re
from datetime import date
from typing import Annotated, Any, Self
from zoneinfo import ZoneInfo, available_timezones

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    WithJsonSchema,
    model_validator,
)

from shared.contracts.fields import CurrencyCode, Label
from shared.program.grammar import Expiry, Give, Rounding


def _phrase(kind: Any) -> Any:
    """Make a field type of one of the phrases in ``grammar``."""

    def read(value: object) -> Any:
        if isinstance(value, kind):
            return value
        if not isinstance(value, str):
            raise ValueError("is not text")  # noqa: TRY004 - pydantic collects ValueErrors
        return kind.parse(value)

    schema = {"type": "string", "pattern": kind.PATTERN, "description": f"Such as {kind.FORM}"}
    return Annotated[kind, PlainValidator(read), WithJsonSchema(schema)]


def _many(value: Any) -> list[Any]:
    """Let one value stand where a list may."""
    return value if isinstance(value, list) else [value]


def _paths(value: object) -> Any:
    """Categories: ``FUEL``, ``[FUEL, COUPON]``, and ``[[GROCERY, FROZEN], FUEL]`` where an inner list is one path."""
    return [_many(item) for item in _many(value)] if value != "" else value


#: Files that systems keep beside the zones; they mean another place on each machine.
_NOT_PLACES = {"localtime", "posixrules", "Factory"}


def _day(text: object) -> object:
    """Refuse what pydantic would take for days or seconds since 1970."""
    if not isinstance(text, str) or re.fullmatch(r"\d{4}-\d\d-\d\d", text) is None:
        raise ValueError("is not a date")
    return text


def _time_zone(name: str) -> str:
    if name not in available_timezones() or name in _NOT_PLACES:
        raise ValueError("is not an IANA time zone")
    ZoneInfo(name)
    return name


def _one_or_many_schema(item: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [item, {"type": "array", "items": item, "minItems": 1}]}


_TEXT: dict[str, Any] = {"type": ["string", "number"]}
Slug = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,62}$")]
#: The bounds leave room for every time zone and every expiry.
Day = Annotated[date, BeforeValidator(_day), Field(ge=date(1990, 1, 1), le=date(9000, 1, 1))]
Texts = Annotated[
    tuple[Label, ...],
    BeforeValidator(_many),
    Field(min_length=1, max_length=1000),
    WithJsonSchema(_one_or_many_schema(_TEXT)),
]
CategoryPaths = Annotated[
    tuple[Annotated[tuple[Label, ...], Field(min_length=1)], ...],
    BeforeValidator(_paths),
    Field(min_length=1, max_length=1000),
    WithJsonSchema(_one_or_many_schema({"anyOf": [_TEXT, {"type": "array", "items": _TEXT, "minItems": 1}]})),
]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ProductMatch(_Part):
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
    BeforeValidator(_many, json_schema_input_type=ProductMatch | tuple[ProductMatch, ...]),
    Field(min_length=1, max_length=1000),
]


class Dates(_Part):
    """A window of days in the program's time zone; the first and the last day belong to it."""

    from_: Day | None = Field(None, alias="from")
    to: Day | None = None


class When(_Part):
    """What the order must be for a rule to apply: every condition that is named must hold."""

    channel: Texts | None = None
    store: Texts | None = None
    dates: Dates | None = None


class Wallet(_Part):
    """A kind of points."""

    name: Label
    unit: Annotated[str, Field(pattern=r"^[^\W\d][\w -]{0,30}$")] = Field(description="What one is called: point, star")
    expiry: _phrase(Expiry)  # type: ignore[valid-type]


class EarningRule(_Part):
    """One way to earn points."""

    rule: Slug = Field(description="A name for this rule that never changes: it stands in the ledger")
    says: Label | None = Field(None, description="The rule as the marketing page says it")
    give: _phrase(Give)  # type: ignore[valid-type]
    for_: ProductMatches | None = Field(None, alias="for", description="Only these lines (default: the whole order)")
    except_: ProductMatches | None = Field(None, alias="except", description="But not these lines")
    when: When | None = None
    rounding: _phrase(Rounding) = Rounding()  # type: ignore[valid-type]


class ProgramFile(_Part):
    """A loyalty program, version 1 of the language."""

    program: Slug = Field(description="A name for this program that never changes; schema and topics are named by it")
    name: Label
    currency: CurrencyCode
    time_zone: Annotated[str, AfterValidator(_time_zone)] = Field(description="IANA name; all dates are meant there")
    effective: Day = Field(description="This version rates purchases from the beginning of this day")
    wallets: Annotated[dict[Slug, Wallet], Field(min_length=1, max_length=16)]
    never_earns: ProductMatches | None = Field(None, description="Lines that no rule rewards (gift cards never earn)")
    earning: Annotated[tuple[EarningRule, ...], Field(min_length=1, max_length=10_000)]
