"""Who is told what, when, once; and that nothing personal is left behind."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import prometheus_client
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import TemplateSyntaxError

from services.notify.deciding import State
from services.notify.handler import Effects, NotifyHandler
from services.notify.hearing import CONTRACTS
from services.notify.news import news_of
from services.notify.timing import not_before
from shared.contracts import catalogue, points, profiles, rewards, tiers
from shared.contracts.notifications import NOTIFICATION_REQUESTED
from shared.errors import UsageError
from shared.instants import NEVER, microseconds
from shared.program.compiled import Program, compile_program
from shared.program.loader import load
from shared.program.phrases_of_time import Hours
from shared.program.templates import PARAMETERS, check_templates, compile_template, read_templates
from shared.settings import Clock
from shared.stream.decode import decode
from shared.stream.handler import Mark
from shared.stream.records import Decisions, Received, Record
from tests.support.build import as_bytes, headers, program_text
from tests.support.examples import examples

FOLDER = Path(__file__).parents[3] / "programs" / "fresh-market.templates"
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
    decoded = decode([record], CONTRACTS, 1_000_000, place, NotifyHandler.private)
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
    """A CRM that knows whole seconds only: what it says last counts."""
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


# ---- words


def test_a_template_that_fails_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    known = with_profile(state(program(templates={"redemption-done.en.txt": "Subject: {{ oops }}\n\ntext"})))
    decisions = decide(known, event(rewards.REDEEMED), event(points.EXPIRING))
    assert outcome(decisions) == [("redemption-done", "template-error"), ("points-expiring", "template-error")]
    assert [one.failed.error for one in decisions.effects.decisions] == ["UndefinedError", "missing"]
    NotifyHandler("/s", Clock.WALL).count(decisions)
    assert "redemption-done.en.txt" in caplog.text


@pytest.mark.parametrize(
    "text",
    [
        "Subject: {{ points.__class__ }}\n\ntext",
        "Subject: {{ ''.__class__.__mro__ }}\n\ntext",
        "Subject: {{ points['__class__'] }}\n\ntext",
        "Subject: {{ points | attr('__class__') }}\n\ntext",
        "Subject: x\n\n{% for a in 'aaaa' %}{{ a }}{% endfor %}",
        "Subject: x\n\n{{ 'a' * 1000000000 }}",
        "Subject: x\n\n{{ '%1000000000d' | format(1) }}",
        "Subject: x\n\n{{ 'x'.center(1000000000) }}",
        "Subject: x\n\n{% set a = 'x' %}",
        "Subject: x\n\n{% macro f() %}{{ f() }}{% endmacro %}",
        "Subject: x\n\n{% include 'other' %}",
        "Subject: x\n\n{{ range(1000000000) }}",
        "Subject: x\n\n{% if false %}{{ points | attr('__class__') }}{% endif %}",
    ],
)
def test_what_templates_may_not_do(text: str) -> None:
    with pytest.raises(TemplateSyntaxError):
        compile_template(text)
    known = with_profile(state(program(templates={"redemption-done.en.txt": text})))
    assert outcome(decide(known, event(rewards.REDEEMED))) == [("redemption-done", "template-error")]
    [problem] = check_templates(file_of(), {**TEMPLATES, "redemption-done.en.txt": text})
    assert problem.startswith(
        f"fresh-market.templates/redemption-done.en.txt:{1 if 'Subject: {' in text else 3}: found"
    )


def test_the_sandbox_itself_refuses_attributes() -> None:
    """Should the list of what is allowed ever let one through."""
    made = compile_template("x").environment.from_string("{{ name.__class__ }}")
    with pytest.raises(Exception, match="unsafe"):
        made.render(name="x")


def test_text_of_bearable_length() -> None:
    known = with_profile(state(program(templates={"redemption-done.en.txt": "Subject: x\n\n" + "y" * 10_000})))
    assert outcome(decide(known, event(rewards.REDEEMED))) == [("redemption-done", "template-error")]


def test_the_members_language_else_the_first() -> None:
    german = {**TEMPLATES, "redemption-done.de.txt": "Subject: Danke, {{ name }}\n\nGuten Appetit"}
    made = program(f"{NOTIFICATIONS}, languages: [en, de]", german)
    known = with_profile(state(made), locale="de-AT", name="Zoë\u2028Bcc")
    told = sent(decide(known, event(rewards.REDEEMED), event(points.EARNED)))
    assert [one["template"] for one in told] == ["redemption-done.de.txt", "points-earned.en.txt"]
    assert told[0]["rendered"] == {"subject": "Danke, Zoë Bcc", "text": "Guten Appetit"}
    assert told[0]["locale"] == "de-AT"
    assert "Hello Zoë" in told[1]["rendered"]["text"]


def test_what_is_said() -> None:
    known = with_profile(state())
    said = {one["kind"]: one["rendered"] for one in sent(decide(known, *(event(kind) for kind in KINDS)))}
    assert said["points-expiring"]["subject"] == "1,200 points will expire on 7 March 2017"
    assert "that is 7 more days" in said["points-expiring"]["text"]
    assert "until the end of 31 March 2018" in said["points-earned"]["text"]
    assert "You are Gold Club until the end of 31 December 2018 at least." in said["tier-upgraded"]["text"]
    assert "123.45 USD more and you keep it." in said["tier-expiring"]["text"]
    assert said["redemption-done"]["text"].startswith("Hello,\n\nYou turned 500 points into free tea, worth 5.00 USD.")


def file_of(notifications: str = NOTIFICATIONS) -> Any:
    text = program_text("give: 1 point per whole USD", notifications=f"{{{notifications}}}")
    return load(text)


def test_the_templates_that_we_ship_have_no_mistakes() -> None:
    assert read_templates(FOLDER.parent / "fresh-market.yaml", file_of()) == TEMPLATES
    assert check_templates(file_of(), TEMPLATES) == []


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("points-earned.en.txt", None, "points-earned.en.txt:1: found no such file"),
        ("points-earnt.en.txt", "Subject: x\n\ny", "points-earnt.en.txt:1: no template has this name"),
        ("points-earned.fr.txt", "Subject: x\n\ny", "points-earned.fr.txt:1: no template has this name"),
        ("points-earned.en.txt", "Hello\n\ny", 'points-earned.en.txt:1: the first line must begin with "Subject: "'),
        ("points-earned.en.txt", "Subject: x\ny\nz", "points-earned.en.txt:2: the second line must be empty"),
        ("points-earned.en.txt", "Subject: x\n\n{% if %}", "points-earned.en.txt:3: "),
        ("points-earned.en.txt", "Subject: x\n\na\n{{ tier }}", 'points-earned.en.txt:4: found the unknown name'),
        ("points-earned.en.txt", "Subject: x\n\n{{ points | nope }}", 'points-earned.en.txt:3: found "nope"'),
        ("points-earned.en.txt", f"Subject: x\n\n{'y' * 10_000}", "points-earned.en.txt:1: found more than 10,000"),
        ("points-earned.en.txt", f"Subject: x\n\n{{{{ {'(' * 5000} }}}}", "points-earned.en.txt:"),
    ],
)  # fmt: skip
def test_mistakes_in_templates(name: str, text: str | None, problem: str) -> None:
    found = {**TEMPLATES, name: text or ""}
    if text is None:
        del found[name]
    [said] = check_templates(file_of(), found)
    assert said.startswith(f"fresh-market.templates/{problem}")


def test_templates_that_are_no_text(tmp_path: Path) -> None:
    assert read_templates(tmp_path / "program.yaml", file_of()) == {}
    (tmp_path / "fresh-market.templates").mkdir()
    (tmp_path / "fresh-market.templates" / "points-earned.en.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="cannot read the templates"):
        read_templates(tmp_path / "program.yaml", file_of())


# ---- timing

NEW_YORK = "America/New_York"
NIGHT = "21:00 to 08:00"


@pytest.mark.parametrize(
    ("zone", "quiet", "window", "at", "expected"),
    [
        # over midnight
        ("UTC", NIGHT, None, "2017-03-01T12:00:01Z", "2017-03-01T12:00:01Z"),
        ("UTC", NIGHT, None, "2017-03-01T20:59:59Z", "2017-03-01T20:59:59Z"),
        ("UTC", NIGHT, None, "2017-03-01T21:00:00Z", "2017-03-02T08:00:00Z"),
        ("UTC", NIGHT, None, "2017-03-02T00:00:00Z", "2017-03-02T08:00:00Z"),
        ("UTC", NIGHT, None, "2017-03-02T07:59:59Z", "2017-03-02T08:00:00Z"),
        ("UTC", NIGHT, None, "2017-03-02T08:00:00Z", "2017-03-02T08:00:00Z"),
        # where the member lives
        (NEW_YORK, NIGHT, None, "2017-03-02T04:00:00Z", "2017-03-02T13:00:00Z"),
        ("Asia/Kolkata", NIGHT, None, "2017-03-01T20:00:00Z", "2017-03-02T02:30:00Z"),
        # within a day, and a window
        ("UTC", "12:00 to 14:00", None, "2017-03-01T13:00:00Z", "2017-03-01T14:00:00Z"),
        ("UTC", None, "09:00 to 17:00", "2017-03-01T08:00:00Z", "2017-03-01T09:00:00Z"),
        ("UTC", None, "09:00 to 17:00", "2017-03-01T17:00:00Z", "2017-03-02T09:00:00Z"),
        ("UTC", None, "22:00 to 02:00", "2017-03-01T12:00:00Z", "2017-03-01T22:00:00Z"),
        ("UTC", None, "22:00 to 02:00", "2017-03-01T01:59:00Z", "2017-03-01T01:59:00Z"),
        ("UTC", NIGHT, "06:00 to 20:00", "2017-03-01T05:00:00Z", "2017-03-01T08:00:00Z"),
        ("UTC", "08:00 to 12:00", "09:00 to 17:00", "2017-03-01T18:00:00Z", "2017-03-02T12:00:00Z"),
        # 12 March 2017: 02:00 to 03:00 is skipped in New York
        (NEW_YORK, "23:00 to 02:30", None, "2017-03-12T05:00:00Z", "2017-03-12T07:00:00Z"),
        (NEW_YORK, "23:00 to 03:30", None, "2017-03-12T05:00:00Z", "2017-03-12T07:30:00Z"),
        (NEW_YORK, NIGHT, None, "2017-03-12T05:00:00Z", "2017-03-12T12:00:00Z"),
        (NEW_YORK, None, "02:10 to 02:50", "2017-03-12T05:00:00Z", "2017-03-13T06:10:00Z"),
        # 5 November 2017: 01:00 to 02:00 is shown twice
        (NEW_YORK, "23:00 to 01:30", None, "2017-11-05T04:30:00Z", "2017-11-05T05:30:00Z"),
        (NEW_YORK, "23:00 to 01:30", None, "2017-11-05T06:10:00Z", "2017-11-05T06:30:00Z"),
        (NEW_YORK, NIGHT, None, "2017-11-05T04:00:00Z", "2017-11-05T13:00:00Z"),
        (NEW_YORK, None, "00:30 to 01:30", "2017-11-05T05:45:00Z", "2017-11-05T06:00:00Z"),
        (NEW_YORK, None, "01:00 to 01:30", "2017-11-05T05:45:00Z", "2017-11-05T06:00:00Z"),
        # a whole day that Samoa skipped: 30 December 2011; and half an hour at Lord Howe
        ("Pacific/Apia", NIGHT, None, "2011-12-30T09:30:00Z", "2011-12-30T18:00:00Z"),
        ("Australia/Lord_Howe", "23:00 to 02:15", None, "2017-09-30T14:00:00Z", "2017-09-30T15:30:00Z"),
    ],
)  # fmt: skip
def test_when_it_may_be_sent(zone: str, quiet: str | None, window: str | None, at: str, expected: str) -> None:
    found = not_before(
        microseconds(datetime.fromisoformat(at)), ZoneInfo(zone),
        Hours.parse(quiet) if quiet else None, Hours.parse(window) if window else None,
    )  # fmt: skip
    assert datetime.fromtimestamp(found / 1e6, UTC) == datetime.fromisoformat(expected)


def test_never() -> None:
    assert not_before(NOW, ZoneInfo("UTC"), Hours.parse("07:00 to 10:00"), Hours.parse("08:00 to 09:00")) == NEVER


def shown(part: Hours) -> set[int]:
    """Every minute of the day that belongs to it."""
    return {minute % 1440 for minute in range(part.first, part.last + 1440 * (part.last < part.first))}


minutes = st.integers(0, 1439)
hours = st.none() | st.tuples(minutes, minutes).filter(lambda pair: pair[0] != pair[1]).map(lambda p: Hours(*p))


@examples(25)
@given(
    zone=st.sampled_from([NEW_YORK, "Europe/London", "Australia/Lord_Howe", "America/Sao_Paulo", "Africa/Cairo"]),
    day=st.sampled_from(["2017-03-12", "2017-11-05", "2017-03-26", "2017-10-29", "2017-10-15", "2024-04-26"]),
    minute=st.integers(-1440, 1440), quiet=hours, window=hours,
)  # fmt: skip
def test_the_first_minute_that_the_wall_clock_allows(
    zone: str, day: str, minute: int, quiet: Hours | None, window: Hours | None
) -> None:
    """As slow and plain as it can be: look at every minute."""
    here = ZoneInfo(zone)
    start = microseconds(datetime.fromisoformat(f"{day}T00:00:00Z")) + minute * 60_000_000

    def allowed(at: int) -> bool:
        local = datetime.fromtimestamp(at // 1_000_000, UTC).astimezone(here)
        now = local.hour * 60 + local.minute
        return (quiet is None or now not in shown(quiet)) and (window is None or now in shown(window))

    expected = next((at for at in range(start, start + 3 * DAY, 60_000_000) if allowed(at)), NEVER)
    assert not_before(start, here, quiet, window) == expected


def test_not_before_goes_out_in_the_members_zone() -> None:
    known = with_profile(state(program(f"{NOTIFICATIONS}, quiet_hours: '{NIGHT}'")), time_zone="Asia/Tokyo")
    [told] = sent(decide(known, event(rewards.REDEEMED)))
    assert (told["not_before"], told["use_by"]) == ("2017-03-01T23:00:00Z", "2017-03-04T12:00:00Z")
    json.dumps(told)
