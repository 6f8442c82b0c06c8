"""Messages that are valid, and that nobody thought of: they stop nobody and hold nobody up."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.data.good_history import good_lines
from tests.data.valid_lines import VALID
from tests.integration.desk import PROJECT, Desk, conserves, with_

GOOD = good_lines()


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


STRANGE = {
    "planned for the end of the calendar": with_("treatment_ordered", planned_start_on="9999-12-31"),
    "planned in the first year": with_("treatment_ordered", planned_start_on="0001-01-01"),
    "started in the first year": with_("treatment_started", started_on="0001-01-01", started_at=None),
    "recorded a thousand years ago": with_("patient_contact", recorded_at="1000-01-01T00:00:00Z", seen_on="0001-01-01"),
    "a condition until the end": with_(
        "patient_profile",
        conditions=[{**json.loads(VALID["patient_profile"])["conditions"][0], "since": "0001", "until": "9999-12-31"}],
    ),
    "born in the first year": with_("patient_profile", birth_year=1, died_on="0001-01-01", conditions=None),
    "supplied for ever": with_("patient_contact", days_supplied=3_000_000),
    "a dose of next to nothing": VALID["treatment_started"].replace(b'"amount":15', b'"amount":1e-300'),
    "a dose beyond all measure": VALID["treatment_started"].replace(b'"amount":15', b'"amount":1e300'),
    "a result beyond all measure": VALID["screening_result"].replace(b'"value":10', b'"value":-1e300'),
    "a version of nineteen digits": with_("prevention", version=2**63 - 1),
    "a merge with oneself": with_("patient_merged", merged_patient_id="p-1"),
}


@pytest.mark.parametrize("name", STRANGE)
def test_one_strange_message_stops_nobody(desk: Desk, name: str) -> None:
    alone = json.loads(desk.printed(desk.lines(GOOD)))
    result = json.loads(desk.printed(desk.lines([STRANGE[name], *GOOD]), "--as-of", alone["as_of"]))
    assert conserves(result["messages"])
    others = [row for row in result["decisions"] if row["treatment_id"] != "t-1"]
    assert others == alone["decisions"]


def test_a_dose_of_sixty_thousand_digits_holds_nobody_up(desk: Desk) -> None:
    digits = b"15." + b"0" * 60_000 + b"1"
    path = desk.lines([VALID["treatment_started"].replace(b'"amount":15', b'"amount":' + digits), *GOOD])
    command = [sys.executable, "-m", "monitor", "replay", str(path), "--sites", str(desk.sites)]
    result = subprocess.run(command, capture_output=True, timeout=30, check=False, cwd=PROJECT)
    assert result.returncode == 0
    assert json.loads(result.stdout)["messages"]["accepted"] > 800
