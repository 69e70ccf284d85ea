"""Which lines of an order match: by category, brand, product, SKU or tag."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import BeforeValidator, Field, model_validator

from shared.program.language.fields import CategoryPaths, Part, Texts, many


class ProductMatch(Part):
    """Lines of an order: every attribute that is given must match; of a list, one entry is enough."""

    category: CategoryPaths | None = Field(
        None, description="The beginnings of category paths: FUEL, [FUEL, COUPON], or [[GROCERY, TEA]] for two levels"
    )
    brand: Texts | None = Field(None, description="The brand, exactly as the till sends it")
    product: Texts | None = Field(None, description="Product id")
    sku: Texts | None = None
    tag: Texts | None = Field(None, description="Tag or collection")

    @model_validator(mode="after")
    def _names_something(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("names no attribute and would match every line")
        return self


ProductMatches = Annotated[
    tuple[ProductMatch, ...],
    BeforeValidator(many, json_schema_input_type=ProductMatch | tuple[ProductMatch, ...]),
    Field(min_length=1, max_length=1000),
]
