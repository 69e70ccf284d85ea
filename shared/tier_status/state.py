"""The fold's data: the state that it keeps of a member, its input, and the changes that it finds."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

import jiter
import pydantic_core

from shared.instants import BEGINNING, NEVER
from shared.ledger.operations import EFFECTS
from shared.program.compiled.ladder import Metric

Kind = Literal["upgraded", "downgraded", "retained", "expiring"]

_LIFETIME = {int(operation): effect.lifetime for operation, effect in EFFECTS.items()}


class TierInput(NamedTuple):
    """What the fold reads of one ledger entry; ``qualifying`` is minor units, negative on a return."""

    version: int
    occurred_at: int
    event_at: int
    points: int
    qualifying: int
    operation: int

    @property
    def amounts(self) -> tuple[int, int]:
        """What the entry adds to each metric: (minor units, points)."""
        return self.qualifying, self.points * _LIFETIME[self.operation]


class Change(NamedTuple):
    """A change that is announced to a member. Amounts are minor units or points, as ``metric`` says.

    Attributes:
        occurred_at: The instant of the change itself, not of its discovery.
        version: The account's version at the change: that of the last entry folded.
        metric_value: The value that decided.
        valid_until: NEVER for a tier without an end.
        to_keep: What is missing in the period of ``occurred_at`` to keep the tier; None where nothing is.
        to_next: What is missing to the next higher tier; None where there is none.
    """

    occurred_at: int
    change: Kind
    old_tier: str
    tier: str
    version: int
    metric: Metric
    metric_value: int
    reason: str
    valid_from: int
    valid_until: int
    to_keep: int | None
    next_tier: str | None
    to_next: int | None


@dataclass(slots=True)
class State:
    """A member's tier status after the entries up to ``version``, with everything due up to ``as_of`` applied.

    Attributes:
        first_at: When the event of the first entry happened.
        amounts: (minor units, points) by bucket (``windows.bucket``).
        tier: A slug; empty while there is no ladder or no entry.
        since: The instant from which the tier is valid.
        valid_until: When it ends as far as is known; NEVER for the lowest tier.
        through: The day after the last period for which the tier was earned; 0 on a ladder that ``holds``.
        due: The next instant at which time alone may change the tier.
        warn: When its end is to be announced; NEVER if it has been, or need not be.
        changes: (since, tier), in order.
    """

    version: int = 0
    as_of: int = BEGINNING
    first_at: int = BEGINNING
    amounts: dict[int, tuple[int, int]] = field(default_factory=dict)
    tier: str = ""
    since: int = BEGINNING
    valid_until: int = NEVER
    through: int = 0
    due: int = NEVER
    warn: int = NEVER
    changes: list[tuple[int, str]] = field(default_factory=list)

    def copy(self) -> State:
        """Return a copy that can be changed without changing this one."""
        return replace(self, amounts=dict(self.amounts), changes=list(self.changes))

    def gather(self, before: int, under: int) -> None:
        """Merge the amounts of days that no rolling window counts any more; a lifetime metric still counts them."""
        for day in [day for day in self.amounts if under < day < before]:
            spend, points = self.amounts.pop(day)
            gathered = self.amounts.get(under, (0, 0))
            self.amounts[under] = (gathered[0] + spend, gathered[1] + points)


def dump(state: State) -> str:
    """Return a state as JSON."""
    return pydantic_core.to_json({name: getattr(state, name) for name in State.__slots__}).decode()


def load(text: str) -> State:
    """Return the state that ``dump`` wrote; for an empty text, the state before the first entry."""
    if not text:
        return State()
    raw = jiter.from_json(text.encode())
    raw["amounts"] = {int(day): (spend, points) for day, (spend, points) in raw["amounts"].items()}
    raw["changes"] = [(instant, tier) for instant, tier in raw["changes"]]
    return State(**raw)
