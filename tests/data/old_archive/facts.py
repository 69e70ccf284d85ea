"""What the code of the checkout says of a ledger, and what must have happened in it. See README.md."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cli.progress import SERVICES

import cli
from cli.home import database, settings_for

CODE = Path(cli.__file__).parents[1]
#: A day on which everything lives, the end of the month, when the dump is made, and after everything has expired.
INSTANTS = ("2017-01-16T00:00:00-05:00", "2017-02-01T00:00:00-05:00", "2019-03-01T12:00:00Z", "2029-01-01T00:00:00Z")
#: What must have happened, by (table, column): a guard that never saw something guards nothing.
HAPPENED: dict[tuple[str, str], set[Any]] = {
    ("entry", "operation"): set(range(1, 15)),
    ("entry", "program_version"): {0, 1, 2},
    ("archive", "kind"): {"program", "clock", "batch", "sweep"},
    ("archive", "service"): {"", *SERVICES},
    ("archive", "epoch"): {0, 1, 2},
    ("outbox", "service"): {"earn"},
    ("redemption", "state"): {"reserved", "rejected", "redeemed", "released", "refunded"},
    ("referral", "state"): {"open", "qualified", "refused", "reversed"},
    ("purchase_return", "kind"): {"return", "cancellation"},
    ("fulfilment", "kind"): {"fulfilment", "claim"},
    ("parked", "state"): {"waiting", "applied", "refused"},
    ("dead_letter", "state"): {"open", "replayed", "closed"},
    ("tier_history", "change"): {"upgraded", "downgraded", "retained"},
    ("notification", "state"): {"sent", "suppressed"},
}
#: Counted for the reader.
COUNTED = (*HAPPENED, ("dead_letter", "reason"), ("redemption", "reason"), ("referral", "reason"),
           ("notification", "kind"), ("notification", "reason"), ("tally", "name"), ("account", "wallet"))  # fmt: skip


def loyalty(home: Path, *arguments: str, **environment: str) -> str:
    """Run a command as a user would."""
    done = subprocess.run(
        [sys.executable, "-m", "cli", *arguments, "--home", str(home)], check=True, text=True, stdout=subprocess.PIPE,
        cwd=CODE, env={**os.environ, **environment},
    )  # fmt: skip
    print(" ".join(arguments), done.stdout[:2000], sep="\n", flush=True)
    return done.stdout


def revision() -> str:
    """Return which code this is."""
    git = ("git", "-C", str(CODE))
    assert not subprocess.check_output([*git, "status", "--porcelain"]), "the checkout is as it was committed"
    return subprocess.check_output([*git, "rev-parse", "HEAD"], text=True).strip()


async def facts_of(home: Path) -> dict[str, Any]:
    """Return what this code says of the ledger."""
    audit = json.loads(await asyncio.to_thread(loyalty, home, "audit", "--replay", "--json"))
    assert audit["findings"] == []
    facts: dict[str, Any] = {"revision": revision(), "audit": audit}
    async with database(settings_for(home)) as connection:
        facts["schema"] = await connection.fetchval("select current_schema()")
        facts["tables"] = {name: await table(connection, name, key) for name, key in await connection.fetch(
            "select relname, (select array_agg(attname order by array_position(conkey, attnum)) from pg_attribute "
            "where attrelid = conrelid and attnum = any(conkey)) from pg_constraint join pg_class c on c.oid = conrelid"
            " where contype = 'p' and connamespace = current_schema()::regnamespace order by relname"
        )}  # fmt: skip
        facts["counts"] = {
            f"{name}.{column}": dict(await connection.fetch(
                f"select {column}, count(*) from {name} group by 1 order by 1"
            )) for name, column in COUNTED
        }  # fmt: skip
    facts["balances"] = {instant: await balances(home, instant) for instant in INSTANTS}
    return facts


def check(facts: dict[str, Any]) -> None:
    """Make sure that everything happened."""
    missing = {
        (name, column): expected.difference(facts["counts"][f"{name}.{column}"])
        for (name, column), expected in HAPPENED.items()
    }
    empty = [name for name, one in facts["tables"].items() if not one["rows"]]
    assert not any(missing.values()), missing
    assert not empty, empty


async def table(connection: Any, name: str, key: Sequence[str]) -> dict[str, Any]:
    """Return how many rows a table has, and a hash of them as COPY writes them, in the order of their key."""
    columns = await connection.fetchval(
        "select string_agg(attname, ', ' order by attnum) from pg_attribute "
        "where attrelid = $1::regclass and attnum > 0 and not attisdropped", name,
    )  # fmt: skip
    query = f"select {columns} from {name} order by {', '.join(key)}"
    rows = bytearray()

    async def keep(data: bytes) -> None:
        rows.extend(data)

    await connection.copy_from_query(query, output=keep)
    return {"rows": rows.count(b"\n"), "sha256": hashlib.sha256(rows).hexdigest(), "query": query}


async def balances(home: Path, instant: str) -> dict[str, Any]:
    """Return the sums of all balances as of an instant by wallet, and a hash of each account's."""
    found = json.loads(await asyncio.to_thread(loyalty, home, "balances", "--json", "--as-of", instant))
    names = ("available", "pending", "reserved", "debt", "lifetime")
    sums: dict[str, list[int]] = {}
    for row in found:
        sums[row["wallet"]] = [a + row[name] for a, name in zip(sums.get(row["wallet"], [0] * 5), names, strict=True)]
    lines = [" ".join(str(row[name]) for name in ("member_id", "wallet", *names, "version")) for row in found]
    return {"sums": sums, "sha256": hashlib.sha256("\n".join(lines).encode()).hexdigest()}
