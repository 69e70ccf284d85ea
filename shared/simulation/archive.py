"""Replays the archive in memory, in the order in which batches committed, and compares what comes out with the tables.

This is the test of everything: whatever raced, crashed or came late, the same decisions must come out, row for row.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pydantic_core

from services.earn.orders import member_as_kept
from shared.database.pool import Connection
from shared.queries import balances as read
from shared.runtime.handler import Mark
from shared.runtime.packed import unpack_records
from shared.simulation.simulator import Rehearsal

_LOTS = """
select a.member, a.wallet, l.lot, l.remaining, l.expired - l.excused, l.pending, l.available_at, l.expires_at
from lot l join account a using (account) where l.remaining > 0
"""
_REDEMPTIONS = "select key, state, reason, points, settled_at from redemption"
_REFERRALS = "select key, state, reason, qualified_at from referral"
_TALLIES = "select member, name, period, amount from tally where amount <> 0"
_AMENDED = "select order_key, max(number) from amendment group by order_key"
_MEMBERS = "select member, occurred_at, content from member"
_TIERS = "select member, number, change, old_tier, tier, reason, metric_value, occurred_at from tier_history"
_NOTIFICATIONS = "select dedupe_key, member, kind, state, reason, not_before, use_by, occurred_at from notification"


async def from_archive(connection: Connection, record_bytes: int) -> AsyncIterator[tuple[Rehearsal, int]]:
    """Replay the archive; yields the rehearsal and the number of records after each batch."""
    rehearsal = Rehearsal(record_bytes=record_bytes)
    async with connection.transaction(readonly=True):
        rows = connection.cursor(
            "select seq, kind, service, topic, partition, epoch, judged_at, recorded_at, body, facts "
            "from archive order by seq",
            prefetch=20,
        )
        async for row in rows:
            mark = Mark(row["seq"], row["recorded_at"], row["judged_at"])
            if row["kind"] == "program":
                rehearsal.publish(row["body"].decode(), json.loads(row["facts"] or b"{}"))
            elif row["kind"] == "sweep":
                rehearsal.sweep(row["service"], row["judged_at"], mark, row["facts"])
            elif row["kind"] == "batch":
                records = unpack_records(row["body"])
                place = (row["topic"], row["partition"], row["epoch"])
                rehearsal.batch(records, mark, row["service"], place, row["facts"])
                yield rehearsal, len(records)


async def differences(connection: Connection, rehearsal: Rehearsal) -> list[tuple[str, str, str]]:
    """Compare a replay with the tables: (what, where, difference), at most a hundred of each kind."""
    names = {account.account: key for key, account in rehearsal.accounts.items()}
    found: list[tuple[str, str, str]] = []
    expected: dict[str, list[tuple[Any, ...]]] = {
        "entry": [(*names[entry.account], *tuple(entry)[1:]) for entry in rehearsal.entries],
        "account": [
            (a.member, a.wallet, a.available, a.pending, a.reserved, a.debt, a.lifetime, a.version)
            for a in rehearsal.accounts.values()
            if a.version
        ],
        "lot": [
            (a.member, a.wallet, lot, one.remaining, a.expired.get(lot, 0), one.pending, *one.terms[:2])
            for a in rehearsal.accounts.values()
            for lot, one in a.lots.items()
        ],
        "redemption": [
            (r.key, r.state, r.reason, r.points, r.settled_at) for r in rehearsal.redeem_state.redemptions.values()
        ],
        "referral": [(r.key, r.state, r.reason, r.qualified_at) for r in rehearsal.referrals.values()],
        "tally": [(*key, amount) for key, amount in rehearsal.earn_state.tallies.items() if amount],
        "amendment": [
            (order.key, order.amendments) for order in rehearsal.earn_state.orders.values() if order.amendments
        ],
        "member": [
            (member, rehearsal.earn_state.told_at[member], pydantic_core.to_json(member_as_kept(told)).decode())
            for member, told in rehearsal.earn_state.members.items()
        ],
        "tier": [
            (member, number, c.change, c.old_tier, c.tier, c.reason, c.metric_value, c.occurred_at)
            for member, number, c in rehearsal.tier_changes
        ],
        "notification": [
            (
                d.news.key,
                d.news.member,
                d.news.kind,
                "suppressed" if d.reason else "sent",
                d.reason or "",
                d.not_before,
                d.news.use_by,
                d.news.occurred_at,
            )
            for d in rehearsal.notifications
        ],
    }
    accounts = (
        "select member, wallet, available, pending, reserved, debt, lifetime, version from account where version > 0"
    )
    for what, sql in (
        ("entry", read.ENTRIES),
        ("account", accounts),
        ("lot", _LOTS),
        ("redemption", _REDEMPTIONS),
        ("referral", _REFERRALS),
        ("tally", _TALLIES),
        ("amendment", _AMENDED),
        ("member", _MEMBERS),
        ("tier", _TIERS),
        ("notification", _NOTIFICATIONS),
    ):
        actual = sorted(tuple(row) for row in await connection.fetch(sql))
        found += _compare(what, sorted(expected[what]), actual)
    return found


def _compare(what: str, expected: list[tuple[Any, ...]], actual: list[tuple[Any, ...]]) -> list[tuple[str, str, str]]:
    if expected == actual:
        return []
    missing = sorted(set(expected) - set(actual))[:100]
    extra = sorted(set(actual) - set(expected))[:100]
    found = [(what, _shown(row), "the archive gives this, the table has it not") for row in missing]
    found += [(what, _shown(row), "the table has this, the archive does not give it") for row in extra]
    return found or [(what, "", "the same rows, in other numbers")]


def _shown(row: tuple[Any, ...]) -> str:
    return " ".join(value.hex() if isinstance(value, bytes) else str(value) for value in row)
