"""The content hash of an order: equal exactly where the content is."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import random
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.contracts.order_lines import Line, Tender
from shared.contracts.purchases import PurchaseCompleted
from tests.support.build import (
    binary,
    line,
    only,
    purchase,
)
from tests.support.examples import examples

properties = examples(30)


def content_hash(data: object) -> bytes:
    return only(binary(data)).content_hash


# ---- the content hash

MOMENTS = st.datetimes(datetime(1990, 1, 2), datetime(2098, 12, 31), timezones=st.just(UTC))
IDS = st.sampled_from(["a", "b", "A/B", "é", 'quote"', "back\\slash", "😀"])
TEXTS = IDS | st.just("line\u2028")
LINES = st.fixed_dictionaries(
    {"product_id": IDS, "amount": st.integers(0, 10**9)},
    optional={
        "sku": IDS, "category": st.lists(TEXTS, max_size=3), "brand": TEXTS, "tags": st.lists(TEXTS, max_size=2),
        "quantity": st.integers(0, 5), "discount": st.integers(0, 5), "is_gift_card": st.booleans(),
    },
)  # fmt: skip
PURCHASES = st.fixed_dictionaries(
    {
        "order_id": IDS, "member_id": IDS, "occurred_at": MOMENTS, "currency": st.sampled_from(["USD", "JPY"]),
        "lines": st.lists(LINES, min_size=1, max_size=3).map(
            lambda lines: [{"line_id": str(number), **one} for number, one in enumerate(lines)]
        ),
    },
    optional={
        "channel": TEXTS, "store_id": TEXTS, "tax": st.integers(0, 3), "shipping": st.integers(0, 3),
        "tenders": st.lists(st.fixed_dictionaries({"method": TEXTS, "amount": st.integers(0, 3)}), max_size=2),
    },
)  # fmt: skip


def _defaults(kind: Any) -> dict[str, Any]:
    return {one.name: one.default for one in dataclasses.fields(kind) if one.default is not dataclasses.MISSING}


def _rewritten(data: Any, chance: random.Random, kind: Any = PurchaseCompleted) -> dict[str, Any]:
    """The same content written differently: other key order, explicit defaults, unknown fields."""
    explicit = {name: value for name, value in _defaults(kind).items() if chance.random() < 0.5}
    said = {**explicit, **data, "unheard_of": chance.random()}
    if kind is PurchaseCompleted:
        said["lines"] = [_rewritten(one, chance, Line) for one in said["lines"]]
        said["tenders"] = [_rewritten(one, chance, Tender) for one in said.get("tenders", ())]
    keys = list(said)
    chance.shuffle(keys)
    return {key: said[key] for key in keys}


@properties
@given(PURCHASES, st.randoms(use_true_random=False), st.integers(-14 * 60, 14 * 60), st.booleans())
def test_the_hash_is_of_the_content_and_not_of_how_it_is_written(
    data: dict[str, Any], chance: random.Random, offset: int, ascii_only: bool
) -> None:
    elsewhere = data["occurred_at"].astimezone(timezone(timedelta(minutes=offset)))
    again = {**_rewritten(data, chance), "occurred_at": elsewhere.isoformat()}
    written = json.dumps(again, ensure_ascii=ascii_only, indent=chance.choice([None, 1]))
    assert content_hash(written.encode()) == content_hash({**data, "occurred_at": data["occurred_at"].isoformat()})


@properties
@given(PURCHASES, PURCHASES, st.sets(st.sampled_from([field.name for field in dataclasses.fields(PurchaseCompleted)])))
def test_the_hash_is_equal_exactly_where_the_content_is(
    one: dict[str, Any], other: dict[str, Any], taken: set[str]
) -> None:
    mixed = {**one, **{name: value for name, value in other.items() if name in taken}}
    first, second = only(binary(one)), only(binary(mixed))
    assert (first.event == second.event) == (first.content_hash == second.content_hash)


OTHER_ORDER: dict[str, object] = {
    "order_id": "o2", "member_id": "m2", "occurred_at": "2017-03-01T12:00:00.000001-05:00", "channel": "web",
    "store_id": "7", "partner_id": "p9", "currency": "EUR",
    "lines": [line(), line("2", 0)], "tenders": [{"method": "cash", "amount": 0}],
    "tax": 1, "shipping": 1,
}  # fmt: skip
OTHER_LINE: dict[str, object] = {
    "line_id": "2", "product_id": "p2", "sku": "s", "category": ["TEA"], "brand": "b", "tags": ["t"], "quantity": 2,
    "amount": 1001, "discount": 1, "is_gift_card": True,
}  # fmt: skip
OTHER_TENDER: dict[str, object] = {"method": "cash", "brand": "visa", "card": "own", "amount": 6}
CARD = {"method": "card", "amount": 5}


def test_the_changes_below_name_every_field() -> None:
    for kind, other in ((PurchaseCompleted, OTHER_ORDER), (Line, OTHER_LINE), (Tender, OTHER_TENDER)):
        assert {field.name for field in dataclasses.fields(kind)} == set(other)


@pytest.mark.parametrize(
    "changed",
    [
        *[pytest.param({name: value}, id=name) for name, value in OTHER_ORDER.items()],
        *[pytest.param({"lines": [{**line(), name: value}]}, id=f"line {name}") for name, value in OTHER_LINE.items()],
        *[pytest.param({"tenders": [{**CARD, name: to}]}, id=f"tender {name}") for name, to in OTHER_TENDER.items()],
    ],
)
def test_the_hash_differs_where_one_field_does(changed: dict[str, object]) -> None:
    base = purchase(tenders=[CARD])
    assert content_hash({**base, **changed}) != content_hash(base)


def test_the_hash_of_an_order_never_changes() -> None:
    # It is stored with the order: were a field with a default to change it, every old order sent again would conflict.
    written = (
        b'{"order_id":"o1","member_id":"m1","currency":"USD",'
        b'"lines":[{"line_id":"1","product_id":"p1","amount":1000}]}'
        b"1488387600000000"  # 2017-03-01T17:00:00Z in microseconds
    )
    assert content_hash(purchase()) == hashlib.blake2b(written, digest_size=16).digest()


def test_the_order_of_lines_and_of_a_path_is_content() -> None:
    one, two = line("1"), line("2")
    assert content_hash(purchase(one, two)) != content_hash(purchase(two, one))
    assert content_hash(purchase(line(category=["A", "B"]))) != content_hash(purchase(line(category=["A/B"])))
