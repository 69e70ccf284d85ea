"""What a purchase is worth under a program: pure, and the same for ever.

Rounding is named by the rule. A split over lines always sums to its whole: each line gets the floor of its share
by amount, and the points that remain go to the largest remainders, of equals to the earlier line.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from fractions import Fraction

from shared.contracts.purchases import Line, PurchaseCompleted
from shared.program.compiled import Program, Rule

#: Far beyond any receipt; an order above it is a mistake in the data or in the program.
POINTS_MAX = 1_000_000_000_000
ONE = Fraction(1)


@dataclass(frozen=True, slots=True)
class Award:
    """What one rule pays for one order.

    Attributes:
        points: At least 1, in the wallet's smallest unit.
        line_points: The same points by line of the order, in the order's own order; 0 for lines that did not count.
    """

    rule: Rule
    points: int
    line_points: list[int]


@dataclass(frozen=True, slots=True)
class Rating:
    """What an order earns.

    Attributes:
        awards: One a rule that pays; empty if the order earns nothing.
        reason: Why it earns nothing; None if it earns.
        qualifying: Minor units of the lines that may earn at all.
        day: Of the purchase, where the program lives.
        earning: Positions of the lines that may earn at all.
    """

    awards: list[Award]
    reason: str | None
    qualifying: int
    day: date
    earning: list[int]


def rate(program: Program, purchase: PurchaseCompleted, multiplier: Fraction = ONE) -> Rating:
    """Rate one purchase by the version of the program in force when it happened.

    Args:
        program: That version.
        purchase: The purchase.
        multiplier: Of the member's tier; it multiplies what rules pay into the ladder's wallet, before rounding.
    """
    lines = purchase.lines
    never_earns = program.never_earns
    earning = [i for i, line in enumerate(lines) if not line.is_gift_card and not never_earns(line)]
    qualifying = sum([lines[i].amount for i in earning])
    day = program.day_of(purchase.occurred_at)
    if not earning:
        return Rating([], "every line is of a kind that never earns", 0, day, earning)
    awards: list[Award] = []
    applied = matched_any = False
    tier_wallet = program.ladder.wallet if program.ladder else None
    for rule in program.rules:
        if rule.applies is not None and not rule.applies(purchase, day):
            continue
        applied = True
        matches = rule.matches
        matched = earning if matches is None else [i for i in earning if matches(lines[i])]
        if not matched:
            continue
        matched_any = True
        award = _award(rule, lines, matched, multiplier if rule.wallet == tier_wallet else ONE)
        if award is not None:
            awards.append(award)
    if awards:
        return Rating(awards, None, qualifying, day, earning)
    if not applied:
        return Rating([], "no rule applies to this channel, store or date", qualifying, day, earning)
    if not matched_any:
        return Rating([], "no line is what a rule rewards", qualifying, day, earning)
    return Rating([], "what the rules pay for this order rounds to nothing", qualifying, day, earning)


def _award(rule: Rule, lines: Sequence[Line], matched: Sequence[int], multiplier: Fraction) -> Award | None:
    line_points = [0] * len(lines)
    if rule.rounding.scope == "line":
        for i in matched:
            line_points[i] = rule.rounding.apply(rule.rate(lines[i].amount, lines[i].quantity) * multiplier)
        points = sum(line_points)
        return Award(rule, points, line_points) if points else None
    amounts = [lines[i].amount for i in matched]
    amount = sum(amounts)
    if rule.step is not None and multiplier is ONE:
        minor, per_step = rule.step
        points = amount // minor * per_step
    else:
        points = rule.rounding.apply(rule.rate(amount, sum([lines[i].quantity for i in matched])) * multiplier)
    if not points:
        return None
    for i, share in zip(matched, split(points, amounts), strict=True):
        line_points[i] = share
    return Award(rule, points, line_points)


def split(whole: int, weights: Sequence[int]) -> list[int]:
    """Split ``whole`` by weight so that the parts sum to it exactly (largest remainder, ties to the earlier part).

    Weights that are all 0 count as equal.
    """
    total = sum(weights)
    if not total:
        weights, total = [1] * len(weights), len(weights)
    shares = [whole * weight // total for weight in weights]
    missing = whole - sum(shares)
    if missing:
        by_remainder = sorted(range(len(weights)), key=lambda i: -(whole * weights[i] % total))
        for i in by_remainder[:missing]:
            shares[i] += 1
    return shares
