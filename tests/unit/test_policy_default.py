"""The policy that comes with the product: complete, sourced or openly unconfirmed, and with no file nobody uses."""

import csv
from decimal import Decimal

import pytest

from monitor.core.policy import Drug, PolicyDocument
from monitor.core.policy_checks import code_lists, named_files
from monitor.core.policy_review import backings, remarks
from monitor.policyfile import Loaded, default_policy_path, read_policy

DRUGS = ("upadacitinib", "tofacitinib", "baricitinib", "filgotinib", "abrocitinib", "ritlecitinib")


@pytest.fixture(scope="module")
def loaded() -> Loaded:
    return read_policy(default_policy_path())


@pytest.fixture(scope="module")
def policy(loaded: Loaded) -> PolicyDocument:
    return loaded.policy


def test_every_value_has_a_source_or_says_that_it_has_none(policy: PolicyDocument) -> None:
    assert [backing.path for backing in backings(policy) if backing.source is None] == []


def test_unconfirmed_values_say_local_to_be_confirmed(policy: PolicyDocument) -> None:
    unconfirmed = [source.cite for source in policy.sources.values() if source.kind == "unconfirmed"]
    assert unconfirmed == ["local: to be confirmed"]


def test_every_source_is_used(policy: PolicyDocument) -> None:
    used = {backing.source for backing in backings(policy)} | set(policy.block_sources.values())
    assert set(policy.sources) - used == set()


def test_a_publication_is_cited_with_its_doi(policy: PolicyDocument) -> None:
    cites = [source.cite for source in policy.sources.values() if source.kind == "publication"]
    assert cites
    assert all("doi 10." in cite for cite in cites)


def test_nothing_in_it_looks_like_a_slip(policy: PolicyDocument) -> None:
    assert list(remarks(policy)) == []


def test_every_code_list_file_is_used_and_explains_each_code(policy: PolicyDocument) -> None:
    files = {path.name: path for path in default_policy_path().parent.glob("*.csv")}
    assert set(files) == {name for _, codes in code_lists(policy) for name in named_files(codes)} == set(policy.files)
    for path in files.values():
        rows = csv.DictReader(line for line in path.read_text("utf-8").splitlines() if not line.startswith("#"))
        assert all(row["meaning"] for row in rows), path.name


def test_it_is_signed_by_nobody(policy: PolicyDocument) -> None:
    assert (policy.policy.approved_by, policy.policy.approved_on) == (None, None)


@pytest.mark.parametrize("name", DRUGS)
def test_each_drug_has_atc_code_tail_and_a_dose_from_its_label(policy: PolicyDocument, name: str) -> None:
    drug = policy.drugs[name]
    assert any(code.startswith("atc:") for code in drug.codes)
    assert drug.tail_days.days in (28, 30)
    judged = [limit for limit in drug.highest_daily_mg if policy.is_judged(limit)]
    assert judged
    assert all(policy.sources[str(limit.source)].kind == "label" for limit in judged)


def allowed(drug: Drug, disease: str) -> tuple[Decimal, Decimal | None, tuple[Decimal, int] | None]:
    (limit,) = (limit for limit in drug.highest_daily_mg if disease in limit.indications)
    start = limit.induction
    return limit.usual, limit.from_age_65, (start.mg, start.first_days) if start else None


def test_induction_with_45_mg_lasts_12_weeks_in_crohns_disease_and_8_in_ulcerative_colitis(
    policy: PolicyDocument,
) -> None:
    drug = policy.drugs["upadacitinib"]
    assert allowed(drug, "CD") == (30, None, (45, 84))
    assert allowed(drug, "UC") == (30, None, (45, 56))
    assert allowed(drug, "AD") == (30, 15, None)
    assert allowed(drug, "axSpA") == (15, None, None)


def test_a_dose_limit_without_a_label_judges_nothing(policy: PolicyDocument) -> None:
    limits = [limit for drug in policy.drugs.values() for limit in drug.highest_daily_mg]
    unjudged = {disease for limit in limits if not policy.is_judged(limit) for disease in limit.indications}
    assert unjudged == {"GCA", "JIA"}


@pytest.mark.parametrize(
    ("former", "drug"),
    [("L04AA44", "upadacitinib"), ("L04AA29", "tofacitinib"), ("L04AA37", "baricitinib"), ("L04AA45", "filgotinib")],
)
def test_former_atc_codes_keep_a_series_in_one_piece(policy: PolicyDocument, former: str, drug: str) -> None:
    assert f"atc:{former}" in policy.drugs[drug].codes


def test_the_igra_control_is_never_evidence(policy: PolicyDocument) -> None:
    assert "loinc:71774-4" in policy.never_evidence
    assert policy.tests["igra"].codes == ("loinc:71773-6",)


def test_all_events_of_interest_of_the_labels_are_there(policy: PolicyDocument) -> None:
    assert set(policy.aesis) == {
        "any", "serious", "serious_infection", "opportunistic_infection", "herpes_zoster", "tuberculosis", "mace",
        "vte", "malignancy_no_nmsc", "nmsc", "gi_perforation", "hepatic_disorder", "anaemia", "neutropenia",
        "lymphopenia", "cpk_elevation", "death", "stopped_for_event",
    }  # fmt: skip


@pytest.mark.parametrize("name", DRUGS)
def test_each_drug_has_a_cohort(policy: PolicyDocument, name: str) -> None:
    assert policy.cohorts[name].drug == name


def test_the_cases_question_has_its_two_cohorts(policy: PolicyDocument) -> None:
    alone, comorbid = policy.cohorts["upadacitinib_ad_alone"], policy.cohorts["upadacitinib_ad_comorbid"]
    assert (alone.disease, alone.without) == (comorbid.disease, comorbid.with_) == (("AD",), ("other_immune",))


def test_every_reference_can_be_tested_and_is_published(policy: PolicyDocument) -> None:
    for reference in policy.references:
        assert reference.events is not None
        assert reference.patient_years is not None
        assert policy.sources[reference.source].kind == "publication"


@pytest.mark.parametrize(("aesi", "per_100"), [("herpes_zoster", "2.8"), ("hepatic_disorder", "10.6"), ("vte", "0.3")])
def test_references_give_the_published_rate_to_the_printed_digit(
    policy: PolicyDocument, aesi: str, per_100: str
) -> None:
    (one,) = (one for one in policy.references if (one.cohort, one.aesi) == ("upadacitinib_ra_15", aesi))
    assert one.events is not None
    assert one.patient_years is not None
    assert f"{one.events / one.patient_years * 100:.1f}" == per_100
