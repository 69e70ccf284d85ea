"""What a purchase and an amendment state of an order: its lines, and how it was paid."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from pydantic.dataclasses import dataclass

from shared.contracts.fields import CONTRACT, MINOR_UNITS_MAX, Identifier, Label, MinorUnits
from shared.contracts.fields import Quantity as QuantityField


@dataclass(frozen=True, slots=True, kw_only=True, config=CONTRACT)
class Line:
    """One line of an order.

    Attributes:
        line_id: Unique within the order; returns refer to lines by it.
        category: The category path, outermost first: ``["GROCERY", "FRZN ICE"]``. An array, since names have slashes.
        amount: What was paid for the whole line, after discounts, without tax, in minor units.
        discount: The discount on the line, in minor units.
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
        method: Such as card, cash, or gift-card (the method for which a program can say that it does not earn).
        brand: Such as visa.
        card: The card's own product, such as a shop's co-brand card.
    """

    method: Label
    brand: Label | None = None
    card: Label | None = None
    amount: MinorUnits


def check_lines(lines: tuple[Line, ...]) -> None:
    """Check what concerns all lines together.

    Raises:
        ValueError: Two lines have the same id, or the sum of the amounts is too large.
    """
    if len({line.line_id for line in lines}) < len(lines):
        raise ValueError("two lines have the same line_id; a return could not tell them apart")
    if sum(line.amount for line in lines) > MINOR_UNITS_MAX:
        raise ValueError(f"the lines add up to more than {MINOR_UNITS_MAX} minor units")
