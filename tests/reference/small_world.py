"""A small policy, a site registry and short ways to write messages, for cases that a person can check by hand."""

import json
from typing import Any

import yaml

POLICY_TEXT = """
policy: {name: small, version: 1, effective_from: 2026-01-01}
diseases: {AD: [icd10:L20*], CD: [icd10:K50*], axSpA: [icd10:M45*], smoking: [icd10:F17*]}
disease_groups: {other_immune: [CD, axSpA]}
undated_from_course_start: [AD, other_immune]
drugs:
  upadacitinib:
    codes: [atc:L04AF03]
    class: jak_inhibitor
    tail_days: {days: 30, source: local}
    new_start_after_pause_days: {days: 60, source: local}
    highest_daily_mg:
      - {indications: [axSpA], usual: 15, source: label}
      - {indications: [AD], usual: 30, from_age_65: 15, source: label}
      - {indications: [CD], usual: 30, induction: {mg: 45, first_days: 84}, source: label}
  tofacitinib:
    codes: [atc:L04AF01]
    class: jak_inhibitor
    tail_days: {days: 28, source: local}
    new_start_after_pause_days: {days: 60, source: local}
tests:
  hbsag: {codes: [loinc:5195-3]}
  anti_hbc: {codes: [loinc:16933-4]}
  hbv_dna: {codes: [loinc:42595-9], number: {unit: IU/mL, positive_from: 10}, not_older_than: anti_hbc}
  anti_hcv: {codes: [loinc:16128-1]}
  hiv_ag_ab: {codes: [loinc:56888-1]}
  igra: {codes: [loinc:71773-6]}
  tst: {codes: [local:TST], number: {unit: mm, positive_from: 5}}
never_evidence: [loinc:71774-4]
several_results: latest_unless_positive
screening:
  hepatitis_b:
    if_not_good: hold
    required: [hbsag, anti_hbc]
    valid_days: {hbsag: 365, anti_hbc: 365, hbv_dna: 90, source: local}
    rows:
      - {if: {hbsag: positive}, finding: positive}
      - {if: {hbsag: negative, anti_hbc: negative}, finding: excluded}
      - {if: {hbsag: negative, anti_hbc: positive, hbv_dna: negative}, finding: excluded}
      - {if: {anti_hbc: positive}, finding: missing, ask_for: hbv_dna}
  hepatitis_c:
    if_not_good: hold
    required: [anti_hcv]
    valid_days: {anti_hcv: 365, source: local}
    rows:
      - {if: {anti_hcv: positive}, finding: positive}
      - {if: {anti_hcv: negative}, finding: excluded}
  tuberculosis:
    if_not_good: hold
    required: [{one_of: [igra, tst]}]
    valid_days: {igra: 365, tst: 365, source: local}
    rows:
      - {if: {igra: positive}, finding: positive, treated_after_days: 30}
      - {if: {igra: indeterminate}, finding: indeterminate, ask_for: igra}
      - {if: {igra: negative}, finding: excluded}
      - {if: {tst: negative}, finding: excluded}
  hiv:
    if_not_good: hold
    required: [hiv_ag_ab]
    valid_days: {hiv_ag_ab: 365, source: local}
    rows:
      - {if: {hiv_ag_ab: positive}, finding: positive}
      - {if: {hiv_ag_ab: negative}, finding: excluded}
flags: {two_of_one_class: [jak_inhibitor], dose_above_label: all}
aesis:
  any: {codes: any}
  zoster: {codes: [icd10:B02*]}
  death: {codes: any, outcome: fatal, also_died_on: true}
counting: {lost_after_silent_days: 180, complete_after_days: 45, one_episode_days: 0, denominator: at_risk,
           windows: [30], confidence: 0.95, order_lapses_after_days: 90}
cohorts:
  upa: {drug: upadacitinib}
  upa_by_dose: {drug: upadacitinib, split_by: daily_mg}
  upa_ad_comorbid: {drug: upadacitinib, disease: AD, with: other_immune}
"""
SITES_TEXT = """
registry: {name: small-sites, version: 1, effective_from: 2026-01-01}
sites:
  lisbon:
    zone: Europe/Lisbon
    go_live: 2026-02-01
    feeds:
      screening: {from: 2026-01-01, silent_after_days: 2, results_after_hours: 36}
      adverse_event: {from: 2026-01-05, silent_after_days: 14, complete_after_days: 30}
"""
CLEAN_TESTS = {"hbsag": "5195-3", "anti_hbc": "16933-4", "anti_hcv": "16128-1", "hiv": "56888-1", "igra": "71773-6"}


def small_policy(**counting: Any) -> dict[str, Any]:
    policy: dict[str, Any] = yaml.safe_load(POLICY_TEXT)
    policy["counting"] |= counting
    return policy


def small_sites() -> dict[str, Any]:
    sites: dict[str, Any] = yaml.safe_load(SITES_TEXT)
    return sites


def concept(system: str, code: str) -> dict[str, Any]:
    return {"codings": [{"system": system, "code": code}]}


def mg(amount: float) -> dict[str, Any]:
    return {"amount": amount, "unit": "mg", "per_day": 1}


def message(kind: str, name: str, on: str, /, **fields: Any) -> dict[str, Any]:
    """A message of a day, recorded that noon; fields given replace these."""
    return {
        "type": kind,
        "event_id": name,
        "patient_id": "p1",
        "site": "lisbon",
        "recorded_at": f"{on}T12:00:00Z",
    } | fields


def start(on: str, amount: float = 15, *, course: str = "t1", icd: tuple[str, ...] = ("L20.9",), **fields: Any) -> Any:
    body: dict[str, Any] = {"treatment_id": course, "drug": concept("atc", "L04AF03"), "dose": mg(amount)}
    body |= {"started_on": on, "indications": [concept("icd10", code) for code in icd]}
    return message("treatment_started", f"start-{course}-{on}", on, **(body | fields))


def order(on: str, course: str = "t1", **fields: Any) -> Any:
    body: dict[str, Any] = {"treatment_id": course, "drug": concept("atc", "L04AF03"), "dose": mg(15)}
    body["indications"] = [concept("icd10", "L20.9")]
    return message("treatment_ordered", f"order-{course}", on, **(body | fields))


def stop(on: str, course: str = "t1", **fields: Any) -> Any:
    return message("treatment_stopped", f"stop-{course}-{on}", on, treatment_id=course, last_dose_on=on, **fields)


def change(on: str, amount: float, course: str = "t1", **fields: Any) -> Any:
    body = {"treatment_id": course, "changed_on": on, "dose": mg(amount)}
    return message("treatment_changed", f"change-{course}-{on}", on, **(body | fields))


def result(test: str, on: str, outcome: str = "negative", **fields: Any) -> Any:
    code = CLEAN_TESTS.get(test, test)
    body = {"test": concept("loinc", code), "collected_on": on, "resulted_at": f"{on}T12:00:00Z", "outcome": outcome}
    return message("screening_result", f"{test}-{on}", on, **(body | fields))


def clean_screening(on: str, patient: str = "p1", but: tuple[str, ...] = ()) -> list[Any]:
    return [
        result(test, on, patient_id=patient, event_id=f"{test}-{patient}") for test in CLEAN_TESTS if test not in but
    ]


def event(on: str, code: str = "B02.9", **fields: Any) -> Any:
    body = {"term": concept("icd10", code), "onset_on": on, "seriousness": []}
    recorded = {"recorded_at": f"{(on + '-28')[:10] if len(on) == 7 else on}T12:00:00Z"}
    return message("adverse_event", f"ae-{on}", "2026-01-01", **(recorded | body | fields))


def contact(on: str, **fields: Any) -> Any:
    return message("patient_contact", f"seen-{on}", on, seen_on=on, **fields)


def as_lines(*messages: Any) -> list[bytes]:
    """Messages and lists of messages, one a line."""
    flat = [one for item in messages for one in (item if isinstance(item, list) else [item])]
    return [json.dumps(one).encode() for one in flat]
