"""Topic ``purchases``: everything about an order travels here, so that it stays in order."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, TypeAdapter, model_validator
from pydantic.dataclasses import dataclass

from shared.contracts.contract import Contract
from shared.contracts.fields import CONTRACT, MINOR_UNITS_MAX, CurrencyCode, Identifier, Label, MinorUnits, Moment
from shared.contracts.fields import Quantity as QuantityField

TOPIC = "purchases"
COMPLETED = "loyalty.purchase.completed.v1"


@dataclass(frozen=True, slots=True, kw_only=True, config=CONTRACT)
class Line:
    """One line of an order.

    Attributes:
        line_id: Unique within the order; a return names lines by it.
        category: The category path, outermost first: ``["GROCERY", "FRZN ICE"]``. An array, for names hold slashes.
        amount: What was paid for the whole line, after discounts, without tax, in minor units.
        discount: What was taken off the line, in minor units.
    """

    line_id: Identifier
    product_id: Identifier
    sku: Identifier | None = None
    category: Annotated[tuple[Label, ...], Field(max_length=16)] = ()
    brand: Label | None = None
    tags: Annotated[tuple[Label, ...], Field(max_length=64)] = ()
    quantity: QuantityField = 1
    amount: MinorUnits
    discount: MinorUnits = 0
    is_gift_card: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, config=CONTRACT)
class Tender:
    """One way in which an order was paid: ``method`` such as card, cash, gift-card; ``brand`` such as visa."""

    method: Label
    brand: Label | None = None
    amount: MinorUnits


@dataclass(frozen=True, slots=True, kw_only=True, config=CONTRACT)
class PurchaseCompleted:
    """A purchase that a till, a shop or a CRM completed.

    With the envelope's ``source``, ``order_id`` names the order for ever: sent again it has no second effect.
    All amounts are minor units of ``currency``.
    """

    order_id: Identifier
    member_id: Identifier
    occurred_at: Moment
    channel: Label | None = None
    store_id: Label | None = None
    currency: CurrencyCode
    lines: Annotated[tuple[Line, ...], Field(min_length=1, max_length=10_000)]
    tenders: Annotated[tuple[Tender, ...], Field(max_length=64)] = ()
    tax: MinorUnits = 0
    shipping: MinorUnits = 0

    @model_validator(mode="after")
    def _lines_add_up(self) -> Self:
        if len({line.line_id for line in self.lines}) < len(self.lines):
            raise ValueError("two lines have the same line_id; a return could not tell them apart")
        if sum(line.amount for line in self.lines) > MINOR_UNITS_MAX:
            raise ValueError(f"the lines add up to more than {MINOR_UNITS_MAX} minor units")
        return self


PURCHASE_COMPLETED = Contract(
    type=COMPLETED,
    adapter=TypeAdapter(PurchaseCompleted),
    business_key=lambda purchase: purchase.order_id,
)
