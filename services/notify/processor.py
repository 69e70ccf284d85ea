"""Whether, when and how a member is told some news: pure, from facts that were read before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple
from zoneinfo import ZoneInfo

import msgpack
import pydantic_core

from services.notify.rendering import TemplateFailed, render, template_name
from services.notify.timing import not_before
from services.notify.triggers import News
from shared.contracts.notifications import Address, Rendered
from shared.contracts.profiles import Channel
from shared.program.compiled.program import Program
from shared.program.language.sections import Notifications

Reason = Literal[
    "too-late", "cause-gone", "no-profile", "no-consent", "no-address", "template-error"
]  # fmt: skip


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


def decide_news(state: State, program: Program, news: News, used: Used) -> Decision:
    """Decide about news that was not decided before, and note in ``used`` on which facts."""
    section = program.notifications
    assert section is not None, "without the section there is no news"
    profile = state.profiles.get(news.member)
    if profile:
        used.members[news.member] = (
            profile.locale, profile.time_zone, profile.consent, sorted(profile.addresses)
        )  # fmt: skip
    at = not_before(news.occurred_at, _zone(profile, program), section.quiet_hours, section.send_window)
    reason = _obstacle(state, section, news, at, profile)
    if reason == "cause-gone":
        used.gone.append(news.key)
    if reason or profile is None:
        return Decision(news, reason, at)
    channels: list[Address] = [
        {"channel": channel, "to": profile.addresses[channel]} for channel in _channels(section, profile)
    ]
    template = template_name(program, news, profile.locale)
    rendered = _render(state, program, news, template, profile)
    if isinstance(rendered, TemplateFailed):
        used.failed.append(news.key)
        return Decision(news, "template-error", at, failed=rendered)
    return Decision(news, None, at, template, profile.locale, channels, rendered)


def _obstacle(state: State, section: Notifications, news: News, at: int, profile: Profile | None) -> Reason | None:
    if max(state.now, at) >= news.use_by:
        return "too-late"
    if news.key in state.gone:
        return "cause-gone"
    if profile is None:
        return "no-profile"
    if not set(section.channels) & set(profile.consent):
        return "no-consent"
    return None if _channels(section, profile) else "no-address"


def _channels(section: Notifications, profile: Profile) -> list[Channel]:
    """Return the channels that the member wants and can be reached on, in the program's order."""
    return [channel for channel in section.channels if channel in profile.consent and channel in profile.addresses]


def _zone(profile: Profile | None, program: Program) -> ZoneInfo:
    if profile is None or profile.time_zone is None:
        return program.zone
    try:
        return ZoneInfo(profile.time_zone)
    except (OSError, ValueError, KeyError):  # a zone that this machine's database does not have
        return program.zone


def _render(state: State, program: Program, news: News, template: str, profile: Profile) -> Rendered | TemplateFailed:
    if state.failed is None:
        return render(program, news, template, profile.name)
    if news.key in state.failed:
        return TemplateFailed(template, "as before")
    return {"subject": "(not kept)", "text": "(not kept)"}
