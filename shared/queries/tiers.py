"""A member's tier as of any instant: what tiers has stored, and the ledger entries after it, folded here."""

from __future__ import annotations

from typing import NamedTuple

from services.tiers.tier_events import Announced, TierStatus, evaluate
from shared.database.pool import Connection
from shared.program.compiled.ladder import Ladder
from shared.program.compiled.ladders import Ladders
from shared.queries.views.of_members import TierChangeView, TierView
from shared.queries.words import instant
from shared.tier_status.fold import advance, fold, metric_value, to_keep, to_next
from shared.tier_status.read import load_inputs
from shared.tier_status.state import Change, State
from shared.tier_status.state import load as load_state


class Found(NamedTuple):
    """A standing at an instant.

    Attributes:
        instant: At it; without ``as_of``, the latest one that anything is known of.
        untold: Changes up to it that tiers has not announced.
    """

    state: State
    instant: int
    untold: list[Change]


_STORED = "select fold, announced from standing where account = $1"
_HISTORY = """
select change, old_tier, tier, reason, metric_value, occurred_at
from tier_history where account = $1 and occurred_at <= $2 order by number
"""


async def standing_at(
    connection: Connection, account: int, member: str, wallet: str, ladder_at: Ladders, *, now: int, as_of: int | None
) -> Found:
    """Return a standing as of an instant, past or future, or now."""
    stored = await connection.fetchrow(_STORED, account) or ("", "")
    standing = TierStatus(account, member, wallet, load_state(stored[0]), Announced.load(stored[1]))
    steps = (await load_inputs(connection, {account: standing.state.version})).get(account, [])
    if as_of is not None and as_of < max(standing.state.as_of, standing.announced.until):
        return await _from_scratch(connection, account, ladder_at, as_of)
    standing.inputs = [step for step in steps if as_of is None or step.occurred_at <= as_of]
    treated = evaluate(standing, ladder_at, now if as_of is None else as_of)
    untold = [change for number, change in treated.news if number]
    return Found(treated.shown, standing.announced.until, untold)


async def _from_scratch(connection: Connection, account: int, ladder_at: Ladders, as_of: int) -> Found:
    steps = (await load_inputs(connection, {account: 0})).get(account, [])
    state, _changes = fold(State(), [step for step in steps if step.occurred_at <= as_of], ladder_at)
    advance(state, as_of, ladder_at)
    return Found(state, as_of, [])


async def history(connection: Connection, account: int, found: Found) -> tuple[TierChangeView, ...]:
    """Return the changes of a tier up to an instant: those that were announced, then those that will be."""
    rows = await connection.fetch(_HISTORY, account, found.instant)
    told = [_change(*row, announced=True) for row in rows]
    untold = [
        _change(c.change, c.old_tier, c.tier, c.reason, c.metric_value, c.occurred_at, announced=False)
        for c in found.untold
    ]
    return (*told, *untold)


def _change(
    change: str, old_tier: str, tier: str, reason: str, value: int, occurred_at: int, *, announced: bool
) -> TierChangeView:
    return TierChangeView(
        occurred_at=instant(occurred_at),
        change=change,
        old_tier=old_tier,
        tier=tier,
        reason=reason,
        metric_value=value,
        announced=announced,
    )


def tier_view(state: State, ladder: Ladder | None, at: int) -> TierView | None:
    """Return a tier, until when it is valid, and what keeps or raises it; None where there is no ladder."""
    if ladder is None:
        return None
    # Before the first entry everybody stands on the lowest tier, with nothing to count.
    above = to_next(state, ladder, at) if state.version else (ladder.tiers[1].tier, ladder.tiers[1].threshold)
    tier = ladder.tiers[ladder.number_of(state.tier)]
    return TierView(
        tier=tier.tier,
        name=tier.name,
        since=instant(state.since),
        valid_until=instant(state.valid_until),
        metric=ladder.metric,
        metric_value=metric_value(state, ladder, at) if state.version else 0,
        currency=ladder.currency if ladder.metric == "spend" else None,
        to_keep=to_keep(state, ladder, at) if state.version else None,
        next_tier=above[0] if above else None,
        to_next=above[1] if above else None,
    )
