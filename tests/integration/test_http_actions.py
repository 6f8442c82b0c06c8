"""What people decide over HTTP: it has its effect once, or is refused and leaves nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from monitor.demo.build import concept
from monitor.demo.cases import SCREENING_TESTS
from tests.integration.desk import POLICY, PROJECT
from tests.integration.live import Live
from tests.integration.ward import LISBON, SITES, answers, day, in_bulk, order, prescribed, results, said_on, start
from tests.integration.wire import FORM, JSON, Client, Said

CLOSE = json.dumps(
    {"action": "close_case", "site": "lisbon", "treatment_id": "no", "kind": "violation", "by": "a", "role": "b",
     "reason": "c"}
).encode()  # fmt: skip


# What people decide


def case_of(client: Client, course: str) -> list[str]:
    return [each["kind"] for each in client.get("/v1/overview").json["cases"] if each["treatment_id"] == course]


def close(client: Client, course: str, **more: Any) -> Said:
    closing = {"action": "close_case", "site": "lisbon", "treatment_id": course, "kind": "violation"}
    return client.act(**(closing | more))


def test_a_case_is_closed_by_a_person_and_opened_again_by_another_start(client: Client) -> None:
    assert client.post(LISBON, start("case")).json["answer"]["decision"] == "awaiting_evidence"
    client.post(LISBON, start("case-2", -20))
    assert case_of(client, "case-2") == ["violation"]
    closed = client.get("/v1/overview").json["closed_cases"]
    said = close(client, "case-2")
    assert (said.status, said.json["by"], said.json["treatment_id"]) == (200, "A. Person", "case-2")
    assert case_of(client, "case-2") == []
    assert client.get("/v1/overview").json["closed_cases"] == closed + 1
    assert answers(client, "case-2")["start"]["decision"] == "violation"  # it is closed, not undone
    moved = said_on(-1, "treatment_started", "case-2-s", "case-2-p", **prescribed("case-2"), started_on=day(-25))
    assert client.post(LISBON, moved).json["answer"]["cases"]
    assert case_of(client, "case-2") == ["violation"]


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"treatment_id": "unheard-of"}, 409), ({"kind": "unassessable"}, 409), ({"kind": "nonsense"}, 409),
        ({"site": "niue"}, 409), ({"site": "porto"}, 404), ({"site": "canary"}, 404), ({"site": "LISBON"}, 422),
        ({"at": "2026-01-01T00:00:00Z"}, 422), ({"at": None}, 422), ({"kind": 1}, 422), ({"by": ""}, 422),
        ({"role": None}, 422), ({"action_id": ""}, 422), ({"action_id": "a\x00b"}, 422), ({"schema": 2}, 422),
        ({"stray": 1}, 422), ({"action": "close_cases"}, 422), ({"action": "erase"}, 422), ({"site": ["lisbon"]}, 422),
        ({"reason": "x" * 70_000}, 413),
    ],
    ids=lambda value: str(value)[:40],
)  # fmt: skip
def test_what_cannot_be_decided_is_refused_and_leaves_nothing(
    client: Client, more: dict[str, Any], expected: int
) -> None:
    client.post(LISBON, start("refused", -20))
    before = client.get("/v1/actions").body
    said = close(client, "refused", **more)
    assert said.status == expected, said.body
    assert set(said.json) == {"error", "do"}
    assert client.get("/v1/actions").body == before
    assert case_of(client, "refused") == ["violation"]


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"[]", b"null", b"\xff", b"\xef\xbb\xbf" + CLOSE, CLOSE.decode().encode("utf-16"), CLOSE + CLOSE,
        CLOSE.replace(b'"no"', b"NaN"), CLOSE.replace(b'"no"', b'"\\ud800"'), b"[" * 60_000, b'{"a":' * 950,
        b'{"a":' * 950 + b"1" + b"}" * 950, CLOSE[:-1] + b',"site":"niue"}', CLOSE[:-1] + b',"action":"close_case"}',
        b"1" * 5_000, CLOSE[:-1] + b',"version":1e999}',
    ],
    ids=lambda body: repr(body[:30]),
)  # fmt: skip
def test_what_is_no_action_is_refused_without_a_fault(client: Client, body: bytes) -> None:
    said = client.post("/v1/actions", body)
    assert said.status in (400, 422), said.body
    assert set(said.json) == {"error", "do"}


def test_an_action_said_twice_has_its_effect_once_and_is_answered_as_it_was_kept(client: Client) -> None:
    client.post(LISBON, start("twice", -20))
    closed = client.get("/v1/overview").json["closed_cases"]
    first, again = (close(client, "twice", action_id="close-1") for _ in range(2))
    assert (first.status, again.status) == (200, 200)
    assert again.json == first.json
    assert client.get("/v1/overview").json["closed_cases"] == closed + 1
    assert [each["action_id"] for each in client.get("/v1/actions").lines].count("close-1") == 1
    other = close(client, "twice", action_id="close-1", reason="another one")
    assert (other.status, other.json["error"]) == (409, "this action_id names another decision")


def test_an_action_without_an_id_is_given_one_and_the_time_of_this_machine(client: Client) -> None:
    client.post(LISBON, start("unnamed", -20))
    before = datetime.now(UTC)
    said = close(client, "unnamed").json
    assert len(said["action_id"]) == 36
    assert before - timedelta(seconds=1) < datetime.fromisoformat(said["at"]) < datetime.now(UTC) + timedelta(seconds=1)


def test_a_conflict_is_settled_by_the_digest_of_what_stands(client: Client) -> None:
    in_bulk(client, results("dispute"))
    client.post(LISBON, order("dispute"))
    for outcome in ("negative", "positive"):
        body = {"collected_on": day(-10), "resulted_at": f"{day(-9)}T08:00:00Z", "outcome": outcome}
        line = said_on(-8, "screening_result", "dispute-x", "dispute-p", test=concept(SCREENING_TESTS["hiv"]), **body)
        told = client.post(LISBON, line).json
    assert told == {"status": "accepted", "conflict": True}
    assert answers(client, "dispute")["order"]["reasons"] == ["hiv:conflicting"]
    [conflict] = [each for each in client.get("/v1/result").json["open_conflicts"] if each["event_id"] == "dispute-x"]
    digests = [body["digest"] for body in conflict["bodies"]]
    settling = {"action": "settle_conflict", "site": "lisbon", "event_id": "dispute-x"}
    assert client.act(**settling, digest="0" * 64).status == 409
    assert client.act(**settling, digest=digests[0], source="lab").status == 409
    assert client.act(**settling, digest=digests[0]).status == 200
    decision = answers(client, "dispute")["order"]
    assert "hiv:conflicting" not in decision["reasons"]
    assert client.act(**settling, digest=digests[1]).status == 409
    assert all(each["event_id"] != "dispute-x" for each in client.get("/v1/result").json["open_conflicts"])


def test_a_waiver_lifts_what_is_missing_for_its_course_alone(client: Client) -> None:
    for course in ("waived", "unwaived"):
        in_bulk(client, results(course, "hbsag", "anti-hbc", "anti-hcv", "igra"))
        assert client.post(LISBON, order(course)).json["answer"]["reasons"] == ["hiv:missing"]
    waiver = {"action": "sign_waiver", "site": "lisbon", "infection": "hiv"}
    assert client.act(**waiver).status == 422
    assert client.act(**waiver, treatment_id="waived").status == 200
    decision = answers(client, "waived")["order"]
    assert (decision["decision"], decision["findings"]["hiv"]["finding"]) == ("screening_complete", "waived")
    assert answers(client, "unwaived")["order"]["decision"] == "hold"


def test_replay_of_the_same_lines_takes_the_actions_and_decides_the_same(tmp_path: Path) -> None:
    sites = tmp_path / "sites.yaml"
    sites.write_text(SITES)
    lines = [*results("r", "hbsag", "anti-hbc", "anti-hcv", "igra"), order("r"), start("late", -20)]
    with Live(tmp_path, "--sites", sites, "--policy", POLICY) as live, Client(live.url) as client:
        in_bulk(client, lines)
        assert client.act(action="sign_waiver", site="lisbon", infection="hiv", treatment_id="r").status == 200
        assert close(client, "late").status == 200
        (tmp_path / "actions.jsonl").write_bytes(client.get("/v1/actions").body)
        (tmp_path / "lines.jsonl").write_bytes(b"\n".join(lines))
        said = client.get(f"/v1/result?as_of={day(0)}")
    options = ("--sites", "sites.yaml", "--policy", POLICY, "--actions", "actions.jsonl", "--site", "lisbon")
    command = [sys.executable, "-m", "monitor", "replay", "lines.jsonl", *options]
    as_of = ("--as-of", said.json["as_of"])
    env = {"PYTHONPATH": str(PROJECT)}
    ended = subprocess.run([*map(str, command), *as_of], cwd=tmp_path, capture_output=True, check=True, env=env)
    assert [each["decision"] for each in said.json["decisions"]] == ["violation", "screening_complete"]
    assert ended.stdout == said.body


def test_a_form_leads_back_to_its_page(client: Client) -> None:
    client.post(LISBON, start("form", -20))
    form = {"site": "lisbon", "treatment_id": "form", "kind": "violation", "by": "a", "role": "b", "reason": "c"}
    said = client.post("/cases/close", urlencode(form).encode(), FORM)
    assert said.status == 303
    page = client.get(said.headers["location"])
    assert (page.status, "The case is closed." in page.body.decode()) == (200, True)
    assert case_of(client, "form") == []


@pytest.mark.parametrize(
    ("body", "kind", "expected"),
    [
        (b"site=lisbon", FORM, 422), (b"", FORM, 422), (b"a", FORM, 400), (b"\xff=1", FORM, 400), (CLOSE, JSON, 415),
        (b"&".join([b"a=1"] * 1_000), FORM, 400), (b"site=lisbon", "multipart/form-data; boundary=x", 415),
        (b"site=porto&treatment_id=x&kind=violation&by=a&role=b&reason=c", FORM, 404),
        (b"site=lisbon&treatment_id=%00%FF&kind=violation&by=a&role=b&reason=c", FORM, 409),
    ],
)  # fmt: skip
@pytest.mark.parametrize("path", ["/cases/close", "/conflicts/settle"])
def test_a_form_that_says_nothing_of_use_is_refused(
    client: Client, path: str, body: bytes, kind: str, expected: int
) -> None:
    said = client.post(path, body, kind)
    assert said.status == (422 if path == "/conflicts/settle" and expected in (404, 409) else expected)
    assert "Traceback" not in said.body.decode()
