"""What a batch of notify must know before it decides, and what it writes. Plain data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import msgpack
import pydantic_core

from services.notify.rendering import TemplateFailed
from services.notify.triggers import News
from shared.contracts.notifications import Address, Rendered
from shared.contracts.profiles import Channel
from shared.program.compiled.program import Program

Reason = Literal["too-late", "cause-gone", "no-profile", "no-consent", "no-address", "template-error"]


class Profile(NamedTuple):
    """What of a member's profile matters here.

    Attributes:
        occurred_at: Microseconds since 1970.
        addresses: By channel. A replay knows only for which channels there are any; they are empty then.
        text: The whole profile as JSON; empty in a replay.
    """

    occurred_at: int
    locale: str
    time_zone: str | None
    consent: tuple[Channel, ...]
    addresses: Mapping[Channel, str]
    name: str | None
    text: str

    @classmethod
    def read(cls, occurred_at: int, text: str) -> Profile:
        """Read a profile as it was stored."""
        data: dict[str, Any] = pydantic_core.from_json(text)
        # Devices for push messages are known to the push service, under the member's id.
        found = {"email": data.get("email"), "sms": data.get("phone"), "push": data["member_id"]}
        addresses: Any = {channel: to for channel, to in found.items() if to}
        return cls(
            occurred_at, data["locale"], data["time_zone"], tuple(data["consent"]), addresses, data["name"], text
        )


@dataclass(slots=True)
class State:
    """What is known before a batch is decided. One may serve many batches: decisions are added to it.

    Attributes:
        programs: Every version, oldest first; the newest decides.
        now: The program's clock, microseconds since 1970.
        known: Dedupe keys of everything decided.
        profiles: By member.
        gone: Dedupe keys of news that is none any more.
        failed: In a replay the dedupe keys whose templates failed then, for texts are not made again; None: make them.
    """

    programs: Sequence[Program]
    now: int
    known: set[str] = field(default_factory=set)
    profiles: dict[str, Profile] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    failed: set[str] | None = None

    def recall(self, facts: bytes) -> None:
        """Take the facts of a batch from the archive: the next ``decide`` decides as it was decided then."""
        if not facts:
            return
        now, gone, failed, members = msgpack.unpackb(facts)
        self.now, self.gone, self.failed = now, set(gone), set(failed)
        self.profiles = {
            member: Profile(0, locale, time_zone, tuple(consent), dict.fromkeys(channels, ""), None, "")
            for member, (locale, time_zone, consent, channels) in members.items()
        }


@dataclass(slots=True)
class Used:
    """The facts that a batch's decisions used, to be archived: no name, no address."""

    gone: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    members: dict[str, tuple[object, ...]] = field(default_factory=dict)

    def pack(self, now: int) -> bytes:
        """Return them as ``State.recall`` reads them."""
        packed: bytes = msgpack.packb((now, self.gone, self.failed, self.members))
        return packed


class Decision(NamedTuple):
    """What was decided about some news.

    Attributes:
        reason: Why the member is not told; None: they are.
        not_before: Microseconds since 1970; NEVER if the program's hours leave no time.
    """

    news: News
    reason: Reason | None
    not_before: int
    template: str = ""
    locale: str = ""
    channels: Sequence[Address] = ()
    rendered: Rendered | None = None
    failed: TemplateFailed | None = None


class NotificationRow(NamedTuple):
    """A row of ``notification``; each field is the column of its name."""

    dedupe_key: str
    id: str
    archive_seq: int
    member: str
    kind: str
    state: Literal["sent", "suppressed"]
    reason: str
    not_before: int
    use_by: int
    occurred_at: int
    decided_at: int


@dataclass(slots=True)
class Effects:
    """What a batch writes, and what of it is counted and logged once it is committed."""

    rows: list[NotificationRow] = field(default_factory=list)
    profiles: dict[str, Profile] = field(default_factory=dict)
    decisions: list[Decision] = field(default_factory=list)
