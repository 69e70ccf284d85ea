"""What the purchases of the load earn under ``purchases.yaml``, computed without any code of the product."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pydantic_core

from bench.load import Event

_NEVER_EARNS = {"FUEL", "COUPON", "TRAVEL & LEISURE"}
_CENTS = 100


def points_of(purchase: Any) -> int:
    """Return the points of an order: 1 per whole dollar, and 1 more per whole dollar of own brands."""
    lines = [line for line in purchase["lines"] if not _NEVER_EARNS & set(line["category"])]
    own = [line for line in lines if line["brand"] == "Private"]
    return _dollars(lines) + _dollars(own)


def _dollars(lines: Iterable[Any]) -> int:
    total: int = sum(line["amount"] for line in lines)
    return total // _CENTS


def points_by_order(events: Iterable[Event]) -> dict[str, int]:
    """Return what each order earns, without orders that earn nothing, because these have no points event."""
    orders = (pydantic_core.from_json(value) for _member, value, _headers, _topic in events)
    found = {order["order_id"]: points_of(order) for order in orders}
    return {order: points for order, points in found.items() if points}
