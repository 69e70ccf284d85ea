"""Purchases in, points out: what holds without failures, and with tills that send things again."""

from __future__ import annotations

import time
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.consumer import fetcher
from aiokafka.record import memory_records
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy

from shared.contracts import dead_letters, purchases
from shared.queries.summary import summary_of
from tests.support.deployment import Deployment
from tests.support.events import Sent, about, event, partition_of, purchase


async def test_a_purchase_becomes_points_and_an_event(deployment: Deployment) -> None:
    async with deployment.worker():
        # 12.99 + 5.02 = 18.01 dollars: 18 points; the first line is our own brand: 12 more.
        await deployment.send([event(purchase("o1", cents=[1299, 502]))])
        await deployment.idle()
    await deployment.check()
    rows = await deployment.ledger()
    assert [row[3] for row in rows] == [18, 12]
    assert rows[-1][5] == 30
    (record,) = await deployment.published()
    assert record.key == b"m1"
    assert dict(record.headers)["ce_specversion"] == b"1.0"


async def test_the_same_order_again_has_no_second_effect(deployment: Deployment) -> None:
    order = purchase("o1")
    same_again = dict(reversed(list(order.items())))  # other key order, another producer session, a new event id
    async with deployment.worker():
        await deployment.send([event(order, "first"), event(order, "second")])
        await deployment.idle()
        await deployment.send([event(same_again, "third")])
        await deployment.idle()
    await deployment.check()
    assert [row[3] for row in await deployment.ledger()] == [10, 10]


async def test_the_same_order_id_of_another_source_is_another_order(deployment: Deployment) -> None:
    async with deployment.worker():
        await deployment.send([event(purchase("o1")), event(purchase("o1"), source="/stores/2")])
        await deployment.idle()
    await deployment.check()
    assert (await deployment.ledger())[-1][5] == 40


async def test_the_same_order_with_other_content_is_a_conflict(deployment: Deployment) -> None:
    async with deployment.worker():
        await deployment.send([event(purchase("o1")), event(purchase("o1", cents=[2000]), "again")])
        await deployment.idle()
    await deployment.check()
    (letter,) = await _letters(deployment)
    assert letter["reason"] == "conflict"
    assert letter["detail"].count("hash") == 1
    hashes = [word for word in letter["detail"].replace(",", "").split() if len(word) == 32]
    assert len(set(hashes)) == 2


async def test_hostile_records_become_dead_letters_and_the_batch_goes_on(deployment: Deployment) -> None:
    def raw(order: str, value: bytes | None) -> Any:
        good = event(purchase(order))
        return type(good)(good.member, value, good.headers)

    def text(order: str, old: str, new: str) -> Any:
        value = event(purchase(order)).value
        assert value is not None
        assert old.encode() in value
        return raw(order, value.replace(old.encode(), new.encode()))

    hostile = {
        "not-json": [
            raw("a", b"\x00\xff garbage"),
            raw("b", b"[" * 100_000),
            text("c", '"amount":1000', '"amount":NaN'),
            text("d", '"amount":1000', '"amount":1000,"amount":1000'),
            text("e", '"p1"', '"\\ud800"'),
        ],
        "invalid": [
            text("f", '"amount":1000', '"amount":"1000"'),
            text("g", '"USD"', '"XXY"'),
            text("h", '"amount":1000', '"amount":1000000000000000000'),
            raw("i", event(purchase("i", lines=[])).value),
            text("j", '"m1"', "null"),
            text("k", '"m1"', '"m\\u00001"'),
        ],
        "in-the-future": [event(purchase("l", occurred_at="8998-12-31T00:00:00Z"))],
        "too-large": [event(purchase("m", padding="x" * 5_000_000))],
        "empty": [raw("n", None)],
        "not-a-cloudevent": [type(event(purchase("o")))("m1", event(purchase("o")).value, [])],
        "other-currency": [event(purchase("p", currency="EUR"))],
        "no-program": [event(purchase("q", occurred_at="2016-12-31T00:00:00Z"))],
    }
    bad = [one for several in hostile.values() for one in several]
    async with deployment.worker():
        await deployment.send([event(purchase("good-1")), *bad, event(purchase("good-2"))])
        await deployment.idle()
    await deployment.check()
    assert (await deployment.ledger())[-1][5] == 40
    letters = await _letters(deployment)
    counted = {reason: sum(letter["reason"] == reason for letter in letters) for reason in hostile}
    assert counted == {reason: len(several) for reason, several in hostile.items()}
    assert all(len(letter["detail"]) > 20 for letter in letters), "a person can act on each reason"
    told = [dead_letters.EVENT_REFUSED.validate_json(record.value) for record in
            await deployment.published(dead_letters.TOPIC)]  # fmt: skip
    assert {one["dead_letter_id"] for one in told} == {letter["id"] for letter in letters}


async def test_headers_and_keys_that_nobody_expects_stop_nothing(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The worker changes the parser of this process; restore it afterwards.
    monkeypatch.setattr(memory_records, "DefaultRecordBatch", memory_records.DefaultRecordBatch)
    monkeypatch.setattr(fetcher, "MemoryRecords", fetcher.MemoryRecords)
    parser = memory_records.DefaultRecordBatch
    good = event(purchase("o2"))
    assert good.value is not None
    async with deployment.worker():
        await deployment.send([event(purchase("o1"))])
        await deployment.idle()
        await send_bytes_as_header_name(deployment, good)
        deployment.sent.append(good)
        huge_key = Sent("m1" + "k" * 2_000_000, good.value, good.headers, partition=0)
        await deployment.send([huge_key, event(purchase("o3"))])
        await deployment.idle()
    assert (await deployment.ledger())[-1][5] == 60
    assert memory_records.DefaultRecordBatch is not parser, "the bad name reached the worker"
    assert [letter["reason"] for letter in await _letters(deployment)] == ["too-large"]
    assert all(len(record.key) < 1000 for record in await deployment.published(dead_letters.TOPIC))
    await deployment.check_audit()


async def send_bytes_as_header_name(deployment: Deployment, sent: Sent) -> None:
    """Send a record with one header whose name is not UTF-8: no client does, so the bytes are swapped on the way."""

    class Name(str):
        __slots__ = ()

        def encode(self, *_arguments: Any, **_options: Any) -> bytes:
            return b"\xff\xfe"

    producer = AIOKafkaProducer(bootstrap_servers=deployment.settings.kafka_brokers)
    await producer.start()
    builder = _DefaultRecordBatchBuilderPy(
        magic=2, compression_type=0, is_transactional=False, producer_id=-1, producer_epoch=-1, base_sequence=-1,
        batch_size=100_000,
    )  # fmt: skip
    batch = producer.create_batch()
    batch._builder = builder
    headers = [*sent.headers, (Name("bad"), b"x")]
    batch.append(key=sent.member.encode(), value=sent.value, timestamp=int(time.time() * 1000), headers=headers)
    partition = partition_of(sent.member)
    await (await producer.send_batch(batch, deployment.settings.topic("purchases"), partition=partition))
    await producer.stop()


async def test_an_order_that_earns_nothing_says_why(deployment: Deployment) -> None:
    fuel = purchase("o1")
    fuel["lines"][0]["category"] = ["FUEL"]
    async with deployment.worker():
        await deployment.send([event(fuel), event(purchase("o2", cents=[99]))])
        await deployment.idle()
    await deployment.check()
    async with deployment.database() as connection:
        results = [row["result"] for row in await connection.fetch("select result from purchase order by order_id")]
    assert "never earns" in results[0]
    assert "rounds to nothing" in results[1]


async def test_points_of_a_month_gather_in_one_lot(deployment: Deployment) -> None:
    days = ["2017-03-01T00:00:00-05:00", "2017-03-31T23:59:59-04:00", "2017-04-01T00:00:00-04:00"]
    async with deployment.worker():
        await deployment.send([event(purchase(f"o{n}", occurred_at=day)) for n, day in enumerate(days)])
        await deployment.idle()
    await deployment.check()
    async with deployment.database() as connection:
        lots = await connection.fetch(
            "select earned, expires_at at time zone 'America/New_York' as gone from lot order by 2"
        )
    assert [(lot["earned"], f"{lot['gone']:%F %T}") for lot in lots] == [
        (40, "2018-04-01 00:00:00"),
        (20, "2018-05-01 00:00:00"),
    ]


async def _letters(deployment: Deployment) -> list[Any]:
    async with deployment.database() as connection:
        return list(await connection.fetch("select * from dead_letter order by record_offset"))


async def test_the_summary_says_where_points_came_from(deployment: Deployment) -> None:
    """10.00 dollars of our own brand are 20 points; of two orders one is cancelled."""
    first = purchase("o1")
    cancelled = {**{name: first[name] for name in ("member_id", "occurred_at")}, "order_id": "o1"}
    async with deployment.worker():
        await deployment.send([event(first), event(purchase("o2"))])
        await deployment.idle()
        await deployment.send([about(purchases.CANCELLED, {**cancelled, "cancellation_id": "x1"})])
        await deployment.idle()
    async with deployment.database() as connection:
        found = await summary_of(connection)
    assert found.tables[0].rows == [("orders", 40), ("taken back", -20)]
    assert (found.members, found.earned, found.available) == (1, 20, 20)
