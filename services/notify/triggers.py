"""What an event has to say to whom: pure. One event is news to nobody, to its member, or to two members."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from services.notify.consumed_events import (
    Heard,
    PointsEarned,
    PointsExpiring,
    ReferralQualified,
    RewardRedeemed,
    TierChanged,
)
from shared.contracts import tiers
from shared.contracts.kinds import Kind
from shared.instants import NEVER, iso, microseconds
from shared.program.compiled.program import Program
from shared.program.language.sections import Notifications

_DAY = 86_400 * 1_000_000
Parameters = dict[str, str | int | None]


@dataclass(frozen=True, slots=True)
class PointsCause:
    """News that is none any more once no points of the wallet lapse at that instant."""

    wallet: str
    expires_at: int


@dataclass(frozen=True, slots=True)
class TierCause:
    """News about a tier: that it was reached (``until`` is None), or that it ends at ``until``."""

    tier: str
    until: int | None


@dataclass(frozen=True, slots=True)
class News:
    """Something to tell a member.

    Attributes:
        key: What it means: two events of one meaning are told once.
        occurred_at: Microseconds since 1970, as is ``use_by``.
        use_by: From here on it is no news any more.
        parameters: What a template may tell beside the member's name; none of it is personal data.
        cause: What must still be so when it is told, if that can change.
    """

    kind: Kind
    member: str
    key: str
    occurred_at: int
    use_by: int
    parameters: Parameters
    cause: PointsCause | TierCause | None = None


def news_of(program: Program, event_type: str, event: Heard) -> list[News]:
    """Return what an event has to tell under a program version; nothing of kinds that are switched off."""
    section = program.notifications
    if section is None:
        return []
    return [news for news in _news(program, section, event_type, event) if news.kind in section.tell]


def _news(program: Program, section: Notifications, event_type: str, event: Heard) -> Iterator[News]:
    at = microseconds(event.occurred_at)
    use_by = at + section.good_for_days * _DAY
    member = event.member_id
    if isinstance(event, PointsExpiring):
        yield _expiring(program, event, at)
    elif isinstance(event, PointsEarned):
        # What a referral earned is told as such.
        if event.referral_id is None and event.points > section.points_earned_over:
            key = _key("points-earned", member, event.order_source, event.order_id, event.wallet)
            yield News("points-earned", member, key, at, use_by, _earned(program, event))
    elif isinstance(event, TierChanged):
        yield _tier(program, event_type, event, at, use_by)
    elif isinstance(event, ReferralQualified):
        yield from _referral(event, at, use_by)
    elif isinstance(event, RewardRedeemed):
        key = _key("redemption-done", member, event.redemption_source, event.redemption_id)
        parameters: Parameters = {
            "reward": event.reward, "wallet": event.wallet, "points": event.points, "worth": event.worth,
            "currency": event.currency, "redemption_id": event.redemption_id,
        }  # fmt: skip
        yield News("redemption-done", member, key, at, use_by, parameters)


def _expiring(program: Program, event: PointsExpiring, at: int) -> News:
    expires_at = microseconds(event.expires_at)
    key = _key("points-expiring", event.member_id, event.wallet, iso(expires_at), str(event.days_left))
    parameters: Parameters = {
        "wallet": event.wallet, "points": event.points, "days_left": event.days_left, "expires_at": iso(expires_at),
        "last_day": _last_day(program, event.expires_at),
    }  # fmt: skip
    cause = PointsCause(event.wallet, expires_at)
    return News("points-expiring", event.member_id, key, at, expires_at, parameters, cause)


def _earned(program: Program, event: PointsEarned) -> Parameters:
    available = event.available_at
    available_on = program.day_of(available).isoformat() if isinstance(available, datetime) else available
    return {
        "wallet": event.wallet, "points": event.points, "order_id": event.order_id, "available_on": available_on,
        "last_day": _last_day(program, event.expires_at),
    }  # fmt: skip


def _tier(program: Program, event_type: str, event: TierChanged, at: int, use_by: int) -> News:
    ends = event.valid_until if isinstance(event.valid_until, datetime) else None
    parameters: Parameters = {
        "tier": event.tier, "tier_name": _tier_name(program, event.tier), "last_day": _last_day(program, ends),
        "metric": event.metric, "currency": program.currency if event.metric == "spend" else None,
    }  # fmt: skip
    if event_type == tiers.UPGRADED:
        parameters |= {
            "old_tier": event.old_tier, "old_tier_name": _tier_name(program, event.old_tier),
            "next_tier": event.next_tier, "next_tier_name": event.next_tier and _tier_name(program, event.next_tier),
            "to_next": event.to_next,
        }  # fmt: skip
        key = _key("tier-upgraded", event.member_id, event.tier, _instant(event.valid_from))
        return News("tier-upgraded", event.member_id, key, at, use_by, parameters, TierCause(event.tier, None))
    parameters["to_keep"] = event.to_keep
    until = microseconds(ends) if ends else NEVER
    key = _key("tier-expiring", event.member_id, event.tier, iso(until))
    return News("tier-expiring", event.member_id, key, at, use_by, parameters, TierCause(event.tier, until))


def _referral(event: ReferralQualified, at: int, use_by: int) -> Iterator[News]:
    """Tell both; not the one who gets nothing, such as a referrer who has reached the month's limit."""
    for role, member, paid in (
        ("referrer", event.referrer_id, event.referrer_points),
        ("friend", event.member_id, event.friend_points),
    ):
        if paid:
            key = _key("referral-rewarded", member, event.referral_source, event.referral_id)
            parameters: Parameters = {"role": role, "points": paid, "referral_id": event.referral_id}
            yield News("referral-rewarded", member, key, at, use_by, parameters)


def _key(*parts: str) -> str:
    """Join what something means. Ids may hold blanks; the parts must not run into each other."""
    return " ".join(part.replace("%", "%25").replace(" ", "%20") for part in parts)


def _instant(instant: datetime | str | None) -> str:
    return iso(microseconds(instant)) if isinstance(instant, datetime) else str(instant)


def _last_day(program: Program, ends: datetime | str | None) -> str | None:
    """Return the last day of what ends at an instant, where the program lives; None if it does not end."""
    if not isinstance(ends, datetime):
        return None
    return program.day_of(ends.astimezone(UTC) - timedelta(microseconds=1)).isoformat()


def _tier_name(program: Program, tier: str) -> str:
    found = program.ladder.tiers if program.ladder else ()
    return next((one.name for one in found if one.tier == tier), tier)
