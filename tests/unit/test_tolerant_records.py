"""A record that the client library cannot read is read all the same, and so is what stands before and behind it."""

from __future__ import annotations

import cramjam
import pytest
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords

from monitor.kafka import inflate
from monitor.stream import tolerant
from monitor.stream.tolerant import Records
from schemas.parts import MAX_BYTES
from tests.data.bombs import CODECS, bomb
from tests.data.bombs import batch as raw_batch

NONE, GZIP, SNAPPY, LZ4, ZSTD = range(5)
COMPRESS = {GZIP: cramjam.gzip.compress, LZ4: cramjam.lz4.compress, ZSTD: cramjam.zstd.compress}
NAME, NO_UTF8 = "naem", b"\xff\xfe\xfd\xfc"


def batch(begin: int, names: list[str], codec: int = NONE) -> bytes:
    builder = DefaultRecordBatchBuilder(
        magic=2, compression_type=codec, is_transactional=0, producer_id=-1, producer_epoch=-1, base_sequence=-1,
        batch_size=1 << 20,
    )  # fmt: skip
    for number, name in enumerate(names):
        headers = [("first", b"1"), (name, None), ("last", b"")]
        builder.append(number, 1_000 + number, b"key", b"value %d" % (begin + number), headers)
    raw = bytearray(builder.build())
    raw[0:8] = begin.to_bytes(8)
    return bytes(raw)


def spoilt(raw: bytes) -> bytes:
    """The same with a name that is no UTF-8; lengths stay, as a careless client would write it."""
    assert NAME.encode() in raw
    return raw.replace(NAME.encode(), NO_UTF8)


def read(raw: bytes) -> list[tuple[int, bytes, list[tuple[str, bytes | None]]]]:
    records, found = Records(raw), []
    assert records.size_in_bytes() == len(raw)
    while records.has_next():
        found += [(each.offset, each.value, list(each.headers)) for each in records.next_batch()]
    return found


@pytest.mark.parametrize("codec", [NONE, GZIP, SNAPPY, LZ4, ZSTD])
def test_records_that_can_be_read_are_read_as_the_library_does(codec: int) -> None:
    raw = batch(7, ["a", "b"], codec) + batch(9, ["c"], codec)
    assert [(offset, value) for offset, value, _ in read(raw)] == [(7, b"value 7"), (8, b"value 8"), (9, b"value 9")]
    assert read(raw)[0][2] == [("first", b"1"), ("a", None), ("last", b"")]


def test_the_library_alone_gives_nothing_of_a_batch_behind_a_name_that_is_no_utf8() -> None:
    records = MemoryRecords(spoilt(batch(0, ["a", NAME, "c"])))
    with pytest.raises(UnicodeDecodeError):
        list(records.next_batch())


def squeezed(raw: bytes, codec: int) -> bytes:
    """The same batch, its records compressed as they are."""
    made = raw_batch(bytes(COMPRESS[codec](raw[61:])), codec, int.from_bytes(raw[57:61]))
    return raw[:8] + made[8:]


@pytest.mark.parametrize("codec", [NONE, *CODECS.values()])
def test_a_name_that_is_no_utf8_costs_its_letters_and_nothing_else(codec: int) -> None:
    odd = spoilt(batch(5, ["a", NAME, "ü"]))
    found = read((squeezed(odd, codec) if codec else odd) + batch(8, ["d"]))
    assert [(offset, value) for offset, value, _ in found] == [(each, b"value %d" % each) for each in range(5, 9)]
    assert [headers[1][0] for _, _, headers in found] == ["a", "????", "ü", "d"]
    assert all((headers[0], headers[2]) == (("first", b"1"), ("last", b"")) for _, _, headers in found)


def test_what_a_fetcher_asks_of_a_batch_is_answered_by_the_batch() -> None:
    inner = Records(batch(3, ["a", "b"])).next_batch()
    assert (inner.base_offset, inner.next_offset, inner.is_control_batch, inner.validate_crc()) == (3, 5, False, True)
    assert next(iter(inner)).offset == 3


# Compressed


@pytest.mark.parametrize("codec", CODECS.values())
def test_a_batch_beyond_the_bound_becomes_one_record_that_is_too_large_at_its_last_offset(
    monkeypatch: pytest.MonkeyPatch, codec: int
) -> None:
    monkeypatch.setattr(inflate, "MOST_INFLATED", 1 << 16)
    large = squeezed(batch(5, ["a" * 30_000, "b" * 30_000, "c" * 30_000]), codec)
    [instead], [after] = read(large), read(batch(8, ["d"]))
    assert instead[0] == 7
    assert len(instead[1]) == MAX_BYTES  # here the bound itself; else one more, so that it is no message
    name, told = instead[2][0]
    assert name == inflate.TOLD
    assert told is not None
    assert told.startswith(b"3 messages, ")
    assert after[:2] == (8, b"value 8")


@pytest.mark.parametrize("codec", CODECS.values())
def test_what_cannot_be_inflated_at_all_stops_nobody_either(codec: int) -> None:
    broken = raw_batch(b"this was never compressed", codec, 1)
    [(offset, value, _)], [after] = read(broken), read(batch(1, ["d"]))
    assert offset == 0
    assert len(value) == MAX_BYTES + 1
    assert after[:2] == (1, b"value 1")


def test_at_its_bound_a_batch_is_still_read(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = batch(5, ["a", "b"])
    monkeypatch.setattr(inflate, "MOST_INFLATED", len(raw) - 61)
    assert [offset for offset, _, _ in read(squeezed(raw, ZSTD))] == [5, 6]
    monkeypatch.setattr(inflate, "MOST_INFLATED", len(raw) - 62)
    assert [offset for offset, _, _ in read(squeezed(raw, ZSTD))] == [6]


def test_of_a_fetch_no_more_is_given_than_fits_and_the_rest_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = squeezed(batch(5, ["a" * 500]), GZIP), squeezed(batch(6, ["b"]), GZIP)
    monkeypatch.setattr(tolerant, "MOST_AT_ONCE", 400)
    records = Records(first + second)
    assert [each.offset for each in records.next_batch()] == [5]
    assert not records.has_next()  # the fetcher goes on behind offset 5
    assert [offset for offset, _, _ in read(second)] == [6]


def test_a_record_instead_of_a_batch_came_when_the_batch_came(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inflate, "MOST_INFLATED", 10)
    raw = bytearray(squeezed(batch(5, ["a", "b"]), ZSTD))
    [by_the_sender] = Records(bytes(raw)).next_batch()
    raw[22] |= 8  # stamped by the broker
    [by_the_broker] = Records(bytes(raw)).next_batch()
    assert (by_the_sender.timestamp_type, by_the_broker.timestamp_type) == (0, 1)
    assert by_the_sender.timestamp == by_the_broker.timestamp == 1_000
    assert (by_the_broker.key, by_the_broker.checksum) == (None, None)


@pytest.mark.parametrize("codec", CODECS)
def test_of_batches_beyond_the_bound_one_is_given_at_once(codec: str) -> None:
    """Each is inflated to the bound before that is known: hundreds of them would keep the heartbeats away."""
    raw = bomb(codec, inflate.MOST_INFLATED + (2 << 20))
    records = Records(raw * 3)
    [instead] = records.next_batch()
    assert len(instead.value) == MAX_BYTES + 1
    assert not records.has_next()
