"""The row about the language: what rating costs under small, rich and very large programs. In memory, one core."""

from __future__ import annotations

import time

from bench.deployment import Servers
from bench.figures import Figure
from bench.load import purchases
from bench.rich_load import RICH, offers
from bench.sizes import Sizes
from services.earn.rating.engine import rate
from shared.contracts.purchases import PURCHASE_COMPLETED
from shared.program.compiled.program import Program, compile_program
from shared.program.language.loader import load


def _program(rules: int) -> Program:
    """Return a program with two rules for all orders, and offers for single products, brands, stores and weeks."""
    return compile_program(load(RICH.read_text() + offers(rules - 2)), 1)


async def rules(_servers: Servers, sizes: Sizes) -> list[Figure]:
    """Rate the same purchases under programs of 2, 40 and 2,000 rules; the first few build the index of the day."""
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
