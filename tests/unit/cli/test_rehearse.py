"""`loyalty rehearse`: a program over a file of events in memory; every number here is computed by hand."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from cli.main import app
from shared.contracts import profiles, purchases, redemptions, referrals
from shared.contracts.catalogue import TOPIC_OF
from tools.documents import ROOT

PROGRAM = """
program: corner-shop
name: Corner Shop
currency: USD
time_zone: America/New_York
effective: 2017-01-01
wallets:
  points:
    name: Points
    unit: point
    expiry: 2 months, to the end of that month
    pending: 3 days
    remind: [7]
earning:
  - rule: every-dollar
    give: 1 point per whole USD
  - rule: own-brands
    give: 1 point per whole USD
    for: { brand: Private }
referral:
  referrer: 50 points
  friend: 25 points
  purchase_of_at_least: 10 USD
  within_days: 20
rewards:
  - { reward: tea, name: A tea, cost: 20 points, worth: 2 USD, hold: 2 hours }
ladder:
  metric: spend
  window: rolling 12 months
  keep: while the metric holds
  tiers:
    - { tier: member, name: Member, from: "0" }
    - { tier: silver, name: Silver, from: 100 USD, multiplier: 1.25 }
notifications:
  templates: words
  tell: [points-expiring, tier-upgraded]
"""
WORDS = {
    "points-expiring.en.txt": "Subject: {{ points }} points\n\nDear {{ name }}, until {{ last_day }}: {{ days_left }}.",
    "tier-upgraded.en.txt": "Subject: {{ tier_name }}\n\nDear {{ name }}, {{ tier_name }} after {{ old_tier_name }}.",
}


def event(kind: str, occurred_at: str, member: str, **data: Any) -> dict[str, Any]:
    return {
        "specversion": "1.0", "id": f"{kind} {occurred_at} {member}", "source": "/shop", "type": kind,
        "data": {"member_id": member, "occurred_at": occurred_at, **data},
    }  # fmt: skip


def order(order_id: str, occurred_at: str, member: str, *lines: tuple[int, str], **data: Any) -> dict[str, Any]:
    made = [
        {"line_id": str(number), "product_id": "p", "brand": brand, "amount": amount}
        for number, (amount, brand) in enumerate(lines, 1)
    ]
    fields = {"order_id": order_id, "currency": "USD", "lines": made, **data}
    return event(purchases.COMPLETED, occurred_at, member, **fields)


FIRST = order("o1", "2017-03-02T12:00:00-05:00", "bob", (3050, "National"))
EVENTS = [
    event(profiles.UPDATED, "2017-03-01T08:00:00-05:00", "ann", name="Ann", email="ann@example.invalid",
          consent=["email"]),
    event(referrals.REGISTERED, "2017-03-01T10:00:00-05:00", "bob", referral_id="r1", referrer_id="ann"),
    FIRST,
    FIRST,
    order("o2", "2017-03-03T12:00:00-05:00", "ann", (10000, "National"), (2000, "Private")),
    order("o3", "2017-03-04T12:00:00-05:00", "ann", (1040, "National")),
    event(redemptions.REQUESTED, "2017-03-04T13:00:00-05:00", "ann", redemption_id="q1", reward="tea"),
    event(redemptions.REQUESTED, "2017-03-10T09:00:00-05:00", "ann", redemption_id="q2", reward="tea"),
    event(redemptions.CONFIRMED, "2017-03-10T09:30:00-05:00", "ann", redemption_id="q2"),
    event(purchases.RETURNED, "2017-03-11T12:00:00-05:00", "ann", return_id="b1", order_id="o2",
          lines=[{"line_id": "2", "amount": 2000}]),
    event(redemptions.REQUESTED, "2017-03-12T09:00:00-04:00", "ann", redemption_id="q3", reward="tea"),
    order("o4", "2017-03-13T12:00:00-04:00", "bob", (1000, "National"), currency="EUR"),
    order("o5", "2017-03-13T13:00:00-04:00", "bob", (-1, "National")),
    event(purchases.RETURNED, "2017-03-14T12:00:00-04:00", "bob", return_id="b2", order_id="o6"),
]  # fmt: skip


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    program, events = tmp_path / "shop.yaml", tmp_path / "events.jsonl"
    program.write_text(PROGRAM)
    (tmp_path / "words").mkdir()
    for name, text in WORDS.items():
        (tmp_path / "words" / name).write_text(text)
    write(events, EVENTS)
    return program, events


def write(path: Path, events: Sequence[dict[str, Any]]) -> None:
    path.write_text("\n".join(json.dumps(one) for one in events) + "\n")


def rehearse(files: tuple[Path, Path], *options: str, status: int = 0) -> Result:
    # Neither a stack nor a database: it needs none, and would find none.
    environment = {"LOYALTY_HOME": "/nonexistent", "LOYALTY_DATABASE_URL": "postgresql://nobody@localhost:1/none"}
    result = CliRunner().invoke(app, ["rehearse", *map(str, files), *options], env=environment)
    assert result.exit_code == status, result.output
    return result


def outcome(files: tuple[Path, Path], *options: str) -> Any:
    return json.loads(rehearse(files, "--json", *options).stdout)


def moves(found: Any, member: str) -> list[tuple[Any, ...]]:
    return [
        (entry["operation"], entry["points"], entry["rule"], entry["cause"]["kind"], entry["cause"]["id"])
        for entry in found["entries"]
        if entry["member_id"] == member
    ]


def test_entries_and_balances_are_those_that_the_program_promises(files: tuple[Path, Path]) -> None:
    found = outcome(files)
    assert moves(found, "bob") == [
        ("earn-pending", 30, "every-dollar", "order", "o1"),
        ("earn-pending", 25, "referral-friend", "referral", "r1"),
        ("activate", 55, None, "time", None),
    ]
    assert moves(found, "ann") == [
        ("earn-pending", 50, "referral-referrer", "referral", "r1"),
        # Not silver yet: this order makes her so. Of 120 points for 120 dollars, 20 are for the own brand's line.
        ("earn-pending", 120, "every-dollar", "order", "o2"),
        ("earn-pending", 20, "own-brands", "order", "o2"),
        ("earn-pending", 12, "every-dollar", "order", "o3"),  # 10 times 1.25, rounded down
        ("activate", 50, None, "time", None),
        ("activate", 140, None, "time", None),
        ("activate", 12, None, "time", None),
        ("reserve", 20, None, "redemption", "q2"),
        ("redeem", 20, None, "redemption", "q2"),
        ("reverse", 20, "every-dollar", "return", "b1"),
        ("reverse", 20, "own-brands", "return", "b1"),
        ("reserve", 20, None, "redemption", "q3"),
        ("release", 20, None, "redemption", "q3"),
    ]
    activated = [entry["occurred_at"] for entry in found["entries"] if entry["operation"] == "activate"]
    assert sorted(set(activated)) == ["2017-03-05T05:00:00Z", "2017-03-06T05:00:00Z", "2017-03-07T05:00:00Z"]
    balances = {row["member_id"]: row for row in found["balances"]}
    assert (balances["ann"]["available"], balances["ann"]["lifetime"]) == (142, 162)  # 50 + 140 + 12 - 40 - 20
    assert (balances["bob"]["available"], balances["bob"]["lifetime"]) == (55, 55)
    assert found["until"] == "2017-03-14T16:00:00Z"
    assert (found["events"], found["accepted"], found["duplicates"]) == (14, 11, 1)


def test_referrals_redemptions_and_tiers(files: tuple[Path, Path]) -> None:
    found = outcome(files)
    (referral,) = found["referrals"]
    assert (referral["state"], referral["order_id"]) == ("qualified", "o1")
    assert (referral["referrer_points"], referral["friend_points"]) == (50, 25)
    said = {
        one["redemption_id"]: (one["state"], one["reason"], [answer["state"] for answer in one["answers"]])
        for one in found["redemptions"]
    }
    assert said == {
        "q1": ("rejected", "not-enough-points", ["rejected"]),
        "q2": ("redeemed", None, ["reserved", "redeemed"]),
        "q3": ("released", "timed-out", ["reserved"]),
    }
    assert found["redemptions"][0]["answers"][0]["points_available"] == 0, "all of them were pending"
    ann, bob = found["tiers"]
    assert (ann["tier"], ann["metric_value"], ann["to_next"]) == ("silver", 12000 + 1040 - 2000, None)
    assert (bob["tier"], bob["metric_value"], bob["next_tier"], bob["to_next"]) == ("member", 3050, "silver", 6950)
    (change,) = found["tier_changes"]
    assert (change["member_id"], change["change"], change["occurred_at"]) == (
        "ann", "upgraded", "2017-03-03T17:00:00Z",
    )  # fmt: skip


def test_time_goes_on_to_the_instant_that_is_asked_for(files: tuple[Path, Path]) -> None:
    found = outcome(files, "--until", "2017-06-01T00:00:00-04:00")
    assert {row["available"] for row in found["balances"]} == {0}
    assert [move for move in moves(found, "ann") if move[0] == "expire"] == [
        ("expire", points, None, "time", None) for points in (30, 100, 12)
    ]
    told = [(one["member_id"], one["kind"], one["reason"], one["text"]) for one in found["notifications"]]
    assert told == [
        ("ann", "tier-upgraded", None, "Dear Ann, Silver after Member."),
        ("ann", "points-expiring", None, "Dear Ann, until 2017-05-31: 7."),
        ("bob", "points-expiring", "no-profile", None),
    ]
    expiring = found["notifications"][1]
    assert (expiring["subject"], expiring["channels"]) == ("142 points", ["email"])
    assert expiring["occurred_at"] == "2017-05-25T04:00:00Z", "the day comes by itself, whatever the file holds"
    early = rehearse(files, "--until", "2017-03-14T00:00:00-04:00", status=2)
    assert "before the last event" in early.stderr


def test_what_is_refused_and_what_waits_says_its_line(files: tuple[Path, Path]) -> None:
    found = outcome(files)
    refused = [(one["line"], one["type"], one["reason"]) for one in found["refused"]]
    assert refused == [(12, purchases.COMPLETED, "other-currency"), (13, purchases.COMPLETED, "invalid")]
    assert "lines.0.amount" in found["refused"][1]["detail"]
    assert found["waiting"] == [
        {"line": 14, "type": purchases.RETURNED, "order_id": "o6", "member_id": "bob"}
    ]  # fmt: skip


def test_a_return_before_its_order_takes_effect_when_the_order_comes(files: tuple[Path, Path]) -> None:
    back = event(purchases.RETURNED, "2017-03-02T12:00:00-05:00", "bob", return_id="b1", order_id="o1")
    other = event(purchases.RETURNED, "2017-03-02T13:00:00-05:00", "eve", return_id="b2", order_id="o1")
    write(files[1], [back, other, {**FIRST, "id": "late"}])
    found = outcome(files)
    assert [move[:2] for move in moves(found, "bob")] == [("earn-pending", 30), ("reverse-pending", 30)]
    assert [(one["line"], one["reason"]) for one in found["refused"]] == [(2, "other-member")]
    assert found["waiting"] == []


def test_an_event_beyond_all_calendars_does_not_move_the_time(files: tuple[Path, Path]) -> None:
    write(files[1], [FIRST, order("o9", "9999-01-01T00:00:00Z", "bob", (1000, "National"))])
    found = outcome(files)
    assert [one["reason"] for one in found["refused"]] == ["invalid"]
    assert found["until"] == "2017-03-02T17:00:00Z"


def test_people_read_the_same(files: tuple[Path, Path]) -> None:
    text = rehearse(files, "--until", "2017-06-01T00:00:00-04:00").stdout
    for words in ("Entries", "own-brands", "redemption q2", "Balances", "qualified", "silver", "other-currency",
                  "Dear Ann, until 2017-05-31: 7.", "14 events: 11 accepted, 1 duplicates, 2 refused"):  # fmt: skip
        assert words in text, words


def test_whatever_ids_hold_is_shown_as_it_is(files: tuple[Path, Path]) -> None:
    write(files[1], [order("[/bold]", "2017-03-02T12:00:00-05:00", "[red]bob\\", (1000, "National"))])
    text = rehearse(files).stdout
    assert "[red]bob\\" in text
    assert "order [/bold]" in text


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("{", "not JSON"),
        ("[1]", "not a JSON object"),
        ('{"specversion": "1.0", "id": "1", "source": "/s", "type": "x"}', "no data"),
        ('{"specversion": "1.0", "id": "1", "source": "/s", "data": {}}', "type"),
        ('{"specversion": "1.0", "id": "1", "source": "/s", "type": "x.v1", "data": {}}', "nobody reads"),
    ],
)
def test_a_line_that_is_no_event_is_named(files: tuple[Path, Path], line: str, why: str) -> None:
    files[1].write_text(f"{json.dumps(FIRST)}\n\n{line}\n")
    result = rehearse(files, status=2)
    assert "events.jsonl:3: " in result.stderr, "blank lines count"
    assert why in result.stderr
    assert result.stdout == ""


def test_mistakes_in_the_program_and_missing_files_exit_2(files: tuple[Path, Path]) -> None:
    program, events = files
    assert "cannot read" in rehearse((program, events.with_name("none")), status=2).stderr
    assert "cannot read" in rehearse((program.with_name("none"), events), status=2).stderr
    program.write_text(PROGRAM.replace("give: 1 point per whole USD", "give: plenty", 1))
    assert "shop.yaml:16:11" in rehearse(files, status=2).stderr
    program.write_text(PROGRAM)
    (program.parent / "words" / "tier-upgraded.en.txt").unlink()
    assert "words/tier-upgraded.en.txt:1" in rehearse(files, status=2).stderr


def test_the_example_has_every_kind_of_event_in_the_order_of_time() -> None:
    path = ROOT / "examples" / "flow.jsonl"
    events = [json.loads(line) for line in path.read_text().splitlines()]
    assert {one["type"] for one in events} == set(TOPIC_OF)
    moments = [datetime.fromisoformat(one["data"]["occurred_at"]) for one in events]
    assert all(earlier <= later for earlier, later in pairwise(moments))
    found = outcome((ROOT / "programs" / "fresh-market.yaml", path))
    assert (found["refused"], found["waiting"], found["accepted"]) == ([], [], len(events))


def test_every_event_says_what_it_earned_and_every_rule_why(files: tuple[Path, Path]) -> None:
    explained = {one["line"]: one for one in outcome(files, "--explain")["explained"]}
    assert len(explained) == len(EVENTS) - 1, "an event that cannot be read is refused, and nothing is left to explain"
    # Line 3: 30.50 earns 30 points, and the registration before it 25 for the friend and 50 for the referrer.
    assert (explained[3]["what"], explained[3]["outcome"], explained[3]["earned"]) == (
        "order o1",
        "accepted",
        {"points": 30},
    )
    assert explained[3]["rules"] == [
        {"rule": "every-dollar", "outcome": "paid", "points": 30, "detail": "1 line"},
        {
            "rule": "own-brands",
            "outcome": "no-line",
            "points": 0,
            "detail": "no line of the order is what the rule rewards",
        },
    ]
    assert (explained[4]["outcome"], explained[4]["earned"]) == ("duplicate", {})
    # Line 10: the return of 20.00 of own brands, taken back at what the tier paid then.
    back = explained[10]
    assert (back["what"], back["earned"], back["rules"]) == ("return b1", {"points": -40}, [])
    assert explained[12]["outcome"].startswith("refused (other-currency)")
    said = rehearse(files, "--explain").stdout
    assert "line 3: order o1 of bob, 2017-03-02T17:00:00Z: +30 points" in said
    assert "line 12: order o4 of bob" in said
