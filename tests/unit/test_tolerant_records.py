"""A record that the client library cannot read is read all the same, and so is what stands before and behind it."""

from __future__ import annotations

import pytest
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords

from monitor.stream.tolerant import Records

GZIP, NONE = 1, 0
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


@pytest.mark.parametrize("codec", [NONE, GZIP])
def test_records_that_can_be_read_are_read_as_the_library_does(codec: int) -> None:
    raw = batch(7, ["a", "b"], codec) + batch(9, ["c"], codec)
    assert [(offset, value) for offset, value, _ in read(raw)] == [(7, b"value 7"), (8, b"value 8"), (9, b"value 9")]
    assert read(raw)[0][2] == [("first", b"1"), ("a", None), ("last", b"")]


def test_the_library_alone_gives_nothing_of_a_batch_behind_a_name_that_is_no_utf8() -> None:
    records = MemoryRecords(spoilt(batch(0, ["a", NAME, "c"])))
    with pytest.raises(UnicodeDecodeError):
        list(records.next_batch())


def test_a_name_that_is_no_utf8_costs_its_letters_and_nothing_else() -> None:
    found = read(spoilt(batch(5, ["a", NAME, "ü"])) + batch(8, ["d"]))
    assert [(offset, value) for offset, value, _ in found] == [(each, b"value %d" % each) for each in range(5, 9)]
    assert [headers[1][0] for _, _, headers in found] == ["a", "????", "ü", "d"]
    assert all((headers[0], headers[2]) == (("first", b"1"), ("last", b"")) for _, _, headers in found)


def test_what_a_fetcher_asks_of_a_batch_is_answered_by_the_batch() -> None:
    inner = Records(batch(3, ["a", "b"])).next_batch()
    assert (inner.base_offset, inner.next_offset, inner.is_control_batch, inner.validate_crc()) == (3, 5, False, True)
    assert next(iter(inner)).offset == 3
