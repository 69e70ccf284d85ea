"""The SQL that is redeem's own: redemptions. Read after the account locks, as everything is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgpack

from services.redeem.redemption import Redemption
from shared.database.pool import Connection
from shared.ledger.store import parts_from_json, parts_to_json

_COLUMNS = """key, content_hash, source, redemption_id, account, member, wallet, reward, state, reason, points,
              requested_at, held_until, settled_at, program_version, parts, answers"""
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
        row["key"]: Redemption(**{
            **row, "parts": parts_from_json(row["parts"]), "answers": msgpack.unpackb(row["answers"])
        })
        for row in rows
    }  # fmt: skip


async def counts(connection: Connection, members: Sequence[str]) -> dict[tuple[str, str], int]:
    """Return how often members have rewards: those reserved and those redeemed."""
    rows = await connection.fetch(
        "select member, reward, count(*) from redemption "
        "where member = any($1::text[]) and state in ('reserved', 'redeemed') group by member, reward",
        members,
    )
    return {(member, reward): number for member, reward, number in rows}


async def write(
    connection: Connection, new: Sequence[tuple[Redemption, int, int]], changed: Sequence[Redemption]
) -> None:
    """Store redemptions: (redemption, archive seq, position) of new ones, and those whose state changed.

    Raises:
        asyncpg.UniqueViolationError: Another partition stored one of them meanwhile; load again and see it.
    """
    if changed:
        await connection.executemany(
            _CHANGE,
            [(r.key, r.state, r.reason, r.held_until, r.settled_at, *_packed(r)) for r in changed],
        )
    if new:
        await connection.executemany(
            _ADD,
            [
                (
                    r.key, r.content_hash, r.source, r.redemption_id, r.account, r.member, r.wallet, r.reward, r.state,
                    r.reason, r.points, r.requested_at, r.held_until, r.settled_at, r.program_version, *_packed(r),
                    seq, index,
                )
                for r, seq, index in new
            ],
        )  # fmt: skip


def _packed(redemption: Redemption) -> tuple[Any, Any]:
    return parts_to_json(redemption.parts), msgpack.packb(redemption.answers)
