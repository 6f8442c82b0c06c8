"""What is said of certificates and of rights that Kafka does not give, without asking any Kafka."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiokafka import errors as aio
from kafka import errors as python

from monitor.kafka.certificate import NoCertificateError, validity
from monitor.kafka.reach import missing_right


def element(tag: int, *content: bytes) -> bytes:
    """DER: tag, length, content."""
    inner = b"".join(content)
    size = bytes([len(inner)]) if len(inner) < 128 else b"\x82" + len(inner).to_bytes(2, "big")
    return bytes([tag]) + size + inner


def pem(*validity: bytes, version: bytes = element(0xA0, element(2, b"\x02"))) -> str:
    """As much of a certificate as says how long it holds, and some of the rest."""
    tbs = [version, element(2, b"\x01"), element(0x30), element(0x30), element(0x30, *validity), element(4, b"x" * 300)]
    der = element(0x30, element(0x30, *tbs), element(0x30))
    body = base64.encodebytes(der).decode()
    return f"words before\n-----BEGIN CERTIFICATE-----\n{body}-----END CERTIFICATE-----\n"


@pytest.mark.parametrize(
    ("begins", "ends", "expected"),
    [
        (
            element(0x17, b"240102030405Z"),
            element(0x17, b"491231235959Z"),
            (datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC), datetime(2049, 12, 31, 23, 59, 59, tzinfo=UTC)),
        ),
        (
            element(0x17, b"500101000000Z"),
            element(0x18, b"20500101000000Z"),
            (datetime(1950, 1, 1, tzinfo=UTC), datetime(2050, 1, 1, tzinfo=UTC)),
        ),
    ],
    ids=["both of this century", "the last century and years of four digits"],
)
@pytest.mark.parametrize("version", [element(0xA0, element(2, b"\x02")), b""], ids=["version 3", "version 1"])
def test_how_long_a_certificate_holds_is_read_from_its_file(
    begins: bytes, ends: bytes, expected: tuple[datetime, datetime], version: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "one.crt"
    path.write_text(pem(begins, ends, version=version))
    assert validity(path) == expected


@pytest.mark.parametrize(
    "text",
    ["", "nothing of the kind", pem(), pem(element(0x17, b"never"), element(0x17, b"ever")), pem()[:60]],
    ids=["empty", "other", "without", "no days", "cut"],
)
def test_a_file_that_is_no_certificate_is_told_by_name(text: str, tmp_path: Path) -> None:
    path = tmp_path / "one.crt"
    path.write_text(text)
    with pytest.raises(NoCertificateError, match=r"one[.]crt holds no certificate"):
        validity(path)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (aio.TopicAuthorizationFailedError("jakwatch.v1.in.lisbon"), "the right to WRITE jakwatch.v1.in.lisbon."),
        (
            python.TopicAuthorizationFailedError({"jakwatch.v1.in.oslo", "jakwatch.v1.actions"}),
            "the right to WRITE jakwatch.v1.actions, jakwatch.v1.in.oslo.",
        ),
        (python.TopicAuthorizationFailedError(), "the right to WRITE a topic."),
        (aio.GroupAuthorizationFailedError("jakwatch-monitor"), "the right to READ as the group jakwatch-monitor."),
        (python.GroupAuthorizationFailedError(), "the right to READ as the group jakwatch-monitor."),
        (aio.TransactionalIdAuthorizationFailed("x"), "to WRITE as the transactional id jakwatch-monitor-*."),
        (python.TransactionalIdAuthorizationFailedError(), "to WRITE as the transactional id jakwatch-monitor-*."),
        (aio.ClusterAuthorizationFailedError(), "to the cluster, or to WRITE to any topic."),
        (python.SecurityDisabledError(), "Kafka asks nobody for rights"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_a_right_that_kafka_does_not_give_is_named_with_what_to_do(error: Exception, words: str) -> None:
    said = missing_right(error, "WRITE")
    assert said is not None
    assert words in said
    assert "Do next: " in said


@pytest.mark.parametrize(
    "error", [aio.KafkaConnectionError(), python.KafkaTimeoutError(), ValueError("31"), OSError(29, "x")]
)
def test_an_error_about_something_else_is_no_missing_right(error: Exception) -> None:
    assert missing_right(error) is None
