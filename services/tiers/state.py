"""What a batch of tiers must know before it decides, and what it writes. Plain data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from services.tiers.tier_events import Evaluation, TierStatus
from shared.program.compiled.ladders import Ladders, ladders_by_wallet
from shared.program.compiled.program import Program


@dataclass(slots=True)
class State:
    """What must be known before anything is decided; ``decide`` changes the standings in place.

    Attributes:
        standings: Locked, by (member, wallet), with the entries after each checkpoint.
        ladders: By wallet; of every version of the program.
        program_id: Of the program.
        program_version: The newest.
    """

    standings: dict[tuple[str, str], TierStatus]
    ladders: Mapping[str, Ladders]
    program_id: str
    program_version: int

    @classmethod
    def under(cls, programs: Sequence[Program], standings: Sequence[TierStatus] = ()) -> State:
        """Return the state of some standings under every version of a program, oldest first; there is one."""
        known = {(one.member, one.wallet): one for one in standings}
        return cls(known, ladders_by_wallet(programs), programs[-1].program_id, programs[-1].version)


@dataclass(slots=True)
class Effects:
    """What a batch or a sweep writes."""

    program_version: int
    treated: list[Evaluation] = field(default_factory=list)
