"""CloudEvents 1.0 over Kafka: reads binary and structured mode, writes binary mode.

The rules are those of the CloudEvents Kafka protocol binding 1.0.2, section 3. The ``content-type`` header tells the
modes apart: ``application/cloudevents`` (any case) means structured, anything else binary.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jiter
import pydantic_core
from pydantic import TypeAdapter, ValidationError

from shared.contracts.fields import Source
from shared.errors import PoisonEvent

Headers = Sequence[tuple[str, bytes]]

_STRUCTURED = b"application/cloudevents"
_JSON = re.compile(rb"^(application|text)/([^;]*\+)?json\s*(;|$)")
_REQUIRED = ("specversion", "id", "source", "type")
_source = TypeAdapter(Source)


@dataclass(frozen=True, slots=True)
class Envelope:
    """The attributes that the product reads; it ignores the rest of the envelope."""

    id: str
    source: str
    type: str


def open_record(headers: Headers, value: bytes | None) -> tuple[Envelope, bytes]:
    """Return the envelope and the bytes of ``data``.

    Raises:
        PoisonEvent: ``empty`` or ``not-a-cloudevent``.
    """
    if value is None:
        raise PoisonEvent("empty", "the record has no value; publish the event as JSON, tombstones are not used here")
    by_name = {name.lower(): content or b"" for name, content in headers}
    content_type = by_name.get("content-type", b"").strip().lower()
    if content_type.startswith(_STRUCTURED):
        return _open_structured(value)
    if content_type and not _JSON.match(content_type):
        raise PoisonEvent("not-a-cloudevent", f"content-type {content_type[:60]!r} is not JSON")
    try:
        attributes = {name: by_name[f"ce_{name}"].decode() for name in _REQUIRED if f"ce_{name}" in by_name}
    except UnicodeDecodeError:
        raise PoisonEvent("not-a-cloudevent", "a ce_ header is not UTF-8") from None
    return _envelope(attributes), value


def _open_structured(value: bytes) -> tuple[Envelope, bytes]:
    try:
        document = jiter.from_json(value, catch_duplicate_keys=True, allow_inf_nan=False)
    except ValueError as problem:
        raise PoisonEvent("not-json", f"the structured event is not JSON that can be trusted: {problem}") from None
    if not isinstance(document, dict):
        raise PoisonEvent("not-a-cloudevent", "the structured event is not a JSON object")
    envelope = _envelope(document)
    if "data_base64" in document:
        try:
            return envelope, base64.b64decode(document["data_base64"], validate=True)
        except (TypeError, ValueError):
            raise PoisonEvent("not-a-cloudevent", "data_base64 is not base64") from None
    if document.get("data") is None:
        raise PoisonEvent("empty", "the structured event has no data")
    return envelope, pydantic_core.to_json(document["data"])


def _envelope(attributes: dict[str, Any]) -> Envelope:
    missing = [name for name in _REQUIRED if not isinstance(attributes.get(name), str) or not attributes[name]]
    if missing:
        named = ", ".join(missing)
        raise PoisonEvent(
            "not-a-cloudevent",
            f"missing or empty attribute: {named} (headers ce_{missing[0]}… in binary mode, fields in structured mode)",
        )
    if attributes["specversion"] != "1.0":
        raise PoisonEvent("not-a-cloudevent", f"specversion {attributes['specversion'][:20]!r}; 1.0 is supported")
    try:
        source = _source.validate_python(attributes["source"])
    except ValidationError:
        raise PoisonEvent(
            "not-a-cloudevent",
            "source must be 1 to 256 characters, such as /stores/330, in Unicode normal form C and without control "
            "characters or others that nobody sees",
        ) from None
    event_id = attributes["id"][:256]
    if not (event_id.isascii() and event_id.isprintable()):
        try:
            _source.validate_python(event_id)
        except ValidationError:
            raise PoisonEvent(
                "not-a-cloudevent",
                "id must be in Unicode normal form C and without control characters or others that nobody sees",
            ) from None
    return Envelope(id=event_id, source=source, type=attributes["type"][:256])


def seal(*, event_id: str, source: str, event_type: str, time: str, key: str) -> list[tuple[str, bytes]]:
    """Return the headers of a binary-mode event; ``time`` is RFC 3339, ``key`` the member (= partition key)."""
    return [
        ("ce_specversion", b"1.0"),
        ("ce_id", event_id.encode()),
        ("ce_source", source.encode()),
        ("ce_type", event_type.encode()),
        ("ce_time", time.encode()),
        ("ce_partitionkey", key.encode()),
        ("content-type", b"application/json"),
    ]
