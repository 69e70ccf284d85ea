"""Where a worker continues in a partition that was assigned to it."""

from __future__ import annotations

from shared.runtime.leases import decide_claim
from shared.runtime.watermark import Claim


def test_where_a_worker_goes_on() -> None:
    known = Claim("purchases", 0, epoch=3, next_offset=50, topic_id="a")
    assert decide_claim(None, "purchases", 0, "a", 0, shorter=False) == (Claim("purchases", 0, 0, 0, "a"), None)
    assert decide_claim(known, "purchases", 0, "a", 0, shorter=False) == (known, None)
    assert decide_claim(known, "purchases", 0, "b", 0, shorter=False) == (
        Claim("purchases", 0, 4, 0, "b"), "topic-made-anew",
    )  # fmt: skip
    assert decide_claim(known, "purchases", 0, "a", 0, shorter=True) == (
        Claim("purchases", 0, 4, 0, "a"), "broker-lost-data",
    )  # fmt: skip
    assert decide_claim(known, "purchases", 0, "a", 60, shorter=False) == (known, "records-lost")
