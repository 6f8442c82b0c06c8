"""The two patients of the paper behind the project, and what could have gone wrong with their papers.

Mendes-de Carvalho & Valejo-Coelho, Port J Dermatol Venereol 2026, doi 10.24875/PJDV.25000087. From there: age, both
diseases, doses, the step from 45 to 30 mg after one month, four infections excluded before upadacitinib, no adverse
event. The paper gives no calendar dates and no laboratory methods: those are made up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from monitor.demo.build import Message, concept, instant, message, once_daily

SITE = "lisbon"
ZONE = "Europe/Lisbon"
AS_OF = "2025-06-10"  # three months after the first dose of case 1, the last visit the paper tells of

UPADACITINIB = "atc:L04AF03"
ATOPIC_DERMATITIS = "icd10:L20.9"
CROHNS_DISEASE = "icd10:K50.9"
AXIAL_SPONDYLOARTHRITIS = "icd10:M45.9"
SCREENING_TESTS = {
    "hbsag": "loinc:5195-3",
    "anti-hbc": "loinc:16933-4",
    "anti-hcv": "loinc:16128-1",
    "hiv": "loinc:56888-1",
    "igra": "loinc:71773-6",
}
IGRA_CONTROL = "loinc:71774-4"  # mitogen minus nil: positive when the assay worked, whatever the patient has


def at(day: str, time: str) -> str:
    """A wall-clock time in Lisbon."""
    return instant(day, time, ZONE)


def told(kind: str, case: str, name: str, day: str, **body: Any) -> Message:
    """A message about the patient `case`, recorded at 17:00 of `day`."""
    return message(kind, SITE, f"{case}-{name}", at(day, "17:00"), patient_id=case, **body)


def result(case: str, test: str, collected_on: str, resulted_at: str, **outcome: Any) -> Message:
    """A screening result, recorded the moment it was out; negative unless `outcome` says otherwise."""
    body = {"test": concept(SCREENING_TESTS[test]), "collected_on": collected_on, "resulted_at": resulted_at}
    envelope = {"source": "lab", "patient_id": case}
    return message(
        "screening_result",
        SITE,
        f"{case}-{test}",
        resulted_at,
        **envelope,
        **body,
        **(outcome or {"outcome": "negative"}),
    )


def screened(case: str, collected_on: str, resulted_on: str) -> list[Message]:
    """All four infections, five tests, clean."""
    return [result(case, test, collected_on, at(resulted_on, "11:30")) for test in SCREENING_TESTS]


def prescribed(case: str, indications: Iterable[str], mg: float) -> Message:
    """What an order and a start have in common."""
    wanted = [concept(each) for each in indications]
    return {"treatment_id": f"{case}-upa", "drug": concept(UPADACITINIB), "indications": wanted, "dose": once_daily(mg)}


def profile(case: str, day: str, birth_year: int, *conditions: Message) -> Message:
    """Who the patient is."""
    return told("patient_profile", case, "profile", day, birth_year=birth_year, sex="male", conditions=list(conditions))


def case_one() -> list[Message]:
    """Man of 24, atopic dermatitis and Crohn's disease: 45 mg a day, 30 mg after one month, seen at three months."""
    case = "case-1"
    course = prescribed(case, (ATOPIC_DERMATITIS, CROHNS_DISEASE), 45)
    return [
        profile(
            case, "2025-02-17", 2001, {"concept": concept(ATOPIC_DERMATITIS)}, {"concept": concept(CROHNS_DISEASE)}
        ),
        *screened(case, "2025-02-17", "2025-02-20"),
        told("treatment_ordered", case, "order", "2025-03-03", **course, planned_start_on="2025-03-10"),
        told("treatment_started", case, "start", "2025-03-10", **course, started_on="2025-03-10"),
        told(
            "treatment_changed",
            case,
            "taper",
            "2025-04-10",
            treatment_id=f"{case}-upa",
            changed_on="2025-04-10",
            dose=once_daily(30),
        ),
        told("patient_contact", case, "month-1", "2025-04-10", seen_on="2025-04-10", days_supplied=61),
        told("patient_contact", case, "month-3", "2025-06-10", seen_on="2025-06-10", days_supplied=90),
    ]


def case_two() -> list[Message]:
    """Man of 32, atopic dermatitis of ten years and axial spondyloarthritis: 15 mg a day, seen at two weeks."""
    case = "case-2"
    course = prescribed(case, (ATOPIC_DERMATITIS, AXIAL_SPONDYLOARTHRITIS), 15)
    dermatitis = {"concept": concept(ATOPIC_DERMATITIS), "since": "2015"}
    return [
        profile(case, "2025-04-14", 1993, dermatitis, {"concept": concept(AXIAL_SPONDYLOARTHRITIS)}),
        *screened(case, "2025-04-14", "2025-04-17"),
        told("treatment_ordered", case, "order", "2025-05-05", **course, planned_start_on="2025-05-12"),
        told("treatment_started", case, "start", "2025-05-12", **course, started_on="2025-05-12"),
        told("patient_contact", case, "week-2", "2025-05-26", seen_on="2025-05-26", days_supplied=90),
    ]


def nothing_to_report() -> list[Message]:
    """The feeds are alive: without this, no adverse event would be silence rather than news."""
    recorded_at = at("2025-06-11", "06:00")
    return [
        message("feed_status", SITE, f"feed-{feed}", recorded_at, feed=feed, complete_through=AS_OF)
        for feed in ("treatment", "screening", "adverse_event")
    ]


def paper_cases() -> list[Message]:
    """Both cases as they were told."""
    return [*case_one(), *case_two(), *nothing_to_report()]


# What could have gone wrong with case 2 (first dose on 12 May 2025). None of these may pass.


def _case_two_with(event: str, **fields: Any) -> list[Message]:
    """Case 2 with other fields in the message `event`; a field set to None is left out."""
    return [_changed(each, fields) if each["event_id"] == f"case-2-{event}" else each for each in case_two()]


def _changed(old: Message, fields: Mapping[str, Any]) -> Message:
    return {name: value for name, value in {**old, **fields}.items() if value is not None}


def _case_two_and(*more: Message) -> list[Message]:
    return [*case_two(), *more]


def _hiv_again(recorded_at: str, **fields: Any) -> Message:
    [hiv] = [each for each in case_two() if each["event_id"] == "case-2-hiv"]
    return _changed(hiv, {"recorded_at": recorded_at, **fields})


def result_the_day_after() -> list[Message]:
    """HIV resulted on the morning after the first dose."""
    morning = at("2025-05-13", "09:00")
    return _case_two_with("hiv", resulted_at=morning, recorded_at=morning)


def result_past_midnight_written_in_utc() -> list[Message]:
    """HIV resulted at 00:20 in Lisbon on the day after; in UTC it was still 23:20 of the day of the first dose."""
    return _case_two_with("hiv", resulted_at="2025-05-12T23:20:00Z", recorded_at="2025-05-12T23:20:00Z")


def expired() -> list[Message]:
    """HBsAg collected 366 days before the first dose; 365 are allowed."""
    old = {
        "collected_on": "2024-05-11",
        "resulted_at": at("2024-05-14", "11:30"),
        "recorded_at": at("2024-05-14", "11:30"),
    }
    return _case_two_with("hbsag", **old)


def igra_indeterminate() -> list[Message]:
    """An indeterminate IGRA is not a negative one."""
    return _case_two_with("igra", outcome="indeterminate")


def without_anti_hbc() -> list[Message]:
    """HBsAg alone does not exclude hepatitis B."""
    return [each for each in case_two() if each["event_id"] != "case-2-anti-hbc"]


def control_for_igra() -> list[Message]:
    """The IGRA's positive control offered as its result."""
    return _case_two_with("igra", test=concept(IGRA_CONTROL))


def result_retracted() -> list[Message]:
    """HIV withdrawn by the laboratory a week after the first dose."""
    body = {"test": None, "collected_on": None, "resulted_at": None, "outcome": None}
    return _case_two_and(_hiv_again(at("2025-05-19", "09:00"), status="entered_in_error", **body))


def result_conflicting() -> list[Message]:
    """HIV once negative and once positive, recorded at the same instant without a version."""
    return _case_two_and(_hiv_again(at("2025-04-17", "11:30"), outcome="positive"))


def result_moved_to_another_patient() -> list[Message]:
    """HIV was filed under the wrong patient, as the laboratory finds a week after the first dose."""
    return _case_two_and(_hiv_again(at("2025-05-19", "09:00"), patient_id="case-9"))


def started_on_hold() -> list[Message]:
    """No result for HIV: the order was held, the first dose given all the same."""
    return [each for each in case_two() if each["event_id"] != "case-2-hiv"]


# name -> messages, infection that must not count as excluded, the finding expected of the start
VARIANTS: Mapping[str, tuple[Callable[[], list[Message]], str, str]] = {
    "result_the_day_after": (result_the_day_after, "hiv", "late"),
    "result_past_midnight_written_in_utc": (result_past_midnight_written_in_utc, "hiv", "late"),
    "expired": (expired, "hepatitis_b", "expired"),
    "igra_indeterminate": (igra_indeterminate, "tuberculosis", "indeterminate"),
    "without_anti_hbc": (without_anti_hbc, "hepatitis_b", "missing"),
    "control_for_igra": (control_for_igra, "tuberculosis", "missing"),
    "result_retracted": (result_retracted, "hiv", "missing"),
    "result_conflicting": (result_conflicting, "hiv", "conflicting"),
    "result_moved_to_another_patient": (result_moved_to_another_patient, "hiv", "missing"),
    "started_on_hold": (started_on_hold, "hiv", "missing"),
}
