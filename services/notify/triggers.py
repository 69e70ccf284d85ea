"""What an event has to say to whom: pure. One event is news to nobody, to its member, or to two members."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from services.notify.consumed_events import (
    Heard,
    PointsEarned,
    PointsExpiring,
    ReferralQualified,
    RewardRedeemed,
    TierChanged,
)
from shared.contracts import points, rewards, tiers
from shared.contracts.kinds import Kind
from shared.instants import NEVER, iso, microseconds
from shared.program.compiled.program import Program
from shared.program.language.sections import Notifications

_DAY = 86_400 * 1_000_000
Parameters = dict[str, str | int | None]


@dataclass(frozen=True, slots=True)
class PointsCause:
    """News that no longer applies once no points of the wallet expire at that instant."""

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


class Occurrence(NamedTuple):
    """An event that may be news, under a program version.

    Attributes:
        at: Microseconds since 1970.
        use_by: From here on it is no news any more, unless something else ends it.
    """

    program: Program
    section: Notifications
    at: int
    use_by: int


def news_of(program: Program, event_type: str, event: Heard) -> list[News]:
    """Return what an event has to tell under a program version; nothing of kinds that are switched off."""
    section = program.notifications
    if section is None:
        return []
    at = microseconds(event.occurred_at)
    occurrence = Occurrence(program, section, at, at + section.good_for_days * _DAY)
    return [news for news in TRIGGERS[event_type](occurrence, event) if news.kind in section.tell]


def _expiring(when: Occurrence, event: PointsExpiring) -> Iterator[News]:
    expires_at = microseconds(event.expires_at)
    key = _key("points-expiring", event.member_id, event.wallet, iso(expires_at), str(event.days_left))
    parameters: Parameters = {
        "wallet": event.wallet,
        "points": event.points,
        "days_left": event.days_left,
        "expires_at": iso(expires_at),
        "last_day": _last_day(when.program, event.expires_at),
    }
    cause = PointsCause(event.wallet, expires_at)
    yield News("points-expiring", event.member_id, key, when.at, expires_at, parameters, cause)


def _earned(when: Occurrence, event: PointsEarned) -> Iterator[News]:
    # What a referral earned is told as such.
    if event.referral_id is not None or event.points <= when.section.points_earned_over:
        return
    available, program = event.available_at, when.program
    available_on = program.day_of(available).isoformat() if isinstance(available, datetime) else available
    parameters: Parameters = {
        "wallet": event.wallet,
        "points": event.points,
        "order_id": event.order_id,
        "available_on": available_on,
        "last_day": _last_day(program, event.expires_at),
    }
    key = _key("points-earned", event.member_id, event.order_source, event.order_id, event.wallet)
    yield News("points-earned", event.member_id, key, when.at, when.use_by, parameters)


def _tier_upgraded(when: Occurrence, event: TierChanged) -> Iterator[News]:
    program = when.program
    parameters = _of_tier(program, event) | {
        "old_tier": event.old_tier,
        "old_tier_name": _tier_name(program, event.old_tier),
        "next_tier": event.next_tier,
        "next_tier_name": event.next_tier and _tier_name(program, event.next_tier),
        "to_next": event.to_next,
    }
    key = _key("tier-upgraded", event.member_id, event.tier, _instant(event.valid_from))
    cause = TierCause(event.tier, None)
    yield News("tier-upgraded", event.member_id, key, when.at, when.use_by, parameters, cause)


def _tier_expiring(when: Occurrence, event: TierChanged) -> Iterator[News]:
    parameters = _of_tier(when.program, event) | {"to_keep": event.to_keep}
    until = microseconds(event.valid_until) if isinstance(event.valid_until, datetime) else NEVER
    key = _key("tier-expiring", event.member_id, event.tier, iso(until))
    cause = TierCause(event.tier, until)
    yield News("tier-expiring", event.member_id, key, when.at, when.use_by, parameters, cause)


def _of_tier(program: Program, event: TierChanged) -> Parameters:
    return {
        "tier": event.tier,
        "tier_name": _tier_name(program, event.tier),
        "last_day": _last_day(program, event.valid_until),
        "metric": event.metric,
        "currency": program.currency if event.metric == "spend" else None,
    }


def _referral(when: Occurrence, event: ReferralQualified) -> Iterator[News]:
    """Tell both; not the one who gets nothing, such as a referrer who has reached the month's limit."""
    for role, member, paid in (
        ("referrer", event.referrer_id, event.referrer_points),
        ("friend", event.member_id, event.friend_points),
    ):
        if paid:
            key = _key("referral-rewarded", member, event.referral_source, event.referral_id)
            parameters: Parameters = {"role": role, "points": paid, "referral_id": event.referral_id}
            yield News("referral-rewarded", member, key, when.at, when.use_by, parameters)


def _redeemed(when: Occurrence, event: RewardRedeemed) -> Iterator[News]:
    key = _key("redemption-done", event.member_id, event.redemption_source, event.redemption_id)
    parameters: Parameters = {
        "reward": event.reward,
        "wallet": event.wallet,
        "points": event.points,
        "worth": event.worth,
        "currency": event.currency,
        "redemption_id": event.redemption_id,
    }
    yield News("redemption-done", event.member_id, key, when.at, when.use_by, parameters)


#: What an event tells, by its type. Each takes the class of event that ``consumed_events`` reads for that type.
TRIGGERS: Mapping[str, Callable[[Occurrence, Any], Iterator[News]]] = {
    points.EXPIRING: _expiring,
    points.EARNED: _earned,
    points.REFERRAL_QUALIFIED: _referral,
    rewards.REDEEMED: _redeemed,
    tiers.UPGRADED: _tier_upgraded,
    tiers.EXPIRING: _tier_expiring,
}


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
