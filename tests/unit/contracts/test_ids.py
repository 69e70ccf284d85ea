"""Which ids a record's value names, whether or not it is an event that we accept."""

from __future__ import annotations

import json

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
