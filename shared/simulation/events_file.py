"""Reads a JSON Lines file of structured CloudEvents, as `loyalty rehearse` runs it: one event a line, of any topic."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from shared.contracts.catalogue import EVENTS, PRIVATE_TOPICS
from shared.contracts.envelope import open_record
from shared.errors import PoisonEvent, UsageError
from shared.runtime.batch.decode import decode
from shared.runtime.records import Received, Record, Refusal

#: As a worker's ``LOYALTY_RECORD_BYTES`` is unless somebody sets it.
RECORD_BYTES = 1_000_000
_STRUCTURED = (("content-type", b"application/cloudevents+json"),)
#: What comes from outside. Our own services' events are made by the rehearsal itself.
_INCOMING = {name: event for name, event in EVENTS.items() if event.contract is not None}


class Line(NamedTuple):
    """A line of the file.

    Attributes:
        service: Who reads it.
        topic: Where (short name).
        record: As it would come from Kafka; its offset is the line's number.
        received: The event; None if it is refused at once.
    """

    number: int
    service: str
    topic: str
    record: Record
    received: Received | None
    refused: list[Refusal]


def read_events(path: Path) -> Iterator[Line]:
    """Yield the events of a file.

    Raises:
        UsageError: The file cannot be read, or a line is no event that anybody reads.
    """
    try:
        with path.open("rb") as file:
            for number, text in enumerate(file, start=1):
                if text.strip():
                    yield _read(f"{path}:{number}", number, text.strip())
    except OSError as problem:
        raise UsageError(f"cannot read {path}: {problem}") from None


def _read(where: str, number: int, text: bytes) -> Line:
    try:
        envelope, _data = open_record(_STRUCTURED, text)
    except PoisonEvent as problem:
        raise UsageError(f"{where}: {problem.detail}; each line must be one structured CloudEvent") from None
    event = _INCOMING.get(envelope.type)
    if event is None or event.contract is None:
        raise UsageError(f"{where}: nobody reads events of type {envelope.type!r}; there are {', '.join(_INCOMING)}")
    (service,) = event.readers
    record = Record(number, 0, None, text, _STRUCTURED)
    decoded = decode([record], {event.type: event.contract}, RECORD_BYTES, (event.topic, 0, 0), PRIVATE_TOPICS)
    return Line(number, service, event.topic, record, decoded.events[0] if decoded.events else None, decoded.refused)
