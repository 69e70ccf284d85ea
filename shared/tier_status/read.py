"""Reads a tier status: the last checkpoint of tiers and the ledger entries after it, folded by the reader.

Only tiers stores checkpoints. earn and redeem load them and fold the few entries that follow, so the tier is exact
even when tiers is minutes behind.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from shared.database.pool import Connection
from shared.ledger.model import Entry
from shared.program.compiled.ladder import Ladder
from shared.program.compiled.ladders import Ladders
from shared.tier_status.fold import advance, fold, next_due, tier_at
from shared.tier_status.state import State, TierInput
from shared.tier_status.state import load as load_state

_CHECKPOINTS = "select account, fold from standing where account = any($1::bigint[])"

# Account by account, along the index: Postgres does not know how few entries are new, and "offset 0" keeps it from
# reading the whole table instead.
_INPUTS = """
select e.*
from unnest($1::bigint[], $2::bigint[]) as after(account, version)
cross join lateral (
    select account, version, occurred_at, event_at, points, qualifying, operation
    from entry e where e.account = after.account and e.version > after.version offset 0) e
order by e.account, e.version
"""


@dataclass(slots=True)
class Loaded:
    """A checkpoint, and the entries after it in version order; whoever posts more entries appends them."""

    state: State = field(default_factory=State)
    inputs: list[TierInput] = field(default_factory=list)


async def load(connection: Connection, accounts: Sequence[int]) -> dict[int, Loaded]:
    """Return every account's checkpoint and the entries after it, in two statements.

    It reads committed data; call it after the accounts are locked if no entry may be missing.
    """
    loaded = {account: Loaded() for account in accounts}
    for account, text in await connection.fetch(_CHECKPOINTS, list(loaded)):
        loaded[account].state = load_state(text)
    inputs = await load_inputs(connection, {account: status.state.version for account, status in loaded.items()})
    for account, following in inputs.items():
        loaded[account].inputs = following
    return loaded


async def load_inputs(connection: Connection, after: dict[int, int]) -> dict[int, list[TierInput]]:
    """Return the entries after a version of each account, in version order."""
    inputs: dict[int, list[TierInput]] = {}
    for account, *step in await connection.fetch(_INPUTS, list(after), list(after.values())):
        inputs.setdefault(account, []).append(TierInput(*step))
    return inputs


def tier_input(entry: Entry) -> TierInput:
    """Return what the fold reads of an entry."""
    return TierInput(entry.version, entry.occurred_at, entry.event_at, entry.points, entry.qualifying, entry.operation)


def tier_slug_at(loaded: Loaded, ladder_at: Ladders, instant: int) -> str:
    """Return the tier that a member has, or had, at an instant; empty if there was no ladder then.

    The entries are folded into ``loaded``; time after them is applied to a copy.
    """
    if loaded.inputs:
        loaded.state, _ = fold(loaded.state, loaded.inputs, ladder_at)
        loaded.inputs = []
    state = loaded.state
    if next_due(state, ladder_at) <= instant:
        state = state.copy()
        advance(state, instant, ladder_at)
    ladder = ladder_at(instant)
    # Before the first entry everybody has the lowest tier.
    return tier_at(state, instant) or (ladder.tiers[0].tier if ladder else "")


def tier_number_at(loaded: Loaded, ladder_at: Ladders, ladder: Ladder, instant: int) -> int:
    """Return the number of that tier on a ladder, from 0; 0 for a tier that is not on it."""
    return ladder.number_of(tier_slug_at(loaded, ladder_at, instant))
