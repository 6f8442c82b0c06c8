"""The gate as a safety officer sees it: held, released, started; a case closed. Real browser, real service."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from playwright.sync_api import Page, expect

from monitor.demo.build import concept, message, once_daily
from tests.integration.chromium import chromium, violations
from tests.integration.live import Live

SITE = "lisbon"
RENEWED_WITHIN = 20_000  # milliseconds; the page asks every five seconds
TESTS = {
    "hiv": "loinc:56888-1", "hbsag": "loinc:5195-3", "anti-hbc": "loinc:16933-4", "anti-hcv": "loinc:16128-1",
    "igra": "loinc:71773-6",
}  # fmt: skip


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Live]:
    with Live(tmp_path) as started:
        yield started


@pytest.fixture
def page() -> Iterator[Page]:
    """A page that tells of every request it makes and everything it complains of."""
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 1000})
        yield page


class Patient:
    """Somebody whose messages are of now."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.now = datetime.now(UTC)
        self.sent = 0

    def says(self, kind: str, **body: Any) -> bytes:
        self.sent += 1
        at = (self.now + timedelta(seconds=self.sent)).isoformat()
        told = message(kind, SITE, f"{self.name}-{self.sent}", at, patient_id=f"identifier-of-{self.name}", **body)
        return json.dumps(told).encode()

    def treatment(self, kind: str, **body: Any) -> bytes:
        given = {"drug": concept("atc:L04AF03"), "indications": [concept("icd10:L20")], "dose": once_daily(15)}
        return self.says(kind, treatment_id=self.name, **given, **body)

    def negative(self, test: str) -> bytes:
        day = (self.now - timedelta(days=2)).date().isoformat()
        resulted = (self.now - timedelta(days=1)).isoformat()
        found = {"collected_on": day, "resulted_at": resulted, "outcome": "negative"}
        return self.says("screening_result", test=concept(TESTS[test]), **found)


def course(live: Live, treatment_id: str) -> str:
    return f"{live.url}course?site={SITE}&treatment_id={quote(treatment_id)}"


def watch(page: Page, live: Live) -> tuple[list[str], list[str]]:
    """(requests that left the machine, complaints of the console), both filled as they happen."""
    elsewhere: list[str] = []
    complaints: list[str] = []
    here = urlsplit(live.url).netloc
    page.on("request", lambda request: elsewhere.append(request.url) if urlsplit(request.url).netloc != here else None)
    page.on("console", lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    return elsewhere, complaints


def test_an_order_is_held_released_and_started_before_ones_eyes(live: Live, page: Page) -> None:
    anna = Patient("anna-1")
    elsewhere, complaints = watch(page, live)
    status, told = live.post(SITE, anna.treatment("treatment_ordered"))
    assert (status, told["answer"]["decision"]) == (200, "hold")
    page.goto(live.url)
    expect(page.locator("#attention")).to_contain_text("anna-1")
    expect(page.locator("#attention")).to_contain_text("On hold")
    for asked in ("HIV Ag Ab", "HBsAg", "anti HBc", "anti HCV", "IGRA"):
        expect(page.locator("#attention")).to_contain_text(asked)
    page.get_by_role("link", name="anna-1").first.click()
    expect(page.locator("main")).to_contain_text("on hold")
    for test in ("hiv", "hbsag", "anti-hbc", "anti-hcv"):
        assert live.post(SITE, anna.negative(test))[1] == {"status": "accepted"}
    expect(page.locator("main")).to_contain_text("anna-1-2", timeout=RENEWED_WITHIN)  # the evidence, without a reload
    expect(page.locator("main")).to_contain_text("on hold")  # tuberculosis is still open
    live.post(SITE, anna.negative("igra"))
    expect(page.locator("main")).to_contain_text("screening complete", timeout=RENEWED_WITHIN)
    today = anna.now.date().isoformat()
    status, told = live.post(SITE, anna.treatment("treatment_started", started_on=today))
    assert (status, told["answer"]["decision"]) == (200, "compliant")
    expect(page.locator("main")).to_contain_text("compliant", timeout=RENEWED_WITHIN)
    assert violations(page) == []
    page.goto(live.url)
    expect(page.locator("#attention")).not_to_contain_text("anna-1")
    assert (elsewhere, complaints) == ([], [])


def test_a_start_without_screening_is_a_case_until_a_named_person_closes_it(live: Live, page: Page) -> None:
    ben = Patient("ben-1")
    elsewhere, complaints = watch(page, live)
    started_on = ben.now.date().isoformat()
    _, told = live.post(SITE, ben.treatment("treatment_started", started_on=started_on))
    assert told["answer"]["decision"] == "violation"
    page.goto(course(live, "ben-1"))
    expect(page.locator("main")).to_contain_text("Dose given without proof of screening")
    assert violations(page) == []
    page.locator("details summary", has_text="Close").first.click()
    page.get_by_label("Name").fill("Dr. Rui Costa")
    page.get_by_label("Role").fill("safety officer")
    page.get_by_label("Reason").fill("Papers were on paper; seen by me.")
    page.get_by_role("button", name="Close").click()
    expect(page.locator("main")).to_contain_text("The case is closed.")
    _, actions = live.get("v1/actions")
    assert (actions["by"], actions["kind"], actions["treatment_id"]) == ("Dr. Rui Costa", "violation", "ben-1")
    page.goto(live.url)
    expect(page.locator("#attention")).not_to_contain_text("ben-1")
    live.restart(same_port=True)
    page.reload()
    expect(page.locator("#attention")).not_to_contain_text("ben-1")
    assert (elsewhere, complaints) == ([], [])


def test_the_page_says_so_when_the_service_is_gone_and_when_it_is_back(live: Live, page: Page) -> None:
    page.goto(live.url)
    live.kill9()
    expect(page.locator("#lost")).to_contain_text("Connection lost", timeout=RENEWED_WITHIN)
    live.restart(same_port=True)
    expect(page.locator("#lost")).to_be_hidden(timeout=RENEWED_WITHIN)


def test_two_reports_that_contradict_each_other_are_settled_by_a_named_person(live: Live, page: Page) -> None:
    cara = Patient("cara-1")
    elsewhere, complaints = watch(page, live)
    live.post(SITE, cara.treatment("treatment_ordered"))
    for test in ("hiv", "hbsag", "anti-hbc", "anti-hcv"):
        live.post(SITE, cara.negative(test))
    first = json.loads(cara.negative("igra")) | {"event_id": "cara-igra", "version": 1}
    for outcome in ("indeterminate", "negative"):
        _, told = live.post(SITE, json.dumps(first | {"outcome": outcome}).encode())
    assert told == {"status": "accepted", "conflict": True}
    page.goto(course(live, "cara-1"))
    expect(page.locator("main")).to_contain_text("conflicting")
    page.goto(live.url)
    settle = page.locator("#live-conflicts")
    settle.locator("summary", has_text="Settle this conflict").click()
    settle.get_by_role("radio", name="negative").check()
    settle.get_by_label("Name").fill("Dr. Rui Costa")
    settle.get_by_label("Role").fill("safety officer")
    settle.get_by_label("Reason").fill("The laboratory confirmed the second report.")
    settle.get_by_role("button", name="Settle").click()
    expect(page.locator("main")).to_contain_text("The conflict is settled")
    page.goto(course(live, "cara-1"))
    expect(page.locator("main")).to_contain_text("screening complete")
    assert violations(page) == []
    assert (elsewhere, complaints) == ([], [])
