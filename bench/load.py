"""The load of the benchmark: purchases of four lines, the same for every contestant (seeded)."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pydantic_core

from shared.contracts.envelope import seal
from shared.contracts.purchases import COMPLETED

_START = datetime(2017, 1, 2, tzinfo=UTC)
_DEPARTMENTS = (("GROCERY", "TEA"), ("PRODUCE", "FRUIT"), ("DRUG GM", "SOAP"), ("FUEL", "GASOLINE"))
_BRANDS = ("National", "National", "Private")


def purchases(
    count: int, members: int, seed: int = 1, first: int = 0
) -> Iterator[tuple[str, bytes, list[tuple[str, bytes]]]]:
    """Yield (member, value, headers): orders of four lines, evenly over the members, in order of time."""
    rng = random.Random(seed + first)
    for number in range(first, first + count):
        member = f"{rng.randrange(members):06d}"
        occurred_at = (_START + timedelta(seconds=number)).isoformat()
        lines = [_line(rng, position) for position in range(1, 5)]
        data = {
            "order_id": f"{number:010d}", "member_id": member, "occurred_at": occurred_at, "channel": "store",
            "store_id": "330", "currency": "USD", "lines": lines,
        }  # fmt: skip
        headers = seal(
            event_id=f"bench-{number}", source="/stores/330", event_type=COMPLETED, time=occurred_at, key=member
        )
        yield member, pydantic_core.to_json(data), headers


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
