"""All that is served, to whom, and how: each promised status, headers, methods, files, tokens, TLS."""

from __future__ import annotations

import base64
import json
import ssl
import subprocess
from collections.abc import Callable
from http.client import HTTPSConnection
from pathlib import Path
from urllib.parse import urlsplit

import jsonschema
import pytest

from monitor.web.connections import HEADERS
from monitor.web.openapi import document
from tests.data.marked_lines import MARK
from tests.data.valid_lines import VALID
from tests.integration.desk import POLICY
from tests.integration.live import Live
from tests.integration.ward import LISBON
from tests.integration.wire import FORM, JSON, Client, Said, request, sent, status

# Every status that the document promises


def posted(path: str, body: bytes, kind: str = JSON, **headers: str) -> Callable[[Client], Said]:
    return lambda client: client.post(path, body, kind, **headers)


def got(path: str, **headers: str) -> Callable[[Client], Said]:
    return lambda client: client.get(path, **headers)


CLOSE = json.dumps(
    {"action": "close_case", "site": "lisbon", "treatment_id": "no", "kind": "violation", "by": "a", "role": "b",
     "reason": "c"}
).encode()  # fmt: skip
MESSAGES, ANSWERS = "/v1/sites/{site}/messages", "/v1/sites/{site}/answers"
EVIL = {"Host": "evil.org"}
PROMISED: dict[tuple[str, str, int], Callable[[Client], Said]] = {
    ("post", MESSAGES, 200): posted(LISBON, VALID["prevention"]),
    ("post", MESSAGES, 400): posted(LISBON, b"{"),
    ("post", MESSAGES, 403): posted(LISBON, VALID["prevention"], Origin="https://evil.org"),
    ("post", MESSAGES, 404): posted("/v1/sites/porto/messages", VALID["prevention"]),
    ("post", MESSAGES, 413): posted(LISBON, b" " * 65_537),
    ("post", MESSAGES, 415): posted(LISBON, VALID["prevention"], "text/plain"),
    ("post", MESSAGES, 421): posted(LISBON, VALID["prevention"], **EVIL),
    ("post", MESSAGES, 422): posted(LISBON, b"{}"),
    ("get", ANSWERS, 200): got("/v1/sites/lisbon/answers?treatment_id=t-1"),
    ("get", ANSWERS, 404): got("/v1/sites/porto/answers?treatment_id=t-1"),
    ("get", ANSWERS, 421): got("/v1/sites/lisbon/answers?treatment_id=t-1", **EVIL),
    ("get", ANSWERS, 422): got("/v1/sites/lisbon/answers"),
    ("get", "/v1/overview", 200): got("/v1/overview"),
    ("get", "/v1/overview", 421): got("/v1/overview", **EVIL),
    ("get", "/v1/result", 200): got("/v1/result?as_of=2026-01-31"),
    ("get", "/v1/result", 421): got("/v1/result", **EVIL),
    ("get", "/v1/result", 422): got("/v1/result?as_of=2026-02-31"),
    ("get", "/v1/actions", 200): got("/v1/actions"),
    ("get", "/v1/actions", 421): got("/v1/actions", **EVIL),
    ("post", "/v1/actions", 200): posted(
        "/v1/actions",
        json.dumps(
            {"action": "sign_waiver", "site": "lisbon", "infection": "hiv", "treatment_id": "no", "by": "a",
             "role": "b", "reason": "c"}
        ).encode(),
    ),
    ("post", "/v1/actions", 400): posted("/v1/actions", b"\xff"),
    ("post", "/v1/actions", 403): posted("/v1/actions", CLOSE, Origin="null"),
    ("post", "/v1/actions", 404): posted("/v1/actions", CLOSE.replace(b"lisbon", b"porto")),
    ("post", "/v1/actions", 409): posted("/v1/actions", CLOSE),
    ("post", "/v1/actions", 413): posted("/v1/actions", CLOSE + b" " * 66_000),
    ("post", "/v1/actions", 415): posted("/v1/actions", CLOSE, FORM),
    ("post", "/v1/actions", 421): posted("/v1/actions", CLOSE, **EVIL),
    ("post", "/v1/actions", 422): posted("/v1/actions", CLOSE.replace(b"kind", b"sort")),
    ("get", "/healthz", 200): got("/healthz"),
    ("get", "/readyz", 200): got("/readyz"),
}  # fmt: skip
ELSEWHERE = {401, 408, 503}
"""Statuses that tests of tokens, of slow bodies, of full disks and of loading show."""


@pytest.mark.parametrize("promise", PROMISED, ids=str)
def test_each_promised_status_is_answered_as_the_document_says(client: Client, promise: tuple[str, str, int]) -> None:
    method, path, expected = promise
    said = PROMISED[promise](client)
    assert said.status == expected, said.body
    whole = document()
    promised = whole["paths"][path][method]["responses"][str(expected)]["content"]
    kind = said.headers["content-type"].partition(";")[0]
    assert kind in promised
    if kind == JSON:
        jsonschema.validate(said.json, {**promised[kind]["schema"], "components": whole["components"]})


def test_the_document_promises_no_other_status() -> None:
    promised = {
        (method, path, int(code))
        for path, operations in document()["paths"].items()
        for method, operation in operations.items()
        if method != "parameters"
        for code in operation["responses"]
    }
    never = {(method, path, 403) for method, path, code in promised if method == "get" and code == 403}  # by tokens
    assert {each for each in promised if each[2] not in ELSEWHERE} - never == set(PROMISED)


def test_the_document_is_served_as_it_is(client: Client) -> None:
    said = client.get("/openapi.json")
    assert said.headers["content-type"] == JSON
    assert said.json == document()


# The rest of what is served


def test_a_scrape_has_exactly_the_type_that_prometheus_reads(client: Client) -> None:
    said = client.get("/metrics")
    assert said.status == 200
    assert said.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"


@pytest.mark.parametrize(
    "path",
    [
        "/", "/course?site=lisbon&treatment_id=x", "/static/style.css", "/static/live.js", "/static/icon.svg",
        "/metrics", "/healthz", "/readyz", "/openapi.json", "/v1/overview", "/v1/result", "/v1/actions", "/nothing",
        "/static/", "/static/nothing.css", "/v1/sites/porto/answers?treatment_id=x", LISBON, "/cases/close",
    ],
)  # fmt: skip
def test_every_response_has_the_headers_that_keep_a_browser_safe(client: Client, path: str) -> None:
    for accept in ("*/*", "text/html"):
        said = client.get(path, Accept=accept)
        assert {name: said.headers.get(name.lower()) for name in HEADERS} == HEADERS
        assert "access-control-allow-origin" not in said.headers
        assert "set-cookie" not in said.headers
        looked = client.ask("HEAD", path, Accept=accept)
        assert (looked.status, looked.body) == (said.status, b"")


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND"])
@pytest.mark.parametrize("path", ["/", "/v1/overview", LISBON, "/static/style.css", "/nothing"])
def test_other_methods_are_refused_and_say_which_are_not(client: Client, method: str, path: str) -> None:
    said = client.ask(method, path, b"{}" if method in ("PUT", "PATCH") else None)
    assert said.status == (404 if path == "/nothing" else 405)
    assert said.status == 404 or said.headers["allow"] in ("GET,HEAD", "POST")


@pytest.mark.parametrize(
    "path",
    [
        "/static/../pages.py", "/static/%2e%2e/pages.py", "/static/..%2fpages.py", "/static/..%5cpages.py",
        "/static//etc/passwd", "/static/%2fetc%2fpasswd", "//etc/passwd", "/static/style.css/../../pages.py",
        "/static/%00", "/static/style.css%00", "/static/.%2e/.%2e/.%2e/pyproject.toml", "/static/%252e%252e/pages.py",
        "/../pages.py", "/static/..;/pages.py", "/static/templates/base.html", "/templates/base.html",
    ],
)  # fmt: skip
def test_nothing_but_the_static_files_is_served_as_such(client: Client, path: str) -> None:
    said = sent(client.address, request("GET", path, client.address))
    assert status(said) == 404, said[:300]
    assert b"import" not in said
    assert b"root:" not in said


def test_whatever_is_expected_but_to_go_on_is_refused_in_our_words(client: Client) -> None:
    said = client.post(LISBON, VALID["prevention"], Expect=f"{MARK}-expected")
    assert said.status == 417
    assert MARK.encode() not in said.body
    refused = sent(client.address, request("POST", LISBON, "evil.org", b"{}", "Expect: 100-continue"))
    assert status(refused) == 421
    taken = sent(client.address, request("POST", LISBON, client.address, b"{}", "Expect: 100-continue"))
    assert (status(taken), b"\r\n\r\nHTTP/1.1 422" in taken) == (100, True)


def test_a_refusal_is_a_page_for_a_person_and_json_for_a_program(client: Client) -> None:
    page, told = (client.get("/nothing", Accept=accept) for accept in ("text/html,*/*;q=0.8", "*/*"))
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "there is nothing here" in page.body.decode().lower()
    assert set(told.json) == {"error", "do"}


# Beyond loopback

WRITE, READ = "w" * 20, "r" * 20


def test_whoever_may_only_read_is_offered_no_form_to_write(tmp_path: Path) -> None:
    options: list[str | Path] = ["--policy", POLICY]
    for name, token in (("write", WRITE), ("read", READ)):
        (tmp_path / name).write_text(token)
        (tmp_path / name).chmod(0o600)
        options += [f"--{name}-token", tmp_path / name]
    with Live(tmp_path, *options) as live:
        pages = [live.ask("", headers={"Authorization": f"Bearer {token}"})[1].decode() for token in (WRITE, READ)]
    assert ["You are reading only" in page for page in pages] == [False, True]


def test_beyond_loopback_each_request_shows_a_token_and_all_is_said_over_tls(tmp_path: Path) -> None:
    for name, token in (("write", WRITE), ("read", READ)):
        (tmp_path / name).write_text(token + "\n")
        (tmp_path / name).chmod(0o600)
    new = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1"
    made = [*new.split(), "-keyout", "key.pem", "-out", "cert.pem"]
    subprocess.run(made, cwd=tmp_path, check=True, stderr=subprocess.PIPE)
    options = ["--host", "0.0.0.0", "--policy", POLICY]  # noqa: S104
    for option, name in (
        ("write-token", "write"),
        ("read-token", "read"),
        ("tls-cert", "cert.pem"),
        ("tls-key", "key.pem"),
    ):
        options += [f"--{option}", tmp_path / name]
    with Live(tmp_path, *options) as live:
        assert live.url.startswith("https://")
        url = f"https://127.0.0.1:{urlsplit(live.url).port}"
        trust = ssl.create_default_context(cafile=str(tmp_path / "cert.pem"))
        asked = [
            over_tls(url, trust, method, path, token)
            for method, path in (("GET", "/v1/overview"), ("POST", "/v1/sites/any/messages"), ("GET", "/healthz"))
            for token in (WRITE, READ, "wrong", "")
        ]
        assert asked == [200, 200, 403, 401, 422, 403, 403, 401, 200, 200, 200, 200]
        plain = sent(f"127.0.0.1:{urlsplit(url).port}", request("GET", "/", "127.0.0.1"))
        assert b"HTTP/1" not in plain
        assert over_tls(url, trust, "GET", "/", READ) == 200
        assert not any(token in live.stderr for token in (WRITE, READ))
        assert live.terminate() == 0
        assert "a bug" not in live.stderr


def over_tls(url: str, trust: ssl.SSLContext, method: str, path: str, token: str) -> int:
    connection = HTTPSConnection(urlsplit(url).netloc, context=trust, timeout=60)
    shown = base64.b64encode(f"me:{token}".encode()).decode()
    headers = {"Authorization": f"Basic {shown}"} if token else {}
    connection.request(method, path, b"{}" if method == "POST" else None, {"Content-Type": JSON, **headers})
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status
