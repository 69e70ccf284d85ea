"""Topic ``purchases``: all events about an order share one topic, so that they stay in sequence."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Self

from pydantic import Field, TypeAdapter, model_validator
from pydantic.dataclasses import dataclass

from shared.contracts.contract import Contract, OwnId
from shared.contracts.fields import CONTRACT, CurrencyCode, Identifier, Label, MinorUnits, Moment, Source
from shared.contracts.fields import Quantity as QuantityField
from shared.contracts.order_lines import Line, Tender, check_lines

TOPIC = "purchases"
COMPLETED = "loyalty.purchase.completed.v1"
RETURNED = "loyalty.purchase.returned.v1"
FULFILLED = "loyalty.purchase.fulfilled.v1"
CANCELLED = "loyalty.purchase.cancelled.v1"
AMENDED = "loyalty.purchase.amended.v1"
CLAIMED = "loyalty.purchase.claimed.v1"


@dataclass(frozen=True, slots=True, kw_only=True, config=CONTRACT)
class PurchaseCompleted:
    """A purchase that a till, a web shop or a CRM completed.

    ``order_id`` together with the envelope's ``source`` identifies the order: sending it again has no second effect.
    All amounts are minor units of ``currency``. ``partner_id`` is the coalition partner at which it was made.
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
        check_lines(self.lines)
        return self


PURCHASE_COMPLETED = Contract(
    type=COMPLETED,
    adapter=TypeAdapter(PurchaseCompleted),
    business_key=OwnId("order_id"),
)


@dataclass(frozen=True, slots=True, kw_only=True, config=CONTRACT)
class ReturnedLine:
    """What came back of one line: the quantity, and the amount that was paid back, in minor units."""

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
    """An order, or a part of it, was returned.

    Attributes:
        order_source: The ``source`` of the order's own event; by default that of this event.
        lines: What came back, line by line. None: everything that has not come back yet.
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
    """An order was shipped or handed over: points that waited for this become available."""

    order_id: Identifier
    order_source: Source | None = None
    member_id: Identifier
    occurred_at: Moment


@dataclass(frozen=True, slots=True, kw_only=True, config=CONTRACT)
class PurchaseClaimed:
    """A member claimed the points of an order that wait for it (``pending: until claimed``): they become available."""

    claim_id: Identifier
    order_id: Identifier
    order_source: Source | None = None
    member_id: Identifier
    occurred_at: Moment


@dataclass(frozen=True, slots=True, kw_only=True, config=CONTRACT)
class PurchaseCancelled:
    """An order was cancelled: everything that has not come back yet is taken back, whether it was shipped or not."""

    cancellation_id: Identifier
    order_id: Identifier
    order_source: Source | None = None
    member_id: Identifier
    occurred_at: Moment


@dataclass(frozen=True, slots=True, kw_only=True, config=CONTRACT)
class PurchaseAmended:
    """An order was changed before it was shipped: this is the whole order as it is now.

    It is rated as if it had been bought like this in the first place: at the time of the purchase, by the program
    version of that time. The difference to what it had earned is paid or taken back.

    Attributes:
        order_source: The ``source`` of the order's own event; by default that of this event.
        occurred_at: When it was changed.
        lines: All lines, including those that did not change.
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
        check_lines(self.lines)
        return self

    def as_bought(self, bought_at: datetime) -> PurchaseCompleted:
        """Return the order as if it had been bought like this at its own time."""
        return PurchaseCompleted(
            order_id=self.order_id,
            member_id=self.member_id,
            occurred_at=bought_at.isoformat(),  # type: ignore[arg-type]  # a moment is read from text
            channel=self.channel,
            store_id=self.store_id,
            partner_id=self.partner_id,
            currency=self.currency,
            lines=self.lines,
            tenders=self.tenders,
            tax=self.tax,
            shipping=self.shipping,
        )


#: Events about an order that was made before.
AboutAnOrder = PurchaseReturned | PurchaseCancelled | PurchaseAmended | PurchaseFulfilled | PurchaseClaimed

# The word before the id keeps an order and a return with the same id apart, because keys are causes in the ledger. No
# id can contain the control character between them.
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
