"""Whether, when and how a member is told some news: pure, from facts that were read before."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from services.notify.rendering import TemplateFailed, render, template_name
from services.notify.state import Decision, Profile, Reason, State, Used
from services.notify.timing import not_before
from services.notify.triggers import News
from shared.contracts.notifications import Address, Rendered
from shared.contracts.profiles import Channel
from shared.program.compiled.program import Program
from shared.program.language.sections import Notifications


def decide_news(state: State, program: Program, news: News, used: Used) -> Decision:
    """Decide about news that was not decided before, and note in ``used`` on which facts."""
    section = program.notifications
    assert section is not None, "without the section there is no news"
    profile = state.profiles.get(news.member)
    if profile:
        used.members[news.member] = (profile.locale, profile.time_zone, profile.consent, sorted(profile.addresses))
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
