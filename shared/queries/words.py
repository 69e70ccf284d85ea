"""Words for what stands in the ledger: instants, causes, rules, entries; the same in every command that reads it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import msgpack
import pydantic_core

from services.earn.referrals import RULES
from shared.database.pool import Connection, Row
from shared.instants import BEGINNING, NEVER, iso
from shared.ledger.model import TIME, Entry, Terms
from shared.ledger.operations import Operation
from shared.posting.events import available_at_word
from shared.program.compiled.program import Program
from shared.queries.views.of_members import CauseView, EntryView, Json
from shared.runtime.packed import unpack_messages

_NAMES = """
select key, 'order', order_id, source from purchase where key = any($1::uuid[])
union all select key, kind, return_id, source from purchase_return where key = any($1::uuid[])
union all select key, 'amendment', amendment_id, source from amendment where key = any($1::uuid[])
union all select key, 'referral', referral_id, source from referral where key = any($1::uuid[])
union all select key, 'redemption', redemption_id, source from redemption where key = any($1::uuid[])
union all select f.key, f.kind, p.order_id, p.source
    from fulfilment f join purchase p on p.key = f.order_key where f.key = any($1::uuid[])
"""

ENTRY_COLUMNS = """e.account, e.version, e.points, e.lot, e.available, e.pending, e.reserved, e.debt, e.qualifying,
       e.occurred_at, e.event_at, e.cause, e.program_version, e.rule, e.operation, e.counts_at"""


async def names_of(connection: Connection, keys: Iterable[bytes]) -> dict[bytes, CauseView]:
    """Return what stands behind business keys; the cause of what is due is time."""
    rows = await connection.fetch(_NAMES, list(set(keys)))
    return {TIME: CauseView("time"), **{key: CauseView(*name) for key, *name in rows}}


def word(operation: int) -> str:
    """Return an operation's name as readers are shown it."""
    return Operation(operation).word


def instant(value: int | None) -> str | None:
    """Return an instant as RFC 3339; None where there is none: at once, never, not yet."""
    return None if value is None or value in {BEGINNING, NEVER} else iso(value)


class LotTimes(NamedTuple):
    """From when to when a lot's points can be spent, as readers are told it: see ``LotView``."""

    available_at: str | None
    expires_at: str | None
    idle: str | None
    life: str | None


def lot_times(terms: Terms, *, pending: bool) -> LotTimes:
    """Return from when to when points with these terms can be spent; while they wait for an event, nobody knows.

    The terms may be of now, and ``pending`` of an instant in the past.
    """
    idle = terms.idle or None
    if pending and terms.fulfils:
        return LotTimes(iso(NEVER), None, idle, terms.life or None)
    life = "grace" if terms.in_grace else None
    return LotTimes(available_at_word(terms), instant(terms.expires_at), idle, life)


def rule_name(programs: Mapping[int, Program], version: int, rule: int) -> str | None:
    """Return the name of the rule that paid; None where none did."""
    if rule in RULES:
        return RULES[rule]
    return programs[version].rules[rule].name if version > 0 and rule >= 0 else None


def entry_view(
    entry: Entry, member: str, wallet: str, names: Mapping[bytes, CauseView], programs: Mapping[int, Program]
) -> EntryView:
    """Return an entry with its cause and its rule in words."""
    return EntryView(
        member_id=member,
        wallet=wallet,
        version=entry.version,
        occurred_at=instant(entry.occurred_at),
        event_at=instant(entry.event_at),
        counts_at=instant(entry.counts_at),
        operation=word(entry.operation),
        points=entry.points,
        lot=str(entry.lot) if entry.lot else None,
        available=entry.available,
        pending=entry.pending,
        reserved=entry.reserved,
        debt=entry.debt,
        qualifying=entry.qualifying,
        cause=names[entry.cause],
        rule=rule_name(programs, entry.program_version, entry.rule),
        program_version=entry.program_version or None,
    )


async def entry_views(
    connection: Connection, rows: Sequence[Row], programs: Mapping[int, Program]
) -> tuple[EntryView, ...]:
    """Return rows of (member, wallet, the columns of an entry) as views."""
    entries = [(member, wallet, Entry(*columns)) for member, wallet, *columns in rows]
    names = await names_of(connection, (entry.cause for _, _, entry in entries))
    return tuple(entry_view(entry, member, wallet, names, programs) for member, wallet, entry in entries)


def answers_as_json(packed: bytes | Mapping[str, bytes]) -> list[Json]:
    """Return what a redemption was answered: what was asked, the event's type, its data."""
    answers: Mapping[str, bytes] = msgpack.unpackb(packed) if isinstance(packed, bytes) else packed
    return [
        {"asked": asked, "type": dict(message.headers)["ce_type"].decode(), **pydantic_core.from_json(message.value)}
        for asked, messages in answers.items()
        for message in unpack_messages(messages)
    ]
