"""An account that is written and loaded again at every step goes on as one that is kept in memory."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from shared.database.pool import Connection
from shared.instants import NEVER, microseconds
from shared.ledger import store
from shared.ledger.audit.ledger import LEDGER_CHECKS
from shared.ledger.audit.lots import LOT_CHECKS, changed_terms
from shared.ledger.audit.runner import findings
from shared.ledger.book import Book
from shared.ledger.model import Account, Cause, Entry, Part, Terms
from shared.ledger.parts import parts_from_json, parts_to_json
from shared.ledger.posting import Posting
from shared.ledger.reversal import ClawbackRequest, claw_back
from shared.program.compiled.lifetimes import after_day, day_of
from shared.program.compiled.program import Program
from shared.program.store import publish
from tests.support.deployment import Deployment

_PROGRAM = """
program: fresh-market
name: Shop
currency: EUR
time_zone: America/New_York
effective: 2017-01-01
wallets: {points: {name: Points, unit: point, expiry: 12 months}}
earning: [{rule: every-euro, give: 1 point per whole EUR}]
"""
_BEGAN = datetime(2017, 1, 1, 17, tzinfo=UTC)
#: Of the ledger's own checks, those that ask for nothing but accounts, entries and lots.
_CHECKED = {"versions", "balances", "accounts", "lots", "times", "activity", "due", "pending", "lives"}


#: What somebody may do to lots, and the check that finds it.
_DAMAGE = [
    ("lots", "update lot set expired = expired + 1"),
    ("pending", "update lot set pending = not pending where remaining > 0"),
    ("lives", "update lot set available_at = '-infinity' where fulfils is not null and not pending"),
    ("lives", "update lot set available_at = '2017-01-01' where fulfils is not null and pending"),
    ("lives", "update lot set earned = remaining + 1 where life like 'grace of %'"),
    ("terms", "update lot set expires_at = expires_at + interval '1 day' where fulfils is null and life = ''"),
    ("terms", "update lot set expires_at = expires_at + interval '1 day' where fulfils is not null and not pending"),
    ("terms", "update lot set life = '30 days' where fulfils is not null"),
]


class Step(NamedTuple):
    """Something that is done to the account at an instant."""

    what: str
    at: int
    points: int
    terms: Terms
    parts: str


def _apply(book: Book, account: Account, step: Step) -> tuple[Part, ...]:
    cause = Cause(step.what.encode().ljust(16), 1, 0)
    book.advance_to(account, step.at)
    points, lot = step.points, step.terms.lot_id()
    if step.what == "earn":
        book.earn(account, points, terms=step.terms, cause=cause, event_at=step.at)
    elif step.what == "earn more":
        book.earn(account, points, terms=book.spendable(account, step.terms), cause=cause, event_at=step.at)
    elif step.what == "fulfil":
        book.fulfil(account, lot, step.terms.fulfils, cause)
    elif step.what == "spend" and account.available >= points:
        parts = book.reserve(account, points, cause)
        book.redeem(account, parts, b"", cause)
        return parts
    elif step.what == "refund":
        book.refund(account, parts_from_json(step.parts), cause)
    elif step.what == "return":
        requests = [ClawbackRequest(cause, (lot,), points)]
        claw_back(
            book, account, requests, own=(), policy="debt", event_at=step.at, qualifying=-1, counts_at=step.at - 1
        )
    book.apply_overdue(account)
    return ()


class Steps:
    """Makes up what happens next."""

    def __init__(self, program: Program) -> None:
        self._zone = program.zone
        self._chance = random.Random(7)
        self._orders: list[tuple[int, Terms]] = []
        self._spent: list[tuple[Part, ...]] = []
        self._at = microseconds(_BEGAN)

    def next(self) -> Step:
        chance = self._chance
        self._at += int(timedelta(hours=chance.choice([0, 1, 30, 100])) / timedelta(microseconds=1))
        kinds = [
            "earn",
            "earn",
            "wait",
            "fulfil",
            "fulfil",
            "earn more",
            "spend",
            "spend",
            "refund",
            "return",
            "return",
        ]
        what, points = chance.choice(kinds), chance.randrange(1, 50)
        if what in {"earn", "wait"} or not self._orders:
            return self._earn(points, waits=what == "wait")
        if what == "refund" and self._spent:
            parts = self._spent.pop(chance.randrange(len(self._spent)))
            return Step("refund", self._at, 0, Terms(0, 0), parts_to_json(parts))
        points, terms = chance.choice(self._orders[-12:])
        return Step(what if what != "refund" else "spend", self._at, points, terms, "")

    def spent(self, parts: tuple[Part, ...]) -> None:
        if parts:
            self._spent.append(parts)

    def _earn(self, points: int, *, waits: bool) -> Step:
        order = len(self._orders).to_bytes(16)
        day = day_of(self._at, self._zone)
        lives = after_day(day, self._chance.choice([0, 5, 20]), self._zone)
        terms = Terms(NEVER, lives, order, life="20 days") if waits else Terms(0, lives)
        self._orders.append((points, terms))
        return Step("earn", self._at, points, terms, "")


async def _entries_stored(connection: Connection, program: Program, step: Step) -> list[Entry]:
    """Do it to the account as it is stored, and return what that posted."""
    async with connection.transaction():
        (account,) = await store.lock_accounts(connection, ["ann"], ["points"])
        await store.load_lots(connection, [account], [(account.account, step.terms.lot_id())])
        posting = Posting()
        _apply(Book({("ann", "points"): account}, posting, program), account, step)
        await store.write(connection, posting, step.at)
    return posting.entries


async def _finds(connection: Connection, name: str, damage: str) -> bool:
    """Do some damage, look what a check finds, and take it back."""
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute(damage)
    checks = [one for one in LOT_CHECKS if one.name == name]
    found = await findings(connection, checks[0]) if checks else await changed_terms(connection)
    await transaction.rollback()
    return bool(found)


async def test_what_is_stored_and_loaded_again_goes_on_in_the_same_way(deployment: Deployment) -> None:
    async with deployment.database() as connection:
        published = (await publish(connection, _PROGRAM, "shop.yaml")).program
        program = replace(published, terms={"points": replace(published.terms["points"], grace_days=5)})
        number = await connection.fetchval(
            "insert into account (member, wallet) values ('ann', 'points') returning account"
        )
        kept, steps = Account(number, "ann", "points"), Steps(program)
        done: set[int] = set()
        for _ in range(400):
            step, posting = steps.next(), Posting()
            steps.spent(_apply(Book({("ann", "points"): kept}, posting, program), kept, step))
            assert await _entries_stored(connection, program, step) == posting.entries
            done |= {entry.operation for entry in posting.entries}
        (loaded,) = await store.lock_accounts(connection, ["ann"], ["points"])
        await store.load_lots(connection, [loaded], all_expired={number})
        assert loaded.lots == kept.lots
        assert loaded.graced == kept.graced
        assert {lot: left for lot, left in loaded.expired.items() if left} == {
            lot: left for lot, left in kept.expired.items() if left
        }
        for check in (*LEDGER_CHECKS, *LOT_CHECKS):
            if check.name in _CHECKED:
                assert await findings(connection, check) == [], check.name
        assert await changed_terms(connection) == []
        for name, damage in _DAMAGE:
            assert await _finds(connection, name, damage), damage
    # Earned, waited, became available, spent, given back, expired, taken back, excused, owed and repaid.
    assert {1, 2, 3, 4, 6, 7, 8, 9, 10, 11, 14, 15} <= done
    assert len(kept.graced) > 3
