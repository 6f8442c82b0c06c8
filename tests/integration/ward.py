"""A hospital's side of the wire: a `jakwatch run` with a registry, and messages as of some days ago."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from monitor.demo.build import concept, once_daily
from monitor.demo.cases import ATOPIC_DERMATITIS, SCREENING_TESTS, UPADACITINIB
from tests.data.valid_lines import compact
from tests.integration.desk import POLICY
from tests.integration.live import Live
from tests.integration.wire import NDJSON, Client

SITES = """\
registry: {name: wire, version: 1, effective_from: 2020-01-01, approved_by: tests}
sites:
  lisbon:
    zone: Europe/Lisbon
    go_live: 2020-01-01
    ids: {trim: true, leading_zeros: keep}
    feeds:
      treatment: {from: 2020-01-01, silent_after_days: 2}
      screening: {from: 2020-01-01, silent_after_days: 2, results_after_hours: 36}
      adverse_event: {from: 2020-01-01, silent_after_days: 14}
  kiritimati: {zone: Pacific/Kiritimati, go_live: 2020-01-01, ids: {trim: false, leading_zeros: strip}, feeds: {}}
  niue: {zone: Pacific/Niue, go_live: 2020-01-01, ids: {trim: false, leading_zeros: keep}, feeds: {}}
  madrid: {zone: Europe/Madrid, go_live: 2020-01-01, feeds: {}}
"""
LISBON = "/v1/sites/lisbon/messages"


@contextmanager
def ward(folder: Path) -> Iterator[Live]:
    """A process that knows four sites; it must come through what is done to it without a fault, and end well."""
    (folder / "sites.yaml").write_text(SITES)
    with Live(folder, "--sites", folder / "sites.yaml", "--policy", POLICY) as running:
        yield running
        assert "a bug" not in running.stderr
        assert "Traceback" not in running.stderr
        assert running.terminate() == 0


def day(offset: int) -> str:
    return (datetime.now(UTC).date() + timedelta(days=offset)).isoformat()


def said_on(offset: int, kind: str, event_id: str, patient: str, **body: Any) -> bytes:
    """A message recorded some days from today."""
    envelope = {"type": kind, "event_id": event_id, "recorded_at": f"{day(offset)}T09:00:00Z", "patient_id": patient}
    return compact(envelope | body)


def prescribed(course: str) -> dict[str, Any]:
    indications = [concept(ATOPIC_DERMATITIS)]
    return {"treatment_id": course, "drug": concept(UPADACITINIB), "indications": indications, "dose": once_daily(15)}


def order(course: str, offset: int = -12) -> bytes:
    return said_on(
        offset, "treatment_ordered", f"{course}-o", f"{course}-p", **prescribed(course), planned_start_on=day(10)
    )


def start(course: str, offset: int = -1) -> bytes:
    body = prescribed(course) | {"started_on": day(offset)}
    return said_on(offset, "treatment_started", f"{course}-s", f"{course}-p", **body)


def results(course: str, *tests: str) -> list[bytes]:
    """Negative results of ten days ago."""
    body = {"collected_on": day(-10), "resulted_at": f"{day(-9)}T08:00:00Z", "outcome": "negative"}
    return [
        said_on(-9, "screening_result", f"{course}-{test}", f"{course}-p", test=concept(SCREENING_TESTS[test]), **body)
        for test in tests or SCREENING_TESTS
    ]


def answers(client: Client, course: str, site: str = "lisbon") -> dict[str, Any]:
    said = client.get(f"/v1/sites/{site}/answers?{urlencode({'treatment_id': course})}")
    assert said.status == 200
    return {answer["kind"]: answer for answer in said.json["answers"]}


def in_bulk(client: Client, lines: list[bytes], site: str = "lisbon") -> list[Any]:
    said = client.post(f"/v1/sites/{site}/messages", b"".join(line + b"\n" for line in lines), NDJSON)
    assert said.status == 200, said.body
    return said.lines
