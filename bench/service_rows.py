"""The rows about single services: answers to redemptions, expiry, tiers, notifications, and looking up tiers."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from bench import latency
from bench.deployment import APPS, Deployment, Servers
from bench.figures import Figure
from bench.flow_load import FLOW, first_purchases, monthly_purchases, profiles_of, redemption_id, requests
from bench.load import PURCHASES, purchases
from bench.running import Usage, check_alive, workers
from bench.sizes import Sizes
from shared.admin import clock
from shared.contracts import rewards
from shared.instants import microseconds
from shared.ledger.operations import Operation

_WARM_UP = 200
_FIRST = 1_000_000
#: By then all lots of the sweep's purchases have expired.
_LAPSED = datetime(2019, 2, 1, tzinfo=UTC)
_NOTHING_DUE = "select not exists (select from account where next_due <= $1)"
_ALL_FOLDED = """
select not exists (select from account a left join standing s using (account) where a.version > coalesce(s.version, 0))
"""
#: Only a tier that nobody reaches multiplies: the points are the same, but every tier must be looked up.
_LADDER = """
ladder:
  metric: spend
  window: rolling 12 months
  keep: while the metric holds
  tiers:
    - { tier: member, name: Member, from: "0" }
    - { tier: silver, name: Silver, from: 200 USD }
    - { tier: gold, name: Gold, from: 600 USD }
    - { tier: nobody, name: Nobody, from: 1000000 USD, multiplier: 2 }
"""


async def redemption_answers(servers: Servers, sizes: Sizes) -> list[Figure]:
    """Measure the time from a redemption to its answer, with only redeem running."""
    members = sizes.members
    made = await servers.deploy(FLOW, clock="manual")
    await made.send(first_purchases(members))
    await made.work_off("earn")
    with workers(made.settings, [APPS["redeem"]]) as processes:
        await made.send(requests(_WARM_UP, members))
        await made.until_drained(["redeem"], processes)
        count = int(sizes.redemptions_a_second * sizes.redemption_seconds)
        asked = requests(count, members, first=_FIRST)
        named = [(redemption_id(number), event) for number, event in enumerate(asked, start=_FIRST)]
        rate = sizes.redemptions_a_second
        found = await latency.measure(made.settings, named, rate, rewards.TOPIC, _correlation_id)
        check_alive(processes)
    redeemed = await made.value("select count(*) from redemption where state = 'redeemed'")
    return [
        Figure(f"p50 at {rate:,.0f} requests/s", found.p50 * 1000, "ms"),
        Figure("p99", found.p99 * 1000, "ms"),
        Figure("answered", found.answered, "requests"),
        Figure("not answered", found.unanswered, "requests"),
        Figure("redeemed, warm-up included", redeemed, "requests"),
    ]


def _correlation_id(record: Any) -> str:
    found: bytes = dict(record.headers)["ce_correlationid"]
    return found.decode()


async def expiry(servers: Servers, sizes: Sizes) -> list[Figure]:
    """Let the lots of many accounts expire by sweeps alone."""
    made = await servers.deploy(PURCHASES, clock="manual")
    await made.send(monthly_purchases(sizes.lapsing_accounts, sizes.lapsing_lots))
    await made.work_off("earn")
    horizon = microseconds(_LAPSED) - round(made.settings.lateness_seconds * 1_000_000)
    async with made.database() as connection:
        await clock.move(connection, made.settings, microseconds(_LAPSED))
    with workers(made.settings, [APPS["redeem"]]) as processes:
        usage = Usage(processes, servers.postgres, with_start=False)
        first = await made.begin(usage, processes)
        last = await made.until(_NOTHING_DUE, processes, horizon, seconds=0.05)
        used = usage.stop()
        await made.until_drained(["redeem"], processes)
    lots = await made.value("select count(*) from entry where operation = $1", int(Operation.EXPIRE))
    return [
        Figure("lots", lots / (last - first), "lots/s"),
        Figure("accounts", sizes.lapsing_accounts / (last - first), "accounts/s"),
        Figure("worker CPU", used.workers[0] / lots * 1e6, "µs/lot"),
        Figure("Postgres CPU", used.postgres / lots * 1e6, "µs/lot"),
    ]


async def tiers(servers: Servers, sizes: Sizes) -> list[Figure]:
    """Let tiers catch up from the beginning with a complete ledger."""
    made = await servers.deploy(FLOW, clock="manual")
    await made.send(purchases(sizes.tier_events, sizes.members))
    await made.work_off("earn")
    with workers(made.settings, [APPS["tiers"]]) as processes:
        usage = Usage(processes, servers.postgres, with_start=False)
        first = await made.begin(usage, processes)
        last = await made.until(_ALL_FOLDED, processes)
        used = usage.stop()
        await made.until_drained(["tiers"], processes)
        hints = (await made.span(["tiers"])).last - first
    members = await made.value("select count(*) from standing")
    entries = await made.value("select count(*) from entry")
    return [
        Figure("members", members / (last - first), "members/s"),
        Figure("entries", entries / (last - first), "entries/s"),
        Figure("worker CPU", used.workers[0] / entries * 1e6, "µs/entry"),
        Figure("Postgres CPU", used.postgres / entries * 1e6, "µs/entry"),
        Figure("until the topic is read, too", hints, "s", 1),
    ]


async def notifications(servers: Servers, sizes: Sizes) -> list[Figure]:
    """Let notify process points events that all lead to a notification."""
    made = await servers.deploy(FLOW, clock="manual")
    await made.send(profiles_of(sizes.members))
    await made.work_off("notify")
    await made.send(first_purchases(sizes.members, sizes.news))
    await made.work_off("earn")
    span, used, _before = await made.measure([APPS["notify"]], ["notify"])
    sent = await made.value("select count(*) from notification where state = 'sent'")
    return [
        Figure("notifications", sent / span.seconds, "sent/s"),
        Figure("worker CPU", used.workers[0] / sent * 1e6, "µs/notification"),
        Figure("Postgres CPU", used.postgres / sent * 1e6, "µs/notification"),
    ]


async def look_up(servers: Servers, sizes: Sizes) -> list[Figure]:
    """Compare earn without a ladder that multiplies, with one, and with tiers beside it, which adds checkpoints."""
    without = await _look_up(servers, sizes, "", ["earn"])
    alone = await _look_up(servers, sizes, _LADDER, ["earn"])
    beside = await _look_up(servers, sizes, _LADDER, ["earn", "tiers"])
    same = await _points(without[0]) == await _points(alone[0]) == await _points(beside[0])
    assert same, "the ladder changed the points"
    return [
        Figure("no ladder", without[1], "CPU µs/event"),
        Figure("ladder, earn alone", alone[1], "CPU µs/event"),
        Figure("ladder, tiers beside", beside[1], "CPU µs/event"),
        Figure("added, earn alone", 100 * (alone[1] / without[1] - 1), "%", 1),
        Figure("added, tiers beside", 100 * (beside[1] / without[1] - 1), "%", 1),
        Figure("added to Postgres, earn alone", 100 * (alone[2] / without[2] - 1), "%", 1),
    ]


async def _look_up(servers: Servers, sizes: Sizes, ladder: str, services: list[str]) -> tuple[Deployment, float, float]:
    made = await servers.deploy(PURCHASES, ladder, clock="manual")
    await made.send(purchases(sizes.look_up_events, sizes.members))
    _span, used, _before = await made.measure([APPS[service] for service in services], services)
    us = 1e6 / sizes.look_up_events
    return made, used.workers[0] * us, used.postgres * us


async def _points(made: Deployment) -> Any:
    return await made.value(
        "select md5(string_agg(concat_ws(' ', member, available, lifetime), ',' order by member)) from account"
    )
