"""Parity with the SDK of CloudEvents: each reads what the other writes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from cloudevents.core.bindings import kafka as sdk
from cloudevents.core.v1.event import CloudEvent

from shared.contracts.envelope import seal
from shared.contracts.points import EARNED, POINTS_EARNED
from shared.contracts.purchases import COMPLETED, PURCHASE_COMPLETED
from shared.instants import microseconds
from shared.runtime.handler import Mark
from shared.runtime.records import Record
from shared.simulation.simulator import Rehearsal
from tests.support.build import (
    FRESH_MARKET,
    SOURCE,
    as_bytes,
    binary,
    only,
    purchase,
)

NOW = microseconds(datetime(2017, 6, 1, tzinfo=UTC))

# ---- parity with the CloudEvents SDK


def _sdk_event(data: Any, **attributes: Any) -> CloudEvent:
    base = {"id": "e1", "source": SOURCE, "type": COMPLETED, "partitionkey": "m1"}
    return CloudEvent({**base, "time": datetime(2017, 3, 1, 17, tzinfo=UTC), **attributes}, data)


@pytest.mark.parametrize("write", [sdk.to_binary_event, sdk.to_structured_event], ids=["binary", "structured"])
@pytest.mark.parametrize("content_type", [{}, {"datacontenttype": "application/json"}], ids=["bare", "with type"])
@pytest.mark.parametrize("data", [purchase(), as_bytes(purchase())], ids=["dict", "bytes"])
def test_what_the_sdk_writes_is_read(write: Any, content_type: dict[str, str], data: Any) -> None:
    message = write(_sdk_event(data, **content_type))
    received = only(Record(0, 0, b"m1", message.value, tuple(message.headers.items())))
    assert (received.event_id, received.source, received.type) == ("e1", SOURCE, COMPLETED)
    assert (received.key, received.content_hash) == only(binary(purchase()))[5:7]


def test_the_sdk_reads_the_headers_that_are_sealed() -> None:
    time = "2017-03-01T12:00:00.123456Z"
    sealed = seal(event_id="e-é", source="/loyalty/earn", event_type="t.v1", time=time, key="m-😀")
    event = sdk.from_kafka_event(sdk.KafkaMessage(dict(sealed), "m-😀".encode(), b'{"a": 1}'))
    assert isinstance(event, CloudEvent)
    assert (event.get_id(), event.get_source(), event.get_type()) == ("e-é", "/loyalty/earn", "t.v1")
    assert (event.get_specversion(), event.get_datacontenttype()) == ("1.0", "application/json")
    assert event.get_time() == datetime(2017, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
    assert (event.get_extension("partitionkey"), event.get_data()) == ("m-😀", {"a": 1})


def test_the_sdk_reads_what_the_earn_service_publishes() -> None:
    rehearsal = Rehearsal()
    rehearsal.publish(FRESH_MARKET)
    (message,) = rehearsal.batch([binary(purchase(member_id="membré"))], Mark(1, NOW, NOW)).messages
    event = sdk.from_kafka_event(sdk.KafkaMessage(dict(message.headers), message.key, message.value))
    assert event.get_type() == EARNED
    assert event.get_extension("partitionkey") == "membré"
    earned = POINTS_EARNED.validate_json(message.value)
    assert event.get_data() == earned
    assert (earned["member_id"], earned["points"]) == ("membré", 10)


def test_our_own_events_pass_our_own_reader() -> None:
    sealed = seal(event_id="e1", source=SOURCE, event_type=COMPLETED, time="2017-03-01T17:00:00Z", key="m1")
    assert only(Record(0, 0, b"m1", as_bytes(purchase()), tuple(sealed))).event_id == "e1"
    assert PURCHASE_COMPLETED.type == COMPLETED
