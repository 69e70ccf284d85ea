"""The load of the benchmark: purchases of four lines, the same for every contestant (seeded)."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pydantic_core

from shared.contracts.catalogue import TOPIC_OF
from shared.contracts.envelope import seal
from shared.contracts.purchases import COMPLETED

#: (member, value, headers, topic): the arguments of ``Sender.send``.
Event = tuple[str, bytes, list[tuple[str, bytes]], str]

#: The program that the load is made for.
PURCHASES = Path(__file__).with_name("purchases.yaml")
#: The number of partitions of each topic.
PARTITIONS = 8
_START = datetime(2017, 1, 2, tzinfo=UTC)
_STORE = "/stores/330"
_DEPARTMENTS = (("GROCERY", "TEA"), ("PRODUCE", "FRUIT"), ("DRUG GM", "SOAP"), ("FUEL", "GASOLINE"))
_BRANDS = ("National", "National", "Private")


def purchases(count: int, members: int, seed: int = 1, first: int = 0) -> Iterator[Event]:
    """Yield orders of four lines, evenly distributed over the members, in order of time."""
    rng = random.Random(seed + first)
    for number in range(first, first + count):
        member = f"{rng.randrange(members):06d}"
        yield purchase(rng, f"{number:010d}", member, (_START + timedelta(seconds=number)).isoformat())


def purchase(rng: random.Random, order: str, member: str, occurred_at: str) -> Event:
    """Return an order of four lines."""
    lines = [_line(rng, position) for position in range(1, 5)]
    return order_of(order, member, occurred_at, lines)


def order_of(order: str, member: str, occurred_at: str, lines: list[dict[str, object]]) -> Event:
    """Return an order with some lines."""
    data: dict[str, object] = {
        "order_id": order,
        "member_id": member,
        "occurred_at": occurred_at,
        "channel": "store",
        "store_id": "330",
        "currency": "USD",
        "lines": lines,
    }
    return event_of(COMPLETED, data, f"bench-{order}")


def event_of(event_type: str, data: dict[str, object], event_id: str, source: str = _STORE) -> Event:
    """Return an event about a member."""
    member, time = str(data["member_id"]), str(data["occurred_at"])
    headers = seal(event_id=event_id, source=source, event_type=event_type, time=time, key=member)
    return member, pydantic_core.to_json(data), headers, TOPIC_OF[event_type]


def _line(rng: random.Random, position: int) -> dict[str, object]:
    department, category = rng.choice(_DEPARTMENTS)
    return {
        "line_id": str(position),
        "product_id": f"{rng.randrange(90_000):07d}",
        "category": [department, category],
        "brand": rng.choice(_BRANDS),
        "quantity": rng.randrange(1, 4),
        "amount": rng.randrange(50, 3000),
    }
