"""The contract of one event type: its model, and the business key that identifies what happened."""

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
    """What every incoming event states: the member, and when it happened."""

    @property
    def member_id(self) -> str:
        """The member that the event is about."""

    @property
    def occurred_at(self) -> datetime:
        """When it happened, by the producer's clock."""


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
    """The contract of one incoming event type.

    Attributes:
        type: The CloudEvents ``type``, past tense and versioned.
        adapter: Validates the ``data`` directly from bytes.
        business_key: Returns the producer's id of what happened, such as an order id or a return id.
        private: Whether it holds personal data: then it is accepted from private topics only.
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
            # pydantic's parser silently keeps the last of two equal keys; another reader might keep the first.
            jiter.from_json(data, catch_duplicate_keys=True, allow_inf_nan=False)
        except ValueError as problem:
            raise PoisonEvent("not-json", f"the data is not JSON that can be trusted: {problem}") from None
        try:
            return self.adapter.validate_json(data)
        except ValidationError as problem:
            raise PoisonEvent("invalid", explain(problem)) from None

    def content_hash(self, event: BusinessEvent) -> bytes:
        """Return a 16-byte hash that is equal for equal content, however it is serialized.

        It hashes the validated content in canonical form: fields in the model's order, without defaults (so that a
        field added later changes no old hash), the time as an instant.
        """
        canonical = self.adapter.dump_json(event, exclude_defaults=True, exclude={"occurred_at"})
        return hashlib.blake2b(canonical + b"%d" % microseconds(event.occurred_at), digest_size=16).digest()


def business_key(source: str, key: str) -> bytes:
    """Return the 16-byte key of (source, id); neither can contain the separator, see ``fields``."""
    return hashlib.blake2b(f"{source}\x00{key}".encode(), digest_size=16).digest()


def explain(problem: ValidationError) -> str:
    """Return in one line what is wrong with the data: the field, what was expected, what was found."""
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
    """Return the mistakes, without "too short" for lists whose entries have mistakes."""
    found = problem.errors(include_url=False)
    return [e for e in found if e["type"] != "too_short" or not any(_inside(other, e) for other in found)]


def _inside(other: ErrorDetails, error: ErrorDetails) -> bool:
    depth = len(error["loc"])
    return len(other["loc"]) > depth and other["loc"][:depth] == error["loc"]


def _excerpt(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
