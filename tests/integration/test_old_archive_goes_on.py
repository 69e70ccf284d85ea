"""The current workers continue with the ledger of revision af04328: they handle events about everything in it.

What is expected was worked out by hand from the old rows, see tests/data/old_archive/README.md.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer

from tests.support.deployment import Deployment, Servers
from tests.support.events import Sent, about
from tests.support.old_archive import FACTS, loyalty, restored

#: The household whose balances are computed by hand, and its old order.
MEMBER, STORE, ORDER = "1220", "/stores/401", "31541013724"


@pytest.fixture
async def old(servers: Servers) -> AsyncIterator[Deployment]:
    made = await restored(servers, "oldgoeson")
    yield made
    await made.close()


def at(minute: int) -> str:
    """The old clock stands at noon; points are held for a reward until a quarter past."""
    return f"2019-03-01T12:{minute:02}:00Z"


def bought(order: str, member: str, cents: int, minute: int, source: str = "/web") -> Sent:
    line = {"line_id": "1", "product_id": "tea", "category": ["GROCERY", "TEA"], "amount": cents}
    data = {"order_id": order, "member_id": member, "currency": "USD", "lines": [line], "occurred_at": at(minute)}
    return about("loyalty.purchase.completed.v1", data, source)


async def sent(deployment: Deployment, *events: Sent) -> None:
    await deployment.send(events)
    await deployment.idle()


async def balance(deployment: Deployment, member: str, wallet: str = "points") -> tuple[int, ...]:
    """Return what is available, pending, reserved, owed, and was ever earned."""
    (found,) = await deployment.rows(
        "select available, pending, reserved, debt, lifetime from account where member = $1 and wallet = $2",
        member, wallet,
    )  # fmt: skip
    return found


async def heard(deployment: Deployment, topic: str, number: int, order: str = "") -> list[dict[str, Any]]:
    """Wait for a number of events on an output topic, of an order if one is given, and return their data."""
    consumer = AIOKafkaConsumer(
        deployment.settings.topic(topic), bootstrap_servers=deployment.settings.kafka_brokers,
        auto_offset_reset="earliest", fetch_max_wait_ms=50,
    )  # fmt: skip
    await consumer.start()
    found: list[dict[str, Any]] = []
    try:
        async with asyncio.timeout(30):
            while len(found) < number:
                for records in (await consumer.getmany(timeout_ms=200)).values():
                    events = [json.loads(record.value) for record in records]
                    found += [event for event in events if not order or event.get("order_id") == order]
    finally:
        await consumer.stop()
    return found


async def test_it_goes_on_taking_events(old: Deployment) -> None:
    # Whenever the test runs: two returns have waited too long for their orders (an hour), and one is of this minute.
    await old.rows(
        "update parked set parked_at = now() - case member when '2000' then interval '0' else interval '2 hours' end "
        "where state = 'waiting'"
    )
    async with old.workers(sweep_seconds=0.2):
        await old.idle()
        # The topics are not those of then: every partition is read from its beginning.
        marks = await old.rows("select count(*) from watermark where epoch = 3")
        assert marks == [(FACTS["tables"]["watermark"]["rows"],)]
        await check_orders(old)
        await check_redemptions(old)
        await check_what_waited(old)
        await check_what_was_told(old)
        # Three years later all points have expired.
        await old.move_clock(1_648_814_400_000_000)  # 2022-04-01T12:00:00Z
        await old.idle()
        assert await old.rows("select sum(available), sum(reserved) from account") == [(0, 0)]
    assert json.loads(await loyalty(old, "audit", "--replay", "--json"))["findings"] == []


async def check_orders(old: Deployment) -> None:
    """What a member earns, what a return of an old order takes back, and that an old order has no second effect."""
    assert await balance(old, "debtor") == (0, 0, 0, 0, 185)
    assert await balance(old, MEMBER) == (1_035, 400, 60, 0, 1_495)
    assert await balance(old, MEMBER, "cash") == (1_087, 0, 0, 0, 1_170)
    order = {"order_id": ORDER, "member_id": MEMBER}
    lines = [{"line_id": "15", "quantity": 1, "amount": 1_329}, {"line_id": "9", "quantity": 1, "amount": 100}]
    line = {"line_id": "1", "product_id": "ham", "category": ["DELI"], "quantity": 5, "amount": 8_000}
    # As it came in January 2017, but for the zone in which its time is written; then with another amount.
    again = {"order_id": "again", "member_id": "debtor", "currency": "USD", "occurred_at": "2017-01-11T17:00:00Z"}
    known = (
        "select (select sum(duplicates)::int from archive where service = 'earn'), "
        "(select count(*) from entry where cause = (select key from purchase where order_id = 'again'))"
    )
    ((duplicates, entries),) = await old.rows(known)
    await sent(
        old,
        bought("new", "debtor", 3_000, 1),
        about("loyalty.purchase.completed.v1", {**again, "lines": [line]}, "/web"),
        about("loyalty.purchase.completed.v1", {**again, "lines": [{**line, "amount": 1}]}, "/web"),
        about(
            "loyalty.purchase.returned.v1", {**order, "return_id": "late", "lines": lines, "occurred_at": at(2)}, STORE
        ),
        about(
            "loyalty.purchase.claimed.v1",
            {**order, "claim_id": "late", "order_source": STORE, "occurred_at": at(3)},
            "/app",
        ),
    )
    # Two points a dollar wait five days; 2 % back does not wait. The tier of 2017 is over.
    assert await balance(old, "debtor") == (0, 60, 0, 0, 245)
    assert await balance(old, "debtor", "cash") == (60, 0, 0, 0, 220)
    assert await old.rows(known) == [(duplicates + 1, entries)]
    conflicts = "select event_source from dead_letter where reason = 'conflict' and state = 'open'"
    assert await old.rows(conflicts) == [("/web",)]
    # Line 15 earned 26 points by rule 1, 16 by rule 7 and 27 cents by rule 14, and is back as a whole. Line 9, two for
    # 2.00, earned 4, 3 and 4: one of them takes 2, 1 and 2. What rule 7 gave waits for a claim still; the cents have
    # expired and are taken from those of a later order.
    reverse, reverse_pending = 8, 9
    assert await old.rows(
        "select wallet, rule, operation, points from entry join account using (account) "
        "where cause = (select key from purchase_return where return_id = 'late') order by rule"
    ) == [("points", 1, reverse, 28), ("points", 7, reverse_pending, 17), ("cash", 14, reverse, 29)]
    # The claim then makes available what is left of 50.
    assert await balance(old, MEMBER) == (1_035 - 28 + 33, 400 - 17 - 33, 60, 0, 1_495 - 28 - 17)
    assert await balance(old, MEMBER, "cash") == (1_087 - 29, 0, 0, 0, 1_170 - 29)


async def check_redemptions(old: Deployment) -> None:
    """The old reservation is confirmed, and another reward is granted at once: 60 points each."""
    held = {"redemption_id": "held", "member_id": MEMBER, "occurred_at": at(4)}
    new = {"redemption_id": "new", "member_id": MEMBER, "reward": "fuel-voucher", "confirm": True}
    await sent(
        old,
        about("loyalty.redemption.confirmed.v1", held, "/tills"),
        about("loyalty.redemption.requested.v1", {**new, "occurred_at": at(5)}, "/tills"),
    )
    assert await balance(old, MEMBER) == (1_040 - 60, 350, 0, 0, 1_450)
    answers = [(one["redemption_id"], one["state"], one["points"]) for one in await heard(old, "rewards", 2)]
    assert answers == [("held", "redeemed", 60), ("new", "redeemed", 60)]


async def check_what_waited(old: Deployment) -> None:
    """A friend who was registered buys; returns find their orders: one as it comes, others when they are sent again."""
    letters = "select count(*) from dead_letter where reason = 'no-such-order' and state = 'open'"
    waiting = "select member from parked where state = 'waiting' order by member"
    assert await old.rows(letters) == [(4,)], "two of then, and two that have waited too long since"
    assert await old.rows(waiting) == [("2000",)]
    orders = ("lost-31625388542", "2000"), ("lost-31502620435", "1620")
    await sent(old, bought("first", "friend", 1_200, 6), *(bought(*order, 1_000, 7, "/returns") for order in orders))
    # 24 points for 12.00, 50 for a first order, 50 as a friend; the other one gets 100.
    assert await balance(old, "friend") == (0, 24 + 50 + 50, 0, 0, 124)
    assert await balance(old, MEMBER) == (980, 350 + 100, 0, 0, 1_450 + 100)
    assert await old.rows("select state from referral where referral_id = 'friend'") == [("qualified",)]
    assert await old.rows(waiting) == []
    await loyalty(old, "dead-letters", "replay", "--reason", "no-such-order")
    await old.idle()
    # The orders of two have still not come. The third one's came a day late, when its cancellation was given up.
    assert await old.rows(waiting) == [("1720",), ("900",)]
    assert await old.rows(letters) == [(0,)]
    for back, order in (*((order, order) for order, _member in orders), ("x-31412943401", "31412943401")):
        earned = await points_by_rule(old, "select key from purchase where order_id = $1", order, [1, 2])
        taken = await points_by_rule(
            old, "select key from purchase_return where return_id = $1", back, [8, 9, 11, 12, 13]
        )
        assert taken == earned != [], order


async def points_by_rule(old: Deployment, cause: str, name: str, operations: list[int]) -> list[tuple[Any, ...]]:
    return await old.rows(
        "select wallet, rule, sum(points) from entry join account using (account) "
        f"where cause = ({cause}) and operation = any($2) and points <> 0 group by 1, 2 order by 1, 2",
        name, operations,
    )  # fmt: skip


async def check_what_was_told(old: Deployment) -> None:
    """A worker had been killed between the commit of an order and its messages: they are sent now."""
    earned = await heard(old, "points", 5, "unsent")
    assert sorted(event["wallet"] for event in earned) == ["cash", "far", "near", "points", "stars"]
    assert await old.rows(
        "select state from notification where dedupe_key = $1", f"points-earned {MEMBER} /web unsent points"
    ) == [("sent",)]  # fmt: skip
