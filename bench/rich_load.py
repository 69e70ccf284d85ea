"""The load of a rich program: two wallets, caps and many rules, and purchases of which some are returned (seeded)."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

from bench.load import Event, event_of, purchases
from shared.contracts.purchases import RETURNED

RICH = Path(__file__).with_name("rich.yaml")
_RETURNED = 0.05


def offers(count: int) -> str:
    """Return a number of rules, to be appended to those of ``RICH``."""
    return "\n".join(_offers(random.Random(count), count))


def _offers(rng: random.Random, count: int) -> Iterator[str]:
    for number in range(count):
        kind = number % 4
        give = f"give: {rng.randrange(5, 50)} points per item"
        if kind == 0:
            yield f"  - {{ rule: product-{number}, {give}, for: {{ product: '{rng.randrange(90_000):07d}' }} }}"
        elif kind == 1:
            yield f"  - {{ rule: store-{number}, {give}, when: {{ store: '{rng.randrange(1000, 9000)}' }} }}"
        elif kind == 2:
            day = f"2017-{rng.randrange(1, 13):02d}-{rng.randrange(1, 29):02d}"
            yield f"  - {{ rule: day-{number}, {give}, when: {{ dates: {{ from: {day}, to: {day} }} }} }}"
        else:
            yield (
                f"  - {{ rule: twice-{number}, multiply: 2, of: every-dollar, for: {{ sku: S{number} }}, "
                "cap: 500 points per month }"
            )


def with_returns(count: int, members: int) -> Iterator[Event]:
    """Yield purchases; a line of every twentieth is returned after the next hundred."""
    rng = random.Random(9)
    waiting: list[Event] = []
    for number, bought in enumerate(purchases(count, members)):
        yield bought
        if rng.random() < _RETURNED:
            occurred_at = dict(bought[2])["ce_time"].decode()
            data: dict[str, object] = {
                "return_id": f"back-{number}",
                "order_id": f"{number:010d}",
                "member_id": bought[0],
                "occurred_at": occurred_at,
                "lines": [{"line_id": "1", "quantity": 1}],
            }
            waiting.append(event_of(RETURNED, data, f"back-{number}"))
        if len(waiting) > 100 * _RETURNED:
            yield waiting.pop(0)
    yield from waiting
