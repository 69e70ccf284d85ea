"""The rows in which workers drain a backlog: purchases, a rich program, the whole flow."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.against import backlog
from bench.against.earnings import points_by_order
from bench.against.pairs import difference
from bench.against.row import Load, Outcome, Row
from bench.against.stage import Measured, Stage
from bench.figures import Figure
from bench.flow_load import FLOW, first_purchases, members_of, mixed, profiles_of
from bench.load import PURCHASES, Event, purchases
from bench.rich_load import RICH, offers, with_returns
from bench.running import RunFailed
from shared.contracts import points, profiles, redemptions, rewards

_WARM_UP = 2_000
_EVENTS_A_MEMBER = 12
_RULES = 40
_WAIT_MS = 25
_FLOW = ("earn", "redeem", "tiers", "notify")
#: The flow's outputs that do not depend on which service was faster, unlike which redemptions had enough points.
_SURE = (points.EARNED, points.REVERSED, points.REFERRAL_QUALIFIED, points.REFERRAL_REFUSED, points.REFERRAL_REVERSED)


def purchase_load(events: int, rate: float | None = None) -> Load:
    """Return purchases by members who buy a dozen times; the first ones warm the workers up."""
    made = list(purchases(_WARM_UP + events, max(1, events // _EVENTS_A_MEMBER)))
    return Load(made[:_WARM_UP], made[_WARM_UP:], rate)


def check_earned(sent: Sequence[Event], results: Mapping[str, int]) -> None:
    """Check that every purchase earned what ``purchases.yaml`` says, and that there are no other outputs."""
    earned = points_by_order(sent)
    expected = {points.EARNED: len(earned), f"{points.EARNED} points": sum(earned.values())}
    if problem := difference(expected, results):
        raise RunFailed(f"the outputs are wrong: {problem}")


async def prepare_purchases(stage: Stage, load: Load) -> None:
    """Let earn handle the first purchases."""
    stage.start("earn")
    await stage.send(load.first)
    await stage.until_published(points.TOPIC, len(points_by_order(load.first)))


async def _drain_purchases(stage: Stage, _load: Load, part: Sequence[Event]) -> Measured:
    count = stage.outputs.count(points.TOPIC) + len(points_by_order(part))
    return await backlog.drain(stage, part, lambda: stage.until_published(points.TOPIC, count))


async def _purchase_outcome(stage: Stage, _load: Load, measured: Sequence[Measured]) -> Outcome:
    results = await stage.outputs.results()
    check_earned(stage.sent, results)
    return _outcome(measured, results)


def _rich_load(events: int, rate: float | None) -> Load:
    made = list(with_returns(_WARM_UP + events, max(1, events // _EVENTS_A_MEMBER)))
    return Load(made[:_WARM_UP], made[_WARM_UP : _WARM_UP + events], rate)


def _rich_program(folder: Path) -> Path:
    program = folder / "rich.yaml"
    program.write_text(RICH.read_text() + offers(_RULES - 2))
    return program


async def _prepare_rich(stage: Stage, load: Load) -> None:
    stage.start("earn")
    await stage.send(load.first)
    await backlog.until_settled(stage)


async def _rich_outcome(stage: Stage, _load: Load, measured: Sequence[Measured]) -> Outcome:
    return _outcome(measured, await stage.outputs.results())


def _flow_load(events: int, rate: float | None) -> Load:
    members = members_of(events)
    return Load([*profiles_of(members), *first_purchases(members)], list(mixed(events)), rate)


async def _prepare_flow(stage: Stage, load: Load) -> None:
    stage.start(*_FLOW)
    # notify needs the members' profiles.
    await stage.send([event for event in load.first if event[3] == profiles.TOPIC])
    await backlog.until_settled(stage)
    await stage.send([event for event in load.first if event[3] != profiles.TOPIC])
    await backlog.until_settled(stage)


async def _drain_all(stage: Stage, _load: Load, part: Sequence[Event]) -> Measured:
    return await backlog.drain(stage, part, lambda: backlog.until_drained(stage))


async def _flow_outcome(stage: Stage, load: Load, measured: Sequence[Measured]) -> Outcome:
    found = await stage.outputs.results()
    answers = stage.outputs.count(rewards.TOPIC)
    asked = sum(event[3] == redemptions.TOPIC for event in load.events)
    if answers != asked:
        raise RunFailed(f"{asked:,} redemptions had {answers:,} answers")
    sure = {name: count for name, count in found.items() if name.removesuffix(" points") in _SURE}
    return _outcome(measured, {**sure, "answers to redemptions": answers})


def _outcome(measured: Sequence[Measured], results: dict[str, int]) -> Outcome:
    events = sum(turn.events for turn in measured)
    rate = Figure("rate", events / sum(turn.seconds for turn in measured), "events/s")
    return Outcome([rate, *cpu_figures(measured)], results, others(measured))


def cpu_figures(measured: Sequence[Measured]) -> list[Figure]:
    """Return the CPU per event of each service (if there are several), of all workers and of Postgres."""
    us = 1e6 / sum(turn.events for turn in measured)
    services = measured[0].used.workers
    each = {service: sum(turn.used.workers[service] for turn in measured) * us for service in services}
    return [
        *([Figure(f"{service} CPU", value, "µs/event") for service, value in each.items()] if len(each) > 1 else []),
        Figure("worker CPU", sum(each.values()), "µs/event"),
        Figure("Postgres CPU", sum(turn.used.postgres for turn in measured) * us, "µs/event"),
    ]


def others(measured: Sequence[Measured]) -> float:
    """Return the share of the machine's CPU that other processes used."""
    return statistics.fmean(turn.used.others for turn in measured)


PURCHASES_ROW = Row(
    "one earn worker drains a backlog of purchases",
    30_000,
    "wall",
    _WAIT_MS,
    lambda _folder: PURCHASES,
    purchase_load,
    prepare_purchases,
    _drain_purchases,
    _purchase_outcome,
)
RICH_ROW = Row(
    f"the same under two wallets, caps and {_RULES} rules, 5 % returns",
    20_000,
    "wall",
    _WAIT_MS,
    _rich_program,
    _rich_load,
    _prepare_rich,
    _drain_all,
    _rich_outcome,
)
FLOW_ROW = Row(
    "earn, redeem, tiers and notify drain a backlog of everything mixed",
    12_000,
    "manual",
    _WAIT_MS,
    lambda _folder: FLOW,
    _flow_load,
    _prepare_flow,
    _drain_all,
    _flow_outcome,
    parts=2,
)
