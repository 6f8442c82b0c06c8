"""Whatever one client does, the others are answered: slow, huge, many and broken requests; starting and ending."""

from __future__ import annotations

import gzip
import json
import os
import select
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from http.client import HTTPException
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.data.valid_lines import VALID, compact
from tests.integration.desk import POLICY, PROJECT
from tests.integration.live import Live
from tests.integration.wire import NDJSON, WITHIN, Client, Said, connected, heard, request, sent, status

LISBON = "/v1/sites/lisbon/messages"
SOON = 5.0  # seconds within which an order is answered, also on a machine busy with other tests; mostly it takes two ms
MIB = 1 << 20


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with Live(tmp_path_factory.mktemp("live"), "--policy", POLICY) as running:
        yield running
        assert "a bug" not in running.stderr
        assert running.terminate() == 0


@pytest.fixture
def address(live: Live) -> Iterator[str]:
    with Client(live.url) as client:
        yield client.address
        assert order_is_answered(client.address)
        assert client.get("/readyz").json == {"ok": True, "trouble": None}


def order(number: int) -> bytes:
    named = {"event_id": f"o-{number}", "treatment_id": f"t-{number}", "patient_id": f"p-{number}"}
    return compact(json.loads(VALID["treatment_ordered"]) | named)


def contacts(first: int, count: int) -> list[bytes]:
    message = json.loads(VALID["patient_contact"])
    return [
        compact(message | {"event_id": f"c-{each}", "patient_id": f"p-{each % 500}"})
        for each in range(first, first + count)
    ]


def order_is_answered(address: str, number: int = 1) -> bool:
    """Over a new connection, soon."""
    before = time.monotonic()
    with Client(f"http://{address}") as client:
        said = client.post(LISBON, order(number))
    return said.json["answer"]["decision"] == "lapsed" and time.monotonic() - before < SOON


def head(address: str, *more: str) -> bytes:
    kind = f"Content-Type: {NDJSON}"
    return "\r\n".join([f"POST {LISBON} HTTP/1.1", f"Host: {address}", kind, *more, "", ""]).encode()


def chunks(body: bytes) -> bytes:
    return b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)


def first_of(address: str, *parts: bytes) -> bytes:
    """The first that is answered; then this side leaves."""
    with connected(address) as connection:
        with suppress(ConnectionError):  # reset while it sent, it may have been answered all the same
            for part in parts:
                connection.sendall(part)
        with suppress(ConnectionError):
            return connection.recv(1 << 16)
    return b""


# Huge


def test_eight_mib_are_taken_and_a_byte_more_is_not(address: str) -> None:
    line = b"x" * 1_022 + b"\r\n"
    body = line * (8 * MIB // len(line))
    with Client(f"http://{address}") as client:
        assert len(client.post(LISBON, body, NDJSON).lines) == 8 * MIB // 1_024
    for more, packed in ((body + b"x", {}), (gzip.compress(body + b"x", 1), {"Content_Encoding": "gzip"})):
        with Client(f"http://{address}") as client:
            refused = client.post(LISBON, more, NDJSON, **packed)
        assert (refused.status, refused.json["error"]) == (413, "more than 8 MiB")


def test_a_huge_body_without_length_is_cut_off(address: str) -> None:
    parts = [b"%x\r\n" % (64 * MIB), *[b"\n" * MIB] * 64]
    said = first_of(address, head(address, "Transfer-Encoding: chunked"), *parts)
    assert status(said) in (0, 413)  # 0: the connection was reset while it sent


def test_an_announced_terabyte_is_refused_at_once(address: str) -> None:
    before = time.monotonic()
    assert status(first_of(address, head(address, f"Content-Length: {1 << 40}"), b"x" * 1_000)) == 413
    assert time.monotonic() - before < SOON


@pytest.mark.parametrize("packed", [b"\n" * 200_000_000, b"[" * 100_000_000], ids=["of blank lines", "of brackets"])
def test_a_gzip_bomb_is_refused(address: str, packed: bytes) -> None:
    bomb = gzip.compress(packed, 6)
    said = sent(
        address, head(address, f"Content-Length: {len(bomb)}", "Content-Encoding: gzip", "Connection: close"), bomb
    )
    assert status(said) == 413


# Slow and many


def test_six_hundred_connections_left_open_keep_nobody_out(address: str) -> None:
    with ExitStack() as left:
        for number in range(600):
            connection = left.enter_context(connected(address))
            if number % 3 == 1:
                connection.sendall(b"GET / HTTP/1.1\r\nHo")
            elif number % 3 == 2:
                connection.sendall(head(address, "Content-Length: 1000") + b"x")
            if number % 100 == 99:
                assert order_is_answered(address)
        assert order_is_answered(address, 2)


def test_bodies_that_trickle_hold_up_no_order(address: str) -> None:
    with ExitStack() as left:
        for number in range(40):
            connection = left.enter_context(connected(address))
            way = "Content-Length: 1000000" if number % 2 else "Transfer-Encoding: chunked"
            connection.sendall(head(address, way) + b"30D40\r\n" + b"\n" * 200_000)
        assert order_is_answered(address)
        small = compact(json.loads(order(3)))
        said = sent(address, head(address, "Transfer-Encoding: chunked", "Connection: close"), chunks(small))
        assert status(said) == 200


def test_whoever_does_not_read_the_answers_holds_up_nobody(address: str) -> None:
    with ExitStack() as left:
        for _ in range(30):
            connection = left.enter_context(connected(address))
            connection.sendall(f"GET /v1/overview HTTP/1.1\r\nHost: {address}\r\n\r\n".encode() * 50)
        assert order_is_answered(address)


def test_fifty_that_post_at_once_are_all_answered_and_nothing_is_lost(address: str) -> None:
    def post(number: int) -> list[str]:
        lines = b"\n".join(contacts(number * 100, 100))
        with Client(f"http://{address}") as client:
            first = client.post(LISBON, lines, NDJSON).lines
            single = client.post(LISBON, order(100 + number)).json
            again = client.post(LISBON, lines, NDJSON).lines
        return [each["status"] for each in (*first, single, *again)]

    with ThreadPoolExecutor(50) as many:
        found = list(many.map(post, range(50)))
    assert found == [["accepted"] * 101 + ["duplicate"] * 100] * 50


def test_too_much_at_once_is_refused_whole_with_a_time_to_come_again(address: str) -> None:
    def post(number: int, count: int) -> Said:
        with Client(f"http://{address}") as client:
            return client.post(LISBON, b"\n".join(contacts(100_000 + number * 8_000, count)), NDJSON)

    with ThreadPoolExecutor(8) as many:
        found = list(many.map(post, range(8), [8_000] * 8))
    assert {said.status for said in found} == {200, 503}
    for number, said in enumerate(found):
        again = {each["status"] for each in post(number, 100).lines}
        if said.status == 200:
            assert again == {"duplicate"}
        else:
            assert said.headers["retry-after"] == "5"
            assert said.json["error"] == "too much waits already: nothing of this was kept"
            assert again == {"accepted"}


def test_an_order_passes_those_who_look_at_everything(address: str) -> None:
    with ExitStack() as left:
        looking = [left.enter_context(connected(address)) for _ in range(150)]
        for connection in looking:
            connection.sendall(request("GET", "/v1/result", address))
        assert [status(heard(connection)) for connection in looking[:40]] == [200] * 40
        assert order_is_answered(address)
        done, _, _ = select.select(looking[40:], (), (), 0)
        assert len(done) < 80
        assert [status(heard(connection)) for connection in looking[40:]] == [200] * 110


# Broken


def test_requests_that_are_none_are_refused_and_harm_nobody(address: str) -> None:
    for broken in (
        b"\x00" * 10_000, b"\n" * 10_000, b"GET", b"GET /\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 100_000, b"GET / HTTP/2.0\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        head(address, "Content-Length: 5", "Content-Length: 6") + b"12345",
        head(address, "Content-Length: +5") + b"12345",
        head(address, "Transfer-Encoding: chunked") + b"-5\r\n12345\r\n0\r\n\r\n",
        head(address, "Transfer-Encoding: gzip, chunked, gzip") + chunks(b"x"),
        head(address, "Transfer-Encoding: chunked") + b"5;" + b"x" * 100_000 + b"\r\n12345\r\n0\r\n\r\n",
        head(address, "Connection: Upgrade", "Upgrade: websocket", "Content-Length: 0"),
        b"CONNECT 127.0.0.1:80 HTTP/1.1\r\nHost: 127.0.0.1:80\r\n\r\n",
        f"GET http://evil.org/ HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n".encode(),
    ):  # fmt: skip
        with connected(address) as connection:
            connection.sendall(broken)
            connection.shutdown(socket.SHUT_WR)
            said = heard(connection)
        assert status(said) < 500, (broken[:50], said[:200])
        assert b"Traceback" not in said


def test_a_row_of_requests_on_one_connection_is_answered_in_order(address: str) -> None:
    row = [request("POST", LISBON, address, order(each)).replace(b"Connection: close\r\n", b"") for each in range(30)]
    said = sent(address, *row, request("GET", "/healthz", address))
    assert said.count(b"HTTP/1.1 200 OK") == 31
    named = [said.find(b'"treatment_id":"t-%d"' % each) for each in range(30)]
    assert named == sorted(named)
    assert named[0] > 0


# Starting and ending


def test_while_the_log_is_read_only_health_is_answered_and_then_all_is_there(tmp_path: Path) -> None:
    with Live(tmp_path, "--policy", POLICY) as live:
        with Client(live.url) as client:
            for first in range(0, 20_000, 10_000):
                assert client.post(LISBON, b"\n".join(contacts(first, 10_000)), NDJSON).status == 200
            client.post(LISBON, order(1))
        assert live.terminate() == 0
        arguments = live.arguments(int(client.address.rpartition(":")[2]))
    with (tmp_path / "again").open("w") as out, Client(live.url) as client:
        process = subprocess.Popen(arguments, cwd=PROJECT, stdout=out, stderr=out)
        try:
            while not listens(client.address):
                assert process.poll() is None
            asked = [client.get(path) for path in ("/readyz", "/healthz", "/", "/v1/overview", "/metrics", "/nothing")]
            posted = client.post(LISBON, order(2))
            assert client.get("/readyz").json == {"ok": False, "trouble": "the log is being read"}
            assert [each.status for each in (*asked, posted)] == [503, 200, 503, 503, 503, 503, 503]
            assert [each.headers.get("retry-after") for each in asked[2:]] == ["2"] * 4
            while client.get("/readyz").status != 200:
                assert process.poll() is None
            assert client.post(LISBON, order(1)).json["status"] == "duplicate"
            assert client.post(LISBON, order(2)).json["status"] == "accepted"
            assert client.get("/v1/overview").json["sites"][0]["messages"]["received"] == 20_003
        finally:
            process.kill()
            process.wait(WITHIN)


def listens(address: str) -> bool:
    try:
        connected(address).close()
    except ConnectionRefusedError:
        return False
    return True


def test_what_was_acknowledged_before_the_end_is_there_afterwards(tmp_path: Path) -> None:
    with Live(tmp_path, "--policy", POLICY) as live:
        kept: list[bytes] = []

        def post(number: int) -> None:
            with Client(live.url) as client, suppress(HTTPException, OSError):
                for batch in range(1_000):
                    lines = b"\n".join(contacts(number * 1_000_000 + batch * 200, 200))
                    if client.post(LISBON, lines, NDJSON).status != 200:
                        break
                    kept.append(lines)
                    if len(kept) == 20:
                        os.kill(live.pid, signal.SIGTERM)

        with ThreadPoolExecutor(6) as many:
            list(many.map(post, range(6)))
        assert live.process is not None
        assert live.process.wait(WITHIN) == 0
        assert live.stderr == ""
        assert 20 <= len(kept) < 6_000
        live.restart()
        with Client(live.url) as client:
            again = [client.post(LISBON, lines, NDJSON).lines for lines in kept]
        assert {each["status"] for lines in again for each in lines} == {"duplicate"}


def test_clients_that_hang_do_not_keep_it_from_ending(tmp_path: Path) -> None:
    with Live(tmp_path, "--policy", POLICY) as live, ExitStack() as left:
        address = urlsplit(live.url).netloc
        idle = left.enter_context(connected(address))
        idle.sendall(request("GET", "/healthz", address).replace(b"Connection: close\r\n", b""))
        assert idle.recv(1_000).startswith(b"HTTP/1.1 200")
        for start in (b"", b"GET / HT", head(address, "Content-Length: 1000") + b"x"):
            left.enter_context(connected(address)).sendall(start)
        assert order_is_answered(address)
        before = time.monotonic()
        assert live.terminate() == 0
        assert time.monotonic() - before < 15
        assert live.stderr == ""
