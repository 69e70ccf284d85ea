"""How entries and time change a member's tier. Pure: no clock, no database; instants are microseconds since 1970.

Period ends come first: before an entry is folded, everything due up to its instant is applied. So the result depends
only on the entries and an instant, not on how the entries were batched or how far anybody advanced a copy.
"""

from __future__ import annotations

from collections.abc import Sequence

from shared.errors import InvariantBroken
from shared.instants import NEVER
from shared.program.compiled.ladder import Ladder
from shared.program.compiled.ladders import Ladders
from shared.tier_status import metrics as measure
from shared.tier_status.metrics import metric_value, recounted, to_keep, to_next
from shared.tier_status.state import Change, Kind, State, TierInput, dump, load
from shared.tier_status.windows import LONG_AGO, beginning, bucket, day_of, period

__all__ = [
    "Change",
    "State",
    "TierInput",
    "advance",
    "dump",
    "fold",
    "load",
    "metric_value",
    "next_due",
    "recounted",
    "tier_at",
    "to_keep",
    "to_next",
]

#: How many days of a rolling window are kept separately: more than any window counts.
_KEPT_DAYS = 400


def fold(state: State, inputs: Sequence[TierInput], ladder_at: Ladders) -> tuple[State, list[Change]]:
    """Fold the entries after a state, in version order; the given state is not changed.

    Raises:
        InvariantBroken: A version is missing or came twice.
    """
    state = state.copy()
    changes: list[Change] = []
    for entry in inputs:
        if entry.version != state.version + 1:
            raise InvariantBroken(f"version {entry.version} was to be folded after version {state.version}")
        changes += advance(state, entry.occurred_at, ladder_at)
        changes += _apply(state, entry, ladder_at(entry.occurred_at))
    return state, changes


def advance(state: State, instant: int, ladder_at: Ladders) -> list[Change]:
    """Apply everything due up to an instant, in order. This changes the state: pass a copy of one that you keep."""
    changes: list[Change] = []
    if not state.version or instant < state.as_of:
        return changes
    while (due := next_due(state, ladder_at)) <= instant:
        # A warning may have been due before the entry that set the end of the tier: then it follows that entry.
        at = max(due, state.as_of)
        before, ladder = ladder_at(state.as_of), ladder_at(at)
        state.as_of = at
        if ladder is not before:
            changes += _adopt(state, before, ladder, at)
            continue
        assert ladder is not None, "without a ladder nothing is due"
        if state.due <= at:
            changes += _hold(state, ladder, at) if ladder.holds else _judge(state, ladder, at)
        else:
            changes += _warn(state, ladder, at)
    state.as_of = instant
    return changes


def next_due(state: State, ladder_at: Ladders) -> int:
    """Return the next instant at which time alone changes the state, or an end is to be announced."""
    return min(state.due, state.warn, ladder_at.next_change(state.as_of)) if state.version else NEVER


def tier_at(state: State, instant: int) -> str:
    """Return the tier that was valid at an instant not after ``as_of``; empty before the first entry."""
    return next((tier for since, tier in reversed(state.changes) if since <= instant), "")


def _apply(state: State, entry: TierInput, ladder: Ladder | None) -> list[Change]:
    at = entry.occurred_at
    if not state.version:
        state.first_at, state.as_of = entry.event_at, at
    state.version = entry.version
    if ladder is None:
        return []
    if not state.tier:
        _enter(state, ladder, at)
    amounts = entry.amounts
    if not any(amounts):
        return []
    day = day_of(entry.event_at, ladder.zone)
    key = bucket(ladder, day, state.first_at)
    spend, points = state.amounts.get(key, (0, 0))
    state.amounts[key] = (spend + amounts[0], points + amounts[1])
    if ladder.holds:
        return _hold(state, ladder, at)
    if amounts[measure.which(ladder)] <= 0:
        return []
    found = measure.earned(state, ladder, period(ladder, day, state.first_at))
    # A closed period reopens only upwards, and only while what it earns is still valid.
    if found.number <= ladder.number_of(state.tier) or measure.ends(ladder, found.through) <= at:
        return []
    return _rise(state, ladder, at, found)


def _judge(state: State, ladder: Ladder, at: int) -> list[Change]:
    """Review a tier at its end: keep it if the closed period, or a later one, reached it; else lower it."""
    number = ladder.number_of(state.tier)
    found = measure.best(state, ladder, at)
    if found.number > number:
        return _rise(state, ladder, at, found)
    if found.number == number:
        reason = f"{measure.spent(ladder, found.value, found.period)} kept {state.tier}"
        return _move(state, ladder, at, number, found.through, found.value, reason, "retained")
    lower, through = found.number, found.through
    closed = period(ladder, state.through - 1, state.first_at)
    value = measure.value_of(state, ladder, closed)
    reason = measure.lacking(ladder, value, closed, state.tier)
    if ladder.soft_landing and number - 1 > lower:
        lower, through = number - 1, period(ladder, closed[1], state.first_at)[1]
        reason += "; one step down at a time"
    return _move(state, ladder, at, lower, through, value, reason, "downgraded")


def _hold(state: State, ladder: Ladder, at: int, before: Ladder | None = None) -> list[Change]:
    """Evaluate a tier that is kept while the metric reaches it; ``before`` is the previous ladder, if it changed."""
    value = metric_value(state, ladder, at)
    number, old = ladder.reached(value), state.tier
    tier = ladder.tiers[number].tier
    state.through = 0
    if tier == old:
        _foresee(state, ladder, at, number, value)
        return []
    state.tier, state.since = tier, at
    state.changes.append((at, tier))
    _foresee(state, ladder, at, number, value)
    this = measure.window_at(state, ladder, at)
    if number >= measure.rank(ladder, before, old):
        reason = measure.reached(ladder, value, this, number)
        return [measure.change(state, ladder, at, "upgraded", old, value, reason)]
    reason = measure.lacking(ladder, value, this, old)
    return [measure.change(state, ladder, at, "downgraded", old, value, reason)]


def _foresee(state: State, ladder: Ladder, at: int, number: int, value: int) -> None:
    """Compute when the moving window alone will change such a tier, and when it will lower it."""
    due = end = NEVER
    if ladder.window == "rolling 12 months":
        if len(state.amounts) > _KEPT_DAYS:
            state.gather(day_of(at, ladder.zone) - _KEPT_DAYS, LONG_AGO)
        due, end = measure.leaving(state, ladder, at, number, value)
    elif number and (this := measure.window_at(state, ladder, at)):
        due = end = beginning(this[1], ladder.zone)
    _set_end(state, ladder, end)
    state.due = due


def _adopt(state: State, before: Ladder | None, ladder: Ladder | None, at: int) -> list[Change]:
    """Switch to another ladder. A tier that is on both stays as it was earned; else it is computed again."""
    if ladder is None:
        state.tier, state.since, state.through = "", at, 0
        state.changes.append((at, ""))
        state.due = state.warn = state.valid_until = NEVER
        return []
    rank = measure.rank(ladder, before, state.tier)
    if not rank:
        _enter(state, ladder, at)
    if ladder.holds:
        return _hold(state, ladder, at, before)
    found = measure.best(state, ladder, at)
    number, known = ladder.number_of(state.tier), any(level.tier == state.tier for level in ladder.tiers)
    if not known and found.number < rank:
        reason = measure.lacking(ladder, found.value, found.period, state.tier)
        return _move(state, ladder, at, found.number, found.through, found.value, reason, "downgraded")
    if not known or found.number > number:
        return _rise(state, ladder, at, found)
    if number and not state.through:  # it was kept while the metric reached it; from now on it has an end
        this = period(ladder, day_of(at, ladder.zone), state.first_at)
        _keep(state, ladder, number, period(ladder, this[1], state.first_at)[1])
    return []


def _warn(state: State, ladder: Ladder, at: int) -> list[Change]:
    """Announce the end of a tier, unless the current metric keeps it."""
    state.warn = NEVER
    number, end = ladder.number_of(state.tier), state.valid_until
    if ladder.holds:
        this = measure.window_at(state, ladder, at)
        value = metric_value(state, ladder, at)
        reason = f"{measure.spent(ladder, value, this)} will not all count any more"
    elif measure.best(state, ladder, end).number >= number:
        return []
    else:
        this = period(ladder, state.through - 1, state.first_at)
        value = measure.value_of(state, ladder, this)
        reason = measure.lacking(ladder, value, this, state.tier)
    return [measure.change(state, ladder, at, "expiring", state.tier, value, reason)]


def _enter(state: State, ladder: Ladder, at: int) -> None:
    """Put the member on the lowest tier, which is not announced."""
    if state.tier != ladder.tiers[0].tier:
        state.tier, state.since = ladder.tiers[0].tier, at
        state.changes.append((at, state.tier))
    _keep(state, ladder, 0, 0)


def _rise(state: State, ladder: Ladder, at: int, found: measure.Earned) -> list[Change]:
    reason = measure.reached(ladder, found.value, found.period, found.number)
    return _move(state, ladder, at, found.number, found.through, found.value, reason, "upgraded")


def _move(
    state: State, ladder: Ladder, at: int, number: int, through: int, value: int, reason: str, kind: Kind
) -> list[Change]:
    """Give a tier by its number, for the days before ``through``."""
    old, tier = state.tier, ladder.tiers[number].tier
    if tier != old:
        state.tier, state.since = tier, at
        state.changes.append((at, tier))
    _keep(state, ladder, number, through)
    return [measure.change(state, ladder, at, kind, old, value, reason)]


def _keep(state: State, ladder: Ladder, number: int, through: int) -> None:
    state.through = through if number else 0
    _set_end(state, ladder, measure.ends(ladder, through) if number else NEVER)
    state.due = state.valid_until


def _set_end(state: State, ladder: Ladder, end: int) -> None:
    """Set when the tier ends; the same end is not announced again."""
    if end != state.valid_until:
        state.valid_until = end
        wanted = ladder.warn_days and end < NEVER
        state.warn = beginning(day_of(end, ladder.zone) - ladder.warn_days, ladder.zone) if wanted else NEVER
