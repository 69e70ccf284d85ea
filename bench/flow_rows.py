"""The row about the whole pipeline: earn, redeem, tiers and notify beside the naive version of all four."""

from __future__ import annotations

import hashlib

from bench.deployment import APPS, Deployment, Servers, Span
from bench.figures import Figure
from bench.flow_load import FLOW, first_purchases, members_of, mixed, profiles_of
from bench.running import Used
from bench.sizes import Sizes
from shared.contracts.catalogue import SERVICES
from shared.ledger.audit.runner import audit

_REAL = tuple(APPS.values())
_NAIVE = ("bench.naive_flow",)
#: Results that do not depend on which service was faster, as balances at a redemption do.
_RESULTS = (
    "select member, wallet, lifetime from account where version > 0 order by 1, 2",
    "select order_id, result from purchase order by 1",
    "select return_id, result from purchase_return order by 1",
    "select referral_id, state, referrer_points, friend_points from referral order by 1",
    "select redemption_id, member, reward from redemption order by 1",
    "select member, version > 0, metric_value, tier from standing order by 1",
    "select dedupe_key from notification where kind in ('points-earned', 'referral-rewarded') order by 1",
)


async def prepared(servers: Servers, events: int) -> Deployment:
    """Deploy the whole flow: members with profiles and points, and a backlog of mixed events."""
    # A manual clock that was never set: only events make anything due, as in the naive version.
    made = await servers.deploy(FLOW, clock="manual")
    members = members_of(events)
    await made.send(profiles_of(members))
    await made.work_off("notify")
    await made.send(first_purchases(members))
    await made.work_off(*SERVICES)
    await made.send(mixed(events))
    return made


async def pipeline(servers: Servers, sizes: Sizes) -> list[Figure]:
    """Measure both on backlogs of the same shape."""
    made = await prepared(servers, sizes.naive_flow_events)
    span, used, _before = await made.measure(_NAIVE, SERVICES)
    naive, us = sizes.naive_flow_events / span.seconds, 1e6 / sizes.naive_flow_events
    figures = [
        Figure("naive, four services in one process", naive, "events/s"),
        Figure("naive worker CPU", used.workers[0] * us, "µs/event"),
        Figure("naive Postgres CPU", used.postgres * us, "µs/event"),
    ]
    made = await prepared(servers, sizes.flow_events)
    span, used, before = await made.measure(_REAL, SERVICES)
    real, us = sizes.flow_events / span.seconds, 1e6 / sizes.flow_events
    return [
        *figures,
        Figure("earn, redeem, tiers, notify", real, "events/s"),
        Figure("ratio", real / naive, "x naive", 1),
        *await _each(made, span, before, used, us),
        Figure("Postgres CPU", used.postgres * us, "µs/event"),
        Figure("peak worker memory", used.peak_mb, "MB"),
    ]


async def _each(made: Deployment, whole: Span, before: int, used: Used, us: float) -> list[Figure]:
    """Return the CPU of each service, and when in the run it finished."""
    figures = []
    for service, seconds in zip(SERVICES, used.workers, strict=True):
        span = await made.span([service], before)
        figures += [
            Figure(f"{service} CPU", seconds * us, "µs/event"),
            Figure(f"{service} at work until", span.last - whole.first, "s", 1),
        ]
    return figures


async def check_same(servers: Servers, sizes: Sizes) -> bool:
    """Let both process the same backlog; return whether their results agree and both ledgers pass the audit."""
    found: list[list[str]] = []
    sound = True
    for apps in (_REAL, _NAIVE):
        made = await prepared(servers, sizes.same_flow_events)
        await made.measure(apps, SERVICES)
        # tiers does not see the entries of redemptions until its next sweep.
        await made.work_off("tiers")
        async with made.database() as connection:
            found.append([await _checksum(connection, sql) for sql in _RESULTS])
            sound = sound and not [finding async for _check, findings in audit(connection) for finding in findings]
    return sound and found[0] == found[1]


async def _checksum(connection: object, sql: str) -> str:
    rows = [tuple(row) for row in await connection.fetch(sql)]  # type: ignore[attr-defined]
    return hashlib.blake2b(repr(rows).encode()).hexdigest()
