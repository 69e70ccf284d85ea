"""Topic ``notifications``: what e-mail, SMS and push services shall tell a member."""

from __future__ import annotations

from typing import Literal

from pydantic import TypeAdapter, with_config
from typing_extensions import TypedDict

from shared.contracts.kinds import Kind
from shared.contracts.points import CLOSED

TOPIC = "notifications"
REQUESTED = "loyalty.notification.requested.v1"


@with_config(CLOSED)
class Rendered(TypedDict):
    """The text in the member's locale."""

    subject: str
    text: str


@with_config(CLOSED)
class Address(TypedDict):
    """Where to send it on one channel."""

    channel: Literal["email", "sms", "push"]
    to: str


@with_config(CLOSED)
class NotificationRequested(TypedDict):
    """Tell a member something, once.

    ``dedupe_key`` is the same for the same meaning: send at most one of a key. Do not send before ``not_before``
    (quiet hours) nor after ``use_by`` (it would be stale).
    """

    notification_id: str
    dedupe_key: str
    member_id: str
    program_id: str
    kind: Kind
    channels: list[Address]
    locale: str
    template: str
    parameters: dict[str, str | int | None]
    rendered: Rendered
    not_before: str
    use_by: str
    occurred_at: str


NOTIFICATION_REQUESTED = TypeAdapter(NotificationRequested)
