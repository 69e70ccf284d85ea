"""Metrics of a tier status: the value of a window, the tier that it reaches, what is missing, and the reasons."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from shared.instants import BEGINNING, NEVER
from shared.program.compiled.ladder import Ladder
from shared.tier_status.state import Change, Kind, State
from shared.tier_status.windows import Period, beginning, day_of, gone, in_words, oldest, period


class Earned(NamedTuple):
    """What a period's metric earns: a tier's number, and the day after the last on which that tier is kept."""

    number: int
    through: int
    value: int
    period: Period


def which(ladder: Ladder) -> int:
    """Return the index of the amount that counts: 0 for minor units, 1 for points."""
    return int(ladder.metric == "points")


def rank(ladder: Ladder, before: Ladder | None, tier: str) -> int:
    """Return a tier's number on this ladder or, if it is not on it, on the previous one."""
    if before is None or any(level.tier == tier for level in ladder.tiers):
        return ladder.number_of(tier)
    return before.number_of(tier)


def metric_value(state: State, ladder: Ladder, instant: int) -> int:
    """Return the metric of the window at an instant, in minor units or points."""
    counted = which(ladder)
    if ladder.window == "lifetime":
        return sum(amounts[counted] for amounts in state.amounts.values())
    if ladder.window == "rolling 12 months":
        first = oldest(day_of(instant, ladder.zone))
        return sum([amounts[counted] for day, amounts in state.amounts.items() if day >= first])
    return value_of(state, ladder, period(ladder, day_of(instant, ladder.zone), state.first_at))


def value_of(state: State, ladder: Ladder, this: Period) -> int:
    """Return the metric of one period."""
    first, after = this
    counted = which(ladder)
    return sum(amounts[counted] for day, amounts in state.amounts.items() if first <= day < after)


def window_at(state: State, ladder: Ladder, instant: int) -> Period | None:
    """Return the period that contains an instant; None for windows without periods."""
    if "year" not in ladder.window:
        return None
    return period(ladder, day_of(instant, ladder.zone), state.first_at)


def earned(state: State, ladder: Ladder, this: Period) -> Earned:
    """Return what a period's metric earns; it is kept to the end of the next period."""
    value = value_of(state, ladder, this)
    return Earned(ladder.reached(value), period(ladder, this[1], state.first_at)[1], value, this)


def ends(ladder: Ladder, through: int) -> int:
    """Return when a tier ends that was earned for the days before ``through``, the days of grace included."""
    return beginning(through + ladder.grace_days, ladder.zone)


def still_valid(state: State, ladder: Ladder, instant: int) -> Iterator[Earned]:
    """Yield what each period earns whose tier is still valid after an instant, the latest period first."""
    day = day_of(instant, ladder.zone)
    while True:
        this = period(ladder, day, state.first_at)
        if ends(ladder, period(ladder, this[1], state.first_at)[1]) <= instant:
            return
        yield earned(state, ladder, this)
        day = this[0] - 1


def best(state: State, ladder: Ladder, instant: int) -> Earned:
    """Return the highest tier that is still valid; if several periods earned it, the latest period."""
    return max(still_valid(state, ladder, instant), key=lambda earned: earned.number)


def leaving(state: State, ladder: Ladder, at: int, number: int, value: int) -> tuple[int, int]:
    """Return when days leaving the rolling window first change the tier, and when they first lower it."""
    counted, first, due = which(ladder), oldest(day_of(at, ladder.zone)), NEVER
    days = sorted([day for day in state.amounts if day >= first])
    low = ladder.tiers[number].threshold if number else BEGINNING
    high = ladder.tiers[number + 1].threshold if number + 1 < len(ladder.tiers) else NEVER
    for index, day in enumerate(days, 1):
        value -= state.amounts[day][counted]
        if low <= value < high:
            continue
        leaves = gone(day, ladder.zone)
        if index < len(days) and gone(days[index], ladder.zone) == leaves:
            continue  # 28 and 29 February leave together
        due = min(due, leaves)
        if value < low:
            return due, leaves
    return due, NEVER


def to_keep(state: State, ladder: Ladder, instant: int) -> int | None:
    """Return what is still missing in the window of an instant to keep the tier; None if nothing is."""
    number = ladder.number_of(state.tier)
    missing = ladder.tiers[number].threshold - metric_value(state, ladder, instant)
    return missing if number and missing > 0 else None


def to_next(state: State, ladder: Ladder, instant: int) -> tuple[str, int] | None:
    """Return the next higher tier, and what is missing in the window of an instant to reach it; None at the top."""
    number = ladder.number_of(state.tier) + 1
    if number == len(ladder.tiers):
        return None
    tier = ladder.tiers[number]
    return tier.tier, max(tier.threshold - metric_value(state, ladder, instant), 0)


def spent(ladder: Ladder, value: int, this: Period | None) -> str:
    """Return a metric's value for people, such as "spend of 520.00 USD in 2017"."""
    amount = ladder.in_words(value) if which(ladder) else f"spend of {ladder.in_words(value)}"
    return f"{amount} {in_words(ladder, this)}"


def reached(ladder: Ladder, value: int, this: Period | None, number: int) -> str:
    """Return the reason of an upgrade."""
    return f"{spent(ladder, value, this)} reached {ladder.tiers[number].tier}"


def lacking(ladder: Ladder, value: int, this: Period | None, tier: str) -> str:
    """Return the reason of a downgrade."""
    needs = next((level.threshold for level in ladder.tiers if level.tier == tier), None)
    if needs is None:
        return f"{spent(ladder, value, this)}, and {tier} is no tier any more"
    return f"{spent(ladder, value, this)}, {tier} needs {ladder.in_words(needs)}"


def change(state: State, ladder: Ladder, at: int, kind: Kind, old: str, value: int, reason: str) -> Change:
    """Return a change that describes the current state."""
    above = to_next(state, ladder, at)
    return Change(
        occurred_at=at,
        change=kind,
        old_tier=old,
        tier=state.tier,
        version=state.version,
        metric=ladder.metric,
        metric_value=value,
        reason=reason,
        valid_from=state.since,
        valid_until=state.valid_until,
        to_keep=to_keep(state, ladder, at),
        next_tier=above[0] if above else None,
        to_next=above[1] if above else None,
    )


def recounted(state: State, ladder: Ladder, announced: str) -> Change:
    """Return the change from a tier that was announced before a late amount led to another one."""
    kind: Kind = "upgraded" if ladder.number_of(state.tier) > ladder.number_of(announced) else "downgraded"
    value = metric_value(state, ladder, state.as_of)
    reason = f"counted anew with a late amount: {spent(ladder, value, window_at(state, ladder, state.as_of))}"
    return change(state, ladder, state.as_of, kind, announced, value, reason)
