"""Bytes that were rejected go with the patient where they name one, else in time; and how a patient is named.

The patients are those of `one_patient`; the machine stands on the evening of 12 May 2025 in Lisbon.
"""

from __future__ import annotations

import json
from datetime import date, timedelta
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from monitor.commands.pseudonym import command as pseudonym_command
from monitor.core.pseudonyms import pseudonymiser
from monitor.core.registry import Registry, RegistryDocument
from monitor.erasing import patients_named
from monitor.keeper import Origin
from monitor.replay import DEFAULT_KEY
from tests.data.erasing import NAMES, PSEUDONYM, bad, erasing, merged, traces
from tests.data.one_machine import SITE, OneMachine
from tests.data.one_patient import EVENING, POLICY, REGISTRY, lines, order, start
from tests.property.conftest import sites_document

# What was rejected


@pytest.mark.parametrize(
    "line",
    [
        bad(),
        bad() + b"}",
        bad()[:-40],
        bad().replace(b'"pt"', b'"\\u0070t"'),
        bad() + b" " * 70_000,
        b'{"type": "patient_visit", "patient_id" : "pt"}',
        json.dumps(merged("other", "pt") | {"stray": 1}).encode(),
    ],
)
def test_rejected_bytes_go_where_they_name_the_patient_whatever_else_is_wrong(machine: OneMachine, line: bytes) -> None:
    machine.take([line, bad("other"), *lines(order("pt"))])
    machine.erase("pt")
    assert traces(machine, *NAMES, "\\u0070t") == []
    assert [each.raw for each in machine.machine.log.rejections(SITE, "http")] == [bad("other")]
    assert machine.machine.keeper(SITE).tally.rejected.values()  # the number stays
    machine.equals_replay()


def test_who_was_only_rejected_can_be_erased(machine: OneMachine) -> None:
    machine.take([bad()])
    machine.machine.enact(erasing(machine))
    assert traces(machine, *NAMES) == []


def test_an_id_that_was_no_text_is_found(machine: OneMachine) -> None:
    [pseudonym] = pseudonymiser(SITE, DEFAULT_KEY, REGISTRY)("4711")
    machine.take([b'{"type": "patient_contact", "patient_id": 4711}'])
    machine.machine.enact(erasing(machine, pseudonym))
    assert traces(machine, "4711") == []


def test_patients_are_found_in_bytes_that_are_no_message() -> None:
    raw = (
        b'\xff "patient_id":"a" {"patient_id"\t:\n"b\\"c" "merged_patient_id":007, "patient": "d", "patient_id":"\\ud8"'
    )
    assert patients_named(raw) == {"a", 'b"c', "007", "\\ud8"}


def test_the_rest_of_what_was_rejected_is_gone_by_the_day_that_is_named(machine: OneMachine) -> None:
    """Nobody can tell whose these bytes are."""
    machine.now += timedelta(hours=5, minutes=59)
    machine.take([b"pt-upa \xff", *lines(start())])
    kept = machine.erase("pt")
    assert kept.gone_by == date(2025, 6, 12)
    machine.now += timedelta(minutes=1)
    while machine.now.date() < kept.gone_by:
        machine.tick()
        assert traces(machine, *NAMES) == ["pt-upa"]
        machine.pass_days(1)
    machine.tick()
    assert traces(machine, *NAMES) == []


def test_bytes_of_what_was_rejected_go_in_time_also_where_nobody_runs_at_midnight(machine: OneMachine) -> None:
    machine.take([b"pt-upa \xff"])
    machine.pass_days(31)
    machine.reopen()
    assert traces(machine, *NAMES) == []


# How the pseudonym is found


def told_by(tmp_path: Path, given: bytes, *options: str, key: bytes = b"k" * 32) -> tuple[int, str]:
    (tmp_path / "key").write_text(key.hex())
    arguments = ["--site", SITE, "--key", str(tmp_path / "key"), *options]
    result = CliRunner().invoke(pseudonym_command, arguments, input=given)
    return result.exit_code, result.output


def test_the_command_tells_the_pseudonym_by_which_a_patient_is_erased(tmp_path: Path) -> None:
    assert told_by(tmp_path, b"pt\n", key=b"jakwatch replay".ljust(32, b"\0")) == (0, f"{PSEUDONYM}\n")
    assert told_by(tmp_path, b"pt\r\n") == told_by(tmp_path, b"pt") != told_by(tmp_path, b"pt ")


@pytest.mark.parametrize("given", [b"", b"\n", b"\xff\n", b"4711" * 40])
def test_what_is_no_patient_id_is_wrong_use_and_not_repeated(tmp_path: Path, given: bytes) -> None:
    code, output = told_by(tmp_path, given)
    assert code == 2
    assert "4711" not in output


def test_it_goes_by_the_id_rules_of_the_registry(tmp_path: Path) -> None:
    document = sites_document(restamps=False)
    (tmp_path / "sites.yaml").write_text(yaml.safe_dump(document))
    options = ("--sites", str(tmp_path / "sites.yaml"))
    assert told_by(tmp_path, b" pt ", *options) == told_by(tmp_path, b"pt")
    assert told_by(tmp_path, b"pt", *options, "--site", "nowhere")[0] == 2


def test_where_id_rules_changed_there_are_several(tmp_path: Path) -> None:
    first, second = (sites_document(restamps=False) for _ in range(2))
    second["registry"] |= {"version": 2, "effective_from": date(2026, 1, 1)}
    second["sites"][SITE]["ids"]["leading_zeros"] = "strip"
    registry = Registry(tuple(RegistryDocument.model_validate(each) for each in (first, second)))
    of = pseudonymiser(SITE, b"key", registry)
    assert of("007") == [*pseudonymiser(SITE, b"key", None)("007"), *pseudonymiser(SITE, b"key", None)("7")]
    assert len(of("7")) == 1
    one = OneMachine(tmp_path, POLICY, registry, EVENING)
    one.machine.take(SITE, [bad("007")], Origin("http", [0]))
    for pseudonym in pseudonymiser(SITE, DEFAULT_KEY, registry)("007")[:1]:
        one.machine.enact(erasing(one, pseudonym))
    assert list(one.machine.log.rejections(SITE, "http")) == []
    one.machine.log.close()
