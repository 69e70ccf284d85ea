"""Where a worker continues in a partition that was assigned to it."""

from __future__ import annotations

from shared.runtime.batch.leases import decide_lease
from shared.runtime.tables.watermark import Lease


def test_where_a_worker_goes_on() -> None:
    known = Lease("purchases", 0, epoch=3, next_offset=50, topic_id="a")
    assert decide_lease(None, "purchases", 0, "a", 0, shorter=False) == (Lease("purchases", 0, 0, 0, "a"), None)
    assert decide_lease(known, "purchases", 0, "a", 0, shorter=False) == (known, None)
    assert decide_lease(known, "purchases", 0, "b", 0, shorter=False) == (
        Lease("purchases", 0, 4, 0, "b"), "topic-recreated",
    )  # fmt: skip
    assert decide_lease(known, "purchases", 0, "a", 0, shorter=True) == (
        Lease("purchases", 0, 4, 0, "a"), "broker-lost-data",
    )  # fmt: skip
    assert decide_lease(known, "purchases", 0, "a", 60, shorter=False) == (known, "records-lost")
