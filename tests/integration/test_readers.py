"""The commands that read the ledger, on one deployment that has seen everything."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import pytest

from shared.contracts import profiles, purchases, redemptions, referrals
from shared.instants import microseconds
from shared.ledger.operations import REVERSALS
from shared.queries import balances as read
from shared.queries.member_flow import Asked
from shared.queries.members import read_member
from shared.queries.programs import versions
from shared.queries.views.of_members import as_json
from shared.queries.why.explanations import Explaining
from shared.queries.why.keys import Match
from tests.support import build
from tests.support import traffic as flow
from tests.support.deployment import Deployment, Servers, deployed
from tests.support.events import SOURCE, about, event, purchase
from tests.support.traffic import Traffic, end_of

#: Bought on 1 March 2017 where the program lives; nothing else here is on that day but the traffic of others.
DAY = "2017-03-01T{}:00-05:00"
DONE = """
select 1 from redemption r join notification n using (member)
where r.redemption_id = 'q-3' and n.kind = 'redemption-done' and n.member = 'ann'
"""


def line(number: str, amount: int, brand: str = "National", category: str = "GROCERY") -> dict[str, Any]:
    return build.line(number, amount, brand=brand, category=[category])


def bought(order: str, member: str, *lines: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return purchase(order, member, lines=list(lines), **{"occurred_at": DAY.format("12:00"), **fields})


async def fill(made: Deployment) -> None:
    """Ann refers Bob, buys, returns and redeems; the others act at random."""
    traffic = Traffic(seed=3)
    first = bought("a-1", "ann", line("1", 10000), line("2", 2000, "Private"))
    await made.send([
        *traffic.profiles(),
        about(profiles.UPDATED, {"member_id": "ann", "occurred_at": DAY.format("08:00"), "name": "Planted Ann",
                                 "email": "planted-ann@example.invalid", "consent": ["email"]}),
    ])  # fmt: skip
    # A profile that comes after the news is too late for it, and they travel on different topics.
    await made.idle()
    await made.send([
        about(referrals.REGISTERED, {"member_id": "bob", "occurred_at": DAY.format("09:00"), "referral_id": "r-1",
                                     "referrer_id": "ann"}),
        event(bought("b-1", "bob", line("1", 3000))),
    ])  # fmt: skip
    await made.idle()
    await made.send([
        event(first),
        event(bought("a-2", "ann", line("1", 5000, category="FUEL"))),
        event(bought("a-1", "eve", line("1", 700)), "other", source="/other"),
        about(purchases.RETURNED, {"member_id": "ann", "occurred_at": DAY.format("18:00"), "return_id": "back-1",
                                   "order_id": "a-1", "lines": [{"line_id": "2", "amount": 2000}]}),
        about(purchases.RETURNED, {"member_id": "bob", "occurred_at": DAY.format("18:00"), "return_id": "back-2",
                                   "order_id": "never-came"}),
        about(purchases.CLAIMED, {"member_id": "ann", "occurred_at": DAY.format("19:00"), "claim_id": "c-1",
                                  "order_id": "a-2"}),
        event({**first, "tax": 1}, "conflict"),
        event(bought("e-1", "ann", line("1", 100), currency="EUR"), "in-euros"),
    ])  # fmt: skip
    await made.send([*traffic.day(0), *traffic.day(1)])
    await made.idle()
    # Not later yet: a sweep between a request and its confirmation would let the hold time out.
    await made.move_clock(end_of(6))
    await made.idle()
    for kind, redemption, reward, moment in (
        (redemptions.REQUESTED, "q-1", "tea", "2017-03-08T12:00:00-05:00"),
        (redemptions.CONFIRMED, "q-1", None, "2017-03-08T12:10:00-05:00"),
        (redemptions.REQUESTED, "q-2", "party", "2017-03-08T13:00:00-05:00"),
        (redemptions.REQUESTED, "q-3", "tea", "2017-03-09T23:00:00-05:00"),
    ):
        asked = {"reward": reward} if reward else {}
        data = {"member_id": "ann", "redemption_id": redemption, "occurred_at": moment, **asked}
        await made.send([about(kind, data, "/till")])
    await made.idle()
    assert await made.rows(DONE)
    await made.move_clock(end_of(8))  # 10 March, midnight
    await made.idle()


@pytest.fixture(scope="module")
async def full(servers: Servers) -> AsyncIterator[Deployment]:
    async with deployed(servers, flow.PROGRAM, flow.TEMPLATES) as made:
        async with made.workers(batch_records=20, sweep_seconds=0.1):
            await fill(made)
        yield made


async def ask(deployment: Deployment, *arguments: str) -> Any:
    return json.loads((await deployment.loyalty(*arguments, "--json")).stdout)


# ---- member


async def test_a_member_as_of_now(full: Deployment) -> None:
    ann = await ask(full, "member", "ann")
    # 50 for Bob, 140 for her order, less 40 for what came back; one tea spent, one reserved.
    assert ann["wallets"] == [
        {
            "wallet": "points", "available": 110, "pending": 0, "reserved": 20, "debt": 0, "lifetime": 150,
            "version": 9, "lapses_unless_used": None,
        }
    ]  # fmt: skip
    assert sum(lot["remaining"] for lot in ann["lots"]) == 110
    (held,) = ann["reservations"]
    assert (held["redemption_id"], held["points"], held["held_until"]) == ("q-3", 20, "2017-03-10T06:00:00Z")
    (tier,) = [ann["tier"]]
    assert (tier["tier"], tier["metric_value"], tier["next_tier"], tier["to_next"]) == ("silver", 10000, "gold", 20000)
    (change,) = ann["tier_history"]
    assert (change["change"], change["tier"], change["announced"]) == ("upgraded", "silver", True)
    states = {one["redemption_id"]: (one["state"], one["reason"]) for one in ann["redemptions"]}
    assert states == {"q-1": ("redeemed", None), "q-2": ("rejected", "tier-too-low"), "q-3": ("reserved", None)}
    (referral,) = ann["referrals"]
    assert (referral["role"], referral["with"], referral["state"], referral["points"]) == (
        "referrer", "bob", "qualified", 50,
    )  # fmt: skip
    kinds = {(one["kind"], one["state"]) for one in ann["notifications"]}
    assert {("tier-upgraded", "sent"), ("referral-rewarded", "sent"), ("redemption-done", "sent")} <= kinds
    assert "planted" not in json.dumps(ann).lower(), "never personal data"


async def test_entries_say_their_cause_and_their_rule(full: Deployment) -> None:
    ann = await ask(full, "member", "ann")
    found = {(one["operation"], one["points"], one["rule"], one["cause"]["kind"], one["cause"]["id"])
             for one in ann["entries"]}  # fmt: skip
    assert found >= {
        ("earn-pending", 50, "referral-referrer", "referral", "r-1"),
        ("earn-pending", 120, "every-dollar", "order", "a-1"),
        ("earn-pending", 20, "own-brands", "order", "a-1"),
        ("reverse-pending", 20, "own-brands", "return", "back-1"),
        ("redeem", 20, None, "redemption", "q-1"),
        ("activate", 150, None, "time", None),
    }
    few = await ask(full, "member", "ann", "--entries", "2")
    assert [one["version"] for one in few["entries"]] == [8, 9]
    assert few["entries_in_all"] == ann["entries_in_all"] == len(ann["entries"]) == 9


async def test_a_member_as_of_the_past_and_the_future(full: Deployment) -> None:
    past = await ask(full, "member", "ann", "--as-of", DAY.format("17:00"))
    assert (past["wallets"][0]["available"], past["wallets"][0]["pending"]) == (0, 190)
    assert (past["tier"]["tier"], past["tier"]["metric_value"]) == ("silver", 12000)
    assert past["redemptions"] == [] == past["reservations"]
    before = await ask(full, "member", "ann", "--as-of", DAY.format("10:00"))
    assert (before["wallets"][0]["pending"], before["tier"]["tier"], before["tier_history"]) == (0, "member", [])
    assert [one["state"] for one in before["referrals"]] == ["open"]
    held = await ask(full, "member", "ann", "--as-of", "2017-03-08T12:05:00-05:00")
    assert [one["redemption_id"] for one in held["reservations"]] == ["q-1"], "reserved then, redeemed since"
    future = await ask(full, "member", "ann", "--as-of", "2018-07-01T00:00:00-04:00")
    assert (future["wallets"][0]["available"], future["wallets"][0]["reserved"]) == (0, 0)
    assert future["lots"] == [] == future["reservations"]
    due = [(one["what"], one["points"], one["redemption_id"]) for one in future["due"] if one["what"] != "expiring"]
    assert due == [("timed-out", 20, "q-3"), ("expired", 130, None)]
    assert {one["redemption_id"]: one["reason"] for one in future["redemptions"]}["q-3"] == "timed-out"
    assert future["tier"]["tier"] == "member", "what she spent is more than a year ago"
    assert [one["announced"] for one in future["tier_history"]] == [True, False]


async def test_a_member_for_people_and_one_that_nobody_knows(full: Deployment) -> None:
    text = (await full.loyalty("member", "ann")).stdout
    for words in ("tier silver", "Open reservations", "own-brands", "return back-1", "referral-rewarded"):
        assert words in text, words
    assert "Due, and not recorded yet" in (await full.loyalty("member", "ann", "--as-of", "2017-07-01T00:00Z")).stdout
    nobody = await full.loyalty("member", "nobody", status=1)
    assert "no member 'nobody'" in nobody.stderr
    assert "offset" in (await full.loyalty("member", "ann", "--as-of", "2017-07-01", status=2)).stderr


async def test_whatever_the_member_and_the_instant_the_parts_add_up(full: Deployment) -> None:
    instants = [None, *(microseconds(datetime.fromisoformat(text)) for text in (
        "2017-03-01T12:00:01-05:00", "2017-03-02T20:00:00-05:00", "2017-03-04T00:00:00-05:00",
        "2017-03-09T23:30:00-05:00", "2017-05-31T23:59:59-04:00", "2017-06-01T00:00:00-04:00",
    ))]  # fmt: skip
    now = end_of(8)
    members = [member for (member,) in await full.rows("select distinct member from account order by 1")]
    assert len(members) > 12
    reserved = 0
    async with full.database() as connection:
        programs = await versions(connection)
        for instant in instants:
            balances = await read.balances(connection, programs[1], now=now, as_of=instant)
            for member in members:
                found = as_json(await read_member(connection, programs, Asked(member, now, instant, 1000)))
                assert found is not None
                (wallet,) = found["wallets"]
                assert wallet.pop("lapses_unless_used") is None
                assert wallet == {name: value for name, value in next(
                    b._asdict() for b in balances if b.member_id == member
                ).items() if name != "member_id"}  # fmt: skip
                for state in ("available", "pending"):
                    assert wallet[state] == sum(x["remaining"] for x in found["lots"] if x["state"] == state), member
                assert wallet["reserved"] == sum(one["points"] for one in found["reservations"]), (member, instant)
                reserved += wallet["reserved"]
                last = found["tier_history"][-1]["tier"] if found["tier_history"] else "member"
                assert found["tier"]["tier"] == last, (member, instant)
    assert reserved, "some of them had reservations"


async def test_the_largest_balances_are_those_of_all_whatever_is_due(full: Deployment) -> None:
    month = 30 * 86_400_000_000
    async with full.database() as connection:
        programs = await versions(connection)
        found = set()
        for now, as_of in ((end_of(8), None), (end_of(8) + 4 * month, None), (end_of(8), end_of(1))):
            all_of_them = await read.balances(connection, programs[1], now=now, as_of=as_of)
            for count in (1, 5, 1000):
                largest = await read.largest_balances(connection, programs[1], count, now=now, as_of=as_of)
                assert largest == sorted(all_of_them, key=read.size)[:count], (now, as_of, count)
            found.add(all_of_them[0])
    top = await ask(full, "balances", "--top", "3")
    assert [row["available"] for row in top] == sorted((row["available"] for row in top), reverse=True)
    assert len(top) == 3


# ---- why


async def test_why_an_order_earned_what_it_did_and_what_became_of_it(full: Deployment) -> None:
    answer = await ask(full, "why", "a-1", "--source", SOURCE)
    (order,) = answer["found"]
    assert (order["kind"], order["member_id"], order["program_version"], order["points"]) == ("order", "ann", 1, 140)
    assert order["tier"] == {"tier": "member", "multiplier": "1"}
    assert order["qualifying"] == {"bought": 12000, "returned": 2000, "counts": 10000}
    assert [(award["rule"], award["points"], award["lines"]) for award in order["awards"]] == [
        ("every-dollar", 120, {"1": 100, "2": 20}), ("own-brands", 20, {"2": 20}),
    ]  # fmt: skip
    assert [(entry["operation"], entry["points"]) for entry in order["entries"]] == [
        ("earn-pending", 120), ("earn-pending", 20),
    ]  # fmt: skip
    (lot,) = order["lots"]
    assert (lot["earned"], lot["remaining"]) == (190, 110), "Bob's reward has the same terms, and lies with it"
    assert lot["moves"] == {"earn-pending": 190, "activate": 150, "reserve": 40, "redeem": 20, "reverse-pending": 40}
    (back,) = order["returns"]
    assert back["lines"] == [{"line_id": "2", "quantity": 0, "amount": 2000}]
    assert back["taken_back"] == [{"rule": "every-dollar", "points": 20}, {"rule": "own-brands", "points": 20}]
    assert [entry["operation"] for entry in back["entries"]] == ["reverse-pending", "reverse-pending"]
    assert "conflict" in {letter["reason"] for letter in answer["dead_letters"]}
    (other,) = (await ask(full, "why", "b-1"))["found"]
    assert [referral["id"] for referral in other["referrals"]] == ["r-1"]


async def test_why_asks_for_the_source_where_several_have_the_id(full: Deployment) -> None:
    several = await full.loyalty("why", "a-1", status=2)
    assert f"--source {SOURCE}" in several.stderr
    assert "--source /other" in several.stderr
    (other,) = (await ask(full, "why", "a-1", "--source", "/other"))["found"]
    assert (other["member_id"], other["points"]) == ("eve", 7)


async def test_why_nothing_was_earned(full: Deployment) -> None:
    (order,) = (await ask(full, "why", "a-2"))["found"]
    assert (order["points"], order["awards"], order["entries"], order["lots"]) == (0, [], [], [])
    assert order["reason"] == "every line is of a kind that never earns"
    assert "earned nothing: every line" in (await full.loyalty("why", "a-2")).stdout


async def test_why_a_return_a_referral_and_redemptions(full: Deployment) -> None:
    (back,) = (await ask(full, "why", "back-1"))["found"]
    assert (back["kind"], back["order"]) == ("return", {"id": "a-1", "source": SOURCE})
    for about_it in ("c-1",), ("c-1", "--source", SOURCE):
        (claim,) = (await ask(full, "why", *about_it))["found"]
        assert (claim["kind"], claim["order"]["id"], claim["entries"]) == ("claim", "a-2", [])
    assert "claim c-1 of " in (await full.loyalty("why", "c-1")).stdout
    (referral,) = (await ask(full, "why", "r-1"))["found"]
    assert (referral["state"], referral["minimum"]) == ("qualified", 1000)
    assert {(entry["member_id"], entry["points"]) for entry in referral["entries"]} == {("ann", 50), ("bob", 25)}
    (redeemed,) = (await ask(full, "why", "q-1"))["found"]
    assert [answer["state"] for answer in redeemed["answers"]] == ["reserved", "redeemed"]
    assert [entry["operation"] for entry in redeemed["entries"]] == ["reserve", "redeem"]
    (rejected,) = (await ask(full, "why", "q-2"))["found"]
    assert (rejected["reason"], rejected["answers"][0]["tier_needed"]) == ("tier-too-low", "gold")
    for key, words in {"back-1": "What it took back", "r-1": "ann brought bob", "q-2": "tier-too-low"}.items():
        assert words in (await full.loyalty("why", key)).stdout


async def test_why_what_was_refused_waits_or_never_came(full: Deployment) -> None:
    euros = await ask(full, "why", "e-1")
    assert (euros["found"], [letter["reason"] for letter in euros["dead_letters"]]) == ([], ["other-currency"])
    by_event = await ask(full, "why", "in-euros")
    assert [letter["id"] for letter in by_event["dead_letters"]] == [letter["id"] for letter in euros["dead_letters"]]
    assert "other-currency" in (await full.loyalty("why", "e-1")).stdout
    for key in ("back-2", "never-came"):
        (waits,) = (await ask(full, "why", key))["waiting"]
        assert (waits["id"], waits["order_id"], waits["member_id"]) == ("back-2", "never-came", "bob")
    assert "has not come" in (await full.loyalty("why", "back-2", "--source", SOURCE)).stdout
    assert "no such event has come" in (await full.loyalty("why", "nothing", status=1)).stderr
    assert "of /nowhere" in (await full.loyalty("why", "a-1", "--source", "/nowhere", status=1)).stderr


async def test_records_of_a_release_that_kept_no_names_are_opened(full: Deployment) -> None:
    asked = ("e-1", "in-euros", "back-2", "never-came")
    by_index = [await ask(full, "why", name) for name in asked]
    names = {table: await full.rows(f"select ctid, names from {table}") for table in ("dead_letter", "parked")}
    assert all(kept is not None for rows in names.values() for _ctid, kept in rows)
    for table in names:
        await full.rows(f"update {table} set names = null")
    assert [await ask(full, "why", name) for name in asked] == by_index


async def test_every_order_is_explained_by_its_entries(full: Deployment) -> None:
    taken = {operation.word for operation in REVERSALS}
    async with full.database() as connection:
        explaining = Explaining(connection, await versions(connection), end_of(8))
        rows = await connection.fetch("select source, key, member from purchase")
        for source, key, member in rows:
            order = (await explaining.explain(Match("order", source, key, member))).as_json()
            earned = [entry for entry in order["entries"] if entry["operation"].startswith("earn") and entry["points"]]
            points = Counter({entry["rule"]: entry["points"] for entry in earned})
            for amended in order["amendments"]:
                points.update({change["rule"]: change["points"] for change in amended["changed"]})
                moved = Counter[str]()
                for entry in amended["entries"]:
                    if entry["rule"] and "referral" not in entry["rule"]:
                        moved[entry["rule"]] += entry["points"] * (-1 if entry["operation"] in taken else 1)
                assert moved == {change["rule"]: change["points"] for change in amended["changed"]}
            assert {rule: n for rule, n in points.items() if n} == {
                award["rule"]: award["points"] for award in order["awards"]
            }
            assert {entry["lot"] for entry in earned} >= {a["lot"] for a in order["awards"] if not order["amendments"]}
            assert all(sum(award["lines"].values()) == award["points"] for award in order["awards"])
            assert bool(order["awards"]) == (order["reason"] is None)
            # Rated again from the archive, each rule pays what it paid, and says why.
            assert {one["rule"]: one["points"] for one in order["rules"] if one["points"]} == {
                award["rule"]: award["points"] for award in order["awards"]
            }
            assert all(one["detail"] for one in order["rules"])
            for back in order["returns"]:
                took = sum(entry["points"] for entry in back["entries"]
                           if entry["operation"] in taken and "referral" not in (entry["rule"] or ""))  # fmt: skip
                assert took == sum(award["points"] for award in back["taken_back"])
    assert len(rows) > 30


# ---- lists


async def test_tiers(full: Deployment) -> None:
    counted = await ask(full, "tiers")
    assert [row["tier"] for row in counted] == ["gold", "silver", "member"]
    assert counted[1]["name"] == "Silver"
    listed = await full.loyalty("tiers", "--members", "--limit", "1000", "--json")
    members = json.loads(listed.stdout)
    assert len(members) == sum(row["members"] for row in counted)
    assert f"{len(members)} members shown; times are UTC" in listed.stderr
    ann = next(row for row in members if row["member_id"] == "ann")
    assert (ann["tier"], ann["metric_value"]) == ("silver", 10000)
    assert ann["valid_until"] == "2018-03-01T05:00:00Z"
    changes = await ask(full, "tiers", "--changes")
    assert {row["month"] for row in changes} == {"2017-03"}
    ((told,),) = await full.rows("select count(*) from tier_history")
    assert sum(row["changes"] for row in changes) == told
    await full.loyalty("tiers", "--members", "--changes", status=2)


async def test_redemptions_notifications_and_referrals(full: Deployment) -> None:
    assert [row["redemption_id"] for row in await ask(full, "redemptions", "--member", "ann")] == ["q-3", "q-2", "q-1"]
    (rejected,) = await ask(full, "redemptions", "--member", "ann", "--state", "rejected")
    assert (rejected["redemption_id"], rejected["reason"], rejected["held_until"]) == ("q-2", "tier-too-low", None)
    ((total,),) = await full.rows("select count(*) from redemption")
    summary = await ask(full, "redemptions", "--summary")
    assert sum(row["redemptions"] for row in summary) == total
    two = await full.loyalty("redemptions", "--limit", "2", "--csv")
    assert len(two.stdout.splitlines()) == 3
    assert total > 2
    assert "2 redemptions shown, and there are more; times are UTC" in two.stderr

    told = await ask(full, "notifications", "--member", "ann", "--kind", "tier-upgraded", "--state", "sent")
    assert [row["not_before"] for row in told] == ["2017-03-01T17:00:00Z"]
    ((total,),) = await full.rows("select count(*) from notification")
    assert sum(row["notifications"] for row in await ask(full, "notifications", "--summary")) == total

    qualified = await ask(full, "referrals", "--state", "qualified")
    row = next(row for row in qualified if row["referral_id"] == "r-1")
    assert (row["referrer_id"], row["friend_id"], row["order_id"]) == ("ann", "bob", "b-1")
    ((total,),) = await full.rows("select count(*) from referral")
    assert sum(row["referrals"] for row in await ask(full, "referrals", "--summary")) == total
    for listing in ("tiers", "redemptions", "notifications", "referrals"):
        assert "───" in (await full.loyalty(listing)).stdout
        help_text = (await full.loyalty(listing, "--help")).stdout
        assert "--csv" in help_text
    await full.loyalty("redemptions", "--state", "gone", status=2)
    assert (await full.loyalty("referrals", "--state", "reversed", "--limit", "1", "--csv")).stdout
