# ruff: noqa: E501  the table of mistakes reads best with one mistake a line
"""Reading policies: whatever is wrong is said with file, line, key and what is allowed, all of it at once."""

import shutil
from pathlib import Path

import pytest

from monitor.policyfile import PolicyError, is_registry, load_policies, read_code_list, read_policy

DATA = Path(__file__).parents[1] / "data" / "policy"
HOSPITAL = (DATA / "hospital.yaml").read_text("utf-8")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("hospital.yaml", "infections.csv"):
        shutil.copy(DATA / name, tmp_path)
    return tmp_path


def problems_of(folder: Path, text: str) -> PolicyError:
    (folder / "hospital.yaml").write_text(text, "utf-8")
    with pytest.raises(PolicyError) as caught:
        load_policies([folder / "hospital.yaml"])
    return caught.value


# (what stands in the file, what is written instead, the key that is blamed, words of the message)
# fmt: off
MISTAKES = [
    ("region: PT", "regoin: PT", "policy.regoin", "did you mean region? allowed: name, version"),
    ("version: 3", "version: '3'", "policy.version", "whole number without quotes, not '3'"),
    ("version: 3", "version: 0", "policy.version", "greater than or equal to 1"),
    ("effective_from: 2027-02-01", 'effective_from: "2027-02-01"', "policy.effective_from", "a day like 2026-12-31, without quotes"),
    ("approved_on: 2027-01-15", "approved_on: 2027-02-30", "policy.approved_on", "no day of the calendar"),
    ("kind: publication", "kind: blog", "sources.trial.kind", "allowed: 'label', 'publication', 'guideline'"),
    ("AD: [icd10:L20*]", "AD: [L20*]", "diseases.AD[0]", "a code is system:code"),
    ("AD: [icd10:L20*]", "AD: icd10:L20*", "diseases.AD", "must be a list"),
    ("bowel: [CD, UC]", "bowel: [CD, XX]", "disease_groups.bowel", "unknown disease 'XX'; declared are: AD, CD, UC"),
    ("bowel: [CD, UC]", "CD: [UC]", "disease_groups.CD", "a disease has this name"),
    ("[AD, bowel]", "[AD, gut]", "undated_from_course_start", "unknown disease 'gut'"),
    ("codes: [atc:L04AF02]", "codes: []", "drugs.baricitinib.codes", "must not be empty"),
    ("codes: [atc:L04AF02]", "codes: [atc:L04AF03]", "drugs.baricitinib.codes", "atc:L04AF03 belongs to 'upadacitinib'"),
    ("codes: [atc:L04AF02]", "codes: [atc:L04*]", "drugs", "takes in atc:L04AF03"),
    ("tail_days: {days: 30, source: trial}", "tail_days: 30", "drugs.upadacitinib.tail_days", "a block of `key: value`, not 30"),
    ("{days: 30, source: trial}", "{days: 30}", "drugs.upadacitinib.tail_days.source", "is missing; it is required"),
    ("{days: 30, source: trial}", "{days: 30, source: trail}", "drugs.upadacitinib.tail_days.source", "unknown source 'trail'"),
    ("{days: 30, source: trial}", "{days: -1, source: trial}", "drugs.upadacitinib.tail_days.days", "greater than or equal to 0"),
    ("{days: 30, source: trial}", "{days: 2.5, source: trial}", "drugs.upadacitinib.tail_days.days", "whole number without quotes, not 2.5"),
    ("usual: 30, from", "usual: '30', from", "drugs.upadacitinib.highest_daily_mg[0].usual", "a number, without quotes"),
    ("usual: 30, from", "usual: true, from", "drugs.upadacitinib.highest_daily_mg[0].usual", "a number, without quotes"),
    ("[CD, UC], usual: 30", "[CD, AD], usual: 30", "drugs.upadacitinib.highest_daily_mg", "more than one line for AD"),
    ("[CD, UC], usual: 30", "[UC], usual: 15}\n      - {indications: [bowel], usual: 30", "drugs.upadacitinib.highest_daily_mg", "more than one line for UC"),
    ("[UC], usual: 2.5", "[RA], usual: 2.5", "drugs.baricitinib.highest_daily_mg[1].indications", "unknown disease 'RA'"),
    ("not_older_than: core", "not_older_than: cor", "tests.dna.not_older_than", "unknown test 'cor'"),
    ("hcv:      {codes: [loinc:16128-1]}", "hcv:      {codes: [loinc:5195-3]}", "tests.hcv.codes", "belongs to 'surface'"),
    ("[loinc:71774-4]", "[loinc:71773-6]", "never_evidence", "belongs to 'blood_tb'"),
    ("latest_unless_positive", "newest", "several_results", "allowed: 'latest_unless_positive' or 'latest'"),
    ("if_not_good: warn", "if_not_good: ignore", "screening.hepatitis_c.if_not_good", "allowed: 'hold' or 'warn'"),
    ("required: [surface, core]", "required: [surface, croe]", "screening.hepatitis_b.required[1]", "unknown test with valid_days"),
    ("[{one_of: [blood_tb, skin_tb]}]", "[{oneof: [blood_tb]}]", "screening.tuberculosis.required[0].oneof", "did you mean one_of?"),
    ("{surface: 365,", "{surfase: 365,", "screening.hepatitis_b.valid_days", "unknown test 'surfase'"),
    ("{if: {surface: positive}", "{if: {hiv: positive}", "screening.hepatitis_b.rows[0].if", "unknown test with valid_days"),
    ("{if: {surface: positive}", "{if: {surface: pos}", "screening.hepatitis_b.rows[0].if.surface", "allowed: 'positive', 'negative'"),
    ("{if: {surface: positive}", "{if: {}", "screening.hepatitis_b.rows[0].if", "must not be empty"),
    ("positive}, finding: missing", "positive}, finding: treated", "screening.hepatitis_b.rows[3].finding", "allowed: 'excluded', 'positive'"),
    ("ask_for: dna", "ask_for: dan", "screening.hepatitis_b.rows[3].ask_for", "unknown test 'dan'"),
    ("then_repeat: {dna: 90}", "then_repeat: {dan: 90}", "screening.hepatitis_b.rows[2].then_repeat", "unknown test 'dan'"),
    ("finding: missing, ask", "finding: missing, treated_after_days: 9, ask", "screening.hepatitis_b.rows[3]", "only a row with `finding: positive`"),
    ("  hiv:\n    if_not", "  aids:\n    if_not", "screening.aids", "allowed: 'hiv', 'hepatitis_b'"),
    ("[jak_inhibitor], dose", "[jak], dose", "flags.two_of_one_class", "unknown class 'jak'; declared are: jak_inhibitor"),
    ("dose_above_label: [upadacitinib]", "dose_above_label: [upa]", "flags.dose_above_label", "unknown drug 'upa'"),
    ("dose_above_label: [upadacitinib]", "dose_above_label: every", "flags.dose_above_label", "allowed: 'all'"),
    ("blocking: [two_of_one_class]", "blocking: [old_age]", "flags.blocking[0]", "allowed: 'dose_above_label', 'two_of_one_class'"),
    ("all:       {codes: any}", "all:       {codes: every}", "aesis.all.codes", "is 'every'; allowed: 'any'"),
    ("outcome: fatal", "outcome: dead", "aesis.death.outcome", "allowed: 'recovered'"),
    ("action_taken: drug_stopped", "action_taken: stopped", "aesis.stopped.action_taken", "allowed: 'none'"),
    ("serious: true", "serious: 1", "aesis.infection.serious", "true or false without quotes, not 1"),
    ("upadacitinib: for_ever", "upadacitinib: always", "aesis.cancer.tail_days.upadacitinib", "allowed: 'for_ever'"),
    ("file:infections.csv", "file:infektions.csv", "aesis.infection.codes[0]", "a code list stands beside the policy"),
    ("file:infections.csv", "file:infections.txt", "aesis.infection.codes[0]", "named file:list.csv"),
    ("file:infections.csv", "file:../infections.csv", "aesis.infection.codes[0]", "named file:list.csv"),
    ("windows: [30, 365]", "windows: [30, 30]", "counting.windows", "each length may stand once"),
    ("windows: [30, 365]", "windows: 30", "counting.windows", "must be a list"),
    ("confidence: 0.95", "confidence: 95", "counting.confidence", "less than 1, not 95"),
    ("denominator: exposure", "denominator: exposed", "counting.denominator", "allowed: 'at_risk' or 'exposure'"),
    ("upa:         {drug: upadacitinib}", "upa:         {drug: upa}", "cohorts.upa.drug", "unknown drug 'upa'"),
    ("upa:         {drug: upadacitinib}", "u pa: {drug: upadacitinib}", "cohorts.u pa", "a name has letters"),
    ("alone:       {class: jak_inhibitor", "alone:       {class: jak", "cohorts.alone.class", "unknown class 'jak'"),
    ("without: bowel", "without: gut", "cohorts.alone.without", "unknown disease 'gut'"),
    ("{ever: [smoking]}", "{ever: [drinking]}", "cohorts.risk.any_of[1].ever", "unknown disease 'drinking'"),
    ("{ever: [smoking]}", "{}", "cohorts.risk", "each alternative needs a condition"),
    ("age_below: 65", "age_below: 18", "cohorts.upa_30", "age_from must lie below age_below"),
    ("drug: upadacitinib, split_by: daily_mg", "drug: upadacitinib, split_by: age", "cohorts.upa_dose.split_by", "allowed: 'daily_mg' or 'disease'"),
    ("{cohort: upa, aesi", "{cohort: tofa, aesi", "references[0].cohort", "unknown cohort 'tofa'"),
    ("{cohort: upa, aesi", "{cohort: upa_dose, aesi", "references[0].cohort", "a split cohort is named `cohort:level`"),
    ('cohort: "upa_disease:CD"', 'cohort: "upa_disease:XX"', "references[1].cohort", "unknown disease 'XX'"),
    ("cohort: upa, aesi: zoster", "cohort: upa, aesi: shingles", "references[0].aesi", "unknown AESI 'shingles'"),
    ('cohort: "upa_disease:CD", aesi: zoster, estimator: EAIR', "cohort: upa, aesi: zoster, estimator: EAER", "references[1]", "upa, zoster, EAER has references[0] already"),
    ("events: 7, patient_years", "patient_years", "references[0]", "stand together or not at all"),
    ("rate: 2.5, lower", "lower", "references[1]", "give events and patient_years"),
    ("cohorts:\n", "files: {}\ncohorts:\n", "files", "a code list is named where it is used"),
    ("terms_of_no_interest:", "block_sources: {dogs: board}\nterms_of_no_interest:", "block_sources", "unknown block 'dogs'"),
    ("region: PT", "region: no", "policy.region", "no may mean a truth value or a word"),
    ("hiv: 365", "hiv: 1_000", "screening.hiv.valid_days.hiv", "may be read as several numbers"),
    ("windows: [30, 365]", "windows: [0:30, 365]", "counting.windows[0]", "may be read as several numbers"),
    ("confidence: 0.95", "confidence: .95", "counting.confidence", "may be read as several numbers"),
    ("{days: 14, source: open}", "{days: 14, days: 41, source: open}", "drugs.baricitinib.tail_days.days", "stands twice, first in line"),
]
# fmt: on


@pytest.mark.parametrize(("old", "new", "key", "words"), MISTAKES)
def test_a_mistake_is_named_with_its_line_and_key(folder: Path, old: str, new: str, key: str, words: str) -> None:
    assert HOSPITAL.count(old) >= 1
    text = HOSPITAL.replace(old, new, 1)
    error = problems_of(folder, text)
    named = [problem for problem in error.problems if problem.key == key]
    assert named, str(error)
    assert words in named[0].message
    assert named[0].file == str(folder / "hospital.yaml")
    begins = text[: HOSPITAL.index(old)].count("\n") + 1
    around = {"drugs": "drugs:", "several_results": "several_results:", "block_sources": "block_sources:"}.get(key)
    assert (
        named[0].line in range(begins - 4, begins + 2)
        if around is None
        else text.splitlines()[named[0].line - 1].startswith(around)
    )


def test_the_line_is_that_of_the_value_itself(folder: Path) -> None:
    text = HOSPITAL.replace("usual: 2.5", "usual: two")
    (problem,) = problems_of(folder, text).problems
    assert text.splitlines()[problem.line - 1].strip() == "- {indications: [UC], usual: two, source: open}"


def test_all_mistakes_of_a_file_are_said_at_once(folder: Path) -> None:
    text = HOSPITAL.replace("region: PT", "regoin: PT").replace("hiv: 365", "hiv: '365'")
    keys = [problem.key for problem in problems_of(folder, text).problems]
    assert keys == ["policy.regoin", "screening.hiv.valid_days.hiv"]


def test_all_undeclared_names_are_said_at_once(folder: Path) -> None:
    text = HOSPITAL.replace("drug: upadacitinib}", "drug: upa}").replace("without: bowel", "without: gut")
    keys = [problem.key for problem in problems_of(folder, text).problems]
    assert keys == ["cohorts.upa.drug", "cohorts.alone.without"]


def test_the_text_of_an_error_says_where_and_what_to_do(folder: Path) -> None:
    text = str(problems_of(folder, HOSPITAL.replace("confidence: 0.95", "confidence: 95")))
    path = folder / "hospital.yaml"
    line = HOSPITAL[: HOSPITAL.index("confidence")].count("\n") + 1
    assert text == (
        f"{path}:{line}: counting.confidence: must be less than 1, not 95\n"
        f"Nothing was read. Mend {path} and run it again."
    )


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("", 1, "must be a block"),
        ("- a\n", 1, "must be a block"),
        ("policy: [1\n", 2, "is no YAML"),
        ("a: 1\n---\nb: 2\n", 2, "a second document begins"),
        ("a: &x 1\n", 1, "neither anchors"),
        ("a: 1\nb: *x\n", 2, "neither anchors"),
        ("a: !!python/object:os.system {}\n", 1, "neither anchors"),
        ("a:\n  <<: {b: 1}\n", 2, "neither anchors"),
        ("a: {[1, 2]: 3}\n", 1, "a key must be one word"),
        ("a: \x07\n", 1, "a character that YAML does not allow"),
        ("[" * 3000 + "]" * 3000, 1, "is nested too deeply"),
    ],
)
def test_what_is_no_plain_yaml_is_refused(folder: Path, text: str, line: int, words: str) -> None:
    problems = problems_of(folder, text).problems
    assert any(problem.line == line and words in problem.message for problem in problems), problems


def test_a_file_that_is_not_utf_8_is_refused_with_the_line(folder: Path) -> None:
    (folder / "hospital.yaml").write_bytes(b"# ok\npolicy: {name: caf\xe9}\n")
    with pytest.raises(PolicyError) as caught:
        read_policy(folder / "hospital.yaml")
    assert [(one.line, one.message) for one in caught.value.problems] == [(2, "is not UTF-8; save it in that encoding")]


def test_a_byte_order_mark_is_no_mistake(folder: Path) -> None:
    plain = read_policy(folder / "hospital.yaml").policy
    (folder / "hospital.yaml").write_bytes(b"\xef\xbb\xbf" + HOSPITAL.encode())
    assert read_policy(folder / "hospital.yaml").policy == plain


def test_comments_and_layout_change_neither_content_nor_hash(folder: Path) -> None:
    before = read_policy(folder / "hospital.yaml").policy
    spread = HOSPITAL.replace("{days: 14, source: open}", "\n      days: 14   # two weeks\n      source: open")
    (folder / "hospital.yaml").write_text(f"# another title\n\n{spread}", "utf-8")
    (folder / "infections.csv").write_text("system,code\nlocal,SEPSIS\nicd10,J18*\nicd10,A*\nicd10,A*\n", "utf-8")
    after = read_policy(folder / "hospital.yaml").policy
    assert after == before
    assert after.sha256 == before.sha256


def test_a_code_list_drops_comments_and_further_columns(folder: Path) -> None:
    files = read_policy(folder / "hospital.yaml").policy.files
    assert files == {"infections.csv": (("icd10", "A*"), ("icd10", "J18*"), ("local", "SEPSIS"))}


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("system;code\nicd10;A*\n", 1, "a header with the columns system,code"),
        ("icd10,A*\n", 1, "a header with the columns system,code"),
        ("", 1, "a header with the columns system,code"),
        ("system,code\n", 1, "no codes below its header"),
        ("# first\nsystem,code\nicd10\n", 3, "icd10: is no code"),
        ("system,code\nicd10,A*B\n", 2, "icd10:A*B is no code"),
        ("system,code\nfile,more.csv\n", 2, "file:more.csv is no code"),
    ],
)
def test_a_broken_code_list_is_named_with_its_line(text: str, line: int, words: str) -> None:
    _, problems = read_code_list(text, "list.csv")
    assert [(one.file, one.line) for one in problems] == [("list.csv", line)]
    assert words in problems[0].message


def test_versions_come_sorted_by_the_day_from_which_they_are_in_force(folder: Path) -> None:
    later = HOSPITAL.replace("version: 3", "version: 4").replace("2027-02-01", "2028-02-01")
    (folder / "later.yaml").write_text(later, "utf-8")
    policies = load_policies([folder / "later.yaml", folder / "hospital.yaml"])
    assert [one.policy.version for one in policies] == [3, 4]


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [("version: 3", "version: 4", "policy.effective_from"), ("2027-02-01", "2028-02-01", "policy.version")],
)
def test_two_versions_of_one_number_or_day_are_refused(folder: Path, old: str, new: str, key: str) -> None:
    (folder / "other.yaml").write_text(HOSPITAL.replace(old, new), "utf-8")
    with pytest.raises(PolicyError) as caught:
        load_policies([folder / "hospital.yaml", folder / "other.yaml"])
    (problem,) = caught.value.problems
    assert (problem.key, problem.line, problem.file) == (key, 2, str(folder / "other.yaml"))
    assert "hospital.yaml too; each version needs its own" in problem.message


def test_a_registry_is_told_from_a_policy() -> None:
    assert is_registry(DATA / "sites.yaml")
    assert not is_registry(DATA / "hospital.yaml")
