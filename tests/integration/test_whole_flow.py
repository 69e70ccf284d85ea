"""All four services together, on random traffic: whatever happens, the archive explains every row."""

from __future__ import annotations

import asyncio
import json
import signal
from collections import Counter, defaultdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from shared.contracts import purchases, redemptions, rewards
from shared.instants import microseconds
from shared.ledger.audit.flow import FLOW_CHECKS
from shared.ledger.audit.runner import findings
from shared.program.compiled.program import compile_program
from shared.program.language.loader import load
from shared.queries import balances as read
from tests.support import traffic as flow
from tests.support.deployment import Deployment, Servers, deployed
from tests.support.events import Sent, about, event, purchase
from tests.support.kills import check_nothing_personal, kill_one
from tests.support.traffic import ZONE, Traffic, end_of

ALL = ("earn", "redeem", "tiers", "notify")
TIERS = (
    "select member, number, change, old_tier, tier, reason, metric_value, occurred_at from tier_history order by 1, 2"
)


async def live(deployment: Deployment, traffic: Traffic, days: int) -> None:
    """Send some days, each when the one before is done, and let time pass."""
    for day in range(days):
        await deployment.send(traffic.day(day))
        await deployment.idle()
        await deployment.move_clock(end_of(day))
    await deployment.move_clock(end_of(100))
    await deployment.idle()


async def test_all_four_services(whole: Deployment) -> None:
    traffic = Traffic(seed=1)
    async with whole.workers(batch_records=20, sweep_seconds=0.1):
        await whole.send(traffic.profiles())
        await live(whole, traffic, days=6)
    await whole.check_audit()
    await whole.check_replay()
    assert {state for (state,) in await whole.rows("select distinct state from redemption")} >= {"rejected", "redeemed"}
    assert await whole.rows("select 1 from tier_history where change = 'upgraded'")
    assert await whole.rows("select 1 from notification where state = 'sent'")
    assert await whole.rows("select 1 from entry where operation = 7"), "points lapsed"
    await check_nothing_personal(whole)
    await check_each_damage_is_found(whole)


async def test_a_program_that_counts(servers: Servers, tmp_path: Path) -> None:
    """Caps by period, n-th purchases, visits in a row, several wallets: the archive explains them row for row."""
    async with deployed(servers, flow.RICH, flow.TEMPLATES) as deployment:
        await check_a_program_that_counts(deployment)
        await check_the_archive_rehearsed(deployment, tmp_path)


async def check_a_program_that_counts(deployment: Deployment) -> None:
    traffic = Traffic(seed=11, members=8)
    async with deployment.workers("earn", "redeem", "earn", "tiers", batch_records=7, sweep_seconds=0.1):
        await live(deployment, traffic, days=5)
    await deployment.check_audit()
    await deployment.check_replay()
    tallies = await deployment.rows("select name, max(amount), min(amount) from tally group by name")
    most = {name: (high, low) for name, high, low in tallies}
    assert set(most) == {
        "purchases", "visits per day", "rule double-groceries day", "rule double-groceries week",
        "rule more-cash-back in all", "wallet stars week", "budget of rule first-come day",
        "budget of rule first-come in all",
    }  # fmt: skip
    limits = {"rule double-groceries day": 70, "rule double-groceries week": 120, "rule more-cash-back in all": 300,
              "wallet stars week": 40, "budget of rule first-come day": 60,
              "budget of rule first-come in all": 400}  # fmt: skip
    for name, limit in limits.items():
        assert 0 <= most[name][1] <= most[name][0] <= limit
    assert most["wallet stars week"][0] == 40, "somebody came to the cap"
    assert most["budget of rule first-come day"][0] == 60, "a day came to the end of its budget"
    rules = {one.name: str(one.index) for one in compile_program(load(flow.RICH), 1).rules}
    paid = {
        rule for (rule,) in await deployment.rows("select distinct rule::text from entry where operation in (1, 2)")
    }
    assert {rules[name] for name in ("first-come", "for-students", "birthday")} <= paid
    assert await deployment.rows("select 1 from amendment where changes <> '[]'")
    assert await deployment.rows("select 1 from purchase_return where kind = 'cancellation'")
    counted = await deployment.rows("select member, count(*) from purchase group by member order by 1")
    assert counted == await deployment.rows("select member, amount from tally where name = 'purchases' order by 1")


async def check_the_archive_rehearsed(deployment: Deployment, folder: Path) -> None:
    """The same program over the archive earns the same; a changed one differs by what was changed."""
    (folder / "whole-flow.templates").mkdir()
    for name, text in flow.TEMPLATES.items():
        (folder / "whole-flow.templates" / name).write_text(text)
    same, changed, picture = folder / "same.yaml", folder / "changed.yaml", folder / "plot.svg"
    same.write_text(flow.RICH)
    changed.write_text(flow.RICH.replace("give: 1 star per item", "give: 2 stars per item").replace(
        "give: 11 points per order", "give: 1 point per order"
    ))  # fmt: skip

    async def rehearsed(*arguments: str) -> Any:
        return json.loads((await deployment.loyalty("rehearse", *arguments)).stdout)

    before = await rehearsed(str(same), "--from", "archive", "--json")
    for kind in ("rules", "tiers", "months"):
        assert sum(row["before"] for row in before[kind] if row["wallet"] == "points") > 0
        assert [row for row in before[kind] if row["difference"]] == []
    assert all(counts["more"] == counts["fewer"] == 0 for counts in before["members"].values())
    earned = await deployment.rows("select wallet, sum(lifetime)::bigint from account group by wallet order by wallet")
    assert earned == [
        (wallet, sum(row["after"] for row in before["months"] if row["wallet"] == wallet)) for wallet, _ in earned
    ]
    after = await rehearsed(str(changed), "--from", "archive", "--json", "--plot", str(picture))
    differs = {(row["wallet"], row["name"]): row["difference"] for row in after["rules"] if row["difference"]}
    # More stars an item are the best of stars more often.
    assert differs.keys() - {("stars", "stars-for-silver")} == {("points", "birthday"), ("stars", "star-an-item")}
    assert differs["points", "birthday"] < 0 < differs["stars", "star-an-item"]
    assert b"<svg" in picture.read_bytes()


DAMAGE = {
    "causes": "update entry set cause = gen_random_uuid() where version = 1",
    "returns": "update entry set points = points + 1 where operation in (8, 9)",
    "whole-returns": "update purchase_return set result = regexp_replace(result, '\"awards\":.*', '\"awards\":[]}')",
    "amendments": "update amendment set changes = '[]'",
    "reservations": "update account set reserved = reserved + 1",
    "referrals": "update referral set qualified_at = null, friend_points = friend_points + 1 where state <> 'refused'",
    "tiers": "update standing set tier = 'nobody'",
    "notifications": "update notification set reason = 'none' where state = 'sent'",
    "inputs": "update archive set accepted = accepted + 1 where kind = 'batch'",
}


async def check_each_damage_is_found(deployment: Deployment) -> None:
    """Each check of what is built on the ledger finds the damage that it promises to find."""
    assert set(DAMAGE) == {check.name for check in FLOW_CHECKS}
    async with deployment.database() as connection:
        for check in FLOW_CHECKS:
            transaction = connection.transaction()
            await transaction.start()
            await connection.execute(DAMAGE[check.name])
            assert await findings(connection, check), check.name
            await transaction.rollback()


async def test_tiers_and_notify_that_start_afterwards_change_nothing(servers: Servers) -> None:
    """A run with all services at once, and one with tiers and notify stopped until the end, agree row by row.

    Within a day each member is on one topic only: what races between topics is decided by who commits first.
    """
    ledgers, histories = [], []
    for number, together in enumerate((True, False)):
        async with deployed(servers, flow.PROGRAM, flow.TEMPLATES) as deployment:
            traffic = [apart(Traffic(seed=5).day(day, 150), day) for day in range(4)]
            async with deployment.workers(
                *(ALL if together else ALL[:2]), batch_records=20 + 80 * number, sweep_seconds=0.1
            ):
                for day, events in enumerate(traffic):
                    await deployment.send(events)
                    await deployment.idle()
                    await deployment.move_clock(end_of(day))
                await deployment.idle()
                if not together:
                    async with deployment.workers(*ALL[2:]):
                        await deployment.idle()
            ledgers.append(await deployment.ledger())
            histories.append(await deployment.rows(TIERS))
            await deployment.check_replay()
    assert ledgers[0] == ledgers[1]
    assert histories[0] == histories[1]
    assert histories[0]


def apart(events: list[Sent], day: int) -> list[Sent]:
    """Leave out referrals, and of each member either purchases or redemptions."""
    return [
        one for one in events
        if one.topic == (purchases.TOPIC if (int(one.member[1:]) + day) % 2 else redemptions.TOPIC)
    ]  # fmt: skip


@pytest.mark.timeout(240)
async def test_a_kill_of_redeem(whole: Deployment) -> None:
    await kill_one(whole, "redeem", "stored:3")


MEMBERS, TILLS, POINTS = 8, 64, 80


@pytest.mark.timeout(240)
async def test_sixty_four_tills_spend_what_suffices_for_half(whole: Deployment) -> None:
    start = datetime(2017, 3, 1, 12, tzinfo=ZONE)
    await whole.send([event({**purchase(f"o{n}", f"m{n}", [0, POINTS * 100]), "occurred_at": start.isoformat()})
                      for n in range(MEMBERS)])  # fmt: skip
    later = start + timedelta(days=10)
    requests = [
        about(redemptions.REQUESTED, {
            "redemption_id": f"t{till}", "member_id": f"m{till % MEMBERS}", "reward": "tea", "confirm": till % 2 == 0,
            "occurred_at": (later + timedelta(seconds=till)).isoformat(),
        }, f"/tills/{till}")
        for till in range(TILLS)
    ]  # fmt: skip
    confirms = [
        about(redemptions.CONFIRMED, {
            "redemption_id": f"t{till}", "member_id": f"m{till % MEMBERS}",
            "occurred_at": (later + timedelta(minutes=5, seconds=till)).isoformat(),
        }, f"/tills/{till}")
        for till in range(TILLS) if till % 2
    ]  # fmt: skip
    async with whole.worker():
        await whole.idle()
        doomed = [
            whole.start_process("redeem", batch_records=3, crash_at=f"{point}:3") for point in ("stored", "published")
        ]
        await whole.move_clock(microseconds(later))
        await asyncio.gather(*(whole.send([one, one]) for one in requests))
        await whole.send(confirms)
        while all(process.poll() is None for process in doomed):
            await asyncio.sleep(0.1)
        async with whole.worker("redeem", batch_records=3), whole.worker("redeem", batch_records=5):
            await whole.idle(120)
    assert any(process.poll() == -signal.SIGKILL for process in doomed), "somebody was killed at work"
    await whole.check_audit()
    await whole.check_replay()
    states = Counter(state for (state,) in await whole.rows("select state from redemption"))
    assert states == {"redeemed": MEMBERS * POINTS // 20, "rejected": TILLS - MEMBERS * POINTS // 20}
    answers: dict[str, set[Any]] = defaultdict(set)
    for record in await whole.published(rewards.TOPIC):
        headers = dict(record.headers)
        final = json.loads(record.value)["state"] in {"redeemed", "rejected"}
        if final:
            answers[headers["ce_correlationid"].decode()].add((headers["ce_id"], record.value))
    assert len(answers) == TILLS
    assert {len(found) for found in answers.values()} == {1}, "the same request gets the same answer, word for word"
    lowest = await whole.rows("select min(least(available, reserved, pending, debt)) from entry")
    assert lowest == [(0,)]


async def test_earn_and_redeem_on_the_same_members(whole: Deployment) -> None:
    traffic = Traffic(seed=9, members=3)
    before = (await whole.rows("select deadlocks from pg_stat_database where datname = current_database()"))[0][0]
    async with whole.workers("earn", "redeem", "earn", "redeem", batch_records=5, sweep_seconds=0.05):
        await whole.send(traffic.day(0, 400))
        await whole.idle()
    await asyncio.sleep(1)
    after = (await whole.rows("select deadlocks from pg_stat_database where datname = current_database()"))[0][0]
    print(f"deadlocks: {after - before}")
    assert after == before
    await whole.check_audit()
    await whole.check_replay()
    assert len(await whole.rows(read.ENTRIES)) > 200
