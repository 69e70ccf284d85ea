"""What a changed program would have paid for everything that really happened, beside what was paid."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from services.earn import handler as earn
from services.redeem import handler as redeem
from services.tiers import handler as tiers
from shared.database.pool import Connection
from shared.instants import NEVER
from shared.ledger.operations import EFFECTS
from shared.program.compiled.program import Program, compile_program
from shared.program.language.model import ProgramFile
from shared.queries.words import rule_name
from shared.runtime.handler import Mark
from shared.runtime.packed import unpack_records
from shared.simulation.simulator import Rehearsal

#: What moves the points that were ever earned: by how many times its points, by operation.
_EARNS = {int(operation): effect.lifetime for operation, effect in EFFECTS.items() if effect.lifetime}
_ENTRIES = """
select a.member, a.wallet, e.points, e.operation, e.rule, e.program_version, e.event_at
from entry e join account a using (account) where e.operation = any($1::smallint[]) and e.points > 0
"""
_TIERS = "select member, occurred_at, tier from tier_history order by member, occurred_at, number"
_ARCHIVE = """
select seq, kind, service, topic, partition, epoch, records, judged_at, recorded_at, body, facts
from archive where service = any($1::text[]) and kind in ('batch', 'sweep') order by seq
"""
_NO_TIER = "no tier"

#: Since when a member has which tier, by member.
History = Mapping[str, list[tuple[int, str]]]


class Paid(NamedTuple):
    """Points earned in all, less what was taken back, in the wallets' smallest units.

    Attributes:
        by_rule: By (wallet, rule).
        by_tier: By (wallet, the tier that the member had then).
        by_month: By (wallet, month such as 2017-03).
        by_member: By (wallet, member).
    """

    by_rule: Counter[tuple[str, str]]
    by_tier: Counter[tuple[str, str]]
    by_month: Counter[tuple[str, str]]
    by_member: Counter[tuple[str, str]]

    def add(self, member: str, wallet: str, rule: str, tier: str, month: str, points: int) -> None:
        """Count some points."""
        self.by_rule[wallet, rule] += points
        self.by_tier[wallet, tier] += points
        self.by_month[wallet, month] += points
        self.by_member[wallet, member] += points


def nothing_paid() -> Paid:
    """Return an empty count."""
    return Paid(Counter(), Counter(), Counter(), Counter())


async def paid_really(connection: Connection, programs: Mapping[int, Program]) -> Paid:
    """Count what the ledger says was earned."""
    newest = programs[max(programs)]
    history: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for member, since, tier in await connection.fetch(_TIERS):
        history[member].append((since, tier))
    months = _Months(newest)
    paid = nothing_paid()
    cursor = connection.cursor(_ENTRIES, list(_EARNS), prefetch=5_000)
    async for member, wallet, points, operation, rule, version, at in cursor:
        name = rule_name(programs, version, rule) or "?"
        tier = tier_at(history, member, at, newest)
        paid.add(member, wallet, name, tier, months.of(at), points * _EARNS[operation])
    return paid


def rehearsal_of(file: ProgramFile, programs: Iterable[Program], record_bytes: int) -> Rehearsal:
    """Return an empty ledger under a program as if it had been in force from the beginning of the first version."""
    first = min(programs, key=lambda program: program.effective_from)
    changed = compile_program(file, 1)
    if first.effective_from < changed.effective_from:
        changed = replace(changed, effective_from=first.effective_from, effective_at=first.effective_at)
    return Rehearsal([changed], record_bytes)


async def replay(connection: Connection, rehearsal: Rehearsal, refused: Counter[str]) -> AsyncIterator[int]:
    """Run everything that came in through a rehearsal, in the order in which it was committed.

    Sweeps are followed, too: what comes later than they looked finds the account as they left it. Of what they swept
    only that matters which is here, too, under the changed program.

    Args:
        connection: To the deployment's schema.
        rehearsal: Still empty.
        refused: Filled with how many events were refused, by reason.

    Yields:
        The number of records handled, after each batch.
    """
    async for row in connection.cursor(_ARCHIVE, [earn.SERVICE, redeem.SERVICE], prefetch=20):
        mark = Mark(row["seq"], row["recorded_at"], row["judged_at"])
        if row["kind"] == "batch":
            place = (row["topic"], row["partition"], row["epoch"])
            decisions = rehearsal.batch(unpack_records(row["body"]), mark, row["service"], place)
            refused.update(one.reason for one in [*decisions.refused, *decisions.refused_later])
            yield row["records"]
        else:
            rehearsal.sweep(row["service"], mark.judged_at, mark, row["facts"])


def paid_in(rehearsal: Rehearsal, now: int) -> Paid:
    """Count what a rehearsal earned; tiers are brought to an instant first."""
    (program,) = rehearsal.programs
    rehearsal.sweep(tiers.SERVICE, now, Mark(NEVER, now, now))
    history: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for member, _number, change in rehearsal.tier_changes:
        history[member].append((change.occurred_at, change.tier))
    owners = {account.account: key for key, account in rehearsal.accounts.items()}
    months = _Months(program)
    paid = nothing_paid()
    for entry in rehearsal.entries:
        if entry.points and entry.operation in _EARNS:
            member, wallet = owners[entry.account]
            name = rule_name({1: program}, 1, entry.rule) or "?"
            tier = tier_at(history, member, entry.event_at, program)
            points = entry.points * _EARNS[entry.operation]
            paid.add(member, wallet, name, tier, months.of(entry.event_at), points)
    return paid


def tier_at(history: History, member: str, instant: int, program: Program) -> str:
    """Return the tier that a member came with at an instant: what happens then may lift them, and is not counted so."""
    if program.ladder is None:
        return _NO_TIER
    changes = history.get(member, [])
    number = bisect_left(changes, instant, key=lambda change: change[0])
    return changes[number - 1][1] if number else program.ladder.tiers[0].tier


class _Months:
    """Months of instants where a program lives; few days are asked for very often."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._known: dict[int, str] = {}

    def of(self, instant: int) -> str:
        quarter = instant // 900_000_000  # every zone is some quarters of an hour away from UTC
        month = self._known.get(quarter)
        if month is None:
            month = self._known[quarter] = f"{self._program.day_at(instant):%Y-%m}"
        return month


def compared(before: Counter[Any], after: Counter[Any]) -> list[tuple[str, str, int, int, int]]:
    """Return (wallet, name, before, after, difference) of everything in either, sorted."""
    return [(*key, before[key], after[key], after[key] - before[key]) for key in sorted(before.keys() | after.keys())]


def winners(before: Paid, after: Paid) -> dict[str, dict[str, int]]:
    """Return by wallet how many members get more, fewer and as many points as before."""
    found: dict[str, dict[str, int]] = {}
    for wallet, member in sorted(before.by_member.keys() | after.by_member.keys()):
        counts = found.setdefault(wallet, {"more": 0, "fewer": 0, "as many": 0})
        difference = after.by_member[wallet, member] - before.by_member[wallet, member]
        counts["more" if difference > 0 else "fewer" if difference < 0 else "as many"] += 1
    return found
