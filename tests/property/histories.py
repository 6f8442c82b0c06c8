"""Small random histories: few patients, few courses, few days, so that everything that can collide does."""

from __future__ import annotations

import json
from datetime import date, timedelta
from typing import Any

from hypothesis import strategies as st

DAY0 = date(2025, 1, 1)
PATIENTS = ("p1", "p2", "p3")
COURSES = ("t1", "t2", "t3")
DRUGS = ("atc:L04AF03", "atc:L04AF03", "atc:L04AF01", "atc:L04AA44", "local:UNKNOWN")
DISEASES = ("icd10:L20.9", "icd10:K50.9", "icd10:M45.9", "icd10:F17.2", "icd10:Z99")
TESTS = ("loinc:5195-3", "loinc:16933-4", "loinc:42595-9", "loinc:16128-1", "loinc:11259-9", "loinc:56888-1",
         "loinc:71773-6", "local:TST", "local:CXR-TB", "loinc:71774-4", "loinc:0000-0")  # fmt: skip
TERMS = ("icd10:B02.9", "icd10:J18.9", "icd10:C44.1", "icd10:C50.9", "icd10:I26.9", "local:NOTHING")

days = st.integers(0, 500).map(lambda n: DAY0 + timedelta(days=n))
hours = st.sampled_from(("00:20", "08:00", "12:00", "23:50"))


def coding(text: str) -> dict[str, str]:
    system, code = text.split(":")
    return {"system": system, "code": code}


def concepts(codes: tuple[str, ...]) -> st.SearchStrategy[dict[str, Any]]:
    """A concept of mostly one coding, now and then of two that may disagree."""
    one = st.sampled_from(codes)
    listed = st.one_of(
        one.map(lambda c: [c]), one.map(lambda c: [c]), one.map(lambda c: [c]), st.lists(one, min_size=2, max_size=2)
    )
    return listed.map(lambda picked: {"codings": [coding(c) for c in picked]})


def instants(day: st.SearchStrategy[date] = days) -> st.SearchStrategy[str]:
    return st.tuples(day, hours, st.sampled_from(("Z", "+01:00", "-05:00"))).map(lambda t: f"{t[0]}T{t[1]}:00{t[2]}")


doses = st.tuples(st.sampled_from((5, 10, 15, 30, 45, 2.5)), st.sampled_from((1, 1, 2, 0.5))).map(
    lambda t: {"amount": t[0], "unit": "mg", "per_day": t[1]}
)
indications = st.lists(concepts(DISEASES), min_size=1, max_size=2)
iso = days.map(str)
partial = st.tuples(days, st.sampled_from((4, 7, 10, 10, 10))).map(lambda t: str(t[0])[: t[1]])


def optional(**fields: st.SearchStrategy[Any]) -> dict[str, Any]:
    return {"optional": fields}


def body(
    kind: str, required: dict[str, Any], optionals: dict[str, Any] | None = None
) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({"type": st.just(kind), **required}, optional=optionals or {})


course = st.sampled_from(COURSES)
RESULT = st.one_of(
    st.fixed_dictionaries(
        {
            "outcome": st.sampled_from(
                ("negative", "negative", "negative", "negative", "positive", "indeterminate", "not_done")
            )
        }
    ),
    st.fixed_dictionaries(
        {
            "quantity": st.fixed_dictionaries(
                {"value": st.sampled_from((0, 4, 5, 10, 20)), "unit": st.sampled_from(("mm", "IU/mL"))},
                optional={"comparator": st.sampled_from(("<", ">", "<=", ">="))},
            )
        }
    ),
)
BODIES = {
    "treatment_ordered": body(
        "treatment_ordered",
        {"treatment_id": course, "drug": concepts(DRUGS), "indications": indications, "dose": doses},
        {"planned_start_on": iso},
    ),
    "treatment_cancelled": body("treatment_cancelled", {"treatment_id": course, "cancelled_on": iso}),
    "treatment_started": body(
        "treatment_started",
        {"treatment_id": course, "drug": concepts(DRUGS), "indications": indications, "dose": doses, "started_on": iso},
        {"order_id": course},
    ),
    "treatment_changed": body(
        "treatment_changed", {"treatment_id": course, "changed_on": iso}, {"dose": doses, "indications": indications}
    ),
    "treatment_stopped": body(
        "treatment_stopped",
        {"treatment_id": course, "last_dose_on": iso},
        {"reason": st.sampled_from(("adverse_event", "remission"))},
    ),
    "screening_result": st.tuples(
        body("screening_result", {"test": concepts(TESTS), "collected_on": iso, "resulted_at": instants()}), RESULT
    ).map(lambda t: t[0] | t[1]),
    "prevention": body(
        "prevention",
        {"infection": st.sampled_from(("tuberculosis", "hepatitis_b")), "started_on": iso},
        {"ended_on": iso},
    ),
    "adverse_event": body(
        "adverse_event",
        {"term": concepts(TERMS), "seriousness": st.sampled_from(([], [], ["hospitalisation"], ["death"]))},
        {
            "onset_on": partial,
            "outcome": st.sampled_from(("recovered", "fatal")),
            "ended_on": partial,
            "action_taken": st.sampled_from(("none", "drug_stopped")),
            "suspect_treatment_ids": st.lists(course, max_size=2),
        },
    ),
    "patient_profile": body(
        "patient_profile",
        {},
        {
            "birth_year": st.sampled_from((1950, 1960, 1961, 1990)),
            "died_on": iso,
            "conditions": st.lists(
                st.fixed_dictionaries({"concept": concepts(DISEASES)}, optional={"since": partial, "until": partial}),
                max_size=2,
            ),
        },
    ),
    "patient_contact": body("patient_contact", {"seen_on": iso}, {"days_supplied": st.integers(1, 90)}),
    "patient_merged": body("patient_merged", {"merged_patient_id": st.sampled_from(PATIENTS)}),
}
FEED = body(
    "feed_status",
    {"feed": st.sampled_from(("adverse_event", "adverse_event", "screening")), "complete_through": iso},
)
WEIGHTS = (
    ["treatment_started"] * 4 + ["screening_result"] * 8 + ["adverse_event"] * 5 + ["treatment_stopped"] * 2
    + ["treatment_ordered"] * 3 + ["treatment_changed"] * 2 + ["patient_profile"] * 2 + ["prevention"] * 2
    + ["treatment_cancelled", "patient_contact", "patient_merged"]
)  # fmt: skip
recorded = instants(st.sampled_from([DAY0 + timedelta(days=n) for n in (100, 250, 400, 499, 505, 505, 505, 505)]))


def _envelope(patient: str, version: int | None, status: str | None, source: str | None) -> dict[str, Any]:
    given = {"patient_id": patient, "version": version, "status": status, "source": source, "site": "lisbon"}
    return {key: value for key, value in given.items() if value is not None}


envelopes = st.builds(
    _envelope,
    st.sampled_from(("p1", "p1", "p1", "p2", "p3")),
    st.sampled_from((None, None, None, None, 0, 1, 1, 2)),
    st.sampled_from((None,) * 9 + ("entered_in_error",)),
    st.sampled_from((None, None, None, "lab")),
)


@st.composite
def messages(draw: st.DrawFn) -> dict[str, Any]:
    """One message; its identity often is another's, so that corrections, retractions and conflicts happen."""
    kind = draw(st.sampled_from([*WEIGHTS, "feed_status"]))
    envelope = draw(envelopes)
    if kind == "feed_status":
        del envelope["patient_id"]
    content = draw(FEED if kind == "feed_status" else BODIES[kind])
    return {"event_id": f"e{draw(st.integers(0, 60))}", "recorded_at": draw(recorded), **envelope, **content}


TEN_PERCENT_BAD = ("negative",) * 9 + ("positive", "indeterminate")
SCREENING = ("loinc:5195-3", "loinc:16933-4", "loinc:16128-1", "loinc:56888-1", "loinc:71773-6")
LAST_DAY = DAY0 + timedelta(days=505)


@st.composite
def screened_starts(draw: st.DrawFn) -> list[dict[str, Any]]:
    """A start, or at least its order, with most of its papers, so that decisions are not all violations."""
    first = DAY0 + timedelta(days=draw(st.integers(60, 300)))
    patient, name = draw(st.sampled_from(PATIENTS)), draw(course)
    late = f"{LAST_DAY}T12:00:00Z"
    common = {"patient_id": patient, "site": "lisbon"}
    found: list[dict[str, Any]] = []
    for at, test in enumerate(SCREENING):
        collected = first - timedelta(days=draw(st.sampled_from((0, 1, 5, 30, 30, 364, 366))))
        result = {"test": {"codings": [coding(test)]}, "outcome": draw(st.sampled_from(TEN_PERCENT_BAD))}
        when = {"collected_on": str(collected), "resulted_at": f"{collected}T09:00:00Z"}
        told = {"recorded_at": draw(st.sampled_from((f"{first}T10:00:00Z", late))), "event_id": f"s{patient}{name}{at}"}
        found.append({"type": "screening_result"} | common | told | result | when)
    ordered = draw(st.booleans())
    told = {"treatment_id": name, "recorded_at": late} | common
    if ordered:
        plan = {"event_id": f"o{patient}{name}", "planned_start_on": str(first)}
        found.append(draw(BODIES["treatment_ordered"]) | told | plan)
    if draw(st.booleans()) or not ordered:
        found.append(
            draw(BODIES["treatment_started"]) | told | {"event_id": f"t{patient}{name}", "started_on": str(first)}
        )
    return found


def as_lines(history: list[dict[str, Any]]) -> list[bytes]:
    return [json.dumps(message).encode() for message in history]


@st.composite
def histories(draw: st.DrawFn, most: int = 30) -> list[bytes]:
    """Lines of a history, some of them twice, in any order."""
    found = [message for start in draw(st.lists(screened_starts(), max_size=2)) for message in start]
    found += draw(st.lists(messages(), min_size=1, max_size=most))
    lines = as_lines(found)
    lines += draw(st.lists(st.sampled_from(lines), max_size=3))
    return draw(st.permutations(lines))
