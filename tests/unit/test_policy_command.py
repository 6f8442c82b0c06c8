"""`jakwatch policy` as a person meets it: what it prints and how it ends."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from monitor.cli import main
from monitor.demo.cases import paper_cases
from monitor.policyfile import default_policy_path

DATA = Path(__file__).parents[1] / "data" / "policy"
HOSPITAL, SITES = str(DATA / "hospital.yaml"), str(DATA / "sites.yaml")


def line(words: str) -> int:
    """The line of the hospital's policy in which these words stand first."""
    return next(at for at, text in enumerate(Path(HOSPITAL).read_text("utf-8").splitlines(), 1) if words in text)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["policy", *arguments])


@pytest.fixture
def changed(tmp_path: Path) -> Callable[..., str]:
    """A copy of a policy and its code lists with some text replaced; gives its path."""

    def change(source: Path, *changes: tuple[str, str]) -> str:
        for path in source.parent.glob("*.csv"):
            shutil.copy(path, tmp_path)
        text = source.read_text("utf-8")
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        (tmp_path / "changed.yaml").write_text(text, "utf-8")
        return str(tmp_path / "changed.yaml")

    return change


def test_check_without_a_file_passes_the_default_policy() -> None:
    result = run("check")
    assert result.exit_code == 0
    assert "jakwatch-default version 1, in force from 2012-01-01, no errors" in result.output


def test_check_lists_what_is_unconfirmed_local_and_without_source() -> None:
    result = run("check", HOSPITAL)
    assert result.exit_code == 0
    printed = [" ".join(text.split()) for text in result.output.splitlines()]
    assert f"line {line('days: 14')} drugs.baricitinib.tail_days: days 14" in printed
    assert f"line {line('days: 120')} drugs.upadacitinib.new_start_after_pause_days: days 120" in printed
    assert f"line {line('usual: 4}')} drugs.baricitinib.highest_daily_mg[0]: indications AD, usual 4" in printed
    for title in ("local: to be confirmed", "decided on the spot (local)", "without a source"):
        assert title in result.output


def test_check_shows_for_signature_what_is_excluded_beside_a_result_that_is_not_negative() -> None:
    result = run("check", HOSPITAL)
    expected = (
        f"line  {line('core: positive, dna: negative')}  hepatitis_b: core positive, dna negative, surface negative"
    )
    assert expected in result.output


def test_check_says_when_nobody_approved(changed: Callable[..., str]) -> None:
    path = changed(Path(HOSPITAL), (", approved_by: director, approved_on: 2027-01-15", ""))
    assert "line 2: not approved" in run("check", path).output
    assert "not approved" not in run("check", HOSPITAL).output


def test_check_ends_with_1_and_names_line_key_and_what_is_allowed(changed: Callable[..., str]) -> None:
    path = changed(Path(HOSPITAL), ("if_not_good: warn", "if_not_good: ignore"))
    result = run("check", path, HOSPITAL)
    assert result.exit_code == 1
    blamed = f"{path}:{line('if_not_good: warn')}: screening.hepatitis_c.if_not_good"
    assert f"{blamed}: is 'ignore'; allowed: 'hold' or 'warn'" in result.stderr
    assert "hospital version 3, in force from 2027-02-01, no errors" in result.stdout


def test_check_finds_what_only_shows_side_by_side(changed: Callable[..., str]) -> None:
    result = run("check", HOSPITAL, changed(Path(HOSPITAL), ("version: 3", "version: 4")))
    assert result.exit_code == 1
    assert "policy.effective_from: 2027-02-01 is that of" in result.stderr


def test_check_takes_a_site_registry_too() -> None:
    result = run("check", SITES, HOSPITAL)
    assert result.exit_code == 0
    assert "tests version 1, in force from 2027-02-01, no errors" in result.output
    assert "azores: no treatment feed" in result.output


def test_a_file_that_is_not_there_is_wrong_use() -> None:
    assert run("check", "nowhere.yaml").exit_code == 2


def test_show_prints_each_value_with_its_citation() -> None:
    result = run("show", HOSPITAL)
    assert result.exit_code == 0
    page = " ".join(result.output.split())
    assert "events count after the last dose 30 days [publication: made-up trial, table 9]" in page
    assert "30 mg a day; first 84 days 45 [label: made-up leaflet, chapter 4]" in page
    assert "highest dose: AD 4 mg a day (not judged) [no source named]" in page
    assert "positive from 20 IU/mL [no source named]" in page
    assert "surface 365, core 365, dna 90 [local: board of 2027-01-10]" in page
    assert "3. surface negative, core positive, dna negative: excluded; repeat dna every 90 days" in page
    assert "Code list: infections.csv icd10:A*, icd10:J18*, local:SEPSIS" in page


def test_show_has_a_line_for_every_name_of_the_default_policy() -> None:
    output = run("show").output
    for name in ("ritlecitinib", "hbv_dna", "tuberculosis", "malignancy_no_nmsc", "jak_at_risk", "axSpA", "windows"):
        assert name in output


def test_show_of_a_broken_policy_is_wrong_use_and_says_why(changed: Callable[..., str]) -> None:
    result = run("show", changed(Path(HOSPITAL), ("version: 3", "version: three")))
    assert result.exit_code == 2
    assert "policy.version: must be a whole number" in result.stderr


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("atc:L04AA44", "drug: upadacitinib (class jak_inhibitor)"),
        ("L04AF03", "atc:L04AF03\n  drug: upadacitinib"),
        ("loinc:16933-4", "test: anti_hbc, read for hepatitis_b"),
        ("loinc:71774-4", "never evidence"),
        ("icd10:K50.9", "disease or condition: CD (in other_immune)"),
        ("icd10:B02.9", "adverse event: herpes_zoster"),
        ("icd10:J18.9", "adverse event: serious_infection (file:infections.csv; serious)"),
        ("icd10:C44.1", "adverse event: nmsc"),
        ("icd10:R51", "no interest of its own"),
        ("icd10:Q99", "unmapped"),
        ("Q99", "unmapped in every code system of this policy"),
    ],
)
def test_explain_says_what_a_code_means(code: str, words: str) -> None:
    result = run("explain", code)
    assert result.exit_code == 0
    assert words in result.output


def test_explain_does_not_offer_an_excepted_code_as_event() -> None:
    assert "malignancy_no_nmsc" not in run("explain", "icd10:C44.1").output


def test_explain_asks_the_policy_it_is_given() -> None:
    assert "test: skin_tb, read for tuberculosis" in run("explain", "local:SKIN-TB", "--policy", HOSPITAL).output


def test_explain_without_a_code_after_the_system_is_wrong_use() -> None:
    assert run("explain", "icd10:").exit_code == 2


def test_diff_of_a_policy_with_itself_ends_with_0() -> None:
    result = run("diff", HOSPITAL, HOSPITAL)
    assert (result.exit_code, result.output) == (0, "values changed: 0\n")


def test_diff_lists_the_values_that_changed_and_ends_with_1(changed: Callable[..., str]) -> None:
    path = changed(
        Path(HOSPITAL), ("days: 30, source: trial", "days: 60, source: trial"), ("  upa_30:", "  upa_adults:")
    )
    (Path(path).parent / "infections.csv").write_text("system,code\nicd10,A*\nicd10,J18*\nlocal,PNEUMONIA\n", "utf-8")
    result = run("diff", HOSPITAL, path)
    assert result.exit_code == 1
    lines = [text.strip() for text in result.output.splitlines()]
    assert lines[0] == "values changed: 5"
    assert "~ drugs.upadacitinib.tail_days.days: 30 -> 60" in lines
    assert "- files.infections.csv: local:SEPSIS" in lines
    assert "+ files.infections.csv: local:PNEUMONIA" in lines
    assert any(each.startswith("- cohorts.upa_30:") for each in lines)
    assert any(each.startswith("+ cohorts.upa_adults:") for each in lines)


@pytest.fixture
def messages(tmp_path: Path) -> str:
    path = tmp_path / "messages.jsonl"
    path.write_text("".join(f"{json.dumps(each)}\n" for each in paper_cases()), "utf-8")
    return str(path)


def test_diff_with_files_says_which_decisions_and_rates_move(changed: Callable[..., str], messages: str) -> None:
    path = changed(default_policy_path(), ("igra: 365", "igra: 1"))
    result = run("diff", str(default_policy_path()), path, messages)
    assert result.exit_code == 1
    assert "case-1-upa start: compliant -> violation; tuberculosis excluded -> expired" in result.output
    assert "rates moved: 0" in result.output


def test_diff_with_files_ends_with_0_where_nothing_moves(changed: Callable[..., str], messages: str) -> None:
    path = changed(default_policy_path(), ("version: 1", "version: 2"), ("icd10:R51*", "icd10:R51.0"))
    result = run("diff", str(default_policy_path()), path, messages)
    assert "values changed: 3" in result.output
    assert result.exit_code == 0
