"""The one entry to rating: what a purchase is worth under a program, rule by rule.

Rounding is named by the rule. A split over lines always sums to its whole: each line gets the floor of its share
by amount, and the points that remain go to the largest remainders, of equals to the earlier line.
"""

from __future__ import annotations

from collections.abc import Sequence

from services.earn.rating.awards import Rating, Verdict
from services.earn.rating.basket import amounts_that_count
from services.earn.rating.order import OrderRating
from shared.contracts.purchases import PurchaseCompleted
from shared.program.calculations.base import Basket
from shared.program.compiled.program import Program
from shared.program.compiled.rating_context import NOTHING_KNOWN, MemberContext, RatingContext
from shared.program.compiled.rules import Rule
from shared.program.compiled.tallies import PURCHASES, Key, visits_key


def rate(
    program: Program,
    purchase: PurchaseCompleted,
    known: MemberContext = NOTHING_KNOWN,
    verdicts: list[Verdict] | None = None,
    rules: Sequence[Rule] | None = None,
) -> Rating:
    """Rate one purchase by the version of the program in force when it happened.

    Args:
        program: That version.
        purchase: The purchase, in a currency that the program accepts.
        known: What is known beside it.
        verdicts: Filled, if given, with what became of each rule, in the file's order.
        rules: Those that could pay, if somebody has selected them already.
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
    occasion = RatingContext(purchase, local, sum(qualifying), known)
    book = program.book
    counted = _of_every_purchase(program, occasion) if book.counts_purchases or book.visits else {}
    if not earning:
        reason: str | None = "every line is of a kind that never earns"
        return Rating([], reason, qualifying, local.date(), known.member.joined_on, counted)
    if verdicts is not None:
        rules = book.rules  # whoever asks why wants to hear of each of them
    elif rules is None:
        rules = book.that_could_pay(purchase, local)
    order = OrderRating(
        program, Basket(lines, amounts, purchase.currency), qualifying, earning, occasion, counted, verdicts
    )
    awards, reason = order.rate(rules)
    return Rating(awards, reason, qualifying, local.date(), known.member.joined_on, counted)


def _of_every_purchase(program: Program, occasion: RatingContext) -> dict[Key, int]:
    """Count the purchase, and the visit that it is."""
    counted: dict[Key, int] = {}
    if program.book.counts_purchases:
        counted[PURCHASES] = 1
    for per in program.book.visits:
        new, in_a_row = occasion.visits(per)
        if new:
            counted[visits_key(per, occasion.local.date())] = in_a_row
    return counted
