"""The replay's barrier opens when everything that was sent, and what resulted from it, is handled, not before."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition

import cli.render.progress
from cli.render.progress import Report
from devstack.ends import Ends
from devstack.progress import Watcher
from devstack.sender import Sender
from shared.contracts import profiles, purchases
from tests.support.deployment import Deployment
from tests.support.events import PARTITIONS, Sent, about, event, purchase

#: 35 + 35 points, which are more than 60: news for the member, if notify knows them.
PROFILE = {"member_id": "m1", "email": "m1@example.invalid", "locale": "en", "consent": ["email"],
           "occurred_at": "2017-03-01T00:00:00-05:00"}  # fmt: skip
ORDER = purchase("o1", cents=[3500])
_NOT_YET_SECONDS = 0.4


async def publish(sender: Sender, sent: Sent) -> None:
    assert sent.value is not None
    await sender.send(sent.member, sent.value, sent.headers, sent.topic)
    await sender.flush()


@asynccontextmanager
async def held_up(deployment: Deployment, table: str) -> AsyncIterator[None]:
    """Block everybody who wants to write to a table."""
    async with deployment.database() as connection, connection.transaction():
        await connection.execute(f"lock table {table} in share row exclusive mode")
        yield


@pytest.mark.parametrize(
    ("table", "waiting"), [("purchase", "earn"), ("tier_history", "tiers"), ("notification", "notify")]
)
async def test_the_barrier_waits_for_a_slow_service(whole: Deployment, table: str, waiting: str) -> None:
    gold = purchase("o1", cents=[35_000])  # 350 dollars make a gold member, and that is news for tiers and notify
    async with (
        whole.workers(),
        whole.database() as connection,
        Sender(whole.settings) as sender,
        Watcher(whole.settings, connection) as watcher,
    ):
        await publish(sender, about(profiles.UPDATED, PROFILE))
        await watcher.settled(sender.sent)
        async with held_up(whole, table):
            await publish(sender, event(gold))
            barrier = asyncio.create_task(watcher.settled(sender.sent))
            async with whole.database() as other, Watcher(whole.settings, other) as look:
                # Until only the blocked service has work left, or has not yet seen its work.
                while {name for name, left in (await look.behind()).records.items() if left} != {waiting}:
                    await asyncio.sleep(0.02)
            await asyncio.sleep(_NOT_YET_SECONDS)
            assert not barrier.done()
        await asyncio.wait_for(barrier, 20)
        told = await whole.rows("select kind from notification order by kind")
        assert ("points-earned",) in told
        assert ("tier-upgraded",) in told


async def test_the_barrier_waits_for_messages_that_are_not_acknowledged(deployment: Deployment) -> None:
    async with deployment.worker():
        await deployment.idle()
        async with deployment.database() as connection, Watcher(deployment.settings, connection, ["earn"]) as watcher:
            await connection.execute(
                "insert into outbox (seq, service, topic, partition, body) values (0, 'earn', 'purchases', 99, '')"
            )
            assert (await watcher.behind()).outbox == 1
            async with deployment.database() as other, Watcher(deployment.settings, other, ["earn"]) as second:
                barrier = asyncio.create_task(second.settled())
                await asyncio.sleep(_NOT_YET_SECONDS)
                assert not barrier.done()
                await connection.execute("delete from outbox where seq = 0")
                await asyncio.wait_for(barrier, 20)


async def test_the_barrier_waits_for_what_nobody_has_taken_yet(deployment: Deployment) -> None:
    async with (
        deployment.database() as connection,
        Sender(deployment.settings) as sender,
        Watcher(deployment.settings, connection, ["earn"]) as watcher,
    ):
        await publish(sender, event(ORDER))
        barrier = asyncio.create_task(watcher.settled(sender.sent))
        await asyncio.sleep(_NOT_YET_SECONDS)
        assert not barrier.done()
        async with deployment.worker():
            await asyncio.wait_for(barrier, 20)
        assert [row[3] for row in await deployment.ledger()] == [35, 35]


async def test_the_sender_knows_where_what_it_sent_ends(deployment: Deployment) -> None:
    ends = Ends(deployment.settings.kafka_brokers)
    tps = [TopicPartition(deployment.settings.topic(purchases.TOPIC), number) for number in range(PARTITIONS)]
    try:
        async with Sender(deployment.settings) as sender:
            for number in range(40):
                order = event(purchase(f"o{number}", f"m{number % 7}"))
                assert order.value is not None
                await sender.send(order.member, order.value, order.headers)
                if number in {3, 4, 30}:
                    await sender.flush()
            await sender.flush()
        found = await ends.of(dict.fromkeys(tps, 0))
        # The embedded broker lists the beginning of the last batch as the latest offset: these are the real ends.
        assert sum(found.values()) == 40
        assert {("purchases", tp.partition): end for tp, end in found.items() if end} == sender.sent
        # From a reader's position, and from beyond the end of a log that was truncated.
        assert await ends.of(found) == found
        assert await ends.of({tp: end + 1000 for tp, end in found.items()}) == found
    finally:
        await ends.close()


async def test_lines_instead_of_a_bar_where_nobody_looks_at_a_terminal(
    deployment: Deployment, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with deployment.worker(), deployment.database() as connection:
        await deployment.send([event(ORDER)])
        await deployment.idle()
        capsys.readouterr()
        with Report("replaying", 2, "events", connection) as report:
            report.advance()
            await report.tell("2017-03-01")
            assert capsys.readouterr() == ("", ""), "a line every few seconds, not every day"
            monkeypatch.setattr(cli.render.progress, "_LINE_SECONDS", 0)
            await report.tell("2017-03-01")
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("2017-03-01: 1 of 2 events (")
    assert err.endswith(" a second), 70 points earned by 1 members\n")
    assert err.isprintable() or err.removesuffix("\n").isprintable(), "no control codes"


async def test_an_open_transaction_of_a_producer_does_not_hold_the_barrier_up(deployment: Deployment) -> None:
    if deployment.servers.kind != "kafka":
        pytest.skip("the embedded broker has no transactions")
    ends = Ends(deployment.settings.kafka_brokers)
    producer = AIOKafkaProducer(
        bootstrap_servers=deployment.settings.kafka_brokers, transactional_id=deployment.settings.topic_prefix
    )
    tp = TopicPartition(deployment.settings.topic(purchases.TOPIC), 0)
    await producer.start()
    try:
        async with producer.transaction():
            await producer.send_and_wait(tp.topic, b"open", partition=0)
            assert await ends.of({tp: 0}) == {tp: 0}
    finally:
        await producer.stop()
        await ends.close()
