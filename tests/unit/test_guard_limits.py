"""How much one may send, how slowly, and how many may come: the guard around a handler that says how much it got."""

from __future__ import annotations

import asyncio
import gzip
import os

import pytest

from monitor.web.connections import Limits
from tests.integration.wire import (
    Guarded,
    answered,
    request,
    status,
    with_guard,
)

SMALL = Limits(
    body_bytes=200_000, small_bytes=1_000, large_bodies=2, body_seconds=0.3, headers_seconds=0.3, rest_seconds=0.1
)


def post(address: str, *more: str) -> bytes:
    return "\r\n".join(["POST / HTTP/1.1", f"Host: {address}", "Connection: close", *more, "", ""]).encode()


def chunked(body: bytes, size: int = 10_000) -> bytes:
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


def of_length(body: bytes, *more: str) -> tuple[str, ...]:
    return (f"Content-Length: {len(body)}", *more)


@pytest.mark.parametrize("size", [0, 1, 1_000, 1_001, 200_000, 200_001, 1_000_000])
def test_a_body_is_taken_up_to_the_limit_however_it_is_sent(size: int) -> None:
    body = os.urandom(size)
    packed = gzip.compress(body)
    limits = Limits(body_bytes=200_000, small_bytes=1_000)

    async def talk(server: Guarded) -> None:
        address = server.address
        ways = [
            (post(address, *of_length(body)), body),
            (post(address, "Transfer-Encoding: chunked"), chunked(body)),
            (post(address, *of_length(packed, "Content-Encoding: gzip")), packed),
            (post(address, "Transfer-Encoding: chunked", "Content-Encoding: GZIP"), chunked(packed)),
        ]
        for head, rest in ways[: 2 if size == 200_000 else 4]:  # packed, that size is beyond the limit
            said = await answered(address, head, rest)
            if size <= limits.body_bytes:
                assert said.endswith(b"\r\n\r\n%d" % size), head
            else:
                assert status(said) in (413, 0), head  # 0: closed before it had sent all

    with_guard(talk, limits=limits)


def test_a_body_announced_as_too_large_is_refused_before_it_is_sent() -> None:
    async def talk(server: Guarded) -> None:
        said = await answered(server.address, post(server.address, "Content-Length: 200001"))
        assert status(said) == 413

    with_guard(talk, limits=SMALL)


def test_a_small_body_that_unpacks_to_a_large_one_is_refused() -> None:
    bomb = gzip.compress(b"\n" * 100_000_000, 9)
    many = gzip.compress(b"") * 5_000  # each part empty
    assert max(len(bomb), len(many)) < SMALL.body_bytes

    async def talk(server: Guarded) -> None:
        head = post(server.address, *of_length(bomb, "Content-Encoding: gzip"))
        assert status(await answered(server.address, head, bomb)) == 413
        head = post(server.address, *of_length(many, "Content-Encoding: gzip"))
        assert (await answered(server.address, head, many)).endswith(b"\r\n\r\n0")

    with_guard(talk, limits=Limits(body_bytes=200_000, small_bytes=1_000))


@pytest.mark.parametrize(
    ("coding", "body", "expected"),
    [
        ("gzip", b"no gzip", 400),
        ("gzip", gzip.compress(b"0123456789" * 100)[:-1], 400),
        ("gzip", gzip.compress(b"0123456789" * 100)[:-9] + b"\0" * 9, 400),
        ("gzip", gzip.compress(b"01")[:12], 400),
        ("gzip", gzip.compress(b"01") + b"rest", 400),
        ("gzip", gzip.compress(b"01") + gzip.compress(b"2"), 200),
        ("br", b"01", 415),
        ("zstd", b"01", 415),
        ("deflate", b"01", 415),
        ("gzip, gzip", b"01", 415),
        ("identity", b"01", 200),
    ],
)
def test_what_is_not_packed_as_it_says_is_refused_and_never_taken_in_part(
    coding: str, body: bytes, expected: int
) -> None:
    async def talk(server: Guarded) -> None:
        head = post(server.address, *of_length(body, f"Content-Encoding: {coding}"))
        assert status(await answered(server.address, head, body)) == expected

    with_guard(talk)


def test_a_body_that_trickles_is_given_up() -> None:
    async def talk(server: Guarded) -> None:
        for head in (post(server.address, "Content-Length: 100"), post(server.address, "Transfer-Encoding: chunked")):
            said = await answered(server.address, head, b"5\r\n12")
            assert status(said) == 408
            assert b"did not come within 0.3 seconds" in said

    with_guard(talk, limits=SMALL)


def test_a_body_that_breaks_off_is_answered_nothing_and_harms_nobody() -> None:
    async def talk(server: Guarded) -> None:
        said = await answered(server.address, post(server.address, "Content-Length: 100"), b"12345", ends=True)
        assert status(said) in (0, 400)
        said = await answered(
            server.address, post(server.address, "Transfer-Encoding: chunked"), b"5\r\n12345\r\nZZ\r\n"
        )
        assert status(said) in (0, 400)
        assert status(await answered(server.address, request("GET", "/", server.address))) == 200

    with_guard(talk)


def test_large_bodies_that_trickle_hold_up_no_small_one() -> None:
    async def talk(server: Guarded) -> None:
        address = server.address
        large = [answered(address, post(address, "Content-Length: 5000"), b"x" * 2_000) for _ in range(4)]
        waiting = [asyncio.ensure_future(each) for each in large]
        await asyncio.wait(waiting, timeout=0.1)
        loop = asyncio.get_running_loop()
        before = loop.time()
        small = [
            await answered(address, post(address, "Content-Length: 900"), b"x" * 900),
            await answered(address, post(address, "Transfer-Encoding: chunked"), chunked(b"x" * 900)),
        ]
        assert [status(each) for each in small] == [200, 200]
        assert loop.time() - before < 3
        for each in waiting:
            each.cancel()
        assert len((await asyncio.wait(waiting))[0]) == 4

    with_guard(talk, limits=Limits(small_bytes=1_000, large_bodies=2, body_seconds=5))


# How long, and how many


def test_a_connection_that_never_asks_for_anything_is_closed() -> None:
    async def talk(server: Guarded) -> None:
        halves = (b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: a\r\nX-Long: " + b"y" * 5_000)
        found = await asyncio.gather(*(answered(server.address, half) for half in halves))
        assert found == [b"", b"", b""]

    with_guard(talk, limits=SMALL)


def test_a_connection_that_asked_once_is_closed_when_it_stays_idle() -> None:
    async def talk(server: Guarded) -> None:
        for rest in (b"", b"GET / HTTP/1.1\r\nHos"):
            said = await answered(server.address, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", rest)
            assert status(said) == 200

    with_guard(talk, limits=Limits(idle_seconds=0.2))


async def _opened(address: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, _, port = address.rpartition(":")
    return await asyncio.open_connection(host, int(port))


def test_of_too_many_connections_the_silent_ones_go_and_whoever_comes_is_served() -> None:
    async def talk(server: Guarded) -> None:
        asked = await _opened(server.address)
        asked[1].write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert (await asked[0].readuntil(b"\r\n")).startswith(b"HTTP/1.1 200")
        left = [await _opened(server.address) for _ in range(40)]
        for _ in range(20):
            assert status(await answered(server.address, request("GET", "/", server.address))) == 200
        asked[1].write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await asked[0].readuntil(b"\r\n\r\n")
        assert (await asked[0].readuntil(b"200")).endswith(b"200")
        gone = [each for each in left if await _is_closed(each[0])]
        assert len(gone) >= 31
        for _, writer in (asked, *left):
            writer.close()

    with_guard(talk, limits=Limits(connections=10))


async def _is_closed(reader: asyncio.StreamReader) -> bool:
    try:
        async with asyncio.timeout(0.02):
            return await reader.read(1) == b""
    except TimeoutError:
        return False
    except ConnectionError:
        return True


def test_where_all_have_asked_the_one_that_did_longest_ago_goes() -> None:
    async def talk(server: Guarded) -> None:
        kept = [await _opened(server.address) for _ in range(5)]
        for reader, writer in (*kept, *kept[:2]):
            writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 200")
            await reader.readuntil(b"\r\n\r\n0")
        assert status(await answered(server.address, request("GET", "/", server.address))) == 200
        assert [await _is_closed(reader) for reader, _ in kept] == [False, False, True, False, False]
        for _, writer in kept:
            writer.close()

    with_guard(talk, limits=Limits(connections=5))
