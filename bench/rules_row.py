"""The row about the language: what rating costs under small, rich and very large programs. In memory, one core."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path

from bench.deployment import Servers
from bench.figures import Figure
from bench.load import purchases
from bench.sizes import Sizes
from services.earn.rating import rate
from shared.contracts.purchases import PURCHASE_COMPLETED
from shared.program.compiled import Program, compile_program
from shared.program.loader import load

PROGRAM = Path(__file__).with_name("rich.yaml")


def _program(rules: int) -> Program:
    """A program of two rules for all orders, and of offers for single products, brands, stores and weeks."""
    return compile_program(load(PROGRAM.read_text() + offers(rules - 2)), 1)


def offers(count: int) -> str:
    """Return so many rules, to be written behind those of ``PROGRAM``."""
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
            yield (f"  - {{ rule: twice-{number}, multiply: 2, of: every-dollar, for: {{ sku: S{number} }}, "
                   "cap: 500 points per month }")  # fmt: skip


async def rules(_servers: Servers, sizes: Sizes) -> list[Figure]:
    """Rate the same purchases under programs of 2, 40 and 2,000 rules; the first few make the index of the day."""
    bought = [PURCHASE_COMPLETED.decode(value) for _member, value, _headers, _topic in purchases(sizes.rated, 1_000)]
    figures = []
    for number in (2, 40, 2_000):
        program = _program(number)
        for purchase in bought[: len(bought) // 10]:
            rate(program, purchase)
        began = time.process_time()
        for purchase in bought:
            rate(program, purchase)
        figures.append(
            Figure(f"{number:,} rules", (time.process_time() - began) / len(bought) * 1e6, "CPU µs/purchase", 1)
        )
    return figures
