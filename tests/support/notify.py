"""A program with all notifications, and the results of its events, for the tests of notify."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from services.notify.handler import NotifyHandler
from services.notify.state import State
from shared.contracts import catalogue, points, profiles, rewards, tiers
from shared.contracts.notifications import NOTIFICATION_REQUESTED
from shared.instants import microseconds
from shared.program.compiled.program import Program, compile_program
from shared.program.language.loader import load
from shared.runtime.batch.decode import decode
from shared.runtime.handler import Mark
from shared.runtime.records import Decisions, Received, Record
from shared.settings import Clock
from tests.support.build import as_bytes, headers, program_text

FOLDER = Path(__file__).parents[2] / "programs" / "fresh-market.templates"
TEMPLATES = {file.name: file.read_text() for file in FOLDER.glob("*.txt")}
LADDER = """{metric: spend, window: calendar year, keep: the rest of the period and the next, tiers: [
  {tier: basic, name: Basic, from: 0}, {tier: gold, name: Gold Club, from: 500 USD}]}"""
NOTIFICATIONS = "templates: fresh-market.templates"
AT = "2017-03-01T12:00:00Z"
NOW = microseconds(datetime(2017, 3, 1, 13, tzinfo=UTC))
DAY = 86_400_000_000

BASE: dict[str, dict[str, Any]] = {
    points.EXPIRING: {
        "wallet": "points", "points": 1200, "days_left": 7, "expires_at": "2017-03-08T05:00:00Z",
    },
    points.EARNED: {
        "wallet": "points", "points": 501, "order_id": "o1", "order_source": "/stores/1", "referral_id": None,
        "available_at": None, "expires_at": "2018-04-01T04:00:00Z", "awards": [], "something_new": 1,
    },
    tiers.UPGRADED: {
        "tier": "gold", "old_tier": "basic", "metric": "spend", "valid_from": AT,
        "valid_until": "2019-01-01T05:00:00Z", "to_keep": None, "next_tier": None, "to_next": None,
    },
    tiers.EXPIRING: {
        "tier": "gold", "old_tier": "gold", "metric": "spend", "valid_from": AT,
        "valid_until": "2018-01-01T05:00:00Z", "to_keep": 12_345, "next_tier": None, "to_next": None,
    },
    points.REFERRAL_QUALIFIED: {
        "referral_id": "r1", "referral_source": "/web", "referrer_id": "m2", "state": "qualified",
        "referrer_points": 500, "friend_points": 250,
    },
    rewards.REDEEMED: {
        "redemption_id": "x1", "redemption_source": "/tills/1", "reward": "free-tea", "wallet": "points",
        "points": 500, "worth": 500, "currency": "USD",
    },
    profiles.UPDATED: {"email": "m@example.invalid", "consent": ["email"]},
}  # fmt: skip
KINDS = {
    points.EXPIRING: "points-expiring", points.EARNED: "points-earned", tiers.UPGRADED: "tier-upgraded",
    tiers.EXPIRING: "tier-expiring", points.REFERRAL_QUALIFIED: "referral-rewarded",
    rewards.REDEEMED: "redemption-done",
}  # fmt: skip


def program(notifications: str = NOTIFICATIONS, templates: dict[str, str] | None = None) -> Program:
    text = program_text(
        "give: 1 point per whole USD", ladder=LADDER, notifications=f"{{{notifications}}}" if notifications else "null"
    )
    if not notifications:
        text = text.replace("notifications: null\n", "")
    return compile_program(load(text), 1, TEMPLATES if templates is None else templates)


def event(event_type: str, event_id: str = "e1", **fields: Any) -> Received:
    data = {"member_id": "m1", "occurred_at": AT, **BASE[event_type], **fields}
    record = Record(0, 0, b"m1", as_bytes(data), headers(ce_type=event_type.encode(), ce_id=event_id.encode()))
    place = (catalogue.EVENTS[event_type].topic, 0, 0)
    decoded = decode([record], NotifyHandler.contracts, 1_000_000, place, NotifyHandler.private)
    assert not decoded.refused, decoded.refused
    return decoded.events[0]


def state(made: Program | None = None, now: int = NOW) -> State:
    return State((made or program(),), now)


def decide(known: State, *events: Received) -> Decisions:
    return NotifyHandler("/loyalty/test/notify", Clock.MANUAL).decide(known, events, Mark(1, NOW, NOW))


def with_profile(known: State, member: str = "m1", **fields: Any) -> State:
    decide(known, event(profiles.UPDATED, member_id=member, **fields))
    return known


def outcome(decisions: Decisions) -> list[tuple[str, str]]:
    return [(one.news.kind, one.reason or "sent") for one in decisions.effects.decisions]


def sent(decisions: Decisions) -> list[Any]:
    return [NOTIFICATION_REQUESTED.validate_json(message.value) for message in decisions.messages]
