"""What a purchase is worth under a program: pure, and the same for ever.

Rounding is named by the rule. A split over lines always sums to its whole: each line gets the floor of its share
by amount, and the points that remain go to the largest remainders, of equals to the earlier line.
"""

from __future__ import annotations

from collections.abc import Sequence

from services.earn.awards import Award, Rating, Verdict, why_nothing
from services.earn.basis import amounts_that_count
from services.earn.order_rating import OrderRating, of_every_purchase
from services.earn.sharing import split
from services.earn.stacking import Hit
from shared.contracts.purchases import PurchaseCompleted
from shared.program.calculations.base import Basket
from shared.program.compiled.program import Program
from shared.program.compiled.rating_context import NOTHING_KNOWN, MemberContext, RatingContext


def rate(
    program: Program,
    purchase: PurchaseCompleted,
    known: MemberContext = NOTHING_KNOWN,
    verdicts: list[Verdict] | None = None,
) -> Rating:
    """Rate one purchase by the version of the program in force when it happened.

    Args:
        program: That version.
        purchase: The purchase, in a currency that the program accepts.
        known: What is known beside it.
        verdicts: Filled, if given, with what became of each rule, in the file's order.
    """
    lines = purchase.lines
    spend = program.spend
    amounts = [line.amount for line in lines] if spend.is_plain else amounts_that_count(spend, purchase)
    never_earns = program.never_earns
    earning = [i for i, line in enumerate(lines) if not line.is_gift_card and not never_earns(line)]
    qualifying = [0] * len(lines)
    for i in earning:
        qualifying[i] = amounts[i]
    if purchase.currency != program.currency:
        worth = program.worth[purchase.currency]
        qualifying = [amount * worth.numerator // worth.denominator for amount in qualifying]
    local = purchase.occurred_at.astimezone(program.zone)
    if not earning:
        counted = of_every_purchase(program, RatingContext(purchase, local, 0, known))
        return Rating(
            [], "every line is of a kind that never earns", qualifying, local.date(), known.member.joined_on, counted
        )
    if verdicts is None and program.book.plain:
        occasion = RatingContext(purchase, local, sum(qualifying), known)
        awards, reason = _plainly(program, purchase, amounts, earning, occasion)
        return Rating(
            awards, reason, qualifying, local.date(), known.member.joined_on, of_every_purchase(program, occasion)
        )
    order = OrderRating(
        program, Basket(lines, amounts, purchase.currency), qualifying, earning,
        RatingContext(purchase, local, sum(qualifying), known), verdicts,
    )  # fmt: skip
    awards, reason = order.rate()
    return Rating(awards, reason, qualifying, local.date(), known.member.joined_on, order.counted)


def _plainly(
    program: Program, purchase: PurchaseCompleted, amounts: Sequence[int], earning: list[int], occasion: RatingContext
) -> tuple[list[Award], str | None]:
    """Rate by rules of which each pays by itself, as most do: what ``OrderRating`` does, in a third of the time."""
    lines, currency = purchase.lines, purchase.currency
    awards: list[Award] = []
    applied = hit = False
    for rule in program.book.that_could_pay(purchase, occasion.local):
        if rule.conditions and not all(condition.holds(occasion) for condition in rule.conditions):
            continue
        if rule.currencies is not None and currency not in rule.currencies:
            continue
        applied = True
        matches = rule.matches
        picked = earning if matches is None else [i for i in earning if matches(lines[i])]
        if not picked:
            continue
        hit = True
        if rule.step is None or (rule.tiered and occasion.known.tier):
            order = OrderRating(program, Basket(lines, amounts, currency), (), earning, occasion, None)
            award = order.paid(Hit(rule, picked))
            if award is not None:
                awards.append(award)
            continue
        weights = [amounts[i] for i in picked]
        points = sum(weights) // rule.step[0] * rule.step[1]
        if points:
            line_points = [0] * len(lines)
            for i, share in zip(picked, split(points, weights), strict=True):
                line_points[i] = share
            awards.append(Award(rule, rule.wallet, points, line_points))
    if awards:
        return awards, None
    return awards, why_nothing(hit=hit, applied=applied)
