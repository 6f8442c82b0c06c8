"""What a hospital's program is answered to its messages over HTTP, by a real `jakwatch run`."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path

import pytest

from tests.data.valid_lines import VALID
from tests.integration.desk import POLICY
from tests.integration.live import Live
from tests.integration.ward import LISBON, answers, day, in_bulk, order, results, said_on, start
from tests.integration.wire import JSON, NDJSON, Client

# An order and its answer


def test_an_order_is_held_until_the_results_are_there_and_then_its_start_is_compliant(client: Client) -> None:
    held = client.post(LISBON, order("flow"))
    assert held.status == 200
    assert held.json["status"] == "accepted"
    answer = held.json["answer"]
    assert (answer["site"], answer["treatment_id"], answer["kind"], answer["decision"]) == (
        "lisbon", "flow", "order", "hold",
    )  # fmt: skip
    assert {name: found["ask_for"] for name, found in answer["findings"].items()} == {
        "hepatitis_b": ["anti_hbc", "hbsag"], "hepatitis_c": ["anti_hcv"], "hiv": ["hiv"],
        "tuberculosis": ["igra", "tst"],
    }  # fmt: skip
    assert answers(client, "flow") == {"order": answer}

    told = in_bulk(client, results("flow"))
    assert told == [{"line": number, "status": "accepted"} for number in range(1, 6)]
    complete = answers(client, "flow")["order"]
    assert (complete["decision"], complete["reasons"]) == ("screening_complete", [])
    assert complete["findings"]["hiv"] == {
        "finding": "excluded", "evidence": ["flow-hiv"], "ask_for": [], "marks": [], "row": 1,
    }  # fmt: skip
    assert complete["valid_until"] == day(-10 + 60)

    begun = client.post(LISBON, start("flow")).json["answer"]
    assert (begun["kind"], begun["decision"], begun["cases"], begun["dose_on"]) == ("start", "compliant", {}, day(-1))
    assert answers(client, "flow")["start"] == begun


def test_one_result_still_missing_is_what_is_asked_for(client: Client) -> None:
    in_bulk(client, results("almost", "hbsag", "anti-hbc", "anti-hcv", "igra"))
    answer = client.post(LISBON, order("almost")).json["answer"]
    assert (answer["decision"], answer["reasons"]) == ("hold", ["hiv:missing"])
    assert [found["ask_for"] for found in answer["findings"].values()] == [[], [], ["hiv"], []]


def test_of_many_each_order_and_start_has_its_decision(client: Client) -> None:
    lines = [*results("bulk"), order("bulk"), start("bulk"), order("bulk-2")]
    told = in_bulk(client, lines)
    assert told[5:] == [
        {"line": 6, "status": "accepted", "decision": "screening_complete", "valid_until": None},
        {"line": 7, "status": "accepted", "decision": "compliant", "valid_until": None},
        {"line": 8, "status": "accepted", "decision": "hold", "valid_until": day(70)},
    ]


def test_a_cancelled_order_is_answered_so_and_a_retracted_one_is_withdrawn(client: Client) -> None:
    client.post(LISBON, order("gone"))
    cancelled = said_on(-2, "treatment_cancelled", "gone-c", "gone-p", treatment_id="gone", cancelled_on=day(-2))
    assert client.post(LISBON, cancelled).json["answer"]["decision"] == "cancelled"
    for event in ("gone-o", "gone-c"):
        kind = "treatment_ordered" if event == "gone-o" else "treatment_cancelled"
        assert client.post(LISBON, said_on(-1, kind, event, "gone-p", status="entered_in_error")).status == 200
    assert answers(client, "gone")["order"]["decision"] == "withdrawn"


def test_what_nothing_is_known_of_has_no_answer_and_that_is_said_by_an_empty_list(client: Client) -> None:
    assert client.get("/v1/sites/lisbon/answers?treatment_id=never-heard-of").json == {"answers": []}


# What becomes of a message


def test_the_same_again_changes_nothing_and_is_answered_the_same(client: Client) -> None:
    once, twice = (client.post(LISBON, order("again")).json for _ in range(2))
    assert (once["status"], twice["status"]) == ("accepted", "duplicate")
    assert twice["answer"] == once["answer"]
    assert in_bulk(client, [order("again"), order("again")]) == [
        {"line": line, "status": "duplicate", "decision": "hold", "valid_until": day(70)} for line in (1, 2)
    ]


def test_what_contradicts_the_record_is_kept_and_said_to_be_a_conflict(client: Client) -> None:
    first, other, third = (said_on(-3, "patient_contact", "c-1", "c-p", seen_on=day(-each)) for each in (3, 4, 5))
    assert client.post(LISBON, first).json == {"status": "accepted"}
    assert client.post(LISBON, other).json == {"status": "accepted", "conflict": True}
    assert client.post(LISBON, first).json == {"status": "duplicate", "conflict": True}
    assert in_bulk(client, [third]) == [{"line": 1, "status": "accepted", "conflict": True}]
    later = said_on(-2, "patient_contact", "c-1", "c-p", seen_on=day(-3))
    assert client.post(LISBON, later).json == {"status": "accepted"}


@pytest.mark.parametrize("kind", sorted(VALID))
def test_a_valid_message_of_each_type_is_taken(client: Client, kind: str) -> None:
    said = client.post(LISBON, VALID[kind])
    assert (said.status, said.json["status"]) == (200, "accepted")
    assert said.headers["content-type"].startswith("application/json")


def test_lines_are_numbered_as_they_stand_whatever_ends_them(client: Client) -> None:
    contact = [said_on(-3, "patient_contact", f"n-{each}", "n-p", seen_on=day(-3)) for each in range(4)]
    body = b"\n \t\r\n" + contact[0] + b"\r\n\r\n\n" + contact[1] + b"\nnonsense\r\n" + contact[2] + b" \n\r\r\n"
    said = client.post(LISBON, body + contact[3], NDJSON)
    assert said.headers["content-type"] == NDJSON
    assert [(each["line"], each["status"]) for each in said.lines] == [
        (3, "accepted"), (6, "accepted"), (7, "rejected"), (8, "accepted"), (10, "accepted"),
    ]  # fmt: skip
    assert said.lines[2] == {
        "line": 7, "status": "rejected", "reason": "not_json", "path": "", "rule": "must be one complete JSON value",
    }  # fmt: skip


def test_a_line_may_have_65536_bytes_whatever_ends_it(client: Client) -> None:
    fits, exceeds = (VALID["prevention"].ljust(size) for size in (65_536, 65_537))
    for end in (b"\n", b"\r\n"):
        told = client.post(LISBON, end.join((fits, exceeds, fits)), NDJSON).lines
        assert [each.get("reason") for each in told] == [None, "too_large", None]
    assert (client.post(LISBON, fits).status, client.post(LISBON, exceeds).status) == (200, 413)


@pytest.mark.parametrize("body", [b"", b"\n", b"\r\n \t\n\n"])
def test_no_line_has_no_answer(client: Client, body: bytes) -> None:
    said = client.post(LISBON, body, NDJSON)
    assert (said.status, said.body) == (200, b"")


def received(client: Client) -> int:
    return int(client.get("/v1/result").json["messages"]["received"])


def test_ten_thousand_lines_are_taken_and_one_more_is_refused_whole(client: Client) -> None:
    before = received(client)
    for body in (b"x\n" * 10_001, b"\n" * 8_000_000, b"x" + b"\n" * 10_001 + b"x"):
        said = client.post(LISBON, body, NDJSON)
        assert (said.status, said.json["error"]) == (413, "more than 10000 lines")
    assert received(client) == before
    assert Counter(each["reason"] for each in in_bulk(client, [b"x"] * 10_000)) == {"not_json": 10_000}
    assert received(client) == before + 10_000


def test_packed_lines_are_taken_like_plain_ones(client: Client) -> None:
    body = b"\n".join(results("packed"))
    said = client.post(LISBON, gzip.compress(body), NDJSON, Content_Encoding="gzip")
    assert [each["status"] for each in said.lines] == ["accepted"] * 5
    cut = client.post(LISBON, gzip.compress(body)[:-20], NDJSON, Content_Encoding="gzip")
    assert (cut.status, cut.json["error"]) == (400, "the body is not gzip, or not all of it")


# Sites


def test_a_message_for_another_site_is_no_message_of_this_one(client: Client) -> None:
    said = client.post("/v1/sites/niue/messages", VALID["prevention"])
    assert (said.status, said.json["reason"], said.json["path"]) == (422, "site_mismatch", "site")


@pytest.mark.parametrize(
    "site",
    ["porto", "canary", "LISBON", "Lisbon", "lisbon%20", "%20lisbon", "lisb%C3%B6n", "-lisbon", "a" * 41, "%00",
     "lisbon%0A", "..%2Flisbon", "%FF", "lisbon;a", "lisbon%2F"],
)  # fmt: skip
def test_a_site_that_nobody_registered_is_not_there(client: Client, site: str) -> None:
    path = f"/v1/sites/{site}"
    asked = [
        client.post(f"{path}/messages", VALID["prevention"]),
        client.post(f"{path}/messages", VALID["prevention"] + b"\n", NDJSON),
        client.get(f"{path}/answers?treatment_id=t-1"),
    ]
    assert [each.status for each in asked] == [404] * 3
    assert all(set(each.json) == {"error", "do"} for each in asked)


def test_without_a_registry_a_site_is_whatever_can_be_the_name_of_one(tmp_path: Path) -> None:
    with Live(tmp_path, "--policy", POLICY) as live:
        found = {}
        for site in ("anywhere", "0", "a" * 40, "canary", "A", "a" * 41, "a%20b", "a%0A", "%C3%A9"):
            found[site], _ = live.ask(f"v1/sites/{site}/messages", VALID["prevention"], {"Content-Type": JSON})
        assert found == dict.fromkeys(("anywhere", "0", "a" * 40), 422) | dict.fromkeys(
            ("canary", "A", "a" * 41, "a%20b", "a%0A", "%C3%A9"), 404
        )  # 422: the line names lisbon
        overview = json.loads(live.ask("v1/overview")[1])
        assert [site["site"] for site in overview["sites"]] == ["0", "a" * 40, "anywhere"]


def test_what_the_policy_knows_no_code_of_is_said_at_once_and_is_evidence_of_nothing(client: Client) -> None:
    client.post(LISBON, order("strange"))
    unknown = {"test": {"codings": [{"system": "loinc", "code": "0-0"}]}, "outcome": "negative"}
    dated = {"collected_on": day(-3), "resulted_at": f"{day(-3)}T08:00:00Z"}
    result = said_on(-2, "screening_result", "strange-r", "strange-p", **unknown, **dated)
    assert client.post(LISBON, result).json == {"status": "accepted", "unmapped": ["test"]}
    assert in_bulk(client, [result]) == [{"line": 1, "status": "duplicate", "unmapped": ["test"]}]
    assert answers(client, "strange")["order"]["decision"] == "hold"


def test_a_finding_names_the_row_of_the_policy_that_was_hit(client: Client) -> None:
    in_bulk(client, results("rows"))
    findings = client.post(LISBON, order("rows")).json["answer"]["findings"]
    assert {name: (each["finding"], each["row"] is None) for name, each in findings.items()} == dict.fromkeys(
        ("hepatitis_b", "hepatitis_c", "hiv", "tuberculosis"), ("excluded", False)
    )
