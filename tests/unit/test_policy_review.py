"""What a signer is shown: combinations called excluded that are not all negative, unreachable rows, odd codes."""

from pathlib import Path
from typing import Any

import pytest

from monitor.core.policy import PolicyDocument
from monitor.core.policy_review import backings, doubtful_exclusions, remarks
from monitor.yamlfile import read_yaml

HOSPITAL = Path(__file__).parents[1] / "data" / "policy" / "hospital.yaml"


@pytest.fixture
def data() -> dict[str, Any]:
    files = {"infections.csv": (("icd10", "A*"),)}
    return {**read_yaml(HOSPITAL.read_text("utf-8")).data, "files": files}


def exclusions(data: dict[str, Any], infection: str) -> list[str]:
    found = doubtful_exclusions(PolicyDocument.model_validate(data))
    return [str(one) for one in found if one.infection == infection]


def test_a_positive_antibody_beside_a_negative_dna_is_shown_for_signature(data: dict[str, Any]) -> None:
    assert exclusions(data, "hepatitis_b") == [
        "core negative, dna indeterminate, surface negative",
        "core negative, dna positive, surface negative",  # no row of this policy looks at it
        "core positive, dna negative, surface negative",
    ]


def test_an_indeterminate_test_that_no_row_looks_at_is_shown(data: dict[str, Any]) -> None:
    assert exclusions(data, "tuberculosis") == ["blood_tb negative, skin_tb indeterminate"]


def test_only_negative_results_need_no_signature(data: dict[str, Any]) -> None:
    assert exclusions(data, "hiv") == []


def test_an_exclusion_without_a_required_test_is_shown(data: dict[str, Any]) -> None:
    data["screening"]["hepatitis_b"]["rows"].insert(1, {"if": {"surface": "negative"}, "finding": "excluded"})
    assert "surface negative, without core" in exclusions(data, "hepatitis_b")
    assert "core positive, surface negative" in exclusions(data, "hepatitis_b")


def test_a_row_that_nothing_reaches_is_remarked(data: dict[str, Any]) -> None:
    rows = data["screening"]["hiv"]["rows"]
    rows.append({"if": {"hiv": "positive"}, "finding": "missing"})
    found = [one for one in remarks(PolicyDocument.model_validate(data)) if one.path[:2] == ("screening", "hiv")]
    assert [(one.path, one.message) for one in found] == [
        (("screening", "hiv", "rows", 2), "no combination of results reaches this row")
    ]


def test_a_code_system_nobody_usually_sends_is_remarked(data: dict[str, Any]) -> None:
    data["diseases"]["AD"] = ["icd:L20*"]
    assert next(one.path for one in remarks(PolicyDocument.model_validate(data))) == ("diseases", "AD")


def test_a_tail_for_a_drug_the_policy_does_not_have_is_remarked_and_no_error(data: dict[str, Any]) -> None:
    found = [one for one in remarks(PolicyDocument.model_validate(data)) if one.path[0] == "aesis"]
    assert [one.path for one in found] == [("aesis", "cancer", "tail_days", "tofacitinib")]


def test_a_value_is_backed_by_its_own_source_or_by_that_of_its_block(data: dict[str, Any]) -> None:
    data["block_sources"] = {"tests": "board", "cohorts": "open"}
    source = {one.path: one.source for one in backings(PolicyDocument.model_validate(data))}
    assert source["tests", "hcv"] == "board"
    assert source["cohorts",] == "open"
    assert source["drugs", "upadacitinib", "tail_days"] == "trial"
    assert source["aesis", "all"] is None


def test_the_block_does_not_back_numbers(data: dict[str, Any]) -> None:
    data["block_sources"] = {"tests": "board", "drugs": "board", "screening": "board"}
    source = {one.path: one.source for one in backings(PolicyDocument.model_validate(data))}
    assert source["tests", "dna", "number"] is None
    assert source["drugs", "baricitinib", "highest_daily_mg", 0] is None
    assert source["screening", "hepatitis_c", "valid_days"] is None
