"""The SQL that is redeem's own: redemptions. Read after the account locks, as everything is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgpack

from services.redeem.model import Redemption
from services.redeem.state import Effects
from shared.database.pool import Connection
from shared.ledger.parts import parts_from_json, parts_to_json


class _Row(NamedTuple):
    """A row of ``redemption``; each field is the column of its name."""

    key: bytes
    content_hash: bytes
    source: str
    redemption_id: str
    account: int | None
    member: str
    wallet: str
    reward: str
    state: str
    reason: str
    points: int
    requested_at: int
    held_until: int
    settled_at: int | None
    program_version: int
    parts: Any
    answers: bytes


_COLUMNS = ", ".join(_Row._fields)
_ADD = f"""
insert into redemption ({_COLUMNS}, archive_seq, archive_index)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)
"""
_CHANGE = """
update redemption
set state = $2, reason = $3, held_until = $4, settled_at = $5, parts = $6, answers = $7
where key = $1
"""


async def load(connection: Connection, keys: Sequence[bytes]) -> dict[bytes, Redemption]:
    """Return redemptions by key."""
    rows = await connection.fetch(f"select {_COLUMNS} from redemption where key = any($1::uuid[])", keys)
    return {
        row["key"]: Redemption(
            **{**row, "parts": parts_from_json(row["parts"]), "answers": msgpack.unpackb(row["answers"])}
        )
        for row in rows
    }


async def counts(connection: Connection, members: Sequence[str]) -> dict[tuple[str, str], int]:
    """Return how often members have rewards: those reserved and those redeemed."""
    rows = await connection.fetch(
        "select member, reward, count(*) from redemption "
        "where member = any($1::text[]) and state in ('reserved', 'redeemed') group by member, reward",
        members,
    )
    return {(member, reward): number for member, reward, number in rows}


async def write(connection: Connection, effects: Effects) -> None:
    """Store new redemptions, and those of earlier batches that changed.

    Raises:
        asyncpg.UniqueViolationError: Another partition stored one of them meanwhile; load again and see it.
    """
    if effects.changed:
        rows = [_row(redemption) for redemption in effects.changed.values()]
        await connection.executemany(
            _CHANGE,
            [(r.key, r.state, r.reason, r.held_until, r.settled_at, r.parts, r.answers) for r in rows],
        )
    if effects.new:
        await connection.executemany(
            _ADD, [(*_row(one.redemption), one.archive_seq, one.archive_index) for one in effects.new]
        )


def _row(redemption: Redemption) -> _Row:
    fields = {name: getattr(redemption, name) for name in _Row._fields}
    parts, answers = parts_to_json(redemption.parts), msgpack.packb(redemption.answers)
    return _Row(**{**fields, "parts": parts, "answers": answers})
