"""What is applied without the lots that are not due, is what is applied with all of them."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

from shared.database.pool import Connection
from shared.instants import BEGINNING, NEVER, microseconds
from shared.ledger import store
from shared.ledger.book import Book
from shared.ledger.due_lots import load_due
from shared.ledger.model import Account, Terms
from shared.ledger.posting import Posting
from shared.program.compiled.program import Program, compile_program
from shared.program.language.loader import load
from tests.support.deployment import Deployment

_PROGRAM = """
program: shop
name: Shop
currency: EUR
time_zone: America/New_York
effective: 2017-01-01
wallets: {points: {name: Points, unit: point, expiry: 12 months, pending: 14 days, remind: [30, 7, 1]}}
earning: [{rule: every-euro, give: 1 point per whole EUR}]
"""
_MEMBERS = [f"m{number}" for number in range(80)]


def _at(day: int, hour: int = 5) -> int:
    return microseconds(datetime(2017, 1, 1, tzinfo=UTC) + timedelta(days=day, hours=hour))


async def _make(connection: Connection, chance: random.Random) -> None:
    """Make accounts of two years of shopping: with debts, with holds, with lots that expire in many ways."""
    for number, member in enumerate(_MEMBERS):
        as_of = _at(chance.randrange(150, 420), chance.randrange(24))
        lots, available, pending = [], 0, 0
        for day in sorted(chance.sample(range(420), chance.randrange(1, 80))):
            lives = chance.choice([_at(day + 365), _at(day // 30 * 30 + 395), _at(day + 20), NEVER])
            idle = "18 months without earn" if number % 4 == 0 and chance.random() < 0.1 else ""
            terms = Terms(_at(day + 14), NEVER if idle else lives, idle=idle)
            waits = terms.available_at > as_of
            left = 0 if terms.expires_at <= as_of else chance.choice([0, 5, 70])
            lots.append((number, terms.lot_id(), left, terms.available_at, terms.expires_at, waits, idle))
            available, pending = available + left * (not waits), pending + left * waits
        await connection.execute(
            "insert into account (account, member, wallet, available, pending, debt, reserved, as_of, next_due, "
            "earned_at) overriding system value values ($1, $2, 'points', $3, $4, $5, $6, $7, '-infinity', $7)",
            number, member, available, pending, 0 if available else 30, 10 * (number % 5 == 0), as_of,
        )  # fmt: skip
        await connection.executemany(
            "insert into lot (account, lot, earned, remaining, available_at, expires_at, pending, idle) "
            "values ($1, $2, 100, $3, $4, $5, $6, $7)",
            lots,
        )


def _outcome(accounts: list[Account], until: int, program: Program) -> tuple[Any, ...]:
    book = Book({(a.member, a.wallet): a for a in accounts}, Posting(), program)
    for account in accounts:
        book.apply_due(account, until)
    said = [(effect.account.account, effect.what, *effect[2:]) for effect in book.timed_effects]
    stands = [(a.account, a.next_due, a.as_of, a.available, a.pending, a.debt, a.version) for a in accounts]
    changes = [(c.account, c.lot, c.pending, c.earned, c.remaining) for c in book.posting.lots.values()]
    return said, stands, changes, book.posting.entries


async def test_lots_that_are_not_due_make_no_difference(deployment: Deployment) -> None:
    program = compile_program(load(_PROGRAM, "shop.yaml"), 1)
    told: set[str] = set()
    whole_lots = due_lots = 0
    async with deployment.database() as connection:
        await _make(connection, random.Random(1))
        for until in [BEGINNING, *(_at(day, day % 24) for day in range(150, 800, 9))]:
            whole = await store.lock_accounts(connection, _MEMBERS, ["points"])
            await store.load_lots(connection, whole)
            due = await store.lock_accounts(connection, _MEMBERS, ["points"])
            await load_due(connection, due, [until] * len(due), program)
            whole_lots += sum(len(account.lots) for account in whole)
            due_lots += sum(len(account.lots) for account in due)
            expected = _outcome(whole, until, program)
            assert _outcome(due, until, program) == expected
            told |= {effect[1] for effect in expected[0]}
    assert told == {"activated", "expiring", "expired"}
    assert due_lots < whole_lots
