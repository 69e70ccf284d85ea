"""A ledger and an archive written by revision af04328: the current code reads them as that revision did.

What they are, and how they were made: tests/data/old_archive/README.md. The current code also continues with them:
test_old_archive_goes_on.py.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support.deployment import Deployment, Servers
from tests.support.old_archive import FACTS, loyalty, restored

_numbers = itertools.count(1)


@pytest.fixture
async def old(servers: Servers) -> AsyncIterator[Deployment]:
    made = await restored(servers, f"old{next(_numbers)}")
    yield made
    await made.close()


async def tables(deployment: Deployment) -> dict[str, tuple[int, str]]:
    """Return rows and hash of each table that was there then, in the columns that were there then."""
    found = {}
    async with deployment.database() as connection:
        for name, table in FACTS["tables"].items():
            rows = bytearray()

            async def keep(data: bytes, rows: bytearray = rows) -> None:
                rows.extend(data)

            await connection.copy_from_query(table["query"], output=keep)
            found[name] = rows.count(b"\n"), hashlib.sha256(rows).hexdigest()
    return found


async def balances(deployment: Deployment, instant: str) -> dict[str, Any]:
    names = ("available", "pending", "reserved", "debt", "lifetime")
    sums: dict[str, list[int]] = {}
    lines = []
    for row in json.loads(await loyalty(deployment, "balances", "--json", "--as-of", instant)):
        before = sums.get(row["wallet"], [0] * len(names))
        sums[row["wallet"]] = [total + row[name] for total, name in zip(before, names, strict=True)]
        lines.append(" ".join(str(row[name]) for name in ("member_id", "wallet", *names, "version")))
    return {"sums": sums, "sha256": hashlib.sha256("\n".join(lines).encode()).hexdigest()}


async def test_it_migrates_and_says_what_it_said(old: Deployment) -> None:
    before = await old.rows("select name, checksum from schema_migration order by name")
    said = await loyalty(old, "database", "migrate")
    after = await old.rows("select name, checksum from schema_migration order by name")
    assert after[: len(before)] == before
    fresh = ", ".join(name for name, _checksum in after[len(before) :])
    assert said.startswith(f"applied {fresh}" if fresh else "the tables were up to date already")
    assert "the tables were up to date already" in await loyalty(old, "database", "migrate")

    found = await tables(old)
    for name, table in FACTS["tables"].items():
        if name != "schema_migration":
            assert found[name] == (table["rows"], table["sha256"]), name
    for instant, expected in FACTS["balances"].items():
        assert await balances(old, instant) == expected, instant
    audit = json.loads(await loyalty(old, "audit", "--replay", "--json"))
    assert {name: audit[name] for name in FACTS["audit"]} == FACTS["audit"], "it was clean"


#: What a replay compares, its table, and some damage to one row of it.
DAMAGE = {
    "entry": ("entry", "points = points + 1", "operation = 2"),
    "account": ("account", "lifetime = lifetime + 1", "version > 0"),
    "redemption": ("redemption", "reason = 'none'", "state = 'rejected'"),
    "referral": ("referral", "reason = 'none'", "state = 'refused'"),
    "tally": ("tally", "amount = amount + 1", "amount > 0"),
    "amendment": ("amendment", "number = number + 1", "number = 3"),
    "member": ("member", "content = content || ' '", "true"),
    "tier": ("tier_history", "metric_value = metric_value + 1", "true"),
    "notification": ("notification", "kind = 'none'", "true"),
}


async def test_one_row_that_differs_is_found(old: Deployment) -> None:
    before = await tables(old)
    for table, change, which in DAMAGE.values():
        await old.rows(
            f"update {table} set {change} where ctid = (select ctid from {table} where {which} limit 1)"
        )  # fmt: skip
    found = json.loads(await loyalty(old, "audit", "--replay", "--json", status=1))["findings"]
    replayed = Counter(finding["check"] for finding in found if finding["check"].startswith("replay: "))
    # The row that the archive gives, and the one that is stored instead.
    assert replayed == {f"replay: {what}": 2 for what in DAMAGE}
    after = await tables(old)
    assert {name for name in after if after[name] != before[name]} == {table for table, *_ in DAMAGE.values()}


async def test_a_rule_that_pays_otherwise_is_found(old: Deployment) -> None:
    """As after a change of the code by which one rule pays more: here the archived programs say so."""
    await old.rows(
        "update archive set body = convert_to(replace(convert_from(body, 'UTF8'), '2% back', '3% back'), 'UTF8') "
        "where kind = 'program'"
    )
    found = json.loads(await loyalty(old, "audit", "--replay", "--json", status=1))["findings"]
    assert {"replay: entry", "replay: account"} <= {finding["check"] for finding in found}
