"""Who is notified of what, once; and that no personal data is left behind."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any

import prometheus_client
import pytest

from services.notify.handler import NotifyHandler
from services.notify.state import Effects, State
from services.notify.triggers import news_of
from shared.contracts import points, profiles, rewards, tiers
from shared.instants import microseconds
from shared.program.templates import PARAMETERS
from shared.settings import Clock
from tests.support.notify import (
    DAY,
    KINDS,
    NOTIFICATIONS,
    NOW,
    TEMPLATES,
    decide,
    event,
    outcome,
    program,
    sent,
    state,
    with_profile,
)

# ---- what is told


@pytest.mark.parametrize("event_type", KINDS)
def test_every_kind_is_told_once(event_type: str) -> None:
    known = with_profile(with_profile(state()), "m2")
    first = decide(known, event(event_type))
    members = ["m2", "m1"] if event_type == points.REFERRAL_QUALIFIED else ["m1"]
    assert outcome(first) == [(KINDS[event_type], "sent")] * len(members)
    assert [told["member_id"] for told in sent(first)] == members
    for told, message in zip(sent(first), first.messages, strict=True):
        assert told["kind"] == KINDS[event_type]
        assert told["channels"] == [{"channel": "email", "to": "m@example.invalid"}]
        assert "None" not in told["rendered"]["subject"] + told["rendered"]["text"]
        assert dict(message.headers)["ce_id"].decode() == told["notification_id"]
        assert message.key.decode() == told["member_id"]
    again = decide(known, event(event_type, "another-id", occurred_at="2017-03-01T12:30:00Z"))
    assert (outcome(again), again.duplicates, again.accepted, again.messages) == ([], 1, 0, [])


def test_a_duplicate_in_the_same_batch() -> None:
    known = with_profile(state())
    both = decide(known, event(rewards.REDEEMED), event(rewards.REDEEMED, "e2"))
    assert (both.accepted, both.duplicates, len(both.messages)) == (1, 1, 1)


def test_other_meanings_are_told_again() -> None:
    known = with_profile(state())
    told = decide(
        known,
        event(points.EXPIRING), event(points.EXPIRING, days_left=1), event(points.EXPIRING, wallet="stars"),
        event(rewards.REDEEMED, redemption_id="a b"),
        event(rewards.REDEEMED, redemption_source="/tills/1 a", redemption_id="b"),
    )  # fmt: skip
    assert len({message["notification_id"] for message in sent(told)}) == 5


def test_what_is_not_worth_telling_leaves_nothing() -> None:
    known = with_profile(state())
    quiet = decide(
        known,
        event(points.EARNED, points=500), event(points.EARNED, referral_id="r1"),
        event(points.REFERRAL_QUALIFIED, referrer_points=0, friend_points=0),
    )  # fmt: skip
    assert (quiet.accepted, quiet.effects, quiet.messages, quiet.facts) == (3, Effects(), [], b"")


@pytest.mark.parametrize("notifications", ["", f"{NOTIFICATIONS}, tell: tier-upgraded"])
def test_kinds_that_are_switched_off_leave_nothing(notifications: str) -> None:
    quiet = decide(with_profile(state(program(notifications))), event(points.EXPIRING))
    assert (quiet.accepted, quiet.effects.rows, quiet.messages) == (1, [], [])


def test_parameters_are_those_that_templates_may_use() -> None:
    for event_type, kind in KINDS.items():
        received = event(event_type)
        for news in news_of(program(), event_type, received.event):
            assert set(news.parameters) == PARAMETERS[kind]


# ---- what is suppressed


@pytest.mark.parametrize(
    ("profile", "reason"),
    [
        (None, "no-profile"),
        ({"consent": []}, "no-consent"),
        ({"consent": ["sms"]}, "no-consent"),
        ({"email": None}, "no-address"),
    ],
)
def test_who_cannot_be_told(profile: dict[str, Any] | None, reason: str) -> None:
    known = state()
    if profile is not None:
        with_profile(known, **profile)
    decisions = decide(known, event(points.EXPIRING))
    assert (outcome(decisions), decisions.messages) == ([("points-expiring", reason)], [])
    [row] = decisions.effects.rows
    assert row[5:7] == ("suppressed", reason)


def test_what_is_stale_by_the_programs_clock() -> None:
    expires = microseconds(datetime(2017, 3, 8, 5, tzinfo=UTC))
    assert outcome(decide(with_profile(state(now=expires)), event(points.EXPIRING))) == [
        ("points-expiring", "too-late")
    ]
    good_for = NOW - 3_600_000_000 + 3 * DAY
    assert outcome(decide(with_profile(state(now=good_for)), event(rewards.REDEEMED))) == [
        ("redemption-done", "too-late")
    ]
    assert outcome(decide(with_profile(state(now=good_for - 1)), event(rewards.REDEEMED))) == [
        ("redemption-done", "sent")
    ]


def test_quiet_until_it_is_stale() -> None:
    known = with_profile(state(program(f"{NOTIFICATIONS}, send_window: '18:00 to 19:00'")), time_zone="UTC")
    late = event(points.EXPIRING, expires_at="2017-03-01T17:00:00Z")
    assert outcome(decide(known, late)) == [("points-expiring", "too-late")]


def test_a_cause_that_is_gone() -> None:
    known = with_profile(state())
    [news] = news_of(known.programs[-1], points.EXPIRING, event(points.EXPIRING).event)
    known.gone.add(news.key)
    assert outcome(decide(known, event(points.EXPIRING))) == [("points-expiring", "cause-gone")]


def test_channels_in_the_programs_order() -> None:
    known = with_profile(
        state(program(f"{NOTIFICATIONS}, channels: [push, sms, email]")), consent=["email", "push", "sms"],
        phone="+4912345678",
    )  # fmt: skip
    [told] = sent(decide(known, event(rewards.REDEEMED)))
    assert [(one["channel"], one["to"]) for one in told["channels"]] == [
        ("push", "m1"), ("sms", "+4912345678"), ("email", "m@example.invalid"),
    ]  # fmt: skip


# ---- profiles


def test_the_latest_profile_counts() -> None:
    known = with_profile(state(), occurred_at="2017-02-02T00:00:00Z", email="new@example.invalid")
    older = decide(known, event(profiles.UPDATED, occurred_at="2017-02-01T00:00:00Z", email="old@example.invalid"))
    assert (older.accepted, older.effects.profiles) == (1, {})
    same = decide(known, event(profiles.UPDATED, occurred_at="2017-02-02T00:00:00Z", email="new@example.invalid"))
    assert (same.duplicates, same.effects.profiles) == (1, {})
    [told] = sent(decide(known, event(rewards.REDEEMED)))
    assert told["channels"][0]["to"] == "new@example.invalid"


def test_withdrawn_at_the_same_instant() -> None:
    """A CRM with a resolution of seconds: the last event counts."""
    known = with_profile(with_profile(state()), consent=[])
    assert outcome(decide(known, event(rewards.REDEEMED))) == [("redemption-done", "no-consent")]


def test_a_profile_after_the_event_is_too_late_for_it() -> None:
    known = state()
    decide(known, event(rewards.REDEEMED))
    with_profile(known)
    assert decide(known, event(rewards.REDEEMED)).duplicates == 1


# ---- facts: the same decisions without personal data

PERSON = {
    "name": "Zaphod Beeblebrox", "email": "zaphod@heartofgold.invalid", "phone": "+15550042",
    "consent": ["email", "sms"], "time_zone": "Europe/Berlin", "locale": "de-DE",
}  # fmt: skip
SECRETS = ("Zaphod", "Beeblebrox", "heartofgold", "5550042")


def test_facts_give_the_same_decisions_and_tell_nobody(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    failing = {**TEMPLATES, "redemption-done.en.txt": "Subject: {{ name + 1 }}\n\ntext"}
    made = program(f"{NOTIFICATIONS}, quiet_hours: '13:00 to 14:00'", failing)
    live = with_profile(state(made), "m1", **PERSON)
    with_profile(live, "m2", consent=[])
    replay = State((made,), 0)
    handler = NotifyHandler("/loyalty/test/notify", Clock.MANUAL)
    batches = [
        [event(points.EXPIRING), event(rewards.REDEEMED)],
        [event(points.EXPIRING), event(points.REFERRAL_QUALIFIED), event(tiers.UPGRADED, member_id="m3")],
        [event(points.EXPIRING)],
    ]
    [gone] = news_of(made, tiers.UPGRADED, event(tiers.UPGRADED, member_id="m3").event)
    live.gone.add(gone.key)
    for batch in batches:
        first = decide(live, *batch)
        handler.count(first)
        replay.recall(first.facts)
        again = decide(replay, *batch)
        assert again.effects.rows == first.effects.rows
        assert (again.facts, again.accepted, again.duplicates) == (first.facts, first.accepted, first.duplicates)
        left = f"{first.facts!r} {first.effects.rows!r} {caplog.text} {prometheus_client.generate_latest().decode()}"
        assert not [secret for secret in SECRETS if secret in left]
    assert "template" in caplog.text
