"""What crosses Kafka: every valid event is read, and no content of a record can stop a batch."""

from __future__ import annotations

import base64
import dataclasses
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.contracts.order_lines import Line, Tender
from shared.contracts.purchases import COMPLETED, PurchaseCompleted
from shared.instants import iso, microseconds
from shared.runtime.batch.decode import FUTURE_TOLERANCE, refuse_future
from shared.runtime.records import Received, Record
from tests.support.build import (
    RECORD_BYTES,
    SOURCE,
    as_bytes,
    binary,
    headers,
    line,
    only,
    purchase,
    read,
)
from tests.support.build import structured as structured_record
from tests.support.examples import examples

properties = examples(30)

NOW = microseconds(datetime(2017, 6, 1, tzinfo=UTC))
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


# ---- what can be read


@pytest.mark.parametrize(
    "record",
    [
        pytest.param(binary(purchase()), id="binary"),
        pytest.param(binary(purchase(), content_type=None), id="binary without content-type"),
        pytest.param(binary(purchase(), content_type=b"application/json; charset=utf-8"), id="binary with charset"),
        pytest.param(binary(purchase(), content_type=b"Application/JSON"), id="content-type in another case"),
        pytest.param(
            Record(0, 0, None, as_bytes(purchase()), tuple((name.upper(), text) for name, text in headers())),
            id="header names in another case",
        ),
        pytest.param(binary(purchase(), ce_time=None, ce_unheard_of=b"\xff\xfe"), id="an extension that is not text"),
        pytest.param(structured_record(purchase()), id="structured"),
        pytest.param(
            structured_record(purchase(), content_type="Application/CloudEvents+JSON; charset=UTF-8"),
            id="structured with charset",
        ),
        pytest.param(
            structured_record(purchase(), datacontenttype="application/json", x=1), id="structured, more fields"
        ),
        pytest.param(
            structured_record(data_base64=base64.b64encode(as_bytes(purchase())).decode()), id="structured, base64"
        ),
    ],
)
def test_an_event_is_read_in_every_way_of_writing_it(record: Record) -> None:
    received = only(record)
    assert (received.event_id, received.source, received.type) == ("e1", SOURCE, COMPLETED)
    assert received.event.order_id == "o1"
    assert received.event.lines[0].amount == 1000
    # The same order, however it travelled: the second copy must be known as a duplicate.
    assert (received.key, received.content_hash) == only(binary(purchase()))[5:7]


def test_fields_of_a_newer_producer_are_ignored() -> None:
    newer = purchase(line(colour="red"), loyalty_hint={"a": [1]}, tenders=[{"method": "card", "amount": 1, "bin": "4"}])
    assert only(binary(newer)).event.tenders == (Tender(method="card", amount=1),)


def test_other_types_are_ignored_and_counted() -> None:
    other = b"loyalty.purchase.refunded.v9"
    decoded = read(binary(purchase(), ce_type=other), binary(b"\xff", ce_type=other), structured_record({}, type="x"))
    assert (decoded.events, decoded.refused, decoded.ignored.total()) == ([], [], 3)


def test_the_key_is_of_source_and_order() -> None:
    keys = {
        only(binary(purchase(order_id=order), ce_source=source)).key
        for order in ("o1", "o2", "2")
        for source in (b"/s", b"/s/o", b"/so")
    }
    assert len(keys) == 9


# ---- what cannot be read


def _raw(field: str, value: str | bytes) -> bytes:
    """A purchase in which one field is written by hand."""
    made = purchase(line(amount="@")) if field == "amount" else purchase(**{field: "@"})
    return as_bytes(made).replace(b'"@"', value if isinstance(value, bytes) else value.encode())


HOSTILE: list[tuple[str, Record, str, str]] = [
    ("not JSON", binary(b"hello"), "not-json", "expected"),
    ("no bytes", binary(b""), "not-json", "EOF"),
    ("binary rubbish", binary(b"\x00\xff\xfe"), "not-json", "JSON"),
    ("cut off", binary(as_bytes(purchase())[:-1]), "not-json", "EOF"),
    ("two documents", binary(as_bytes(purchase()) * 2), "not-json", "trailing"),
    ("BOM", binary(b"\xef\xbb\xbf" + as_bytes(purchase())), "not-json", "column 1"),
    ("UTF-16", binary(json.dumps(purchase()).encode("utf-16")), "not-json", "column 1"),
    ("Latin-1", binary(_raw("channel", b'"\xe9"')), "not-json", "unicode"),
    ("NaN", binary(_raw("amount", "NaN")), "not-json", "expected value"),
    ("Infinity", binary(_raw("amount", "Infinity")), "not-json", "expected value"),
    ("-Infinity", binary(_raw("amount", "-Infinity")), "not-json", "number"),
    ("1e400", binary(_raw("amount", "1e400")), "invalid", "lines.0.amount"),
    ("leading zero", binary(_raw("amount", "0330")), "not-json", "number"),
    ("4000 digits", binary(_raw("amount", "9" * 4000)), "invalid", "lines.0.amount"),
    ("5000 digits", binary(_raw("amount", "9" * 5000)), "not-json", "out of range"),
    ("10**18 cents", binary(_raw("amount", str(10**18))), "invalid", "less than or equal to 1000000000000"),
    ("negative amount", binary(_raw("amount", "-1")), "invalid", "lines.0.amount"),
    ("fraction of a cent", binary(_raw("amount", "9.5")), "invalid", "lines.0.amount"),
    ("whole number as a float", binary(_raw("amount", "10.0")), "invalid", "lines.0.amount"),
    ("number in quotes", binary(_raw("amount", '"10"')), "invalid", "lines.0.amount"),
    ("true for a number", binary(_raw("amount", "true")), "invalid", "lines.0.amount"),
    ("text for true", binary(purchase(line(is_gift_card="true"))), "invalid", "lines.0.is_gift_card"),
    ("number for an id", binary(purchase(member_id=7)), "invalid", "member_id"),
    ("null for an id", binary(purchase(order_id=None)), "invalid", "order_id"),
    ("null for the time", binary(purchase(occurred_at=None)), "invalid", "occurred_at"),
    ("null for the lines", binary(purchase(lines=None)), "invalid", "lines"),
    ("null for a line", binary(purchase(lines=[None])), "invalid", "lines.0"),
    ("null for a number", binary(purchase(tax=None)), "invalid", "tax"),
    ("nothing but {}", binary({}), "invalid", "order_id: Field required"),
    ("a list of purchases", binary([purchase()]), "invalid", "data"),
    ("JSON null", binary(b"null"), "invalid", "data"),
    ("no lines", binary(purchase(lines=[])), "invalid", "lines"),
    ("10,001 lines", binary(purchase(*[line(str(n)) for n in range(10_001)])), "invalid", "10000"),
    ("two lines with one id", binary(purchase(line("1"), line("1"))), "invalid", "same line_id"),
    ("lines of too much", binary(purchase(line("1", 10**12), line("2", 1))), "invalid", "add up to more"),
    ("category as text", binary(purchase(line(category="TEA"))), "invalid", "lines.0.category"),
    ("unknown currency", binary(purchase(currency="XQX")), "invalid", "ISO 4217"),
    ("currency in small letters", binary(purchase(currency="usd")), "invalid", "ISO 4217"),
    ("naive time", binary(purchase(occurred_at="2017-03-01T12:00:00")), "invalid", "timezone"),
    ("date only", binary(purchase(occurred_at="2017-03-01")), "invalid", "occurred_at"),
    ("a day that is not", binary(purchase(occurred_at="2017-02-29T12:00:00Z")), "invalid", "occurred_at"),
    ("before computers", binary(purchase(occurred_at="1969-12-31T12:00:00Z")), "invalid", "before 1990-01-01"),
    ("year 1 east of Greenwich", binary(purchase(occurred_at="0001-01-01T00:00:00+14:00")), "invalid", "before"),
    ("seconds since 1970", binary(purchase(occurred_at=1488387600)), "invalid", "occurred_at"),
    ("seconds since 1970 in quotes", binary(purchase(occurred_at="1488387600")), "invalid", "occurred_at"),
    ("duplicate key", binary(_raw("tax", '1,"tax":2')), "not-json", 'duplicate key "tax"'),
    ("nested duplicate key", binary(_raw("amount", '1,"amount":2')), "not-json", 'duplicate key "amount"'),
    ("duplicate key, escaped", binary(_raw("tax", '1,"t\\u0061x":2')), "not-json", 'duplicate key "tax"'),
    ("lone surrogate", binary(_raw("channel", r'"\ud800"')), "not-json", "hex escape"),
    ("lone surrogate in a key", binary(_raw("x", r'{"\udfff":1}')), "not-json", "JSON"),
    ("surrogate as bytes", binary(_raw("channel", b'"\xed\xa0\x80"')), "not-json", "unicode"),
    ("5000 brackets", binary(_raw("x", "[" * 5000 + "]" * 5000)), "not-json", "recursion limit"),
    ("5000 brackets, structured", structured_record(b"[" * 5000 + b"]" * 5000), "not-json", "recursion limit"),
    ("deep where a number should be", binary(_raw("amount", "[" * 150 + "]" * 150)), "invalid", "lines.0.amount"),
    ("NUL, unescaped", binary(_raw("order_id", b'"\x00"')), "not-json", "control character"),
    ("NUL in an id", binary(purchase(order_id="a\x00b")), "invalid", "order_id"),
    ("line break in an id", binary(purchase(member_id="a\nb")), "invalid", "member_id"),
    ("line break at the end", binary(purchase(member_id="m1\n")), "invalid", "member_id"),
    ("escape sequence in an id", binary(purchase(line(sku="\x1b[31m"))), "invalid", "lines.0.sku"),
    ("DEL in an id", binary(purchase(store_id="\x7f")), "invalid", "store_id"),
    ("C1 control in an id", binary(purchase(member_id="\x9b31m")), "invalid", "member_id"),
    ("empty id", binary(purchase(member_id="")), "invalid", "member_id"),
    ("long id", binary(purchase(order_id="x" * 129)), "invalid", "128"),
    ("no value", Record(0, 0, b"m1", None, headers()), "empty", "no value"),
    ("too large", binary(as_bytes(purchase()) + b" " * RECORD_BYTES), "too-large", "1,000,000"),
    ("no headers", Record(0, 0, None, as_bytes(purchase()), ()), "not-a-cloudevent", "specversion, id, source, type"),
    ("no ce_id", binary(purchase(), ce_id=None), "not-a-cloudevent", "missing or empty attribute: id"),
    ("no ce_source", binary(purchase(), ce_source=None), "not-a-cloudevent", "source"),
    ("no ce_type", binary(purchase(), ce_type=None), "not-a-cloudevent", "type"),
    ("CloudEvents 0.3", binary(purchase(), ce_specversion=b"0.3"), "not-a-cloudevent", "1.0 is supported"),
    ("header that is not UTF-8", binary(purchase(), ce_id=b"\xff"), "not-a-cloudevent", "UTF-8"),
    ("NUL in the source", binary(purchase(), ce_source=b"/s\x00x"), "not-a-cloudevent", "source"),
    ("long source", binary(purchase(), ce_source=b"/" * 257), "not-a-cloudevent", "256"),
    ("Avro", binary(purchase(), content_type=b"application/avro"), "not-a-cloudevent", "not JSON"),
    ("content-type of bytes", binary(purchase(), content_type=b"\xff"), "not-a-cloudevent", "not JSON"),
    ("structured rubbish", structured_record(b"{,}"), "not-json", "structured"),
    ("structured list", structured_record()._replace(value=b"[]"), "not-a-cloudevent", "not a JSON object"),
    ("structured without id", structured_record(purchase(), id=...), "not-a-cloudevent", "id"),
    ("structured with number as id", structured_record(purchase(), id=7), "not-a-cloudevent", "id"),
    ("structured with null as type", structured_record(purchase(), type=None), "not-a-cloudevent", "type"),
    ("structured twice the id", structured_record(b'{},"id":"e2"'), "not-json", "duplicate key"),
    ("structured NaN", structured_record(_raw("amount", "NaN")), "not-json", "structured"),
    ("structured 1e400", structured_record(_raw("amount", "1e400")), "not-json", "JSON"),
    ("structured without data", structured_record(), "empty", "no data"),
    ("structured with null data", structured_record(b"null"), "empty", "no data"),
    ("data as JSON in a string", structured_record(json.dumps(purchase())), "invalid", "data"),
    ("base64 that is none", structured_record(data_base64="###"), "not-a-cloudevent", "base64"),
    ("base64 null", structured_record(data_base64=None), "not-a-cloudevent", "base64"),
    ("base64 of other letters", structured_record(data_base64="é"), "not-a-cloudevent", "base64"),
    ("base64 of rubbish", structured_record(data_base64="/w=="), "not-json", "JSON"),
]  # fmt: skip


@pytest.mark.parametrize(("record", "reason", "word"), [pytest.param(*row, id=name) for name, *row in HOSTILE])
def test_what_cannot_be_read_is_refused_and_the_batch_goes_on(record: Record, reason: str, word: str) -> None:
    decoded = read(binary(purchase()), record, binary(purchase(order_id="o2")))
    assert [received.position for received in decoded.events] == [0, 2]
    (refusal,) = decoded.refused
    assert (refusal.position, refusal.reason) == (1, reason)
    assert word in refusal.detail
    assert len(refusal.detail) < 1000


def test_a_header_without_a_value_counts_as_missing() -> None:
    # Kafka allows null header values, and aiokafka hands them on as None.
    nothing: Any = None
    without_id = tuple((name, nothing if name == "ce_id" else text) for name, text in headers())
    decoded = read(binary(purchase())._replace(headers=without_id))
    assert [(refusal.reason, refusal.event_id) for refusal in decoded.refused] == [("not-a-cloudevent", None)]
    other = tuple((name, nothing if name == "content-type" else text) for name, text in headers())
    assert only(binary(purchase())._replace(headers=other)).event_id == "e1"


def test_a_refusal_says_who_sent_what() -> None:
    (refusal,) = read(binary(purchase(currency="?"), ce_id=b"e7")).refused
    assert (refusal.event_id, refusal.type, refusal.source) == ("e7", COMPLETED, SOURCE)


def test_a_long_envelope_is_cut_not_carried_along() -> None:
    (refusal,) = read(binary(b"?", ce_id=b"x" * 100_000)).refused
    assert refusal.event_id == "x" * 256


# message of 12 MB, more than the publisher's limit of 9 MB: the outbox would be stuck for ever.
def test_a_refusal_stays_short_whatever_the_record_holds() -> None:
    key = "\u200b" * 100_000
    (refusal,) = read(binary(f'{{"{key}":1,"{key}":2}}'.encode())).refused
    assert refusal.reason == "not-json"
    assert len(refusal.detail) < 1000


def test_one_wrong_line_among_thousands_is_named() -> None:
    lines = [line(str(number)) for number in range(5000)]
    lines[4321]["amount"] = "1"
    (refusal,) = read(binary(purchase(*lines))).refused
    assert refusal.detail.startswith("lines.4321.amount: ")


def test_a_wrong_line_is_the_only_thing_that_is_reported() -> None:
    (refusal,) = read(binary(purchase(line(amount="1")))).refused
    assert "at least 1 item" not in refusal.detail


def test_of_many_mistakes_five_are_shown_and_the_rest_counted() -> None:
    (refusal,) = read(binary(purchase(*[line(str(number), None) for number in range(8)]))).refused
    assert refusal.detail.count("amount") == 5
    assert "more" in refusal.detail.rpartition("; ")[2]


@properties
@given(st.lists(st.binary(max_size=60), max_size=4), st.dictionaries(st.text(max_size=12), st.binary(max_size=20)))
def test_arbitrary_bytes_never_stop_a_batch(values: list[bytes], more: dict[str, bytes]) -> None:
    records = [Record(0, 0, None, value, (*headers(), *more.items())) for value in values]
    decoded = read(binary(purchase()), *records, binary(purchase()))
    assert len(decoded.events) + len(decoded.refused) + decoded.ignored.total() == len(records) + 2


@properties
@given(
    st.sampled_from([field.name for field in dataclasses.fields(PurchaseCompleted)]),
    st.sampled_from([field.name for field in dataclasses.fields(Line)]),
    JSON_VALUES,
    JSON_VALUES,
)
def test_arbitrary_values_in_any_field_never_stop_a_batch(of_order: str, of_line: str, one: Any, other: Any) -> None:
    data = json.dumps({**purchase({**line(), of_line: one}), of_order: other}).encode()
    decoded = read(binary(data), structured_record(data), binary(purchase()))
    assert len(decoded.events) + len(decoded.refused) == 3
    for refusal in decoded.refused:
        refusal.detail.encode()


@properties
@example("data_base64", "é")
@given(st.sampled_from(["specversion", "id", "source", "type", "data", "data_base64"]), JSON_VALUES)
def test_arbitrary_values_in_the_envelope_never_stop_a_batch(attribute: str, value: Any) -> None:
    event = {"specversion": "1.0", "id": "e", "source": "/s", "type": COMPLETED, "data": purchase(), attribute: value}
    record = structured_record()._replace(value=json.dumps(event).encode())
    decoded = read(record, binary(purchase()))
    assert len(decoded.events) + len(decoded.refused) + decoded.ignored.total() == 2


# ---- the future


def _at(instant: int) -> Received:
    return only(binary(purchase(occurred_at=iso(instant))))


def test_a_clock_five_minutes_ahead_is_believed_and_a_microsecond_more_is_not() -> None:
    just, beyond = _at(NOW + FUTURE_TOLERANCE), _at(NOW + FUTURE_TOLERANCE + 1)
    plausible, refused = refuse_future([_at(NOW), just, beyond], NOW)
    assert [received.occurred_at for received in plausible] == [NOW, just.occurred_at]
    assert [refusal.reason for refusal in refused] == ["in-the-future"]


@pytest.mark.parametrize(
    "year_9999",
    [
        "9999-12-31T23:59:59Z",
        "9999-12-31T23:59:59.999999+14:00",
        "9999-12-31T23:59:59-05:00",
    ],
)
def test_the_end_of_the_calendar_is_out_of_reach(year_9999: str) -> None:
    refused = read(binary(purchase(occurred_at=year_9999))).refused
    assert [(refusal.reason, refusal.event_id) for refusal in refused] == [("invalid", "e1")]


def test_a_far_future_is_the_future() -> None:
    good, bad = only(binary(purchase())), only(binary(purchase(occurred_at="8999-12-31T23:59:59Z")))
    plausible, refused = refuse_future([bad, good], NOW)
    assert plausible == [good]
    assert [(refusal.reason, refusal.event_id) for refusal in refused] == [("in-the-future", "e1")]
