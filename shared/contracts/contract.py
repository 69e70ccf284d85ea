"""One kind of event: its type, its topic, its model, and the key that makes it one thing for ever."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

import jiter
from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from shared.errors import PoisonEvent
from shared.instants import microseconds

_PROBLEMS_SHOWN = 5


class BusinessEvent(Protocol):
    """What every incoming event tells: whom it is about, and when it happened."""

    @property
    def member_id(self) -> str:
        """The member it is about."""

    @property
    def occurred_at(self) -> datetime:
        """When it happened, by the clock of who tells."""


@dataclass(frozen=True, slots=True)
class OwnId:
    """The business key of an event that has an id of its own, in ``field``.

    ``word`` stands before the id, so that an order and its return may have the same one.
    """

    field: str
    word: str = ""

    def __call__(self, event: Any) -> str:
        """Return the business key of an event."""
        return self.of(getattr(event, self.field))

    def of(self, name: str) -> str:
        """Return the business key of the event that has an id."""
        return f"{self.word}\x1f{name}" if self.word else name


@dataclass(frozen=True, slots=True)
class Contract:
    """One incoming event type.

    Attributes:
        type: The CloudEvents ``type``, past tense and versioned.
        adapter: Validates the ``data`` straight from bytes.
        business_key: The id that the producer gives to the thing that happened (an order id, a return id).
        private: It holds personal data: it is taken from private topics only.
    """

    type: str
    adapter: TypeAdapter[Any]
    business_key: Callable[[Any], str]
    private: bool = False

    def decode(self, data: bytes) -> Any:
        """Validate the bytes of ``data``.

        Raises:
            PoisonEvent: ``not-json`` (which covers NaN, duplicate keys and lone surrogates) or ``invalid``.
        """
        try:
            # pydantic's parser silently keeps the last of two equal keys; two readers could then see two orders.
            jiter.from_json(data, catch_duplicate_keys=True, allow_inf_nan=False)
        except ValueError as problem:
            raise PoisonEvent("not-json", f"the data is not JSON that can be trusted: {problem}") from None
        try:
            return self.adapter.validate_json(data)
        except ValidationError as problem:
            raise PoisonEvent("invalid", explain(problem)) from None

    def content_hash(self, event: BusinessEvent) -> bytes:
        """Return 16 bytes that are equal for equal content, however it was written down.

        The validated content in canonical form: fields in the model's order, defaults left out (so that a
        field added later changes no old hash), the time as an instant.
        """
        canonical = self.adapter.dump_json(event, exclude_defaults=True, exclude={"occurred_at"})
        return hashlib.blake2b(canonical + b"%d" % microseconds(event.occurred_at), digest_size=16).digest()


def business_key(source: str, key: str) -> bytes:
    """Return the 16-byte key of (source, id); neither can hold the separator, see ``fields``."""
    return hashlib.blake2b(f"{source}\x00{key}".encode(), digest_size=16).digest()


def explain(problem: ValidationError) -> str:
    """Say in one line what is wrong with the data: field, what is expected, what was found."""
    found = own_mistakes(problem)
    lines = []
    for error in found[:_PROBLEMS_SHOWN]:
        field = ".".join(str(part) for part in error["loc"]) or "data"
        if error["type"] == "literal_error" and field.endswith("currency"):
            message = "Input should be an ISO 4217 currency code such as 'USD'"
        else:
            message = error["msg"]
        was = "" if error["type"] == "missing" else f" (found {_excerpt(error['input'])})"
        lines.append(f"{field}: {message}{was}")
    more = len(found) - len(lines)
    return "; ".join(lines) + (f"; and {more} more" if more > 0 else "")


def own_mistakes(problem: ValidationError) -> list[ErrorDetails]:
    """Return what is wrong, without "too short" for lists whose entries are what is wrong."""
    found = problem.errors(include_url=False)
    return [e for e in found if e["type"] != "too_short" or not any(_inside(other, e) for other in found)]


def _inside(other: ErrorDetails, error: ErrorDetails) -> bool:
    depth = len(error["loc"])
    return len(other["loc"]) > depth and other["loc"][:depth] == error["loc"]


def _excerpt(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
