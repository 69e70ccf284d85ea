"""Words for what stands in the ledger: instants, causes, rules, entries; the same in every command that reads it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgpack
import pydantic_core

from services.earn.referrals import RULES
from shared.database.pool import Connection, Row
from shared.errors import UsageError
from shared.instants import BEGINNING, NEVER, iso
from shared.ledger.model import TIME, Entry
from shared.program.compiled.program import Program
from shared.program.store import load_versions
from shared.queries.balances import word
from shared.runtime.packed import unpack_messages

Json = dict[str, Any]

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
       e.occurred_at, e.event_at, e.cause, e.program_version, e.rule, e.operation"""


class Named(NamedTuple):
    """A cause by the name that its producer gave it; a fulfilment goes by its order's. Time has no name."""

    kind: str
    id: str | None = None
    source: str | None = None

    def __str__(self) -> str:
        return self.kind if self.id is None else f"{self.kind} {self.id}"


async def names_of(connection: Connection, keys: Iterable[bytes]) -> dict[bytes, Named]:
    """Return what stands behind business keys; the cause of what is due is time."""
    rows = await connection.fetch(_NAMES, list(set(keys)))
    return {TIME: Named("time"), **{key: Named(*name) for key, *name in rows}}


async def versions(connection: Connection) -> dict[int, Program]:
    """Return every version of the program by number, the newest last.

    Raises:
        UsageError: None was published.
    """
    found = await load_versions(connection)
    if not found:
        raise UsageError("no program is published yet; run `loyalty program publish FILE`")
    return {program.version: program for program in found}


def instant(value: int | None) -> str | None:
    """Return an instant as RFC 3339; None where there is none: at once, never, not yet."""
    return None if value is None or value in {BEGINNING, NEVER} else iso(value)


def life(lot: Json) -> str:
    """Return until when a lot's points live, in words."""
    return lot["expires_at"] or (f"after {lot['idle']}" if lot["idle"] else "never")


def rule_name(programs: Mapping[int, Program], version: int, rule: int) -> str | None:
    """Return the name of the rule that paid; None where none did."""
    if rule in RULES:
        return RULES[rule]
    return programs[version].rules[rule].name if version > 0 and rule >= 0 else None


def entry_as_json(
    entry: Entry, member: str, wallet: str, names: Mapping[bytes, Named], programs: Mapping[int, Program]
) -> Json:
    """Return an entry with its cause and its rule in words."""
    return {
        "member_id": member,
        "wallet": wallet,
        "version": entry.version,
        "occurred_at": instant(entry.occurred_at),
        "event_at": instant(entry.event_at),
        "operation": word(entry.operation),
        "points": entry.points,
        "lot": str(entry.lot) if entry.lot else None,
        "available": entry.available,
        "pending": entry.pending,
        "reserved": entry.reserved,
        "debt": entry.debt,
        "qualifying": entry.qualifying,
        "cause": names[entry.cause]._asdict(),
        "rule": rule_name(programs, entry.program_version, entry.rule),
        "program_version": entry.program_version or None,
    }


async def entries_as_json(connection: Connection, rows: Sequence[Row], programs: Mapping[int, Program]) -> list[Json]:
    """Return rows of (member, wallet, the columns of an entry) as JSON."""
    entries = [(member, wallet, Entry(*columns)) for member, wallet, *columns in rows]
    names = await names_of(connection, (entry.cause for _, _, entry in entries))
    return [entry_as_json(entry, member, wallet, names, programs) for member, wallet, entry in entries]


def answers_as_json(packed: bytes | Mapping[str, bytes]) -> list[Json]:
    """Return what a redemption was answered: what was asked, the event's type, its data."""
    answers: Mapping[str, bytes] = msgpack.unpackb(packed) if isinstance(packed, bytes) else packed
    return [
        {"asked": asked, "type": dict(message.headers)["ce_type"].decode(), **pydantic_core.from_json(message.value)}
        for asked, messages in answers.items()
        for message in unpack_messages(messages)
    ]
