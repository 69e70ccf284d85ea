"""The row about a rich program: earn with two wallets, caps, 40 rules and 5 % returns, beside a plain program."""

from __future__ import annotations

from bench.deployment import APPS, Deployment, Servers
from bench.figures import Figure
from bench.load import PURCHASES
from bench.rich_load import RICH, offers, with_returns
from bench.sizes import Sizes

_RULES = 40


async def rich(servers: Servers, sizes: Sizes) -> list[Figure]:
    """Let earn process the same backlog under both programs."""
    plain = await servers.deploy(PURCHASES)
    rich = await servers.deploy(RICH, offers(_RULES - 2))
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
