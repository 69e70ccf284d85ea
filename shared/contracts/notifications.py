"""Topic ``notifications``: what e-mail, SMS and push services must tell a member."""

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
    """The member's address on one channel."""

    channel: Literal["email", "sms", "push"]
    to: str


@with_config(CLOSED)
class NotificationRequested(TypedDict):
    """A notification to send to a member, once.

    ``dedupe_key`` is the same for notifications with the same meaning: send at most one per key. Do not send it before
    ``not_before`` (quiet hours) or after ``use_by`` (it would be stale).
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
