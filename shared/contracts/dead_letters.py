"""Topic ``dead-letters``: which records were refused, and why. The records themselves stay in Postgres."""

from __future__ import annotations

from pydantic import ConfigDict, TypeAdapter, with_config
from typing_extensions import TypedDict

TOPIC = "dead-letters"
REFUSED = "loyalty.event.refused.v1"


@with_config(ConfigDict(extra="forbid", strict=True))
class EventRefused(TypedDict):
    """One record that could not be handled.

    ``excerpt`` is the beginning of the value, as text; ``loyalty dead-letters show ID`` has the whole record.
    """

    dead_letter_id: str
    service: str
    topic: str
    partition: int
    epoch: int
    offset: int
    reason: str
    detail: str
    event_id: str | None
    event_type: str | None
    event_source: str | None
    excerpt: str
    recorded_at: str


EVENT_REFUSED = TypeAdapter(EventRefused)
