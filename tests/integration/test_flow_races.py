"""Races that a review found: parked keys, sweeps, new versions, personal data."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pydantic_core

from services.earn.handler import EarnHandler
from services.redeem.handler import RedeemHandler
from shared.contracts import profiles, purchases, redemptions, referrals
from shared.contracts.envelope import seal
from shared.database.pool import open_pool
from shared.errors import Fenced
from shared.instants import microseconds
from shared.program import store
from shared.runtime.batch.decode import decode
from shared.runtime.batch.transaction import sweep, transact
from shared.runtime.packed import unpack_records
from shared.runtime.records import Batch, Record
from shared.runtime.tables import watermark
from shared.runtime.tables.watermark import Lease
from tests.support import traffic as flow
from tests.support.deployment import Deployment
from tests.support.events import Sent, about, event, purchase
from tests.support.traffic import end_of

AT = "2017-03-01T12:00:00-05:00"


def back(name: str, order: str, member: str = "m1", **fields: Any) -> Sent:
    data = {"return_id": name, "order_id": order, "member_id": member, "occurred_at": AT, **fields}
    return about(purchases.RETURNED, data)


async def test_a_return_that_was_refused_with_its_order_may_come_again_at_once(whole: Deployment) -> None:
    wrong = [{"line_id": "no such line", "quantity": 1, "amount": 0}]
    async with whole.workers("earn", batch_records=1):
        await whole.send([back("r1", "o1", lines=wrong)])
        await whole.idle()
    async with whole.workers("earn"):
        # One batch: the order comes, the parked return is refused, and the same key is parked for another order.
        await whole.send([event(purchase("o1")), back("r1", "o2"), back("r1", "o2"), event(purchase("o2"))])
        await whole.idle()
    assert sorted(await whole.rows("select state from parked")) == [("applied",), ("refused",)]
    assert await whole.rows("select reason from dead_letter") == [("unknown-line",)]
    await whole.check_audit()
    await whole.check_replay()


async def test_a_registration_and_a_purchase_in_one_batch(whole: Deployment) -> None:
    """The friend has bought before; contracts are chosen by type, so both may come on one topic."""
    async with whole.workers("earn"):
        await whole.send([event({**purchase("o1", "f1", [2000]), "occurred_at": AT})])
        await whole.idle()
        registered = about(referrals.REGISTERED, {
            "referral_id": "x", "member_id": "f1", "referrer_id": "m1", "occurred_at": "2017-03-01T11:00:00-05:00",
        }, "/crm")  # fmt: skip
        same_topic = Sent(registered.member, registered.value, registered.headers)
        await whole.send([same_topic, event(purchase("o2", "f1")), back("r", "o1", "f1")])
        await whole.idle()
    assert await whole.rows("select state from referral") == [("reversed",)]
    await whole.check_audit()
    await whole.check_replay()


class Two:
    """Two leases of one partition of redemptions; the first one's worker does not know that it lost the partition."""

    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment
        self.handler = RedeemHandler("/test")

    async def lease(self, pool: Any) -> Lease:
        lease = Lease("redemptions", 0, 0, 0, "id")
        async with pool.acquire() as connection:
            await watermark.write_lease(connection, "redeem", lease)
            await watermark.take_over(connection, "redeem", lease)
        return lease

    async def sweep(self, pool: Any, lease: Lease) -> Any:
        return await sweep(pool, self.handler, self.deployment.settings, "/test", lease, 1, [])


async def test_a_zombie_sweeps_nothing(whole: Deployment) -> None:
    async with whole.workers("earn"):
        await whole.send([event({**purchase(f"o{n}", f"m{n}"), "occurred_at": AT}) for n in range(5)])
        await whole.idle()
    await whole.move_clock(end_of(100))
    settings = whole.settings
    pool = await open_pool(settings.database_url.get_secret_value(), settings.database_schema, size=3)
    two = Two(whole)
    zombie = await two.lease(pool)
    owner = await two.lease(pool)
    fenced = False
    try:
        await two.sweep(pool, zombie)
    except Fenced:
        fenced = True
    assert fenced, "no batch has moved the watermark, and yet the partition is somebody else's"
    swept = await two.sweep(pool, owner)
    assert swept is not None
    assert len(swept.outbox.messages) > 0
    await pool.close()
    await whole.check_audit()


async def test_a_new_version_with_multipliers_counts_from_its_first_batch(whole: Deployment) -> None:
    """A worker that does not know the version yet must load what only that version needs."""
    plain = flow.PROGRAM.replace(", multiplier: 1.25", "").replace(", multiplier: 1.5", "")
    async with whole.database() as connection:
        await connection.execute("delete from program")
        await connection.execute("delete from archive")
        await store.publish(connection, plain, "v1")
    handler = EarnHandler("/test")
    settings = whole.settings
    pool = await open_pool(settings.database_url.get_secret_value(), settings.database_schema, size=3)
    lease = Lease("purchases", 0, 0, 0, "id")
    async with pool.acquire() as connection:
        await watermark.write_lease(connection, "earn", lease)

    async def handle(sent: Sent, offset: int) -> None:
        record = Record(offset, 0, sent.member.encode(), sent.value, tuple(sent.headers))
        batch = Batch("purchases", 0, 0, [record], offset + 1)
        place = ("purchases", 0, 0)
        decoded = decode([record], handler.contracts, 1_000_000, place)
        await transact(pool, handler, "/test", lease, batch, decoded, [])

    await handle(event({**purchase("o1", "m1", [0, 40_000]), "occurred_at": AT}), 0)
    async with whole.database() as connection:
        later = (datetime.fromisoformat(AT) + timedelta(days=1)).date()
        await store.publish(connection, flow.PROGRAM.replace("2017-01-01", str(later)), "v2")
    await handle(event({**purchase("o2", "m1", [0, 10_000]), "occurred_at": "2017-03-03T12:00:00-05:00"}), 1)
    await pool.close()
    points = await whole.rows("select points from entry where operation = 2 order by version")
    assert points == [(400,), (150,)], "gold earns half as much again"
    await whole.check_replay()


async def test_a_profile_on_a_wrong_topic_is_kept_nowhere(whole: Deployment) -> None:
    data = {"member_id": "m1", "occurred_at": AT, "email": "planted@example.invalid", "consent": ["email"]}
    headers = seal(event_id="planted", source="/crm", event_type=profiles.UPDATED, time=AT, key="m1")
    async with whole.workers("earn", "notify"):
        for topic in ("purchases", "points"):
            await whole.send([Sent("m1", pydantic_core.to_json(data), headers, None, topic)])
        await whole.idle()
    assert await whole.rows("select service, reason, event_id from dead_letter") == [("notify", "wrong-topic", None)]
    for table in ("dead_letter", "notification", "outbox"):
        assert "planted" not in str(await whole.rows(f"select t::text from {table} t"))
    bodies = await whole.rows("select body from archive where kind = 'batch'")
    assert all(b"planted" not in (record.value or b"") for (body,) in bodies for record in unpack_records(body))
    async with whole.database() as connection:
        letters = [unpack_records(row["record"]) for row in await connection.fetch("select record from dead_letter")]
    assert all(record.value is None for (record,) in letters)


async def test_redemptions_are_answered_while_much_is_swept(whole: Deployment) -> None:
    """Sweeps run one at a time, with a batch in between if one waits."""
    members = [f"m{n}" for n in range(60)]
    async with whole.workers("earn"):
        await whole.send([event({**purchase(f"o-{one}", one, [0, 5000]), "occurred_at": AT}) for one in members])
        await whole.idle()
    await whole.move_clock(microseconds(datetime.fromisoformat(AT) + timedelta(days=90)))
    late = "2017-05-29T12:00:00-05:00"
    asked = [
        about(
            redemptions.REQUESTED, {"redemption_id": f"q-{one}", "member_id": one, "reward": "tea", "occurred_at": late}
        )
        for one in members
    ]
    async with whole.workers("redeem", sweep_accounts=1, sweep_seconds=0.05):
        await whole.send(asked)
        await whole.idle()
    order = await whole.rows("select kind from archive where service = 'redeem' order by seq")
    kinds = [kind for (kind,) in order]
    first_batch = kinds.index("batch")
    assert "sweep" in kinds[first_batch:], "a batch did not wait for the last sweep"
    await whole.check_audit()
    await whole.check_replay()
