"""Packs rows for binary COPY: the one place where bytes are laid out by hand.

Reason: entries are the bulk of every batch. Binary COPY of fixed-width rows costs about a third of ``INSERT …
SELECT FROM unnest`` on the client and spares Postgres from parsing arrays (docs/performance.md has the figures).
The format is Postgres' own: a signature, then for each row a field count and each field as length and big-endian value.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterable, Sequence

from shared.ledger.model import Entry

#: Microseconds from 1970 to 2000, where Postgres counts from.
_PG_EPOCH = 946_684_800_000_000
_SIGNATURE = b"PGCOPY\n\xff\r\n\0" + struct.pack(">ii", 0, 0)
_TRAILER = struct.pack(">h", -1)

ENTRY_COLUMNS = (
    "account", "version", "points", "lot", "available", "pending", "reserved", "debt", "qualifying",
    "occurred_at", "recorded_at", "cause", "program_version", "rule", "operation",
)  # fmt: skip
_entry_row = struct.Struct(">h" + "iq" * 11 + "i16s" + "ii" + "ih" * 2).pack

PURCHASE_COLUMNS = (
    "key", "content_hash", "archive_seq", "archive_index", "program_version", "occurred_at",
    "source", "order_id", "member", "result",
)  # fmt: skip
_purchase_head = struct.Struct(">h" + "i16s" * 2 + "iq" + "ii" * 2 + "iq").pack
_length = struct.Struct(">i").pack


def entries(rows: Iterable[Entry], recorded_at: int) -> io.BytesIO:
    """Pack entries; ``recorded_at`` is microseconds since 1970."""
    recorded = recorded_at - _PG_EPOCH
    body = [
        _entry_row(
            15, 8, e.account, 8, e.version, 8, e.points, 8, e.lot, 8, e.available, 8, e.pending, 8, e.reserved,
            8, e.debt, 8, e.qualifying, 8, e.occurred_at - _PG_EPOCH, 8, recorded, 16, e.cause,
            4, e.program_version, 2, e.rule, 2, e.operation,
        )
        for e in rows
    ]  # fmt: skip
    return io.BytesIO(b"".join((_SIGNATURE, *body, _TRAILER)))


def purchases(rows: Iterable[Sequence[object]]) -> io.BytesIO:
    """Pack purchases, each in the order of ``PURCHASE_COLUMNS``; instants in microseconds since 1970."""
    body: list[bytes] = [_SIGNATURE]
    for key, content_hash, seq, index, version, occurred, *texts in rows:
        body.append(
            _purchase_head(10, 16, key, 16, content_hash, 8, seq, 4, index, 4, version, 8, occurred - _PG_EPOCH)  # type: ignore[operator]
        )
        for text in texts:
            raw = text if isinstance(text, bytes) else text.encode()  # type: ignore[attr-defined]
            body.append(_length(len(raw)))
            body.append(raw)
    body.append(_TRAILER)
    return io.BytesIO(b"".join(body))
