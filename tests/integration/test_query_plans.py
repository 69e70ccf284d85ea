"""Every look-up of the read side goes by an index: in a large schema, no plan reads a whole table that grows."""

from __future__ import annotations

import importlib
import json
import pkgutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from typing import Any, NamedTuple

import pytest

import shared.queries
from shared.database.migrate import shipped
from shared.program.compiled.program import Program
from shared.queries import (
    balances,
    clock,
    dead_letters,
    entries,
    notifications,
    programs,
    redemptions,
    referrals,
    status,
    tier_members,
)
from shared.queries.member_flow import Asked
from shared.queries.members import read_member
from shared.queries.why.explanations import Explaining
from shared.queries.why.keys import Match, matches
from shared.queries.why.named_records import dead_letters_about, waiting
from tests.support import large_ledger as large
from tests.support.deployment import Servers
from tests.support.events import SOURCE

GROWING = {
    "account", "lot", "entry", "purchase", "purchase_return", "amendment", "fulfilment", "parked", "referral",
    "redemption", "standing", "tier_history", "notification", "dead_letter", "archive", "accepted_key", "tally",
    "member",
}  # fmt: skip
#: What reads everything because it counts everything, or compares it: reports, and not look-ups.
REPORTS = {
    "balances.ENTRIES": "the replay of the archive compares all of them",
    "balances._LARGEST": "an index on a balance would end updates in place of the table that is written most",
    "redemptions._COUNT": "a summary",
    "referrals._COUNT": "a summary",
    "notifications._COUNT": "a summary",
    "tier_members._LIST": "an index on what is counted would end updates in place, with every purchase",
    "tier_members._COUNT": "a summary",
    "tier_members._CHANGES": "a summary",
    "summary._EARNED": "a summary",
    "summary._OPERATIONS": "a summary",
    "summary._TIERS": "a summary",
    "summary._MOVEMENTS": "a summary",
    "summary._REDEMPTIONS": "a summary",
    "summary._REFERRALS": "a summary",
    "summary._NOTIFICATIONS": "a summary",
    "summary._TOTALS": "a summary",
    "status._OVERTAKEN": "asked by nobody but who waits until all is done, as the last question",
    "status._EARNED": "progress of a replay",
    "status._SIZE": "beside an audit, which reads everything",
    "status._ARCHIVED": "before a replay, which reads everything",
}
#: Without these, another partial index serves: slower, though as no sequential scan.
ONLY_FASTER = {"parked_names", "parked_unnamed", "dead_letter_unnamed"}


class Statement(NamedTuple):
    sql: str
    arguments: tuple[Any, ...]


class Listening:
    """A connection that remembers what it was asked."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.statements: list[Statement] = []

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._connection, name)
        if name not in {"fetch", "fetchrow", "fetchval", "cursor"}:
            return method

        def asked(sql: str, *arguments: Any, **options: Any) -> Any:
            self.statements.append(Statement(sql, arguments))
            return method(sql, *arguments, **options)

        return asked


LookUp = Callable[[Any, Mapping[int, Program]], Awaitable[Any]]


async def everything_of(match: Match, connection: Any, versions: Mapping[int, Program]) -> Any:
    return await Explaining(connection, versions, large.NOW).explain(match)


async def explained(name: str, source: str | None, connection: Any, versions: Mapping[int, Program]) -> None:
    found = await matches(connection, name, source)
    assert found, name
    for match in found:
        await everything_of(match, connection, versions)


async def all_pages(list_page: Callable[[Any], Awaitable[Any]]) -> None:
    """The first page and the one after it; there must be one."""
    page = await list_page(None)
    assert page.rows
    assert page.next is not None
    assert (await list_page(page.next)).rows


async def sent_again(connection: Any) -> None:
    letters = dead_letters.open_dead_letters(connection, reason=None, without=["conflict"])
    assert [letter async for letter in letters]


async def due_balances(connection: Any, versions: Mapping[int, Program]) -> None:
    await balances.largest_balances(connection, versions[1], 10, now=large.NOW)


def member(as_of: int | None) -> LookUp:
    return lambda c, p: read_member(c, p, Asked(large.MEMBER, large.NOW, as_of, 20))


def why(name: str, source: str | None = None) -> LookUp:
    return lambda c, p: explained(name, source, c, p)


def pages_of(function: Callable[..., Awaitable[Any]], **chosen: Any) -> LookUp:
    return lambda c, _p: all_pages(lambda after: function(c, limit=50, after=after, **chosen))


LOOK_UPS: Mapping[str, LookUp] = {
    "member": member(None),
    "member as of": member(large.MIDDLE),
    "why an order": why(large.ORDER),
    "why an order of a source": why(large.ORDER, SOURCE),
    **{
        f"why {name}": why(name)
        for name in (large.RETURN, large.AMENDMENT, large.CLAIM, large.REFERRAL, large.REDEMPTION)
    },
    "dead letters about": lambda c, _p: dead_letters_about(c, large.REFUSED, None),
    "what waits": lambda c, _p: waiting(c, large.WAITING, None),
    "balances": lambda c, p: all_pages(
        lambda after: balances.list_balances(c, p[1], now=large.NOW, limit=50, after=after)
    ),
    "balances as of": lambda c, p: all_pages(
        lambda after: balances.list_balances(c, p[1], now=large.NOW, as_of=large.MIDDLE, limit=50, after=after)
    ),
    "largest balances": due_balances,
    "entries": lambda c, p: all_pages(
        lambda after: entries.list_entries(c, p, large.MEMBER, until=large.NOW, limit=5, after=after)
    ),
    "tiers": lambda c, p: all_pages(
        lambda after: tier_members.list_tier_members(c, [p[1]], p[1].ladder, limit=50, after=after)  # type: ignore[arg-type]
    ),
    "redemptions": pages_of(redemptions.list_redemptions),
    "open reservations": pages_of(redemptions.list_redemptions, state="reserved"),
    "redemptions of a member": lambda c, _p: redemptions.list_redemptions(c, member=large.MEMBER, limit=50),
    "notifications": pages_of(notifications.list_notifications),
    "notifications of a member": lambda c, _p: notifications.list_notifications(c, member=large.MEMBER, limit=50),
    "referrals": pages_of(referrals.list_referrals),
    "dead letters": pages_of(dead_letters.list_dead_letters),
    "all dead letters": pages_of(dead_letters.list_dead_letters, everything=True),
    "a dead letter": lambda c, _p: dead_letters.dead_letter(c, large.LETTER),
    "dead letters to send again": lambda c, _p: sent_again(c),
    "versions": lambda c, _p: programs.list_versions(c, limit=10),
    "a version": lambda c, _p: programs.program_text(c, None),
    "clock": lambda c, _p: c.fetchval(clock._MANUAL),
    "status": lambda c, _p: status.backlog(c, ["redeem", "tiers"], large.NOW, overtaken=False),
    "busy": lambda c, _p: status.is_busy(c, []),
    "open dead letters": lambda c, _p: status.count_open_dead_letters(c),
}


def nodes(plan: dict[str, Any], limited: bool = False) -> Iterator[tuple[dict[str, Any], bool]]:
    """Yield the nodes of a plan, and whether a limit above ends each early; a sort must read all of its input first."""
    yield plan, limited
    kind = plan["Node Type"]
    below = kind == "Limit" or (limited and kind not in {"Sort", "Aggregate", "Hash", "WindowAgg"})
    for part in plan.get("Plans", ()):
        yield from nodes(part, below)


async def whole_tables(connection: Any, statement: Statement) -> list[str]:
    """Return what a plan reads from end to end."""
    text = await connection.fetchval(f"explain (format json) {statement.sql}", *statement.arguments)
    found = []
    for node, limited in nodes(json.loads(text)[0]["Plan"]):
        kind = node["Node Type"]
        if kind == "Seq Scan" and node["Relation Name"] in GROWING:
            found.append(f"{kind} on {node['Relation Name']}")
        # An index from end to end is no better, but for a partial one, or the beginning of one.
        elif "Index" in kind and "Index Cond" not in node and "Index Name" in node and not limited:
            partial = await connection.fetchval(
                "select indpred is not null from pg_index where indexrelid = $1::text::regclass", node["Index Name"]
            )
            if not partial:
                found.append(f"{kind} on {node['Index Name']}")
    return found


#: Lists in the order of what changes with every purchase.
SORTED = {balances._LARGEST, tier_members._LIST}


class Look(NamedTuple):
    connection: Any
    statements: dict[str, list[Statement]]


@pytest.fixture(scope="module")
async def look(servers: Servers) -> AsyncIterator[Look]:
    async with large.large_ledger(servers, "large_plans") as connection:
        versions = await programs.versions(connection)
        statements = {}
        for name, look_up in LOOK_UPS.items():
            listening = Listening(connection)
            await look_up(listening, versions)
            statements[name] = listening.statements
        yield Look(connection, statements)


async def test_no_look_up_reads_a_whole_table(look: Look) -> None:
    found = {}
    for name, statements in look.statements.items():
        assert statements, name
        for statement in statements:
            if statement.sql in SORTED:
                continue
            if wrong := await whole_tables(look.connection, statement):
                found[f"{name}: {statement.sql}"] = wrong
    assert not found, "\n".join(f"{wrong}\n{what}" for what, wrong in found.items())


def test_every_statement_is_looked_at_or_is_a_report(look: Look) -> None:
    asked = {statement.sql for statements in look.statements.values() for statement in statements}
    left = set()
    for info in pkgutil.walk_packages(shared.queries.__path__, "shared.queries."):
        module = importlib.import_module(info.name)
        for name, value in vars(module).items():
            texts = value.values() if isinstance(value, dict) else [value]
            for text in texts:
                if name.isupper() and isinstance(text, str) and text.lstrip().startswith("select"):
                    known = any(text in sql for sql in asked)
                    place = f"{info.name.removeprefix('shared.queries.')}.{name}"
                    left |= set() if known and place not in REPORTS else {place}
    assert left == set(REPORTS)


async def test_each_index_of_the_look_ups_is_needed(look: Look) -> None:
    (migration,) = [sql for name, sql in shipped() if name == "0009_look_ups"]
    indexes = [line.split()[2] for line in migration.splitlines() if line.startswith("create index")]
    assert len(indexes) > 15
    statements = [one for several in look.statements.values() for one in several if one.sql not in SORTED]
    for index in set(indexes) - ONLY_FASTER:
        transaction = look.connection.transaction()
        await transaction.start()
        await look.connection.execute(f"drop index {index}")
        found = [wrong for one in statements for wrong in await whole_tables(look.connection, one)]
        await transaction.rollback()
        assert found, f"without {index} nothing is slower"
