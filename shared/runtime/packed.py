"""Joins and compresses a batch: the archive and the outbox are one row a batch, not one an event."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgpack
import zstandard

from shared.runtime.records import Message, Record

#: Level 1: a tenth of the size for about 3 µs an event; higher levels cost more than they save here.
_LEVEL = 1
_UNPACKED_BYTES_MAX = 512 * 1024 * 1024


def pack(rows: Sequence[tuple[Any, ...]]) -> bytes:
    """Pack records or messages into one compressed block."""
    return zstandard.ZstdCompressor(level=_LEVEL).compress(msgpack.packb(rows))


def _unpack(block: bytes) -> list[list[Any]]:
    raw = zstandard.ZstdDecompressor().decompress(block, max_output_size=_UNPACKED_BYTES_MAX)
    rows: list[list[Any]] = msgpack.unpackb(raw)
    return rows


def unpack_records(block: bytes) -> list[Record]:
    """Return the records of an archive row or of a dead letter."""
    return [
        Record(offset, timestamp, key, value, tuple((name, content) for name, content in headers))
        for offset, timestamp, key, value, headers in _unpack(block)
    ]


def unpack_messages(block: bytes) -> list[Message]:
    """Return the messages of an outbox row."""
    return [
        Message(topic, key, value, [(name, content) for name, content in headers])
        for topic, key, value, headers in _unpack(block)
    ]
