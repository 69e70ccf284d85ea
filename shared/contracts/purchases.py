"""Topic ``purchases``: everything about an order travels here, so that it stays in order."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Self

from pydantic import Field, TypeAdapter, model_validator
from pydantic.dataclasses import dataclass

from shared.contracts.contract import Contract, OwnId
from shared.contracts.fields import (
    CONTRACT,
    MINOR_UNITS_MAX,
    CurrencyCode,
    Identifier,
    Label,
    MinorUnits,
    Moment,
    Source,
)
from shared.contracts.fields import Quantity as QuantityField

TOPIC = "purchases"
COMPLETED = "loyalty.purchase.completed.v1"
RETURNED = "loyalty.purchase.returned.v1"
FULFILLED = "loyalty.purchase.fulfilled.v1"
CANCELLED = "loyalty.purchase.cancelled.v1"
AMENDED = "loyalty.purchase.amended.v1"
CLAIMED = "loyalty.purchase.claimed.v1"


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
    """One way in which an order was paid.

    Attributes:
        method: Such as card, cash, or gift-card (by that name a program can say that it does not earn).
        brand: Such as visa.
        card: The card's own product, such as a shop's co-brand card.
    """

    method: Label
    brand: Label | None = None
    card: Label | None = None
    amount: MinorUnits


@dataclass(frozen=True, slots=True, kw_only=True, config=CONTRACT)
class PurchaseCompleted:
    """A purchase that a till, a shop or a CRM completed.

    With the envelope's ``source``, ``order_id`` names the order for ever: sent again it has no second effect.
    All amounts are minor units of ``currency``. ``partner_id`` is the partner of a coalition where it was made.
    """

    order_id: Identifier
    member_id: Identifier
    occurred_at: Moment
    channel: Label | None = None
    store_id: Label | None = None
    partner_id: Label | None = None
    currency: CurrencyCode
    lines: Annotated[tuple[Line, ...], Field(min_length=1, max_length=10_000)]
    tenders: Annotated[tuple[Tender, ...], Field(max_length=64)] = ()
    tax: MinorUnits = 0
    shipping: MinorUnits = 0

    @model_validator(mode="after")
    def _lines_are_sound(self) -> Self:
        _check_lines(self.lines)
        return self


def _check_lines(lines: tuple[Line, ...]) -> None:
    if len({line.line_id for line in lines}) < len(lines):
        raise ValueError("two lines have the same line_id; a return could not tell them apart")
    if sum(line.amount for line in lines) > MINOR_UNITS_MAX:
        raise ValueError(f"the lines add up to more than {MINOR_UNITS_MAX} minor units")


PURCHASE_COMPLETED = Contract(
    type=COMPLETED,
    adapter=TypeAdapter(PurchaseCompleted),
    business_key=OwnId("order_id"),
)


@dataclass(frozen=True, slots=True, kw_only=True, config=CONTRACT)
class ReturnedLine:
    """What came back of one line: how many, and what was paid back for them, in minor units."""

    line_id: Identifier
    quantity: QuantityField = 0
    amount: MinorUnits = 0

    @model_validator(mode="after")
    def _returns_something(self) -> Self:
        if not self.quantity and not self.amount:
            raise ValueError("returns neither a quantity nor an amount")
        return self


@dataclass(frozen=True, slots=True, kw_only=True, config=CONTRACT)
class PurchaseReturned:
    """An order, or a part of it, came back.

    Attributes:
        order_source: The ``source`` of the order's own event; that of this event unless given.
        lines: What came back, line by line. None: everything that is not back yet.
    """

    return_id: Identifier
    order_id: Identifier
    order_source: Source | None = None
    member_id: Identifier
    occurred_at: Moment
    lines: Annotated[tuple[ReturnedLine, ...], Field(min_length=1, max_length=10_000)] | None = None

    @model_validator(mode="after")
    def _names_a_line_once(self) -> Self:
        if self.lines and len({line.line_id for line in self.lines}) < len(self.lines):
            raise ValueError("names a line twice; add its quantities and amounts")
        return self


@dataclass(frozen=True, slots=True, kw_only=True, config=CONTRACT)
class PurchaseFulfilled:
    """An order was shipped, or handed over: points that waited for that become available."""

    order_id: Identifier
    order_source: Source | None = None
    member_id: Identifier
    occurred_at: Moment


@dataclass(frozen=True, slots=True, kw_only=True, config=CONTRACT)
class PurchaseClaimed:
    """The member did what some points of an order wait for (``pending: until claimed``): they become available."""

    claim_id: Identifier
    order_id: Identifier
    order_source: Source | None = None
    member_id: Identifier
    occurred_at: Moment


@dataclass(frozen=True, slots=True, kw_only=True, config=CONTRACT)
class PurchaseCancelled:
    """An order was called off: everything of it that is not back yet is taken back, whether it was shipped or not."""

    cancellation_id: Identifier
    order_id: Identifier
    order_source: Source | None = None
    member_id: Identifier
    occurred_at: Moment


@dataclass(frozen=True, slots=True, kw_only=True, config=CONTRACT)
class PurchaseAmended:
    """An order was changed before it was shipped: this is the whole of it, as it now stands.

    It is rated as if it had been bought like this in the first place: at the time of the purchase, by the program of
    then. The difference to what it had earned is paid, or taken back.

    Attributes:
        order_source: The ``source`` of the order's own event; that of this event unless given.
        occurred_at: When it was changed.
        lines: All of them, also those that did not change.
    """

    amendment_id: Identifier
    order_id: Identifier
    order_source: Source | None = None
    member_id: Identifier
    occurred_at: Moment
    channel: Label | None = None
    store_id: Label | None = None
    partner_id: Label | None = None
    currency: CurrencyCode
    lines: Annotated[tuple[Line, ...], Field(min_length=1, max_length=10_000)]
    tenders: Annotated[tuple[Tender, ...], Field(max_length=64)] = ()
    tax: MinorUnits = 0
    shipping: MinorUnits = 0

    @model_validator(mode="after")
    def _lines_are_sound(self) -> Self:
        _check_lines(self.lines)
        return self

    def as_bought(self, bought_at: datetime) -> PurchaseCompleted:
        """Return the purchase as it would have been made at the order's own time."""
        return PurchaseCompleted(
            order_id=self.order_id, member_id=self.member_id,
            occurred_at=bought_at.isoformat(),  # type: ignore[arg-type]  # a moment is read from text
            channel=self.channel,
            store_id=self.store_id, partner_id=self.partner_id, currency=self.currency, lines=self.lines,
            tenders=self.tenders, tax=self.tax, shipping=self.shipping,
        )  # fmt: skip


#: What happens to an order after it was made.
AboutAnOrder = PurchaseReturned | PurchaseCancelled | PurchaseAmended | PurchaseFulfilled | PurchaseClaimed

#: The word before the id keeps an order and a return of the same number apart: keys are causes in the ledger.
#: No id can hold the control character between them.
PURCHASE_RETURNED = Contract(
    type=RETURNED,
    adapter=TypeAdapter(PurchaseReturned),
    business_key=OwnId("return_id", "return"),
)
PURCHASE_FULFILLED = Contract(
    type=FULFILLED,
    adapter=TypeAdapter(PurchaseFulfilled),
    business_key=lambda event: f"fulfilment\x1f{event.order_source or ''}\x1f{event.order_id}",
)
PURCHASE_CANCELLED = Contract(
    type=CANCELLED,
    adapter=TypeAdapter(PurchaseCancelled),
    business_key=OwnId("cancellation_id", "cancellation"),
)
PURCHASE_AMENDED = Contract(
    type=AMENDED,
    adapter=TypeAdapter(PurchaseAmended),
    business_key=OwnId("amendment_id", "amendment"),
)
PURCHASE_CLAIMED = Contract(
    type=CLAIMED,
    adapter=TypeAdapter(PurchaseClaimed),
    business_key=OwnId("claim_id", "claim"),
)
