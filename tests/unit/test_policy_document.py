"""The typed policy: what YAML keys become, what cannot be built, and the hash that is signed."""

import copy
import pickle
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from monitor.core.policy import PolicyDocument, code_matches
from monitor.policyfile import read_policy
from monitor.yamlfile import read_yaml

HOSPITAL = Path(__file__).parents[1] / "data" / "policy" / "hospital.yaml"
FILES = {"infections.csv": (("icd10", "A*"), ("icd10", "J18*"), ("local", "SEPSIS"))}


@pytest.fixture
def data() -> dict[str, Any]:
    return {**read_yaml(HOSPITAL.read_text("utf-8")).data, "files": FILES}


@pytest.fixture
def policy(data: dict[str, Any]) -> PolicyDocument:
    return PolicyDocument.model_validate(data)


def test_head_has_dates_and_whole_numbers(policy: PolicyDocument) -> None:
    head = policy.policy
    assert (head.name, head.version, head.effective_from, head.approved_on) == (
        "hospital", 3, date(2027, 2, 1), date(2027, 1, 15),
    )  # fmt: skip


def test_doses_are_the_decimals_that_were_written(policy: PolicyDocument) -> None:
    for_bowel = policy.drugs["upadacitinib"].highest_daily_mg[1]
    assert for_bowel.indications == ("CD", "UC")
    assert for_bowel.induction is not None
    assert (for_bowel.usual, for_bowel.induction.mg, for_bowel.induction.first_days) == (Decimal(30), Decimal(45), 84)
    assert policy.drugs["baricitinib"].highest_daily_mg[1].usual == Decimal("2.5")


def test_keys_that_are_python_words_end_in_an_underscore(policy: PolicyDocument) -> None:
    assert policy.drugs["upadacitinib"].class_ == "jak_inhibitor"
    assert policy.screening["hiv"].rows[0].if_ == {"hiv": "positive"}
    assert policy.aesis["infection"].except_ == ("icd10:B02*",)
    assert policy.cohorts["both"].with_ == ("bowel",)


def test_one_name_and_a_list_of_one_are_the_same(policy: PolicyDocument) -> None:
    assert policy.cohorts["alone"].without == ("bowel",)
    assert policy.screening["hepatitis_b"].rows[3].ask_for == ("dna",)
    assert policy.screening["tuberculosis"].rows[2].ask_for == ("blood_tb", "skin_tb")
    assert policy.cohorts["upa_30"].daily_mg == (Decimal(30), Decimal(45))


def test_required_groups_say_of_which_tests_one_must_speak(policy: PolicyDocument) -> None:
    assert policy.screening["hepatitis_b"].required_groups == (("surface",), ("core",))
    assert policy.screening["tuberculosis"].required_groups == (("blood_tb", "skin_tb"),)


def test_the_source_of_valid_days_stands_apart_from_the_tests(policy: PolicyDocument) -> None:
    table = policy.screening["hepatitis_b"]
    assert table.valid_days == {"surface": 365, "core": 365, "dna": 90}
    assert table.valid_days_source == "board"
    assert policy.screening["hepatitis_c"].valid_days_source is None


def test_a_tail_is_a_number_of_days_or_for_ever(policy: PolicyDocument) -> None:
    assert policy.aesis["cancer"].tail_days == {"upadacitinib": "for_ever", "tofacitinib": 90}


def test_code_lists_of_files_are_spelled_out(policy: PolicyDocument) -> None:
    codes = policy.aesis["infection"].codes
    assert codes != "any"
    assert list(policy.codings(codes)) == [("icd10", "A*"), ("icd10", "J18*"), ("local", "SEPSIS")]


def test_a_group_stands_for_its_diseases(policy: PolicyDocument) -> None:
    assert policy.members("bowel") == ("CD", "UC")
    assert policy.members("AD") == ("AD",)


def test_only_a_sourced_and_confirmed_limit_is_judged(policy: PolicyDocument) -> None:
    without, unconfirmed = policy.drugs["baricitinib"].highest_daily_mg
    assert not policy.is_judged(without)
    assert not policy.is_judged(unconfirmed)
    assert policy.is_judged(policy.drugs["upadacitinib"].highest_daily_mg[0])


@pytest.mark.parametrize(
    ("pattern", "code", "expected"),
    [
        ("L20*", "L20.9", True),
        ("L20*", "L20", True),
        ("L20*", "L2", False),
        ("L20", "L20.9", False),
        ("C*", "C44", True),
    ],
)
def test_a_star_takes_everything_below(pattern: str, code: str, expected: bool) -> None:
    assert code_matches(pattern, code) is expected


def test_a_policy_is_frozen_and_travels_between_processes(policy: PolicyDocument) -> None:
    with pytest.raises(ValidationError):
        policy.several_results = "latest"  # type: ignore[misc]  # that it cannot be is the promise
    assert pickle.loads(pickle.dumps(policy)) == policy  # noqa: S301  our own bytes


def test_the_hash_ignores_the_order_of_keys(data: dict[str, Any], policy: PolicyDocument) -> None:
    reordered = {key: data[key] for key in reversed(data)}
    reordered["drugs"] = dict(reversed(data["drugs"].items()))
    assert PolicyDocument.model_validate(reordered).sha256 == policy.sha256


def test_the_hash_ignores_how_a_number_or_a_single_name_is_written(
    data: dict[str, Any], policy: PolicyDocument
) -> None:
    data["drugs"]["upadacitinib"]["highest_daily_mg"][0]["usual"] = Decimal("30.0")
    data["cohorts"]["alone"]["without"] = ["bowel"]
    assert PolicyDocument.model_validate(data).sha256 == policy.sha256


def test_the_hash_ignores_a_default_that_is_written_out(data: dict[str, Any], policy: PolicyDocument) -> None:
    data["aesis"]["zoster"]["also_died_on"] = False
    data["block_sources"] = {}
    assert PolicyDocument.model_validate(data).sha256 == policy.sha256


def test_the_hash_changes_with_a_value_a_code_list_and_the_order_of_rows(data: dict[str, Any]) -> None:
    seen = {PolicyDocument.model_validate(data).sha256}
    for change in ("value", "file", "rows"):
        other = copy.deepcopy(data)
        if change == "value":
            other["screening"]["hiv"]["valid_days"]["hiv"] = 364
        elif change == "file":
            other["files"] = {"infections.csv": FILES["infections.csv"][:2]}
        else:
            other["screening"]["hiv"]["rows"].reverse()
        seen.add(PolicyDocument.model_validate(other).sha256)
    assert len(seen) == 4


def test_the_hash_is_pinned() -> None:
    """What was signed must be recognised by every later release: if this changes, every signature is void."""
    assert read_policy(HOSPITAL).policy.sha256 == "b092572df7b5edfbde9bb313c0b0119fc40eca80cbdc9c56433440f4e8e42198"


def test_a_code_list_that_was_not_read_makes_no_policy(data: dict[str, Any]) -> None:
    del data["files"]
    with pytest.raises(ValidationError, match=r"infections\.csv"):
        PolicyDocument.model_validate(data)


@pytest.mark.parametrize("infection", ["hiv", "hepatitis_b", "hepatitis_c", "tuberculosis"])
def test_all_four_infections_have_a_table(data: dict[str, Any], infection: str) -> None:
    del data["screening"][infection]
    with pytest.raises(ValidationError, match=f"no table for {infection}"):
        PolicyDocument.model_validate(data)
