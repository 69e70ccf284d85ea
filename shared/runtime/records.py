"""What flows through the runtime: raw records, events received, messages to send, dead letters."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple

from typing_extensions import TypeVar

from shared.contracts.contract import BusinessEvent
from shared.instants import BEGINNING

Event = TypeVar("Event", bound=BusinessEvent, default=Any)
Effects = TypeVar("Effects", default=Any)


class Record(NamedTuple):
    """A Kafka record as it came."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]


class UnreadBatch(bytes):
    """The value (empty) of the one record that stands for a record batch which could not be unpacked.

    Attributes:
        reason: The reason of its dead letter.
        detail: Which offsets, and what was wrong; nothing of the content.
    """

    reason: str
    detail: str

    @classmethod
    def because(cls, reason: str, detail: str) -> UnreadBatch:
        """Say why."""
        made = cls()
        made.reason, made.detail = reason, detail
        return made


@dataclass(frozen=True, slots=True)
class Batch:
    """Records of one partition that are handled in one transaction, in offset order.

    Attributes:
        epoch: Counts how often the topic was recreated; with it an offset is unique for ever.
        next_offset: Where the partition goes on after this batch.
    """

    topic: str
    partition: int
    epoch: int
    records: list[Record]
    next_offset: int

    @property
    def first_offset(self) -> int:
        """The offset of the first record; of a batch without records, where the partition goes on."""
        return self.records[0].offset if self.records else self.next_offset


class Origin(NamedTuple):
    """A record and where it stood."""

    topic: str
    partition: int
    epoch: int
    record: Record


class Received(NamedTuple, Generic[Event]):
    """A valid event: its envelope's identity, its content, its business key, the hash of its content, its record."""

    position: int
    event_id: str
    source: str
    type: str
    event: Event
    key: bytes
    content_hash: bytes
    occurred_at: int
    origin: Origin


class Message(NamedTuple):
    """An event to publish. ``topic`` is the short name; the prefix is added on the way out."""

    topic: str
    key: bytes
    value: bytes
    headers: list[tuple[str, bytes]]


class Refusal(NamedTuple):
    """Why the record at ``position`` in the batch becomes a dead letter; with ``origin``, one that came earlier.

    ``private``: the record holds personal data, of which nothing may be kept.
    """

    position: int
    reason: str
    detail: str
    event_id: str | None = None
    type: str | None = None
    source: str | None = None
    origin: Origin | None = None
    private: bool = False

    @classmethod
    def of(cls, received: Received, reason: str, detail: str) -> Refusal:
        """Refuse an event that was readable."""
        return cls(received.position, reason, detail, received.event_id, received.type, received.source)


@dataclass(slots=True)
class Decoded:
    """What a batch's bytes turned out to be; ``ignored`` counts types that the service does not read.

    ``unread`` are the positions of such records, and of those that are on a topic where they must not be.
    """

    events: list[Received] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)
    ignored: Counter[str] = field(default_factory=Counter)
    unread: set[int] = field(default_factory=set)


@dataclass(slots=True)
class Decisions(Generic[Effects]):
    """What a handler decided about a batch.

    Attributes:
        effects: What its store writes; the runtime does not look inside.
        refused_later: Records of earlier batches that were accepted then, parked, and are refused now.
        accepted: How many events had an effect, or a stored reason for having none.
        duplicates: How many were seen before, with the same content.
        latest_at: The latest instant of an accepted event; a program version may not reach back behind it.
        facts: What a replay must know beside the records, such as which accounts a sweep found; archived as it is.
    """

    effects: Effects
    messages: list[Message] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)
    refused_later: list[Refusal] = field(default_factory=list)
    accepted: int = 0
    duplicates: int = 0
    latest_at: int = BEGINNING
    facts: bytes = b""
