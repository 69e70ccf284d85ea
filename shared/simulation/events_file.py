"""Reads a JSON Lines file of structured CloudEvents, as `loyalty rehearse` runs it: one event a line, of any topic."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from services.earn.handler import EarnHandler
from services.notify.handler import SERVICE as NOTIFY
from services.redeem.handler import RedeemHandler
from shared.contracts import profiles
from shared.contracts.catalogue import TOPIC_OF
from shared.contracts.contract import Contract
from shared.contracts.envelope import open_record
from shared.contracts.profiles import PROFILE_UPDATED
from shared.errors import PoisonEvent, UsageError
from shared.runtime.decode import decode
from shared.runtime.records import Received, Record, Refusal

#: As a worker's ``LOYALTY_RECORD_BYTES`` is unless somebody sets it.
RECORD_BYTES = 1_000_000
_STRUCTURED = (("content-type", b"application/cloudevents+json"),)
#: Who reads what comes from outside. Our own services' events are made by the rehearsal itself.
_READERS: Mapping[str, tuple[str, Contract]] = {
    **{name: (EarnHandler.service, contract) for name, contract in EarnHandler.contracts.items()},
    **{name: (RedeemHandler.service, contract) for name, contract in RedeemHandler.contracts.items()},
    PROFILE_UPDATED.type: (NOTIFY, PROFILE_UPDATED),
}


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
    reader = _READERS.get(envelope.type)
    if reader is None:
        raise UsageError(f"{where}: nobody reads events of type {envelope.type!r}; there are {', '.join(_READERS)}")
    service, contract = reader
    record = Record(number, 0, None, text, _STRUCTURED)
    topic = TOPIC_OF[envelope.type]
    decoded = decode([record], {envelope.type: contract}, RECORD_BYTES, (topic, 0, 0), frozenset({profiles.TOPIC}))
    return Line(number, service, topic, record, decoded.events[0] if decoded.events else None, decoded.refused)
