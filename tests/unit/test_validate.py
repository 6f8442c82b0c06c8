"""`jakwatch validate`: each bad line by its place, what was taken, what does not fit together, and never a value."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from monitor.cli import main
from tests.data.bad_lines import BAD_LINES
from tests.data.valid_lines import VALID, compact

MARK = "Zq7MarkedPatient3xK"
SITES = """\
registry: {name: test, version: 1, effective_from: 2020-01-01}
sites:
  lisbon: {zone: Europe/Lisbon, go_live: 2020-01-01, ids: {trim: true, leading_zeros: strip}, feeds: {}}
  niue: {zone: Pacific/Niue, go_live: 2020-01-01, feeds: {}}
"""


def _validate(*arguments: str | Path, given: bytes | None = None) -> Result:
    return CliRunner().invoke(main, ["validate", *map(str, arguments)], input=given)


def _file(folder: Path, *lines: bytes) -> Path:
    path = folder / "messages.jsonl"
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return path


def _of(kind: str, **changes: Any) -> bytes:
    return compact({**json.loads(VALID[kind]), **changes})


def test_each_bad_line_is_named_with_file_line_reason_field_and_rule(tmp_path: Path) -> None:
    bad = (b"{", _of("prevention", infection="x"), _of("feed_status", schema=2))
    path = _file(tmp_path, VALID["prevention"], b"", *bad)
    result = _validate(path)
    assert result.exit_code == 1
    assert result.stdout.splitlines()[:4] == [
        f"{path}:3: not_json: must be one complete JSON value",
        f"{path}:4: invalid: infection: must be 'tuberculosis', 'hepatitis_b', 'hepatitis_c' or 'hiv'",
        f"{path}:5: newer_schema: schema: must be at most 1; replay it after an upgrade",
        "",
    ]
    assert "4 lines: 1 taken, 3 rejected" in result.stdout


def test_good_files_are_counted_by_type_with_first_and_last_day(tmp_path: Path) -> None:
    lines = [*VALID.values(), _of("treatment_started", event_id="e-2", started_on="2025-01-31")]
    retraction = {
        name: json.loads(VALID["prevention"])[name]
        for name in ("type", "event_id", "patient_id", "recorded_at", "site")
    }
    result = _validate(_file(tmp_path, *lines, compact({**retraction, "status": "entered_in_error"})))
    assert result.exit_code == 0
    rows = {line.split()[0]: line.split()[1:] for line in result.stdout.splitlines() if line}
    assert rows["treatment_started"] == ["2", "0", "2025-01-31", "2026-04-30"]
    assert rows["prevention"] == ["2", "1", "2026-03-01", "2026-03-01"]
    assert rows["adverse_event"] == ["1", "0", "2026-04", "2026-04"]
    assert rows["patient_merged"] == ["1", "0", "2026-05-01", "2026-05-01"]
    assert "14 lines: 14 taken, 0 rejected" in result.stdout
    assert "To look at" not in result.stdout


def test_starts_without_any_screening_of_the_same_patient_are_pointed_out(tmp_path: Path) -> None:
    starts = [_of("treatment_started", event_id=f"s-{n}", patient_id=f"{n}") for n in range(412)]
    results = [_of("screening_result", event_id=f"r-{n}", patient_id=f"MRN-{n}") for n in range(3)]
    output = _validate(_file(tmp_path, *starts, *results)).stdout
    assert "- 412 starts, none with a screening result of the same patient: do your ids match?" in output
    assert "- no adverse_event: every rate is zero" in output
    assert "- no feed_status: a feed that is quiet and one that is broken look the same" in output


def test_some_starts_without_screening_are_counted(tmp_path: Path) -> None:
    starts = [_of("treatment_started", event_id=f"s-{n}", patient_id=f"{n}") for n in range(4)]
    results = [_of("screening_result", event_id=f"r-{n}", patient_id=f"{n}") for n in range(3)]
    assert "- 4 starts, 1 of them without a screening result" in _validate(_file(tmp_path, *starts, *results)).stdout


def test_merged_identifiers_are_one_patient(tmp_path: Path) -> None:
    lines = (
        _of("treatment_started", patient_id="1"),
        _of("screening_result", patient_id="3"),
        _of("patient_merged", patient_id="1", merged_patient_id="2"),
        _of("patient_merged", patient_id="3", merged_patient_id="2", event_id="m-2"),
    )
    assert "do your ids match?" not in _validate(_file(tmp_path, *lines)).stdout


def test_stops_of_courses_that_never_started_are_pointed_out(tmp_path: Path) -> None:
    output = _validate(_file(tmp_path, VALID["treatment_started"], _of("treatment_stopped", treatment_id="t-9"))).stdout
    assert "- 1 stop, none with a start of the same treatment_id: does a course keep its id?" in output


def test_codes_of_no_standard_system_are_pointed_out(tmp_path: Path) -> None:
    local = {"codings": [{"system": "local", "code": "JAK"}]}
    output = _validate(_file(tmp_path, _of("treatment_started", drug=local))).stdout
    assert "- 1 drug, none with a code of atc or rxnorm" in output


def test_a_registry_gives_sites_zones_and_id_rules(tmp_path: Path) -> None:
    sites = tmp_path / "sites.yaml"
    sites.write_text(SITES)
    niue = {"site": "niue", "recorded_at": "2026-05-01T10:30:00Z", "last_dose_on": "2026-05-02"}
    lines = (
        _of("treatment_started", patient_id=" 0042"),
        _of("screening_result", patient_id="42 "),
        _of("treatment_stopped", **niue),
        _of("prevention", site="porto"),
    )
    path = _file(tmp_path, *lines)
    output = _validate(path, "--sites", sites).stdout
    assert f"{path}:3: in_the_future: last_dose_on" in output
    assert f"{path}:4: site_mismatch: site: must be a site of the registry" in output
    assert "do your ids match?" not in output
    assert _validate(path).exit_code == 0


def test_the_site_may_be_named_for_lines_that_do_not_say(tmp_path: Path) -> None:
    line = json.loads(VALID["prevention"])
    del line["site"]
    path = _file(tmp_path, compact(line), VALID["prevention"])
    assert f"{path}:1: invalid: site: is required" in _validate(path).stdout
    output = _validate(path, "--site", "porto").stdout
    assert "2 lines: 2 taken, 0 rejected" in output  # a line that names its site stays with it


def test_standard_input_and_gzip_are_read(tmp_path: Path) -> None:
    packed = tmp_path / "messages.jsonl.gz"
    packed.write_bytes(gzip.compress(VALID["prevention"] + b"\r\n\r\n" + b"[]"))
    result = _validate("-", packed, given=b"{}\n")
    assert result.stdout.splitlines()[:2] == [
        "standard input:1: invalid: type: is required",
        f"{packed}:3: invalid: must be an object",
    ]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "Missing argument"),
        (["no-such-file.jsonl"], "no-such-file.jsonl: cannot be read"),
        (["-", "--site", "Lisbon"], "allowed are 1 to 40 of a-z, 0-9 and -"),
        (["-", "--sites", "no-such-file.yaml"], "no-such-file.yaml"),
    ],
)
def test_wrong_use_ends_with_2_and_says_what_to_do(arguments: list[str], said: str) -> None:
    result = _validate(*arguments, given=b"")
    assert result.exit_code == 2
    assert said in result.stderr
    assert result.stdout == ""


def test_a_registry_with_a_fault_ends_with_2_and_names_its_line(tmp_path: Path) -> None:
    sites = tmp_path / "sites.yaml"
    sites.write_text(SITES.replace("Pacific/Niue", "Pacific/Nowhere"))
    result = _validate("-", "--sites", sites, given=b"")
    assert result.exit_code == 2
    assert f"{sites}:4" in result.stderr


def test_an_empty_file_has_no_message_and_no_fault(tmp_path: Path) -> None:
    result = _validate(_file(tmp_path, b"", b"  "))
    assert result.exit_code == 0
    assert "0 lines" in result.stdout
    assert "- there is no message" in result.stdout


def test_the_summary_fits_a_terminal(tmp_path: Path) -> None:
    lines = [*VALID.values(), _of("prevention", site="x" * 40, event_id="e-2"), b"{"]
    summary = _validate(_file(tmp_path, *lines)).stdout.partition("\n\n")[2]
    assert max(map(len, summary.splitlines())) <= 80


def test_no_value_of_a_message_is_printed(tmp_path: Path) -> None:
    marked = [
        _of(kind, **{field: MARK}) for kind, line in VALID.items() for field in json.loads(line) if field != "site"
    ]
    good = [_of(kind, event_id=MARK, source=MARK, patient_id=MARK) for kind in VALID if kind != "feed_status"]
    broken = [bad.line.replace(b"p-1", MARK.encode()).replace(b"e-1", MARK.encode()) for bad in BAD_LINES]
    coded = _of("adverse_event", term={"codings": [{"system": MARK, "code": MARK}], "text": MARK})
    lines = [line.replace(b"\n", b" ") for line in (*marked, *good, *broken, coded)]
    result = _validate(_file(tmp_path, *lines))
    assert result.exit_code == 1
    assert MARK not in result.output


def test_every_bad_line_is_found_and_nothing_else_is_lost(tmp_path: Path) -> None:
    sites = tmp_path / "sites.yaml"
    sites.write_text(SITES + "  kiritimati: {zone: Pacific/Kiritimati, go_live: 2020-01-01, feeds: {}}\n")
    bad = [bad for bad in BAD_LINES if bad.channel is None and bad.line.strip() and b"\n" not in bad.line]
    good = [_of("prevention", event_id=f"g-{n}") for n in range(len(bad))]
    path = _file(tmp_path, *(line for pair in zip((each.line for each in bad), good, strict=True) for line in pair))
    lines = _validate(path, "--sites", sites).stdout.splitlines()
    found = [line.removeprefix(f"{path}:").split(": ")[:2] for line in lines if line.startswith(str(path))]
    assert found == [[str(2 * n + 1), each.reason] for n, each in enumerate(bad)]
    assert f"{2 * len(bad):,} lines: {len(bad):,} taken, {len(bad):,} rejected" in lines


def test_schemas_and_examples_are_exported(tmp_path: Path) -> None:
    folder = tmp_path / "contract"
    for _ in range(2):
        result = CliRunner().invoke(main, ["schemas", "export", str(folder)])
        assert result.exit_code == 0
    written = list(folder.rglob("*.json"))
    assert f"{len(written)} files written to {folder}" in result.stdout
    assert json.loads((folder / "json" / "in.prevention.json").read_text())["title"] == "Prevention"
    assert (folder / "examples" / "prevention" / "valid-least.json").is_file()
