"""The row about a rich program: earn with two wallets, caps, 40 rules and 5 % returns, beside a plain program."""

from __future__ import annotations

import random
from collections.abc import Iterator

from bench.deployment import APPS, PURCHASES, Deployment, Servers
from bench.figures import Figure
from bench.load import Event, event_of, purchases
from bench.rules_row import PROGRAM, offers
from bench.sizes import Sizes
from shared.contracts.purchases import RETURNED

_RULES = 40
_RETURNED = 0.05


def with_returns(count: int, members: int) -> Iterator[Event]:
    """Yield purchases; of every twentieth, a line comes back after the next hundred."""
    rng = random.Random(9)
    waiting: list[Event] = []
    for number, bought in enumerate(purchases(count, members)):
        yield bought
        if rng.random() < _RETURNED:
            occurred_at = dict(bought[2])["ce_time"].decode()
            data: dict[str, object] = {
                "return_id": f"back-{number}", "order_id": f"{number:010d}", "member_id": bought[0],
                "occurred_at": occurred_at, "lines": [{"line_id": "1", "quantity": 1}],
            }  # fmt: skip
            waiting.append(event_of(RETURNED, data, f"back-{number}"))
        if len(waiting) > 100 * _RETURNED:
            yield waiting.pop(0)
    yield from waiting


async def rich(servers: Servers, sizes: Sizes) -> list[Figure]:
    """Let earn work off the same backlog under both programs."""
    plain = await servers.deploy(PURCHASES)
    rich = await servers.deploy(PROGRAM, offers(_RULES - 2))
    rates = [await _rate(made, sizes) for made in (plain, rich)]
    (plainly, plain_cpu), (richly, rich_cpu) = rates
    return [
        Figure("a plain program", plainly, "events/s"),
        Figure("two wallets, caps, 40 rules", richly, "events/s"),
        Figure("ratio", richly / plainly, "x plain", 2),
        Figure("earn CPU, plain", plain_cpu, "µs/event"),
        Figure("earn CPU, rich", rich_cpu, "µs/event"),
    ]


async def _rate(made: Deployment, sizes: Sizes) -> tuple[float, float]:
    events = list(with_returns(sizes.rich_events, sizes.members))
    await made.send(events)
    span, used, _before = await made.measure((APPS["earn"],), ["earn"])
    return len(events) / span.seconds, used.workers[0] / len(events) * 1e6
