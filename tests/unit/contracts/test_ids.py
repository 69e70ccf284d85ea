"""Which ids a record names, whatever is in it."""

from __future__ import annotations

import tracemalloc

from shared.contracts.ids import ids_in


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
