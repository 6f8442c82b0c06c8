"""What the demo and the benchmarks send is valid, the same each time, and as varied as it says."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks import messages as load
from monitor.cli import main
from monitor.core.decode import Decoded, Rejection, decode
from monitor.demo import cases, hospitals
from monitor.demo.garbage import GARBAGE
from monitor.demo.hospitals import as_line
from monitor.demo.medicine import EVENTS
from schemas.inbound import INBOUND


@pytest.fixture(scope="module")
def generated():
    return list(hospitals.generate(7, patients_per_site=150))


@pytest.fixture(scope="module")
def loaded():
    return [json.loads(line) for line in load.lines(6000, sites=2, seed=3)]


def rejected(lines):
    return [answer for answer in map(decode, lines) if isinstance(answer, Rejection)]


def of_type(messages, kind):
    return [each for each in messages if each["type"] == kind]


# The paper's cases


def test_every_message_of_the_papers_cases_is_valid():
    assert rejected(map(as_line, cases.paper_cases())) == []


@pytest.mark.parametrize("name", sorted(cases.VARIANTS))
def test_every_message_of_a_variant_is_valid_and_differs_from_the_case(name):
    messages = cases.VARIANTS[name][0]()
    assert rejected(map(as_line, messages)) == []
    assert messages != cases.case_two()


# Generated hospitals


def test_every_generated_message_is_valid(generated):
    assert rejected(map(as_line, generated)) == []


def test_the_same_seed_gives_the_same_hospitals_and_another_seed_others(generated):
    assert list(hospitals.generate(7, patients_per_site=150)) == generated
    assert list(hospitals.generate(8, patients_per_site=150)) != generated


def test_a_site_does_not_depend_on_the_sites_beside_it():
    [alone, both] = [
        [each for each in hospitals.generate(7, sites, 20) if each["site"] == "lisbon"]
        for sites in (["lisbon"], ["lisbon", "porto"])
    ]
    assert alone == both


def test_generated_messages_come_in_the_order_in_which_they_were_recorded_but_for_resends(generated):
    first_sent = {}
    for position, each in enumerate(generated):
        first_sent.setdefault((each["site"], each["event_id"], each["recorded_at"]), position)
    instants = [generated[at]["recorded_at"] for at in sorted(first_sent.values())]
    days = [each[:10] for each in instants]
    assert all(later >= (date.fromisoformat(day) - timedelta(1)).isoformat() for day, later in pairwise(days))


def test_nothing_is_recorded_after_the_last_day(generated):
    assert max(each["recorded_at"][:10] for each in generated) <= hospitals.END.isoformat()


def test_every_type_of_message_is_generated(generated):
    assert {each["type"] for each in generated} == set(INBOUND)


def test_hospitals_send_again_correct_retract_misfile_and_contradict_themselves(generated):
    lines = Counter(map(as_line, generated))
    assert max(lines.values()) > 1
    bodies = {}
    for each in generated:
        bodies.setdefault((each["site"], each["event_id"]), []).append(each)
    assert any(each.get("status") == "entered_in_error" for each in generated)
    assert any(len({each.get("patient_id") for each in versions}) > 1 for versions in bodies.values())
    assert any(len({each.get("version") for each in versions}) > 1 for versions in bodies.values())
    assert any(
        len({each["recorded_at"] for each in versions}) == 1 and len(set(map(as_line, versions))) > 1
        for versions in bodies.values()
    )


def test_onsets_are_partial_late_or_not_known(generated):
    events = [each for each in of_type(generated, "adverse_event") if "term" in each]
    assert {len(each.get("onset_on", "")) for each in events} >= {10, 7, 0}
    full = [each for each in events if len(each.get("onset_on", "")) == 10]
    lateness = [date.fromisoformat(each["recorded_at"][:10]) - date.fromisoformat(each["onset_on"]) for each in full]
    assert max(lateness) > timedelta(60)
    assert min(lateness) >= timedelta(0)


def test_the_last_site_falls_silent_about_adverse_events(generated):
    *_, last = hospitals.describe(hospitals.SITES)
    silent_from = date.fromordinal(last.silent_from).isoformat()
    mine = [each for each in generated if each["site"] == last.name]
    about_events = [each for each in mine if each["type"] == "adverse_event" or each.get("feed") == "adverse_event"]
    assert max(each["recorded_at"][:10] for each in about_events) < silent_from
    assert max(each["recorded_at"][:10] for each in mine) > silent_from


def test_events_are_of_the_published_order_of_magnitude():
    # SELECT-COMPARE 5 y: herpes zoster 2.8 / 100 PY; a tenfold difference would be a bug of the generator.
    events = {each.code: each.per_100_patient_years for each in EVENTS}
    assert 1 < events["icd10:B02.9"] + events["icd10:B02.3"] < 6


@pytest.mark.parametrize("name", ["messages.jsonl", "messages.jsonl.gz"])
def test_a_file_holds_one_message_a_line_and_is_the_same_each_time(tmp_path, generated, name):
    first, second = tmp_path / name, tmp_path / f"again-{name}"
    assert hospitals.write(first, generated[:200]) == hospitals.write(second, generated[:200]) == 200
    assert first.read_bytes() == second.read_bytes()
    text = gzip.decompress(first.read_bytes()) if name.endswith(".gz") else first.read_bytes()
    assert [json.loads(line) for line in text.splitlines()] == generated[:200]


def test_the_registry_beside_the_demo_is_the_one_of_its_hospitals():
    committed = Path(hospitals.__file__).with_name("sites.yaml")
    assert committed.read_text() == hospitals.registry_yaml()


def test_sites_that_are_named_twice_are_refused():
    with pytest.raises(ValueError, match="sites must differ"):
        hospitals.describe(["lisbon", "lisbon"])


# Lines gone bad


@pytest.mark.parametrize(("line", "reason"), GARBAGE.items(), ids=range(len(GARBAGE)))
def test_every_bad_line_is_rejected_for_its_reason(line, reason):
    answer = decode(line)
    assert isinstance(answer, Rejection)
    assert answer.reason == reason


def test_bad_lines_are_mixed_in_by_their_share_and_nothing_else_is_lost(generated):
    lines = list(hospitals.messages_with_garbage(generated, 0.2, seed=1))
    good = [line for line in lines if line not in GARBAGE]
    assert good == list(map(as_line, generated))
    assert 0.18 < (len(lines) - len(good)) / len(generated) < 0.22
    assert not any(b"\n" in line for line in lines)


# The benchmarks' load


def test_every_line_of_the_load_is_valid():
    assert all(isinstance(decode(line), Decoded) for line in load.lines(6000, sites=2, seed=3))


def test_the_load_is_the_same_each_time_and_as_long_as_asked():
    assert list(load.lines(1234, sites=3, seed=5)) == list(load.lines(1234, sites=3, seed=5))
    assert [len(list(load.lines(n))) for n in (1, 10, 997)] == [1, 10, 997]


def test_the_load_has_the_mix_it_names(loaded):
    shares = {kind: count / len(loaded) for kind, count in Counter(each["type"] for each in loaded).items()}
    assert shares == pytest.approx(
        {
            "treatment_started": 0.15,
            "treatment_changed": 0.10,
            "treatment_stopped": 0.12,
            "screening_result": 0.38,
            "adverse_event": 0.25,
        },
        abs=0.012,
    )


def test_the_load_has_11_facts_a_patient_and_two_equal_sites(loaded):
    assert len(loaded) / len({each["patient_id"] for each in loaded}) == pytest.approx(11.1, abs=0.3)
    first, second = Counter(each["site"] for each in loaded).values()
    assert first == pytest.approx(second, rel=0.05)


def test_no_two_lines_of_the_load_are_of_one_identity(loaded):
    assert len({(each["site"], each["event_id"]) for each in loaded}) == len(loaded)


def test_lines_of_the_load_have_the_sizes_it_names():
    sizes = [len(line) for line in load.lines(6000, sites=2)]
    assert 239 <= min(sizes) <= max(sizes) <= 370
    assert sum(sizes) / len(sizes) == pytest.approx(292, abs=3)


def test_the_load_arrives_out_of_order_by_less_than_a_month(loaded):
    days = [date.fromisoformat(each["recorded_at"][:10]) for each in loaded]
    latest, behind = days[0], []
    for day in days:
        latest = max(latest, day)
        behind.append((latest - day).days)
    assert 20 < max(behind) <= load.LATEST_DAYS


# The command


def test_the_demo_in_files_shows_both_cases_as_compliant_and_overwrites_nothing(tmp_path):
    folder = tmp_path / "data"
    run = CliRunner().invoke(main, ["demo", "--patients", "5", "--files", str(folder)])
    assert run.exit_code == 0
    assert "(case-1-upa, case-2-upa) are compliant" in run.output
    assert run.output.splitlines()[-1].startswith("Next: jakwatch replay ")
    kept = (folder / "messages.jsonl").read_bytes()
    again = CliRunner().invoke(main, ["demo", "--patients", "6", "--files", str(folder)])
    assert again.exit_code == 2
    assert "is not overwritten" in again.output
    assert (folder / "messages.jsonl").read_bytes() == kept


def test_the_demo_serves_or_leaves_files_and_never_both(tmp_path):
    run = CliRunner().invoke(main, ["demo", "--files", str(tmp_path / "a"), "--data", str(tmp_path / "b")])
    assert run.exit_code == 2
    assert list(tmp_path.iterdir()) == []
