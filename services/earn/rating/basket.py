"""How much of an order's price counts, line by line: what was paid for it, unless ``spend:`` says otherwise."""

from __future__ import annotations

from services.earn.rating.allocation import split
from shared.contracts.purchases import PurchaseCompleted
from shared.program.language.model import Spend

_GIFT_CARD = "gift-card"


def amounts_that_count(spend: Spend, purchase: PurchaseCompleted) -> list[int]:
    """Return the minor units of each line that may earn points.

    Tax and shipping that count are shared among all lines by what was paid for them; what was paid with gift cards,
    where it does not earn, is taken off all parts of the bill alike. Shares sum to their whole (largest remainder).
    """
    amounts = [line.amount for line in purchase.lines]
    extras = (purchase.tax, spend.tax), (purchase.shipping, spend.shipping)
    counted = sum(amount for amount, word in extras if word == "counts")
    if counted:
        amounts = [amount + share for amount, share in zip(amounts, split(counted, amounts), strict=True)]
    if spend.gift_cards_used == "earn":
        return amounts
    rest = sum(amount for amount, word in extras if word != "counts")
    bill = sum(amounts) + rest
    by_card = min(bill, sum(tender.amount for tender in purchase.tenders if tender.method == _GIFT_CARD))
    if not by_card:
        return amounts
    taken = split(by_card, [*amounts, rest])
    return [max(0, amount - share) for amount, share in zip(amounts, taken, strict=False)]
