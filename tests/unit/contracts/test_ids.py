"""Which ids a record's value names, whether or not it is an event that we accept."""

from __future__ import annotations

import json
import tracemalloc

import pytest

from shared.contracts.ids import ids_in


@pytest.mark.parametrize(
    ("value", "names"),
    [
        ({"order_id": "o1", "return_id": "r1", "member_id": "ann"}, {"o1", "r1"}),
        ({"specversion": "1.0", "id": "e1", "data": {"redemption_id": "q1"}}, {"q1"}),
        ({"order_id": 7, "claim_id": "", "referral_id": "x" * 257}, set()),
        ({"order_id": "a\x00b", "return_id": "a\x1fb"}, set()),
        (["order_id"], set()),
        (None, set()),
    ],
)
def test_ids_in_a_value(value: object, names: set[str]) -> None:
    assert ids_in(None if value is None else json.dumps(value).encode()) == names


@pytest.mark.parametrize("value", [b"", b"{", b'{"order_id": "\\ud800"}', b"\xff", b"[" * 10_000])
def test_what_is_no_json_names_nothing(value: bytes) -> None:
    assert ids_in(value) == set()


def test_what_was_refused_unread_because_of_its_size_is_not_read_for_its_ids() -> None:
    huge = b"[" + b"[]," * 1_500_000 + b"[]]"
    tracemalloc.start()
    assert ids_in(huge) == set()
    _now, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000


def test_a_field_named_data_makes_no_structured_event() -> None:
    assert ids_in(b'{"order_id": "o1", "data": {"x": 1}}') == {"o1"}
    assert ids_in(b'{"specversion": "1.0", "data": {"order_id": "o2"}}') == {"o2"}
    assert ids_in(None) == ids_in(b"{") == ids_in(b"[1]") == set()
