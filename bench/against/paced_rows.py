"""The rows in which events come at a rate: from a purchase to its points event, from a redemption to its answer."""

from __future__ import annotations

from collections.abc import Sequence

import pydantic_core

from bench.against.backlog_rows import check_earned, cpu_figures, others, prepare_purchases, purchase_load
from bench.against.earnings import points_by_order
from bench.against.meter import Meter
from bench.against.row import Load, Outcome, Row
from bench.against.stage import Measured, Stage
from bench.figures import Figure, percentile
from bench.flow_load import FLOW, first_purchases, members_of, requests
from bench.load import PURCHASES, Event
from bench.running import RunFailed
from shared.contracts import points, redemptions, rewards

_PURCHASE_SECONDS, _REDEMPTION_SECONDS = 10, 15
_WARM_UP = 200
_WAIT_MS = 5


async def _time_purchases(stage: Stage, load: Load, part: Sequence[Event]) -> Measured:
    return await _timed(stage, load, part, points.TOPIC, "order_id", set(points_by_order(part)))


async def _purchase_outcome(stage: Stage, _load: Load, measured: Sequence[Measured]) -> Outcome:
    results = await stage.outputs.results()
    check_earned(stage.sent, results)
    return _outcome(measured, results)


def _redemption_load(events: int, rate: float | None) -> Load:
    members = members_of(events)
    prepared = [*first_purchases(members), *requests(_WARM_UP, members)]
    return Load(prepared, list(requests(events, members, first=_WARM_UP)), rate)


async def _prepare_redemptions(stage: Stage, load: Load) -> None:
    bought = [event for event in load.first if event[3] != redemptions.TOPIC]
    stage.start("earn")
    await stage.send(bought)
    await stage.until_published(points.TOPIC, len(bought))
    stage.start("redeem")
    await stage.send([event for event in load.first if event[3] == redemptions.TOPIC])
    await stage.until_published(rewards.TOPIC, _WARM_UP)


async def _time_redemptions(stage: Stage, load: Load, part: Sequence[Event]) -> Measured:
    asked = {_field(event[1], "redemption_id") for event in part}
    return await _timed(stage, load, part, rewards.TOPIC, "redemption_id", asked)


async def _redemption_outcome(stage: Stage, _load: Load, measured: Sequence[Measured]) -> Outcome:
    return _outcome(measured, await stage.outputs.results())


async def _timed(
    stage: Stage, load: Load, part: Sequence[Event], topic: str, field: str, expected: set[str]
) -> Measured:
    """Publish events at their rate, and measure the time from sending each event to its answer.

    Args:
        stage: The side whose turn it is.
        load: The load, for its rate.
        part: The events.
        topic: The topic of the answers (short name).
        field: The field that an event and its answer have in common.
        expected: The values of that field for which an answer is expected.
    """
    names = [_field(event[1], field) for event in part]
    before = stage.outputs.count(topic)
    async with stage.turn():
        meter = Meter.read(stage.site, stage.workers)
        sent = dict(zip(names, await stage.send(part, load.rate), strict=True))
        await stage.until_published(topic, before + len(expected))
        used = meter.used()
    heard = {_field(output.value, field): output.at for output in stage.outputs.after(topic, before)}
    if set(heard) != expected:
        raise RunFailed(f"{len(expected - set(heard)):,} events had no answer")
    last_at, first_at = max(heard.values()), min(sent.values())
    return Measured(len(part), last_at - first_at, used, [at - sent[name] for name, at in heard.items()])


def _field(value: bytes, field: str) -> str:
    return str(pydantic_core.from_json(value)[field])


def _outcome(measured: Sequence[Measured], results: dict[str, int]) -> Outcome:
    seconds = sorted(latency for turn in measured for latency in turn.latencies)
    p50, p99 = (percentile(seconds, share) * 1000 for share in (0.5, 0.99))
    return Outcome(
        [Figure("p50", p50, "ms", 1), Figure("p99", p99, "ms", 1), *cpu_figures(measured)], results, others(measured)
    )


LATENCY_ROW = Row(
    "from a purchase to its points event, at half the rate of the row purchases",
    _PURCHASE_SECONDS,
    "wall",
    _WAIT_MS,
    lambda _folder: PURCHASES,
    purchase_load,
    prepare_purchases,
    _time_purchases,
    _purchase_outcome,
    half_rate_of="purchases",
)
REDEMPTIONS_ROW = Row(
    "from a redemption to its answer, by redeem alone",
    _REDEMPTION_SECONDS,
    "manual",
    _WAIT_MS,
    lambda _folder: FLOW,
    _redemption_load,
    _prepare_redemptions,
    _time_redemptions,
    _redemption_outcome,
    rate=100,
)
