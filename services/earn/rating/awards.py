"""What rating an order gives: awards, and verdicts for people who ask why. Plain data."""

from __future__ import annotations

from datetime import date
from typing import Literal, NamedTuple

from shared.program.compiled.rules import Rule
from shared.program.compiled.tallies import Key

#: Far beyond any receipt; an order above it is a mistake in the data or in the program.
POINTS_MAX = 1_000_000_000_000
Outcome = Literal["paid", "condition", "no-line", "nothing", "replaced", "not-best", "capped"]


class Award(NamedTuple):
    """What one rule pays for one order into one wallet.

    Attributes:
        points: At least 1, in the wallet's smallest unit.
        line_points: The same points by line of the order, in the order's own order; 0 for lines that did not count.
    """

    rule: Rule
    wallet: str
    points: int
    line_points: list[int]


class Rating(NamedTuple):
    """What an order earns.

    Attributes:
        awards: One a rule that pays, and wallet that it pays; empty if the order earns nothing.
        reason: Why it earns nothing; None if it earns.
        qualifying: By line: what counts towards a tier, in minor units of the program's currency.
        day: Of the purchase, where the program lives.
        joined_on: When the member joined, if that was told.
        counted: What is to be added to the member's tallies.
    """

    awards: list[Award]
    reason: str | None
    qualifying: list[int]
    day: date
    joined_on: date | None
    counted: dict[Key, int]


class Verdict(NamedTuple):
    """What became of one rule: for people who ask why. ``points`` are what it paid."""

    rule: str
    outcome: Outcome
    points: int
    detail: str


def say_instead(verdicts: list[Verdict] | None, rule: Rule, outcome: Outcome, detail: str, points: int = 0) -> None:
    """Say something else of a rule than before, where anybody asks."""
    if verdicts is not None:
        number = next(n for n, verdict in enumerate(verdicts) if verdict.rule == rule.name)
        verdicts[number] = Verdict(rule.name, outcome, points, detail)


def why_nothing(*, hit: bool, applied: bool, cut: bool = False) -> str:
    """Return the reason of an order that earns nothing.

    Args:
        hit: Whether a rule counted a line.
        applied: Whether a rule applied to such an order.
        cut: Whether a cap took something off.
    """
    if cut:
        return "what the rules pay is above a cap, or above what is left of a budget"
    if hit:
        return "what the rules pay for this order rounds to nothing"
    return "no line is what a rule rewards" if applied else "no rule applies to such an order"
