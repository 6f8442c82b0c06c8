"""A policy rehearsed on a log says what the service would say, and the log is as it was."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from monitor.commands.policy import command
from monitor.commands.rehearsal import rehearsed_on
from monitor.policyfile import load_policies
from monitor.replay import DEFAULT_KEY
from monitor.view import View
from tests.data.one_machine import SITE, OneMachine, as_text
from tests.data.one_patient import EVENING, POLICY, REGISTRY, lines, order, papers, start

GOLDEN = Path(__file__).parents[1] / "golden"
SITES = str(GOLDEN / "sites.yaml")


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[OneMachine]:
    """Four patients: a violation, an order that is complete, a waived one, a conflict that was settled."""
    made = OneMachine(tmp_path, POLICY, REGISTRY, EVENING)
    made.take([*lines(start(), start(), *papers("two"), order("two"), *papers("three")[1:], order("three")), b"[]"])
    made.waive("hepatitis_b", "three-upa", None)
    made.take(lines(*papers("four"), papers("four")[0] | {"outcome": "positive"}, order("four"), start("five")))
    made.settle(0)
    made.erase("five")
    made.pass_days(5)
    made.tick()
    yield made
    made.machine.log.close()


@pytest.fixture
def other(tmp_path: Path) -> str:
    """The policy of the machine but for one value: an HIV test is good for a shorter time."""
    document = yaml.safe_load((GOLDEN / "policy.yaml").read_text())
    days = document["screening"]["hiv"]["valid_days"]
    document["screening"]["hiv"]["valid_days"] = {name: 5 if name != "source" else days[name] for name in days}
    document["policy"] |= {"version": 2}
    path = tmp_path / "other.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    return str(path)


def diff(machine: OneMachine, new: str, *options: str) -> Result:
    arguments = ["diff", str(GOLDEN / "policy.yaml"), new, "--log", str(machine.path), "--sites", SITES, *options]
    return CliRunner().invoke(command, arguments)


def test_the_policy_of_the_service_says_of_its_log_what_the_service_says(machine: OneMachine) -> None:
    day = machine.machine.today(SITE)
    [found] = rehearsed_on(machine.path, POLICY, REGISTRY, DEFAULT_KEY, day)
    assert as_text(found) == as_text(View(machine.machine).result(day))


def test_another_policy_says_what_a_service_with_it_would_say(machine: OneMachine, other: str, tmp_path: Path) -> None:
    policies = load_policies([other])
    (tmp_path / "another").mkdir()
    another = OneMachine(tmp_path / "another", policies, REGISTRY, EVENING)
    another.take(lines(*papers("two"), order("two")))
    [found] = rehearsed_on(machine.path, policies, REGISTRY, DEFAULT_KEY, machine.machine.today(SITE))
    [held] = another.replayed(machine.machine.today(SITE))["decisions"]
    assert held in found["decisions"]
    assert held["decision"] == "hold"
    another.machine.log.close()


def test_it_tells_what_would_move_and_leaves_the_log_as_it_is(machine: OneMachine, other: str) -> None:
    before = machine.path.read_bytes()
    result = diff(machine, other)
    assert result.exit_code == 1, result.output
    assert "lisbon two-upa order: screening_complete -> hold; hiv excluded -> expired" in result.output
    assert "decisions moved: " in result.output
    assert "rates moved: 0" in result.output
    assert machine.path.read_bytes() == before
    machine.take(lines(order("six")))  # it goes on
    machine.equals_replay()


def test_where_nothing_moves_it_ends_with_0(machine: OneMachine) -> None:
    result = diff(machine, str(GOLDEN / "policy.yaml"))
    assert (result.exit_code, "decisions moved: 0" in result.output) == (0, True), result.output


def test_the_key_beside_the_log_tells_what_people_settled(machine: OneMachine, other: str, tmp_path: Path) -> None:
    settled = "lisbon four-upa order: screening_complete -> hold"
    for name, options in (("pseudonym.key", ()), ("another", ("--pseudonym-key", str(tmp_path / "another")))):
        assert settled in diff(machine, other).output
        (tmp_path / name).write_text("0f" * 32)  # none of the log's: to it the conflict is open
        assert settled not in diff(machine, other, *options).output
        (tmp_path / name).unlink()


def test_what_it_cannot_be_asked_is_wrong_use(machine: OneMachine, other: str, tmp_path: Path) -> None:
    text = Path(SITES).read_text(encoding="utf-8").replace(f"{SITE}:", "faro:")
    (tmp_path / "faro.yaml").write_text(text, encoding="utf-8")
    arguments = ["diff", other, other, "--log", str(machine.path)]
    for options, why in (
        (["--sites", str(tmp_path / "faro.yaml")], "lisbon is in the log but not in the registry"),
        ([other], "one of them"),
        (["--log", other], "cannot be used as a log"),
    ):
        result = CliRunner().invoke(command, [*arguments, *options])
        assert result.exit_code != 0
        assert why in result.output
