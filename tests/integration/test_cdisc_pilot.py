"""A real trial, from its csv files to rates: everything is recomputed here with numpy straight from the csv.

The CDISC pilot study compared placebo with xanomeline patches in two doses. Its data belong to others and are not part
of the project; without them these tests are skipped. JAKWATCH_CDISC_DIR names a folder with its ex.csv and ae.csv.

The recomputation shares nothing with the product but the contract: a matrix of patients by days says who was exposed
and who at risk, and everything is counted in it.
"""

from __future__ import annotations

import csv
import json
import os
from calendar import monthrange
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray
from scipy.stats import chi2

from monitor.commands.import_ import command
from monitor.core.decode import Decoded, decode
from monitor.policyfile import load_policies
from monitor.replay import replay_files

REPOSITORY = Path(__file__).resolve().parents[2]
FOLDER = Path(os.environ.get("JAKWATCH_CDISC_DIR") or REPOSITORY.parent / "shared" / "data" / "cdisc-pilot")
POLICY = REPOSITORY / "tests" / "data" / "cdisc-policy.yaml"
pytestmark = pytest.mark.skipif(
    not all((FOLDER / name).is_file() for name in ("ex.csv", "ae.csv")),
    reason="the CDISC pilot data are not there: JAKWATCH_CDISC_DIR names a folder with ex.csv and ae.csv",
)

# The values of the policy file, and what they mean.
GRACE, TAIL, WINDOWS = 180, 30, (90, 365)
TAIL_OF = {"any": TAIL, "fatal": TAIL, "itching": TAIL, "serious": TAIL, "serious_ever": None}
ITCHING = {"PRURITUS", "APPLICATION SITE PRURITUS"}
COHORTS = ("both_arms", "placebo", "xanomeline", "xanomeline_by_dose:54", "xanomeline_by_dose:81")
LATE, IN_THE_MIDDLE = date(2015, 3, 5), date(2013, 9, 30)

Ints = NDArray[np.int64]
Table = NDArray[np.bool_]
"""Patients by days."""


def rows_of(name: str) -> list[dict[str, str]]:
    with (FOLDER / name).open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def first_and_last(text: str) -> tuple[int, int]:
    """The days that a date, a month or a year may mean."""
    parts = [int(part) for part in text.split("-")]
    year, month, day = (*parts, 0, 0)[:3]
    last_day = day or monthrange(year, month or 12)[1]
    return date(year, month or 1, day or 1).toordinal(), date(year, month or 12, last_day).toordinal()


def first_day(text: str) -> int:
    return first_and_last(text)[0]


@dataclass(frozen=True)
class Event:
    patient: int
    first: int  # the days its onset may mean
    last: int
    recorded: int
    aesis: frozenset[str]


class Trial:
    """The study as matrices of patients by days, from the first dose of all to well after `as_of`."""

    def __init__(self, as_of: date) -> None:
        self.ex, self.ae = rows_of("ex.csv"), rows_of("ae.csv")
        self.patients = {name: index for index, name in enumerate(sorted({row["USUBJID"] for row in self.ex}))}
        self.start = min(first_day(row["EXSTDTC"]) for row in self.ex)
        self.days = np.arange(self.start, LATE.toordinal() + GRACE)
        self.known = self.days <= as_of.toordinal()
        self.windows = {"cumulative": self.known} | {
            size: self.known & (self.days > as_of.toordinal() - size) for size in WINDOWS
        }

    @cached_property
    def events(self) -> list[Event]:
        return [self._event(row) for row in self.ae]

    def _event(self, row: dict[str, str]) -> Event:
        first, last = first_and_last(row["AESTDTC"])
        dates = [first, *(first_day(row[column]) for column in ("AEDTC", "AEENDTC") if row[column] != "NA")]
        fatal = row["AEOUT"] == "FATAL"
        flags = ("AESER", "AESDTH", "AESLIFE", "AESHOSP", "AESDISAB", "AESCONG")
        serious = fatal or any(row[flag] == "Y" for flag in flags)
        holds = {"any": True, "serious": serious, "serious_ever": serious, "fatal": fatal}
        holds["itching"] = row["AEDECOD"] in ITCHING
        aesis = frozenset(name for name, true in holds.items() if true)
        return Event(self.patients[row["USUBJID"]], first, last, max(dates), aesis)

    @cached_property
    def last_contact(self) -> Ints:
        """Per patient the latest day of a dose, or of the onset or end of an adverse event."""
        latest = np.zeros(len(self.patients), np.int64)
        for row in self.ex:
            self._raise(latest, row["USUBJID"], [row["EXSTDTC"], row["EXENDTC"]])
        for row in self.ae:
            self._raise(latest, row["USUBJID"], [row["AESTDTC"], row["AEENDTC"]])
        return latest

    def _raise(self, latest: Ints, subject: str, dates: list[str]) -> None:
        index = self.patients[subject]
        latest[index] = max([latest[index], *(first_day(text) for text in dates if text != "NA")])

    @cached_property
    def reached(self) -> Table:
        """Days on which a patient is not lost to follow-up."""
        return np.asarray(self.days <= self.last_contact[:, None] + GRACE)

    @cached_property
    def dose(self) -> NDArray[np.float64]:
        """The daily dose of every patient on every day; nan without one."""
        dose = np.full((len(self.patients), len(self.days)), np.nan)
        for row in self.ex:
            first = first_day(row["EXSTDTC"]) - self.start
            end = len(self.days) if row["EXENDTC"] == "NA" else first_day(row["EXENDTC"]) + 1 - self.start
            dose[self.patients[row["USUBJID"]], first:end] = float(row["EXDOSE"])
        return np.where(self.reached, dose, np.nan)

    @cached_property
    def is_placebo(self) -> Table:
        """A column: each patient took one of the two throughout."""
        arms = {row["USUBJID"]: row["EXTRT"] == "PLACEBO" for row in self.ex}
        return np.array([arms[name] for name in self.patients])[:, None]

    @cached_property
    def last_dose(self) -> Ints:
        """A column: the day of the last dose that was reported; after all days where it was not."""
        last = np.zeros(len(self.patients), np.int64)
        for row in self.ex:
            index = self.patients[row["USUBJID"]]
            end = int(self.days[-1]) + 1 if row["EXENDTC"] == "NA" else first_day(row["EXENDTC"])
            last[index] = max(last[index], end)
        return last[:, None]

    @cached_property
    def last_amount(self) -> NDArray[np.float64]:
        """A column: the dose of the row that started last."""
        amounts = {row["USUBJID"]: float(row["EXDOSE"]) for row in sorted(self.ex, key=lambda row: row["EXSTDTC"])}
        return np.array([amounts[name] for name in self.patients])[:, None]

    def exposed(self, cohort: str) -> Table:
        exposed = ~np.isnan(self.dose)
        tables: dict[str, Table] = {
            "both_arms": exposed,
            "placebo": exposed & self.is_placebo,
            "xanomeline": exposed & ~self.is_placebo,
            "xanomeline_by_dose:54": self.dose == 54,
            "xanomeline_by_dose:81": self.dose == 81,
        }
        return tables[cohort]

    def at_risk(self, cohort: str, aesi: str) -> Table:
        """Exposed days and the tail after the last dose; the tail belongs to the amount taken last."""
        exposed = self.exposed(cohort)
        tail = (self.days > self.last_dose) & self.reached
        length = TAIL_OF[aesi]
        if length is not None:
            tail &= self.days <= self.last_dose + length
        if ":" in cohort:
            return np.asarray(exposed | (tail & (self.last_amount == float(cohort.split(":")[1]))))
        return np.asarray(exposed | (tail & exposed.any(axis=1, keepdims=True)))

    @cached_property
    def at_risk_anywhere(self) -> dict[str, Table]:
        return {aesi: self.at_risk("both_arms", aesi) for aesi in TAIL_OF}

    def onset(self, event: Event, aesi: str) -> int:
        """The day that counts: the first possible one on which the patient was at risk, else the first possible."""
        possible = (self.days >= event.first) & (self.days <= min(event.last, event.recorded))
        risky = self.days[possible & self.at_risk_anywhere[aesi][event.patient]]
        return int(risky[0]) if len(risky) else event.first

    def happened(self, aesi: str) -> Ints:
        """How many events of the AESI began on each day of each patient."""
        counts = np.zeros((len(self.patients), len(self.days)), np.int64)
        for event in self.events:
            at = self.onset(event, aesi) - self.start
            if aesi in event.aesis and 0 <= at < len(self.days):
                counts[event.patient, at] += 1
        return counts

    def is_placed(self, event: Event) -> bool:
        """Whether the patient was at risk of any AESI of the event on its day."""
        return any(
            self.at_risk_anywhere[aesi][event.patient, self.days == self.onset(event, aesi)].any()
            for aesi in event.aesis
        )

    def all_rows(self, denominator: str) -> list[dict[str, Any]]:
        happened = {aesi: self.happened(aesi) for aesi in TAIL_OF}
        return [
            {"cohort": cohort, "aesi": aesi} | row
            for cohort in COHORTS
            for aesi in sorted(TAIL_OF)
            for row in self.rate_rows(cohort, aesi, happened[aesi], denominator)
        ]

    def rate_rows(self, cohort: str, aesi: str, happened: Ints, denominator: str) -> list[dict[str, Any]]:
        """The rows of one cohort and AESI: cumulative and per window, all events and first events."""
        exposed, risk = self.exposed(cohort) & self.known, self.at_risk(cohort, aesi) & self.known
        events = np.where(risk, happened, 0)
        so_far = np.cumsum(events > 0, axis=1)
        free: Table = (so_far - (events > 0)) == 0  # through the day of the first event
        firsts = (events > 0) & free
        rows: list[dict[str, Any]] = []
        for window, inside in self.windows.items():
            eaer = _row("EAER", window, events[:, inside], exposed[:, inside], risk[:, inside], denominator)
            eaer["patients_with_event"] = int(firsts.sum()) if window == "cumulative" else None
            eair = _row(
                "EAIR", window, firsts[:, inside], (exposed & free)[:, inside], (risk & free)[:, inside], denominator
            )
            if denominator == "exposure":  # trial tables: days at risk until the event of those who have one
                until_event = risk & free & firsts.any(axis=1, keepdims=True)
                eair |= _rate(eair["events"], int((until_event | (exposed & ~firsts.any(axis=1, keepdims=True))).sum()))
            if denominator == "exposure" and window != "cumulative":
                eair = dict.fromkeys(eair) | {"estimator": "EAIR", "window": window}
            rows += [eaer, eair]
        return rows


def _row(
    estimator: str, window: str | int, events: NDArray[Any], exposed: Table, risk: Table, denominator: str
) -> dict[str, Any]:
    days = {"exposed_person_days": int(exposed.sum()), "at_risk_person_days": int(risk.sum())}
    person_days = days["at_risk_person_days" if denominator == "at_risk" else "exposed_person_days"]
    head = {"estimator": estimator, "window": window, "patients_with_event": int(events.sum())}
    return head | days | _rate(int(events.sum()), person_days)


def _rate(events: int, person_days: int) -> dict[str, Any]:
    """Per 100 years of 365.25 days, with exact Poisson limits (Garwood); 6 significant digits."""
    limits = (events, chi2.ppf(0.025, 2 * events) / 2 if events else 0.0, chi2.ppf(0.975, 2 * events + 2) / 2)
    numbers = [float(f"{count / person_days * 36525:.6g}") if person_days else None for count in limits]
    names = ("rate_per_100_patient_years", "lower", "upper")
    return {"events": events, "person_days": person_days, **dict(zip(names, numbers, strict=True))}


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The messages of the study, and what the import said."""
    output = tmp_path_factory.mktemp("cdisc") / "pilot.jsonl"
    files = ["--ex", str(FOLDER / "ex.csv"), "--ae", str(FOLDER / "ae.csv")]
    result = CliRunner().invoke(command, ["sdtm", *files, "--site", "pilot", "-o", str(output)])
    assert result.exit_code == 0
    return output, result.stderr


def replayed(path: Path, as_of: date | None, policy: Path = POLICY) -> dict[str, Any]:
    asked = as_of.isoformat() if as_of else None
    return replay_files([str(path)], policies=load_policies([policy]), as_of=asked)


def test_every_row_is_used_and_accounted_for(imported: tuple[Path, str]) -> None:
    assert imported[1].splitlines() == [
        "EX: 591 rows = 591 used, 0 not used",
        "       6  without EXENDTC: leave their course open",
        "AE: 1191 rows = 1191 used, 0 not used",
        "      33  with AESER=N and a criterion of seriousness: the criterion counts",
        (
            "messages: 2030 (1191 adverse_event, 237 patient_contact, 100 treatment_changed, 254 treatment_started, "
            "248 treatment_stopped)"
        ),
    ]


def test_every_patient_has_one_course(imported: tuple[Path, str]) -> None:
    messages = [json.loads(line) for line in imported[0].read_text().splitlines()]
    courses = {(one["patient_id"], one["treatment_id"]) for one in messages if "treatment_id" in one}
    assert len(courses) == len({patient for patient, _ in courses}) == 254


def test_every_message_is_valid_under_the_contract(imported: tuple[Path, str]) -> None:
    answers = [decode(line) for line in imported[0].read_bytes().splitlines()]
    assert [answer for answer in answers if not isinstance(answer, Decoded)] == []


def test_no_message_is_lost_in_replay(imported: tuple[Path, str]) -> None:
    lost = {"duplicate": 0, "superseded": 0, "conflicting": 0, "rejected": {}}
    assert replayed(imported[0], None)["messages"] == {"received": 2030, "accepted": 2030} | lost


def test_without_a_day_the_replay_ends_on_the_latest_day_of_the_files(imported: tuple[Path, str]) -> None:
    assert replayed(imported[0], None)["as_of"] == LATE.isoformat()


@pytest.mark.parametrize("denominator", ["at_risk", "exposure"])
@pytest.mark.parametrize("as_of", [LATE, IN_THE_MIDDLE], ids=str)
def test_rates_by_arm_and_dose_agree_with_numpy_to_the_last_digit(
    imported: tuple[Path, str], as_of: date, denominator: str, tmp_path: Path
) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text(POLICY.read_text().replace("denominator: at_risk", f"denominator: {denominator}"))
    assert replayed(imported[0], as_of, policy)["rates"] == Trial(as_of).all_rows(denominator)


def test_what_counts_nowhere_agrees_with_numpy(imported: tuple[Path, str]) -> None:
    trial, result = Trial(LATE), replayed(imported[0], LATE)
    first_dose = trial.days[np.argmax(~np.isnan(trial.dose), axis=1)]
    lost = [event for event in trial.events if not trial.is_placed(event)]
    early = [event for event in lost if event.first < first_dose[event.patient]]
    assert len(early) == len(lost) == 65
    assert result["unplaced"] == {"before_first_dose": 65}
    assert result["imputed"] == sum(event.first < event.last for event in trial.events)


def test_patients_whose_last_dose_is_unknown_are_lost_after_the_grace(imported: tuple[Path, str]) -> None:
    trial = Trial(LATE)
    is_open = trial.last_dose[:, 0] > trial.days[-1]
    gone = trial.last_contact + GRACE < LATE.toordinal()
    assert replayed(imported[0], LATE)["lost_to_follow_up"] == int((is_open & gone).sum()) == 6
