"""Field types that the sections of a program file share."""

from __future__ import annotations

import re
from datetime import date
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    WithJsonSchema,
)

from shared.contracts.fields import Label


def phrase(kind: Any) -> Any:
    """Return the field type of a phrase."""

    def read(value: object) -> Any:
        if isinstance(value, kind):
            return value
        if not isinstance(value, str):
            raise ValueError("is not text")  # noqa: TRY004 - pydantic collects ValueErrors
        return kind.parse(value)

    types = getattr(kind, "TYPES", "string")
    schema = {"type": types, "pattern": kind.PATTERN, "description": f"Such as {kind.FORM}"}
    return Annotated[kind, PlainValidator(read), WithJsonSchema(schema)]


def phrases(kind: Any, **limits: Any) -> Any:
    """Return the field type of one phrase or a list of them."""
    return some(phrase(kind), **limits)


def some(kind: Any, **limits: Any) -> Any:
    """Return the field type of one value or a list of them."""
    return Annotated[
        tuple[kind, ...], Field(**limits), BeforeValidator(many, json_schema_input_type=kind | tuple[kind, ...])
    ]


def many(value: Any) -> list[Any]:
    """Return a single value as a list of one."""
    return value if isinstance(value, list) else [value]


def _paths(value: object) -> Any:
    """Return category paths: of ``FUEL``, ``[FUEL, COUPON]``, or ``[[GROCERY, FROZEN], FUEL]`` with paths inside."""
    return [many(item) for item in many(value)] if value != "" else value


def _day(text: object) -> object:
    """Reject numbers, which pydantic would read as days or seconds since 1970."""
    if not isinstance(text, str) or re.fullmatch(r"\d{4}-\d\d-\d\d", text) is None:
        raise ValueError("is not a date")
    return text


def _one_or_many_schema(item: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [item, {"type": "array", "items": item, "minItems": 1}]}


_TEXT: dict[str, Any] = {"type": ["string", "number"]}
Slug = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,62}$")]
#: The bounds leave room for every time zone and every expiry.
Day = Annotated[date, BeforeValidator(_day), Field(ge=date(1990, 1, 1), le=date(9000, 1, 1))]
Texts = Annotated[
    tuple[Label, ...],
    BeforeValidator(many),
    Field(min_length=1, max_length=1000),
    WithJsonSchema(_one_or_many_schema(_TEXT)),
]
CategoryPaths = Annotated[
    tuple[Annotated[tuple[Label, ...], Field(min_length=1)], ...],
    BeforeValidator(_paths),
    Field(min_length=1, max_length=1000),
    WithJsonSchema(_one_or_many_schema({"anyOf": [_TEXT, {"type": "array", "items": _TEXT, "minItems": 1}]})),
]


class Part(BaseModel):
    """A section of the file. It rejects fields that it does not define."""

    model_config = ConfigDict(extra="forbid", frozen=True)
