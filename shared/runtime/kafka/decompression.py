"""Bounds what a fetched record batch may unpack to, before it is unpacked.

A compressed batch of a few kilobytes can unpack to a gigabyte: a worker would die of it, and at every start again at
the same offset. aiokafka has no limit, so its decoders are replaced, and its parser is wrapped: a batch that cannot be
unpacked comes out as one record without content that says why. It becomes a dead letter, and the partition goes on.
"""

from __future__ import annotations

import errno
import gzip
import io
import mmap
import struct
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import cramjam
import zstandard
from aiokafka.consumer import fetcher
from aiokafka.record import default_records, legacy_records, memory_records
from aiokafka.record._crecords import default_records as c_default_records
from aiokafka.record._crecords import legacy_records as c_legacy_records
from aiokafka.record.util import decode_varint

from shared.runtime.records import UnreadBatch

_Buffer = bytes | bytearray | memoryview

_CHUNK_BYTES = 1 << 20
#: Blocks of 32 KB with their lengths in front, as Java's snappy library frames them; 16 bytes name the format.
_XERIAL = b"\x82SNAPPY\x00"
_XERIAL_HEADER_BYTES = 16
#: zstd must hold a window of what was unpacked; frames that ask for more are refused. The largest of its own levels.
_ZSTD_WINDOW_BYTES = 1 << 27
#: A header of two bytes becomes eighty in memory, a record of seven some hundreds: what unpacks to much is counted.
_COUNTED_BYTES = 2_000_000
_ITEMS_MOST = 500_000


class TooLarge(Exception):
    """A record batch would unpack to more than is allowed."""


class _Placeholder(NamedTuple):
    """A record as aiokafka's consumer reads it."""

    offset: int
    timestamp: int
    timestamp_type: int
    key: None
    value: UnreadBatch
    headers: tuple[()]
    checksum: None = None


class _Bounded:
    """A batch as aiokafka's consumer reads it: for what cannot be unpacked stands a placeholder."""

    def __init__(self, batch: Any) -> None:
        self._batch = batch
        self.is_control_batch = batch.is_control_batch
        self.is_transactional = batch.is_transactional
        self.producer_id = batch.producer_id
        self.next_offset = batch.next_offset
        # A message set of Kafka 0.x names its last offset only.
        self.base_offset = getattr(batch, "base_offset", batch.next_offset - 1)
        self.validate_crc = batch.validate_crc

    def __iter__(self) -> Iterator[Any]:
        first = self.base_offset
        try:
            for record in self._batch:
                first = record.offset + 1
                yield record
        except MemoryError:
            raise  # the batch may be fine: the worker ends and, started again, reads it
        except OSError as problem:
            if problem.errno == errno.ENOMEM:
                raise MemoryError from problem
            yield self._placeholder("batch-unreadable", first, f"they cannot be unpacked ({problem})")
        except UnicodeDecodeError:
            raise  # a header name: shared.runtime.headers knows what to do
        except TooLarge as problem:
            yield self._placeholder("batch-too-large", first, str(problem))
        except Exception as problem:  # noqa: BLE001 - each codec has errors of its own; none must end the worker
            yield self._placeholder("batch-unreadable", first, f"they cannot be unpacked ({problem})")

    def __next__(self) -> Any:
        return next(self._batch)

    def _placeholder(self, reason: str, first: int, problem: str) -> _Placeholder:
        last = self.next_offset - 1
        detail = (
            f"offsets {first} to {last} came in one record batch: {problem}. None of these records was read, and "
            "nothing of them is kept; send them again in smaller batches"
        )
        # The last offset of the batch: the consumer's position may be anywhere in it.
        return _Placeholder(
            last, max(0, getattr(self._batch, "max_timestamp", 0)), 0, None, UnreadBatch.because(reason, detail), ()
        )


class _BoundedRecords:
    """What a fetch brought of a partition, as aiokafka's parser hands it out, batch by batch."""

    def __init__(self, data: Any) -> None:
        self._records = _parser.parse(data)
        self.has_next = self._records.has_next
        self.size_in_bytes = self._records.size_in_bytes

    def next_batch(self) -> _Bounded | None:
        batch = self._records.next_batch()
        return None if batch is None else _Bounded(batch)


class _Parser:
    """aiokafka's parser: in C, or in Python where ``shared.runtime.kafka.headers`` needs that one."""

    parse: Callable[[Any], Any] = staticmethod(memory_records.MemoryRecords)


_parser = _Parser()


def use_parser(parse: Callable[[Any], Any]) -> None:
    """Parse what is fetched from now on with another parser of aiokafka's."""
    _parser.parse = parse


def bound_decompression(most: int) -> None:
    """Bound, for all consumers of this process, what one record batch may unpack to.

    Args:
        most: Bytes.
    """
    decoders = {"gzip": _gunzip, "snappy": _unsnappy, "lz4": _unlz4, "zstd": _unzstd}
    for module in (c_default_records, c_legacy_records, default_records, legacy_records):
        for codec, decode in decoders.items():
            if hasattr(module, f"{codec}_decode"):
                counted = module in (c_default_records, default_records)
                setattr(module, f"{codec}_decode", _within(_counted(decode) if counted else decode, most))
    fetcher.MemoryRecords = _BoundedRecords
    fetcher.FetchResult.getall = _handing_out(most)


def _handing_out(most: int) -> Callable[..., list[Any]]:
    """Hand out no more at a time than one batch may unpack to: each of many small batches may unpack to as much."""

    def getall(self: Any, max_records: int | None = None) -> list[Any]:
        if not self.check_assignment(self._topic_partition) or not self.has_more():
            return []
        found, size = [], 0
        for record in self._partition_records:
            found.append(record)
            size += len(record.value or b"") + len(record.key or b"") + 80 * len(record.headers)
            if len(found) == max_records or size >= most:
                self._update_position()
                break
        else:
            self._update_position()
            self._partition_records = None
        return found

    return getall


def _within(decode: Callable[[_Buffer, int], bytes], most: int) -> Callable[[_Buffer], bytes]:
    return lambda payload: decode(payload, most)


def _counted(decode: Callable[[_Buffer, int], bytes]) -> Callable[[_Buffer, int], bytes]:
    def unpack(payload: _Buffer, most: int) -> bytes:
        unpacked = decode(payload, most)
        if len(unpacked) > _COUNTED_BYTES:
            _count_items(unpacked)
        return unpacked

    return unpack


def _count_items(unpacked: bytes) -> None:
    """Refuse more records and headers than anybody sends in one batch; walks along the records, building none."""
    at = items = 0
    while at < len(unpacked):
        size, begin = decode_varint(unpacked, at)
        if size < 1:
            raise ValueError("a record without a size")
        at = begin + size
        _timestamp, begin = decode_varint(unpacked, begin + 1)
        _offset, begin = decode_varint(unpacked, begin)
        for _part in ("key", "value"):
            length, begin = decode_varint(unpacked, begin)
            begin += max(0, length)
        headers, _begin = decode_varint(unpacked, begin)
        items += 1 + max(0, headers)
        if items > _ITEMS_MOST:
            raise TooLarge(f"they have more than {_ITEMS_MOST:,} records and headers")


def _too_large(most: int) -> TooLarge:
    return TooLarge(f"they would unpack to more than {most:,} bytes (LOYALTY_UNPACKED_BYTES)")


def _unzstd(payload: _Buffer, most: int) -> bytes:
    decompressor = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW_BYTES)
    with decompressor.stream_reader(payload, read_across_frames=True) as stream:
        return _read(stream.read, most)


def _gunzip(payload: _Buffer, most: int) -> bytes:
    with gzip.GzipFile(fileobj=io.BytesIO(payload)) as stream:
        return _read(stream.read, most)


def _read(read: Callable[[int], bytes], most: int) -> bytes:
    chunks, size = [], 0
    while chunk := read(_CHUNK_BYTES):
        size += len(chunk)
        if size > most:
            raise _too_large(most)
        chunks.append(chunk)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _unlz4(payload: _Buffer, most: int) -> bytes:
    # Memory that is not touched is not there; a bytearray would be filled with zeros first.
    with mmap.mmap(-1, most) as space:
        try:
            size = cramjam.lz4.decompress_into(payload, space)
        except cramjam.DecompressionError as problem:
            if "write whole buffer" in str(problem):
                raise _too_large(most) from None
            raise
        return space[:size]


def _unsnappy(payload: _Buffer, most: int) -> bytes:
    unpacked = bytearray()
    for block in _snappy_blocks(memoryview(payload)):
        # Each block begins with the size that it unpacks to; the library holds it to that.
        if len(unpacked) + cramjam.snappy.decompress_raw_len(block) > most:
            raise _too_large(most)
        unpacked += cramjam.snappy.decompress_raw(block)
    return bytes(unpacked)


def _snappy_blocks(payload: memoryview) -> Iterator[memoryview]:
    if payload[: len(_XERIAL)] != _XERIAL:
        yield payload
        return
    position = _XERIAL_HEADER_BYTES
    while position < len(payload):
        (size,) = struct.unpack_from("!I", payload, position)
        position += 4
        yield payload[position : position + size]
        position += size
