"""Batches as Kafka takes them, that inflate to far more than they are: made without ever being whole in memory."""

from __future__ import annotations

import asyncio
import struct
import zlib

import cramjam
from aiokafka import AIOKafkaProducer
from aiokafka.errors import for_code
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.record.util import calc_crc32c, encode_varint
from aiokafka.structs import TopicPartition

from monitor.kafka.connection import Connection

CODECS = {"gzip": 1, "lz4": 3, "zstd": 4}
_CHUNK = 1 << 20
_FROM_ATTRIBUTES = struct.Struct(">hiqqqhii")


def bomb(codec: str, inflated: int) -> bytes:
    """A batch of one message, of so many bytes (full chunks of a MiB) that are all blanks."""
    length = inflated // _CHUNK * _CHUNK
    head = bytearray()
    rest = bytearray([0, 0, 0])  # attributes, and two deltas
    encode_varint(-1, rest.append)  # no key
    encode_varint(length, rest.append)
    encode_varint(len(rest) + length + 1, head.append)
    squeezed = _squeezed(codec, bytes(head + rest), length // _CHUNK, b"\x00")  # no headers
    return batch(squeezed, CODECS[codec], 1)


def batch(records: bytes, codec: int, count: int) -> bytes:
    """A batch around records that are compressed already."""
    body = _FROM_ATTRIBUTES.pack(codec, count - 1, 1_000, 1_000, -1, -1, -1, count) + records
    checked = struct.pack(">ibI", -1, 2, calc_crc32c(body)) + body
    return struct.pack(">qi", 0, len(checked)) + checked


def _squeezed(codec: str, begin: bytes, chunks: int, end: bytes) -> bytes:
    blanks = b" " * _CHUNK
    if codec == "gzip":
        deflating = zlib.compressobj(9, wbits=31)
        parts = [deflating.compress(begin), *(deflating.compress(blanks) for _ in range(chunks))]
        return b"".join([*parts, deflating.compress(end), deflating.flush()])
    squeezing = (
        cramjam.zstd.Compressor()
        if codec == "zstd"
        else cramjam.lz4.Compressor(level=9, content_checksum=False, block_linked=False)
    )
    for part in (begin, *(blanks for _ in range(chunks)), end):
        squeezing.compress(part)
    return bytes(squeezing.finish())


async def publish_raw(connection: Connection, name: str, raw: bytes) -> int:
    """Hand a batch over as it is; the offset that it got."""
    producer = AIOKafkaProducer(**connection.for_aiokafka())
    await producer.start()
    try:
        await producer.partitions_for(name)
        node = producer.client.cluster.leader_for_partition(TopicPartition(name, 0))
        async with asyncio.timeout(30):
            while True:
                told = await producer.client.send(node, ProduceRequest(None, -1, 60_000, [(name, [(0, raw)])]))
                [(_, [(_, code, offset, *_)])] = told.topics
                if code == 0:
                    return int(offset)
                if not for_code(code).retriable:  # who leads a new topic is known a moment later
                    raise for_code(code)(name)
    finally:
        await producer.stop()
