"""The ladders of all versions of a program: which one applies to an account at an instant."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from shared.instants import NEVER
from shared.program.compiled.ladder import Ladder
from shared.program.compiled.program import Program, in_force


class Ladders:
    """Which ladder applies to an account at each instant: that of the version in force, if it is on the wallet."""

    def __init__(self, programs: Sequence[Program], wallet: str) -> None:
        """Compute the instants at which the ladder of a wallet's accounts changes."""
        self._begins: list[int] = []
        self._ladders: list[Ladder | None] = [None]
        for instant in sorted({program.effective_from for program in programs}):
            program = in_force(programs, instant)
            ladder = program.ladder if program and program.ladder and program.ladder.wallet == wallet else None
            if ladder != self._ladders[-1]:
                self._begins.append(instant)
                self._ladders.append(ladder)

    def __call__(self, instant: int) -> Ladder | None:
        """Return the ladder in force; None: nobody has a tier."""
        return self._ladders[bisect_right(self._begins, instant)]

    def next_change(self, instant: int) -> int:
        """Return the next instant at which another ladder comes into force; NEVER if there is none."""
        index = bisect_right(self._begins, instant)
        return self._begins[index] if index < len(self._begins) else NEVER


def ladders_by_wallet(programs: Sequence[Program]) -> dict[str, Ladders]:
    """Return the ladders of every wallet that ever had one; compute it again only for a new version."""
    wallets = {program.ladder.wallet for program in programs if program.ladder}
    return {wallet: Ladders(programs, wallet) for wallet in sorted(wallets)}
