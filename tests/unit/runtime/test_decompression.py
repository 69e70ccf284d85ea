"""The decompressed size of a record batch is limited beforehand, whatever the codec."""

from __future__ import annotations

import errno
import gzip
import random
import re
import struct
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import cramjam
import pytest
import zstandard
from aiokafka import TopicPartition
from aiokafka.codec import gzip_encode, lz4_encode, snappy_encode, zstd_encode
from aiokafka.consumer import fetcher
from aiokafka.consumer.subscription_state import SubscriptionState
from aiokafka.record import memory_records
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.legacy_records import LegacyRecordBatchBuilder
from aiokafka.record.util import calc_crc32c, encode_varint

from shared.runtime.batch.decode import decode
from shared.runtime.kafka import decompression
from shared.runtime.kafka.decompression import TooLarge, bound_decompression
from shared.runtime.kafka.headers import tolerate
from shared.runtime.records import Record, UnreadBatch
from shared.settings import Settings

MEGABYTE = 1_000_000
ROOT = Path(__file__).parents[3]
CODECS = {"gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}
NONE = 0
ENCODERS = {"gzip": gzip_encode, "snappy": snappy_encode, "lz4": lz4_encode, "zstd": zstd_encode}


@pytest.fixture(autouse=True)
def _bounded() -> Iterator[None]:
    bound_decompression(MEGABYTE)
    yield
    bound_decompression(32 * MEGABYTE)


def batch(codec: int, values: list[bytes], first: int = 100, header: bytes = b"name") -> bytearray:
    builder = DefaultRecordBatchBuilder(
        magic=2, compression_type=codec, is_transactional=0, producer_id=-1, producer_epoch=-1, base_sequence=-1,
        batch_size=100 * MEGABYTE,
    )  # fmt: skip
    for number, value in enumerate(values):
        builder.append(number, 5_000, b"key", value, [(header.decode("latin-1"), b"content")])
    made = bytearray(builder.build())
    made[0:8] = first.to_bytes(8)
    return made


def sealed(raw: bytearray) -> bytes:
    """Give a damaged batch a matching checksum, as a hostile producer would."""
    raw[17:21] = calc_crc32c(bytes(raw[21:])).to_bytes(4)
    return bytes(raw)


def consumed(raw: bytes, position: int = 100) -> tuple[list[Record], int]:
    """Return what aiokafka's consumer reads from fetched bytes, and where it continues."""
    records = fetcher.PartitionRecords(
        TopicPartition("t", 0), fetcher.MemoryRecords(raw), [], position, None, None, True, 1
    )
    got = [Record(one.offset, one.timestamp, one.key, one.value, one.headers) for one in records]
    return got, records.next_fetch_offset


@pytest.mark.parametrize("codec", [NONE, *CODECS.values()])
def test_what_is_small_enough_is_read_as_it_was_sent(codec: int) -> None:
    noise = random.Random(codec)
    values = [noise.randbytes(300), b"", b"x" * 400_000]
    got, goes_on = consumed(bytes(batch(codec, values)))
    assert [(one.offset, one.value, one.key) for one in got] == [
        (100 + number, value, b"key") for number, value in enumerate(values)
    ]
    assert goes_on == 103


@pytest.mark.parametrize("codec", CODECS.values())
def test_a_batch_that_would_unpack_to_too_much_is_one_dead_letter(codec: int) -> None:
    bomb = bytes(batch(codec, [b"x" * 600_000, b"y" * 600_000]))
    after = bytes(batch(codec, [b"{}"], first=102))
    got, goes_on = consumed(bomb + after)
    assert [one.offset for one in got] == [101, 102]
    assert goes_on == 103
    refused = decode(got[:1], {}, 10 * MEGABYTE).refused
    assert [(one.position, one.reason) for one in refused] == [(0, "batch-too-large")]
    assert "offsets 100 to 101" in refused[0].detail
    assert "1,000,000 bytes" in refused[0].detail


def test_a_consumer_that_stands_inside_such_a_batch_gets_past_it() -> None:
    got, goes_on = consumed(bytes(batch(CODECS["zstd"], [b"x" * 600_000, b"y" * 600_000])), position=101)
    assert [one.offset for one in got] == [101]
    assert goes_on == 102


@pytest.mark.parametrize("codec", CODECS.values())
def test_a_batch_that_cannot_be_unpacked_is_one_dead_letter(codec: int) -> None:
    raw = batch(codec, [b"x" * 1_000, b"y" * 1_000])
    # The first bytes after the batch's own 61: what tells the codec its format, and the size.
    raw[61:69] = b"\xff" * 8
    got, goes_on = consumed(sealed(raw))
    assert [one.offset for one in got] == [101]
    assert goes_on == 102
    (refused,) = decode(got, {}, MEGABYTE).refused
    assert refused.reason == "batch-unreadable"


def test_a_codec_that_nobody_knows() -> None:
    raw = batch(NONE, [b"x"])
    raw[22] |= 7
    got, _goes_on = consumed(sealed(raw))
    assert [one.reason for one in decode(got, {}, MEGABYTE).refused] == ["batch-unreadable"]


def test_records_before_the_damage_are_read() -> None:
    raw = batch(NONE, [b"first", b"second"])
    second = raw.index(b"second")
    # The length in front of the value: 6, in the zigzag notation of 12.
    assert raw[second - 1] == 12
    raw[second - 1] = 0x7E
    got, goes_on = consumed(sealed(raw))
    assert [one.value for one in got] == [b"first", b""]
    assert goes_on == 102
    (refused,) = decode(got[1:], {}, MEGABYTE).refused
    assert "offsets 101 to 101" in refused.detail


@pytest.mark.parametrize(("magic", "codec"), [(0, "gzip"), (0, "snappy"), (1, "gzip"), (1, "snappy"), (1, "lz4")])
def test_message_sets_of_old_producers_are_bounded_too(magic: int, codec: str) -> None:
    builder = LegacyRecordBatchBuilder(magic=magic, compression_type=CODECS[codec], batch_size=100 * MEGABYTE)
    for number in range(2):
        builder.append(number, 5_000, b"key", b"x" * 600_000)
    got, _goes_on = consumed(bytes(builder.build()), position=0)
    assert [one.reason for one in decode(got, {}, MEGABYTE).refused] == ["batch-too-large"]


@pytest.mark.parametrize("codec", CODECS)
def test_the_bound_is_exact(codec: str) -> None:
    unpack = getattr(
        decompression, {"gzip": "_gunzip", "snappy": "_unsnappy", "lz4": "_unlz4", "zstd": "_unzstd"}[codec]
    )
    packed = ENCODERS[codec](b"x" * 50_000)
    assert unpack(packed, 50_000) == b"x" * 50_000
    with pytest.raises(TooLarge):
        unpack(packed, 49_999)


def test_raw_snappy_is_bounded_too() -> None:
    packed = bytes(cramjam.snappy.compress_raw(b"x" * 50_000))
    assert decompression._unsnappy(packed, 50_000) == b"x" * 50_000
    with pytest.raises(TooLarge):
        decompression._unsnappy(packed, 49_999)


def zstd_bomb(megabytes: int) -> bytes:
    compressor = zstandard.ZstdCompressor(level=1).compressobj()
    zeros = bytes(MEGABYTE)
    return b"".join(compressor.compress(zeros) for _ in range(megabytes)) + compressor.flush()


def test_memory_stays_bounded() -> None:
    """950 MB in 30 KB, as an attacker sent it; several frames, one after the other, are one batch."""
    bombs = {"_unzstd": zstd_bomb(950), "_gunzip": gzip.compress(bytes(100 * MEGABYTE), 1)}
    assert len(bombs["_unzstd"]) < 100_000
    bombs["frames"] = zstd_bomb(10) * 20
    for name, bomb in bombs.items():
        tracemalloc.start()
        with pytest.raises(TooLarge):
            getattr(decompression, name if name != "frames" else "_unzstd")(bomb, 32 * MEGABYTE)
        _now, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 40 * MEGABYTE, name


def test_the_tolerant_parser_is_bounded_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """A header name that is not UTF-8 switches to aiokafka's parser in Python."""
    monkeypatch.setattr(memory_records, "DefaultRecordBatch", memory_records.DefaultRecordBatch)
    monkeypatch.setattr(decompression._parser, "parse", decompression._parser.parse)
    raw = batch(NONE, [b"value"])
    raw[raw.index(b"name")] = 0xFF
    with pytest.raises(UnicodeDecodeError):
        consumed(sealed(raw))
    assert tolerate()
    (record,), _goes_on = consumed(sealed(raw))
    assert record.headers == (("\\xffame", b"content"),)
    got, _goes_on = consumed(bytes(batch(CODECS["zstd"], [b"x" * 600_000, b"y" * 600_000])))
    assert [one.reason for one in decode(got, {}, MEGABYTE).refused] == ["batch-too-large"]


# ---- many small things


def with_headers(count: int) -> bytes:
    """Pack one record with that many empty headers: two bytes each, and a thousand times as much in memory."""

    def number(value: int) -> bytes:
        written: list[int] = []
        encode_varint(value, written.append)
        return bytes(written)

    fields = b"\0" + number(0) + number(0) + number(-1) + number(2) + b"{}" + number(count) + b"\0\1" * count
    payload = zstandard.ZstdCompressor(level=19).compress(number(len(fields)) + fields)
    after = struct.pack(">hiqqqhii", CODECS["zstd"], 0, 5_000, 5_000, -1, -1, -1, 1) + payload
    body = struct.pack(">ibI", 0, 2, calc_crc32c(after)) + after
    return struct.pack(">qi", 100, len(body)) + body


def test_a_batch_of_millions_of_headers_is_one_dead_letter() -> None:
    bound_decompression(32 * MEGABYTE)
    bomb = with_headers(4_000_000)
    assert len(bomb) < 3_000
    tracemalloc.start()
    ((record,), goes_on) = consumed(bomb)
    _now, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert isinstance(record.value, UnreadBatch)
    assert record.value.reason == "batch-too-large"
    assert "records and headers" in record.value.detail
    assert goes_on == 101
    # What was unpacked, and not eighty bytes for each header.
    assert peak < 40 * MEGABYTE


def test_a_large_batch_of_ordinary_records_is_read() -> None:
    bound_decompression(32 * MEGABYTE)
    got, _goes_on = consumed(bytes(batch(CODECS["zstd"], [b"x" * 1_000] * 5_000)))
    assert len(got) == 5_000


def test_many_tiny_snappy_blocks_take_no_more_memory_than_they_unpack_to() -> None:
    block = cramjam.snappy.compress_raw(b"x")
    blocks = (len(bytes(block)).to_bytes(4) + bytes(block)) * 400_000
    header = b"\x82SNAPPY\x00" + (1).to_bytes(4) + (1).to_bytes(4)
    tracemalloc.start()
    assert len(decompression._unsnappy(header + blocks, MEGABYTE)) == 400_000
    _now, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10 * MEGABYTE


@pytest.mark.parametrize("problem", [MemoryError(), OSError(errno.ENOMEM, "Cannot allocate memory")])
def test_a_lack_of_memory_ends_the_worker_and_loses_nothing(
    problem: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch that could not be unpacked for lack of memory may be fine; a dead letter would keep nothing of it."""

    def fails(*_arguments: object) -> bytes:
        raise problem

    monkeypatch.setattr(decompression, "_unlz4", fails)
    bound_decompression(MEGABYTE)
    with pytest.raises(MemoryError):
        consumed(bytes(batch(CODECS["lz4"], [b"a purchase"])))


def test_all_partitions_of_a_worker_fit_into_its_container() -> None:
    """earn reads three topics; a batch that is unpacked is there twice, as a whole and as its records."""
    settings = Settings()
    partitions = 3 * settings.topic_partitions
    worst = 150 * MEGABYTE + 2 * partitions * settings.unpacked_bytes
    # Of what the workers share; PostgreSQL and the broker have their own.
    (limit,) = re.findall(
        r"^x-loyalty:.*?mem_limit: (\d+)g\n\n", (ROOT / "docker-compose.yml").read_text(), re.DOTALL | re.MULTILINE
    )
    assert worst < int(limit) * 2**30


async def test_many_small_batches_are_unpacked_a_few_at_a_time() -> None:
    """Each batch is under the bound; a hundred of them would be in memory at once."""
    many = b"".join(bytes(batch(CODECS["zstd"], [b"x" * 900_000], first=100 + number)) for number in range(40))
    partition = TopicPartition("t", 0)
    records = fetcher.PartitionRecords(partition, fetcher.MemoryRecords(many), [], 100, None, None, True, 1)
    subscriptions = SubscriptionState()
    subscriptions.assign_from_user([partition])
    assignment = subscriptions.subscription.assignment
    assignment.state_value(partition).seek(100)
    result = fetcher.FetchResult(partition, assignment=assignment, partition_records=records, backoff=0)
    offsets: list[int] = []
    while result.has_more():
        got = result.getall(100)
        assert sum(len(one.value) for one in got) <= 2 * MEGABYTE
        offsets += [one.offset for one in got]
    assert offsets == list(range(100, 140))
