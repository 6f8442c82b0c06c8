"""Bad lines over HTTP: the right status and reason, one by one and in bulk, and no identifier in anything said."""

from __future__ import annotations

import re
from collections import Counter

from monitor.demo.garbage import GARBAGE
from tests.data.bad_lines import BAD_LINES, BadLine
from tests.data.marked_lines import HISTORY, MARK, SPOILT
from tests.integration.desk import PROJECT
from tests.integration.live import Live
from tests.integration.ward import LISBON, day, in_bulk, said_on
from tests.integration.wire import FORM, NDJSON, Client, request, sent

SENDABLE = 8 << 20


def channel(bad: BadLine) -> str:
    """The site to which a bad line would be sent."""
    named = [site for site in ("kiritimati", "niue") if f'"site":"{site}"'.encode() in bad.line]
    return bad.channel or (named[0] if named else "lisbon")


def bad_lines() -> list[BadLine]:
    """Those that are bad over HTTP too, where the site need not be said and no line is without end."""
    known = [bad for bad in BAD_LINES if bad.name != "no site" and bad.channel != "porto"]
    return known + [BadLine(repr(line[:40]), line, reason) for line, reason in GARBAGE.items()]


def test_each_bad_line_alone_is_refused_for_its_reason(client: Client) -> None:
    statuses = {"not_json": 400, "too_large": 413}
    lines = bad_lines()
    assert len(lines) > 450
    for bad in lines:
        said = client.post(f"/v1/sites/{channel(bad)}/messages", bad.line)
        assert said.status == statuses.get(bad.reason, 422), bad.name
        if len(bad.line) > SENDABLE:
            assert said.json["error"] == "more than 8 MiB"
            continue
        assert {*said.json} == {"status", "reason", "path", "rule"}, bad.name
        assert (said.json["status"], said.json["reason"]) == ("rejected", bad.reason), bad.name
        assert not bad.path or said.json["path"] == bad.path, bad.name


def test_bad_lines_in_bulk_are_refused_one_by_one_and_the_good_among_them_are_taken(client: Client) -> None:
    good = said_on(-3, "patient_contact", "among-bad", "n-p", seen_on=day(-3))
    for site in ("lisbon", "niue", "kiritimati"):
        lines = [
            bad for bad in bad_lines()
            if channel(bad) == site and len(bad.line) < 100_000 and bad.line.strip(b" \t\r") and b"\n" not in bad.line
        ]  # fmt: skip
        told = in_bulk(client, [*(bad.line for bad in lines), good], site)
        assert [each.get("reason") for each in told[:-1]] == [bad.reason for bad in lines]
        assert told[-1]["status"] in ("accepted", "duplicate")


# Identifiers

OPEN_PATHS = (
    "/", "/v1/overview", "/v1/result", "/metrics", "/openapi.json", "/readyz", "/healthz",
    "/v1/sites/madrid/answers?treatment_id=t-1", "/v1/sites/lisbon/answers?treatment_id=t-1",
    "/course?site=lisbon&treatment_id=t-1", "/course?site=nowhere&treatment_id=x", "/nothing", "/v1/actions",
    "/v1/sites/lisbon/answers",
)  # fmt: skip
MAY_BE_SHOWN = ("event-", "course", "order", "twice", "corrected", "no-onset", "retracted", "src-", "e-1", "t-1")
"""Marks of what names a message or a course in the lists of what a person must mend."""


def test_no_identifier_is_in_anything_that_is_said(live: Live, client: Client) -> None:
    heard = [client.post(LISBON, line) for line in HISTORY]
    assert Counter(each.status for each in heard) == {200: len(HISTORY)}
    heard.append(client.post(LISBON, b"\n".join(HISTORY), NDJSON))
    sendable = [line for line in SPOILT if len(line) < 100_000]
    parts = [sendable[at : at + 100] for at in range(0, len(sendable), 100)]
    heard += [client.post(LISBON, b"\n".join(part), NDJSON) for part in parts]
    heard += [client.post(LISBON, line) for line in sendable[::20]]
    heard += [client.post(path, HISTORY[0], kind) for path in (LISBON, "/") for kind in ("text/plain", FORM, NDJSON)]
    heard += [client.post("/v1/actions", HISTORY[0]), client.post("/cases/close", HISTORY[0], FORM)]
    heard += [client.get(path, Accept=kind) for path in OPEN_PATHS for kind in ("*/*", "text/html")]
    heard.append(client.get(f"/v1/sites/lisbon/answers?treatment_id={MARK}-asked"))
    heard.append(client.get("/v1/result?as_of=" + MARK))
    raw = [sent(client.address, request("GET", f"/{MARK}-asked", client.address, b"", f"X: {MARK}-header\x01"))]
    said = b"\n".join([*(repr(each.headers).encode() + each.body for each in heard), *raw])
    assert len(heard) > 100
    assert len(said) > 500_000
    for text in (said.decode(), said.decode().encode().decode("unicode-escape"), live.stderr):
        assert not hidden_marks(text)
    assert not any(str(folder) in said.decode() for folder in (PROJECT, live.folder))


def hidden_marks(text: str) -> set[str]:
    found = {each.lower() for each in re.findall(rf"(?i){MARK}-?([-\w]*)", text)}
    return {each for each in found if not each.startswith(MAY_BE_SHOWN)}


def test_the_marks_would_be_seen() -> None:
    said = b"\n".join(HISTORY).decode()
    assert {"patient-", "merged", "text-drug-m"} <= {each.partition("\\")[0] for each in hidden_marks(said)}
