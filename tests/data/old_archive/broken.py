"""Records that nobody can take: one for each way of being wrong. Written for revision af04328, see README.md."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from cli.completejourney import ZONE
from cli.journey_extras import Extra
from month import Month, event, web_order

from shared.contracts import profiles, purchases


def broken(month: Month) -> list[Extra]:
    """Return the records, all of one day. Of the last two the first is taken: the other one conflicts with it."""
    basket = next(iter(month.all()))
    at, member = datetime(2017, 1, 12, 12, tzinfo=ZONE), basket.member

    def wrong(changes: dict[str, Any], kind: str = purchases.COMPLETED, topic: str = purchases.TOPIC) -> Extra:
        return event(at, topic, kind, "/web", {**web_order(f"wrong-{changes}"[:60], member, 1_000), **changes})

    whole = wrong({})
    return [
        whole._replace(value=b'{"order_id": "half'),
        whole._replace(value=b'{"order_id": 1, "order_id": 2}'),
        whole._replace(value=b"", headers=[]),
        whole._replace(value=whole.value + b" " * 1_000_000),
        wrong({"lines": []}),
        wrong({"currency": "EUR"}),
        wrong({"occurred_at": "2016-12-31T12:00:00-05:00"}),
        wrong({"occurred_at": "2099-01-01T12:00:00-05:00"}),
        wrong({"return_id": "r", "order_id": str(basket.number), "order_source": f"/stores/{basket.store}",
               "lines": [{"line_id": "none", "quantity": 1}]}, purchases.RETURNED),
        wrong({"return_id": "s", "order_id": str(basket.number), "order_source": f"/stores/{basket.store}",
               "lines": [{"line_id": "1", "quantity": 99}]}, purchases.RETURNED),
        wrong({"name": "Nobody", "email": "nobody@example.invalid"}, profiles.UPDATED),
        wrong({"email": "no address"}, profiles.UPDATED, profiles.TOPIC),
        wrong({}, "loyalty.purchase.forgotten.v1"),
        wrong({"order_id": "twice"}), wrong({"order_id": "twice", "channel": "phone"}),
    ]  # fmt: skip
