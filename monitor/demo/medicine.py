"""What the patients of the demo hospitals have, take and suffer: plain tables, made up but of plausible size.

Adverse events are of the order of magnitude published for upadacitinib and tofacitinib (SELECT-COMPARE 5 y, doi
10.1136/rmdopen-2023-004007; ORAL Surveillance, doi 10.1136/ard-2022-222543). Nothing here says how to treat anyone.
"""

from __future__ import annotations

from typing import NamedTuple

DISEASES = {
    "AD": ("icd10:L20.9", "icd10:L20.8"),
    "RA": ("icd10:M05.9", "icd10:M06.9"),
    "PsA": ("icd10:L40.5",),
    "axSpA": ("icd10:M45.9", "icd10:M46.8"),
    "CD": ("icd10:K50.9", "icd10:K50.0"),
    "UC": ("icd10:K51.9",),
    "AA": ("icd10:L63.9", "icd10:L63.0"),
}
SHARE_OF_DISEASES = {"AD": 34, "RA": 26, "PsA": 11, "axSpA": 12, "CD": 7, "UC": 7, "AA": 3}
SECOND_DISEASE = 0.15  # share of patients with two of them at once: the question the paper asks
OTHER_CONDITIONS = {
    "icd10:F17.2": 0.14,
    "icd10:I25.1": 0.06,
    "icd10:I10": 0.2,
    "icd10:E11.9": 0.08,
    "icd10:I82.9": 0.02,
}


class Plan(NamedTuple):
    """A drug for a disease: `per_day` doses of the milligrams of each step, a step lasting the days given."""

    drug: str
    per_day: int
    steps: tuple[tuple[int, float], ...]  # (days, mg a dose); the last one goes on
    older: float  # mg a dose of the only step from 65 years of age


FOR_GOOD = 0
PLANS = {
    "AD": (
        Plan("upadacitinib", 1, ((FOR_GOOD, 15),), 15),
        Plan("upadacitinib", 1, ((FOR_GOOD, 30),), 15),
        Plan("upadacitinib", 1, ((120, 15), (FOR_GOOD, 30)), 15),
        Plan("abrocitinib", 1, ((90, 100), (FOR_GOOD, 200)), 100),
        Plan("baricitinib", 1, ((FOR_GOOD, 4),), 2),
    ),
    "RA": (
        Plan("upadacitinib", 1, ((FOR_GOOD, 15),), 15),
        Plan("tofacitinib", 2, ((FOR_GOOD, 5),), 5),
        Plan("baricitinib", 1, ((FOR_GOOD, 4),), 2),
        Plan("filgotinib", 1, ((FOR_GOOD, 200),), 100),
    ),
    "PsA": (Plan("upadacitinib", 1, ((FOR_GOOD, 15),), 15), Plan("tofacitinib", 2, ((FOR_GOOD, 5),), 5)),
    "axSpA": (Plan("upadacitinib", 1, ((FOR_GOOD, 15),), 15), Plan("tofacitinib", 2, ((FOR_GOOD, 5),), 5)),
    "CD": (
        Plan("upadacitinib", 1, ((84, 45), (FOR_GOOD, 30)), 15),
        Plan("upadacitinib", 1, ((84, 45), (FOR_GOOD, 15)), 15),
    ),
    "UC": (
        Plan("upadacitinib", 1, ((56, 45), (FOR_GOOD, 30)), 15),
        Plan("tofacitinib", 2, ((56, 10), (FOR_GOOD, 5)), 5),
        Plan("filgotinib", 1, ((FOR_GOOD, 200),), 100),
    ),
    "AA": (Plan("ritlecitinib", 1, ((FOR_GOOD, 50),), 50), Plan("baricitinib", 1, ((FOR_GOOD, 4),), 2)),
}
# The first coding is the usual one; L04AA44, L04AA29 and L04AA37 were in use before the ATC was revised.
DRUGS = {
    "upadacitinib": (("atc:L04AF03",), ("atc:L04AF03", "rxnorm:2196092"), ("atc:L04AA44",)),
    "tofacitinib": (("atc:L04AF01",), ("atc:L04AF01", "rxnorm:1357536"), ("atc:L04AA29",)),
    "baricitinib": (("atc:L04AF02",), ("atc:L04AF02", "rxnorm:2047232"), ("atc:L04AA37",)),
    "filgotinib": (("atc:L04AF04",),),
    "ritlecitinib": (("atc:L04AF08",), ("atc:L04AF08", "rxnorm:2641595")),
    "abrocitinib": (("atc:D11AH08",), ("rxnorm:2591476",)),
}
UNMAPPED_DRUG = "local:STUDY-JAK-7"

HBSAG, ANTI_HBC, HBV_DNA = "loinc:5195-3", "loinc:16933-4", "loinc:42595-9"
ANTI_HCV, HCV_RNA = "loinc:16128-1", "loinc:11259-9"
HIV, IGRA, IGRA_CONTROL = "loinc:56888-1", "loinc:71773-6", "loinc:71774-4"
UNMAPPED_TEST = "local:TB-SPOT-OLD"

POSITIVE = {HBSAG: 0.004, ANTI_HBC: 0.04, ANTI_HCV: 0.008, HIV: 0.002, IGRA: 0.07}
CONFIRMED = {HBV_DNA: 0.06, HCV_RNA: 0.3}
IGRA_INDETERMINATE = 0.03


class Event(NamedTuple):
    """An adverse event: how often, how often serious, how often fatal."""

    code: str
    per_100_patient_years: float
    serious: float
    fatal: float


EVENTS = (
    Event("icd10:J00", 14.0, 0.0, 0.0),
    Event("icd10:J06.9", 15.0, 0.01, 0.0),
    Event("icd10:L70.0", 8.0, 0.0, 0.0),
    Event("icd10:R51", 6.0, 0.0, 0.0),
    Event("icd10:R11", 4.0, 0.01, 0.0),
    Event("icd10:N39.0", 6.0, 0.05, 0.0),
    Event("icd10:U07.1", 5.0, 0.08, 0.01),
    Event("icd10:B00.1", 4.0, 0.0, 0.0),
    Event("icd10:B02.9", 2.4, 0.04, 0.0),
    Event("icd10:B02.3", 0.3, 0.3, 0.0),
    Event("icd10:J18.9", 1.2, 0.8, 0.05),
    Event("icd10:L03.9", 0.6, 0.5, 0.0),
    Event("icd10:A41.9", 0.3, 1.0, 0.2),
    Event("icd10:B37.8", 0.2, 0.3, 0.0),
    Event("icd10:A15.0", 0.06, 1.0, 0.0),
    Event("icd10:I21.9", 0.2, 1.0, 0.2),
    Event("icd10:I63.9", 0.15, 1.0, 0.1),
    Event("icd10:I80.2", 0.18, 0.7, 0.0),
    Event("icd10:I26.9", 0.15, 1.0, 0.08),
    Event("icd10:C34.9", 0.12, 1.0, 0.3),
    Event("icd10:C50.9", 0.2, 1.0, 0.05),
    Event("icd10:C61", 0.12, 1.0, 0.02),
    Event("icd10:C83.3", 0.06, 1.0, 0.15),
    Event("icd10:C44.9", 0.5, 0.2, 0.0),
    Event("icd10:K63.1", 0.05, 1.0, 0.1),
    Event("icd10:R74.0", 9.0, 0.02, 0.0),
    Event("icd10:K71.9", 0.4, 0.5, 0.02),
    Event("icd10:D64.9", 2.5, 0.05, 0.0),
    Event("icd10:D70", 2.1, 0.03, 0.0),
    Event("icd10:D72.810", 2.6, 0.01, 0.0),
    Event("local:CPK-INCREASED", 4.0, 0.01, 0.0),
    Event("icd10:N17.9", 0.3, 0.6, 0.02),
    Event("local:FATIGUE-HOUSE-LIST", 2.0, 0.0, 0.0),
)
CRITERIA = (
    "hospitalisation",
    "hospitalisation",
    "hospitalisation",
    "medically_important",
    "life_threatening",
    "disability",
)
DEATHS_PER_100_PATIENT_YEARS = 0.6  # beside the fatal events above
