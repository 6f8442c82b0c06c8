"""Who may ask, from where, and in which words it is refused: the guard around a handler of the test's own."""

from __future__ import annotations

import base64
import json

import pytest
from aiohttp import web

from monitor.web.connections import HEADERS
from monitor.web.guard import Guard, Tokens, is_loopback
from tests.integration.wire import (
    Guarded,
    Handler,
    answered,
    request,
    status,
    with_guard,
)

WRITE, READ = "write-token-0123456789", "read-token-0123456789"
BOTH = Tokens(WRITE, READ)


def said_to(
    *more: str, method: str = "GET", path: str = "/", host: str | None = None, tokens: Tokens | None = None
) -> bytes:
    """What the guard answers to one request; `{address}` in a header is its own."""
    found = []

    async def talk(server: Guarded) -> None:
        headers = [each.replace("{address}", server.address) for each in more]
        found.append(await answered(server.address, request(method, path, host or server.address, b"", *headers)))

    with_guard(talk, tokens=tokens)
    return found[0]


# Who


@pytest.mark.parametrize(
    ("host", "is_here"),
    [
        ("127.0.0.1", True), ("127.9.9.9", True), ("localhost", True), ("LOCALHOST.", True), ("::1", True),
        ("[::1]", True), ("0.0.0.0", False), ("::", False), ("", False), ("127.0.0.1.evil.org", False),  # noqa: S104
        ("localhost.evil.org", False), ("evil.localhost", False), ("192.168.1.1", False), ("2130706433", False),
    ],
)  # fmt: skip
def test_only_addresses_of_this_machine_are_loopback(host: str, is_here: bool) -> None:
    assert is_loopback(host) is is_here


def basic(token: str, user: str = "anybody") -> str:
    return "Authorization: Basic " + base64.b64encode(f"{user}:{token}".encode()).decode()


@pytest.mark.parametrize(
    ("header", "reads", "writes"),
    [
        (f"Authorization: Bearer {WRITE}", 200, 200),
        (f"authorization: bearer   {WRITE}", 200, 200),
        (f"Authorization: Bearer {READ}", 200, 403),
        (basic(WRITE), 200, 200),
        (basic(READ), 200, 403),
        (basic(WRITE, user=""), 200, 200),
        (f"Authorization: Bearer {WRITE}x", 403, 403),
        (f"Authorization: Bearer {WRITE[:-1]}", 403, 403),
        (basic("wrong"), 403, 403),
        ("Authorization: Bearer ", 403, 403),
        ("Authorization: Bearer \u00ff\u0142", 403, 403),
        ("X-Nothing: at all", 401, 401),
        (f"Authorization: {WRITE}", 401, 401),
        (f"Authorization: Digest {WRITE}", 401, 401),
        ("Authorization: Basic ???", 401, 401),
        ("Authorization: Basic " + base64.b64encode(b"\xff:\xfe").decode(), 401, 401),
        (f"Cookie: token={WRITE}", 401, 401),
    ],
)
def test_a_token_reads_or_writes_or_does_neither(header: str, reads: int, writes: int) -> None:
    for method, expected in (("GET", reads), ("HEAD", reads), *((each, writes) for each in ("POST", "PUT", "DELETE"))):
        assert status(said_to(header, method=method, tokens=BOTH)) == expected, method


def test_whoever_has_no_token_is_told_how_to_show_one_and_never_what_it_is() -> None:
    said = said_to(tokens=BOTH)
    assert b'WWW-Authenticate: Basic realm="jakwatch"' in said
    assert not any(token.encode() in said for token in (WRITE, READ))


def test_the_token_in_the_address_is_no_token() -> None:
    assert status(said_to(path=f"/?token={WRITE}&access_token={WRITE}", tokens=BOTH)) == 401


def test_on_loopback_nobody_needs_a_token() -> None:
    assert [status(said_to(method=method)) for method in ("GET", "POST")] == [200, 200]


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_health_is_told_to_everybody(path: str) -> None:
    assert status(said_to(path=path, tokens=BOTH, host="evil.org")) == 200


def test_while_the_log_is_read_all_but_health_is_refused_for_now() -> None:
    async def talk(server: Guarded) -> None:
        server.health.loading = True
        for path, expected in (("/", 503), ("/v1/overview", 503), ("/healthz", 200), ("/healthz/", 503)):
            said = await answered(server.address, request("GET", path, server.address))
            assert status(said) == expected, path
            assert (b"Retry-After: 2" in said) is (expected == 503)

    with_guard(talk)


# From where


@pytest.mark.parametrize(
    "host",
    [
        "evil.org", "evil.org:8321", "127.0.0.1.evil.org", "localhost.evil.org", "[::1", "\u2100.org", "@",
        "127.0.0.1@evil.org", "user:127.0.0.1", "0.0.0.0", "127.1", "",  # noqa: S104
    ],
)  # fmt: skip
def test_a_name_that_was_pointed_at_this_machine_is_not_served(host: str) -> None:
    for method in ("GET", "POST"):
        said = said_to(method=method, host=host or " ")
        assert status(said) == 421, said


@pytest.mark.parametrize("host", ["localhost", "LocalHost:80", "127.0.0.1", "[::1]:8321", "127.0.0.2:1"])
def test_the_names_of_this_machine_are_served(host: str) -> None:
    assert status(said_to(host=host)) == 200


def test_with_tokens_any_name_is_served() -> None:
    assert status(said_to(f"Authorization: Bearer {READ}", host="jakwatch.hospital.example", tokens=BOTH)) == 200


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.org", "null", "", "http://localhost", "http://127.0.0.1", "http://[", "http://{address}.evil.org",
        "http://{address}/", "http://evil@{address}", "http://{address} http://evil.org",
    ],
)  # fmt: skip
def test_another_page_changes_nothing_with_or_without_a_token(origin: str) -> None:
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        assert status(said_to(f"Origin: {origin}", method=method)) == 403
        assert status(said_to(f"Origin: {origin}", basic(WRITE), method=method, tokens=BOTH)) == 403


def test_our_own_page_and_programs_may_change_something() -> None:
    assert status(said_to("Origin: http://{address}", method="POST")) == 200
    assert status(said_to("Origin: https://{address}", basic(WRITE), method="POST", tokens=BOTH)) == 200


# In which words


def failing(_: Guard) -> Handler:
    async def handler(request: web.BaseRequest) -> web.Response:
        match request.path:
            case "/elsewhere":
                raise web.HTTPSeeOther("/there?a=b")
            case "/spoilt":
                raise web.HTTPBadRequest(reason="Zq7-reason")
            case "/fault":
                raise KeyError("Zq7-fault")
        raise web.HTTPNotFound(text="Zq7-text")

    return handler


@pytest.mark.parametrize(
    "sent",
    [
        b"Zq7-garbage\r\n\r\n", b"Zq7 / HTTP/1.1\r\n\r\n", b"GET /Zq7 HTTP/9.9\r\n\r\n", b"\x16\x03\x01Zq7\r\n\r\n",
        b"GET / HTTP/1.1\r\nZq7 name: a\r\n\r\n", b"GET / HTTP/1.1\r\nA: Zq7\x00\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n",
        b"GET /" + b"Zq7" * 9_000 + b" HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\nA: " + b"Zq7" * 9_000 + b"\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: Zq7\r\n\r\n", b"GET /\xffZq7 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", b"GET http://[Zq7 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nZq7",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nZq7",
        b"GET / HTTP/1.1\r\n" + b"".join(b"A%d: Zq7\r\n" % each for each in range(500)) + b"\r\n",
    ],
)  # fmt: skip
def test_what_is_no_http_is_refused_in_our_words_and_quoted_to_nobody(
    sent: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async def talk(server: Guarded) -> None:
        said = await answered(server.address, sent)
        assert status(said) in (400, 421), said
        assert b"Zq7" not in said
        assert_headers(said)
        assert status(await answered(server.address, request("GET", "/", server.address))) == 200

    with_guard(talk)
    assert "a bug" not in caplog.text


def assert_headers(said: bytes) -> None:
    for name, value in HEADERS.items():
        assert said.count(f"{name}: {value}\r\n".encode()) == 1, name
    assert said.count(b"\r\nServer:") == 1


@pytest.mark.parametrize(
    ("path", "expected"), [("/elsewhere", 303), ("/fault", 500), ("/nothing", 404), ("/spoilt", 400)]
)
def test_every_answer_has_the_headers_and_no_word_of_an_exception(
    path: str, expected: int, caplog: pytest.LogCaptureFixture
) -> None:
    async def talk(server: Guarded) -> None:
        said = await answered(server.address, request("GET", path, server.address))
        assert status(said) == expected
        assert_headers(said)
        assert b"Zq7" not in said
        assert (b"\r\nLocation: /there?a=b\r\n" in said) is (expected == 303)

    with_guard(talk, handler=failing)
    assert "Zq7" not in caplog.text
    assert ("a bug" in caplog.text) is (path == "/fault")


def test_requests_in_a_row_on_one_connection_are_answered_in_their_order() -> None:
    async def talk(server: Guarded) -> None:
        each = [
            f"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: {n}\r\n\r\n".encode() + b"x" * n for n in range(50)
        ]
        said = await answered(server.address, b"".join(each), request("GET", "/", server.address))
        bodies = [part.partition(b"\r\n\r\n")[2] for part in said.split(b"HTTP/1.1 200 OK\r\n")[1:]]
        assert bodies == [str(n).encode() for n in [*range(50), 0]]

    with_guard(talk)


def test_a_refusal_in_the_middle_of_a_row_spoils_no_other() -> None:
    async def talk(server: Guarded) -> None:
        good = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
        bad = b"GET / HTTP/1.1\r\nHost: evil.org\r\n\r\n"
        said = await answered(server.address, good + bad + good, request("GET", "/", server.address))
        assert [int(part[:3]) for part in said.split(b"HTTP/1.1 ")[1:]] == [200, 421, 200, 200]

    with_guard(talk)


def test_refusals_are_json_with_what_is_wrong() -> None:
    body = said_to(host="evil.org").partition(b"\r\n\r\n")[2]
    assert json.loads(body) == {"error": "this host is not served here"}
