r"""Reads records whose header names are not UTF-8.

Kafka does not check header names; aiokafka's parser raises on a bad one, and with it a whole batch could never be read:
one record would stop its partition for ever. The parser in C cannot be changed, so the first such record switches this
process to aiokafka's parser in Python, slower, with bad bytes shown as ``\xff``.
"""

from __future__ import annotations

from typing import Any

from aiokafka.record import memory_records
from aiokafka.record.default_records import _DefaultRecordBatchPy

from shared.logs import logger
from shared.runtime.kafka.decompression import use_parser

_log = logger(__name__)


class _Text(bytearray):
    """Bytes that decode whatever they hold; so do their slices, which is all that the parser does with them."""

    def __getitem__(self, part: Any) -> Any:
        found = super().__getitem__(part)
        return _Text(found) if isinstance(part, slice) else found

    def decode(self, *_arguments: Any, **_options: Any) -> str:
        """Decode as UTF-8; what is not becomes an escape."""
        return bytes(self).decode("utf-8", "backslashreplace")


class _TolerantBatch(_DefaultRecordBatchPy):
    _buffer: Any

    def _maybe_uncompress(self) -> None:
        super()._maybe_uncompress()
        if not isinstance(self._buffer, _Text):
            self._buffer = _Text(self._buffer)


def tolerate() -> bool:
    """Switch this process to the tolerant parser; returns False if it already is, so that it cannot be the cause."""
    if memory_records.DefaultRecordBatch is _TolerantBatch:
        return False
    _log.error("a header name is not UTF-8; reading with the slower, tolerant parser until the next restart")
    memory_records.DefaultRecordBatch = _TolerantBatch
    use_parser(memory_records._MemoryRecordsPy)
    return True
