"""One machine over its log: days that pass, and what it is opened on. The patient is that of `one_patient`."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from monitor.core.policy import PolicyDocument
from monitor.core.registry import Registry, RegistryDocument
from monitor.keeper import Origin
from monitor.log import LogUnusableError
from monitor.log.sqlite import SqliteLog
from monitor.machine import Machine
from monitor.sites import Rules, UnknownSiteError
from monitor.view import OtherRulesError, View
from tests.data.one_machine import SITE, OneMachine
from tests.data.one_patient import (
    EVENING,
    LISBON,
    POLICY,
    REGISTRY,
    answered,
    closing,
    lines,
    of_zones,
    order,
    papers,
    start,
    told_on,
    violated,
)  # fmt: skip
from tests.property.conftest import policy_document


def test_an_order_is_held_from_the_midnight_after_its_last_valid_day(machine: OneMachine) -> None:
    machine.take(lines(*papers(), order()))
    assert answered(machine).valid_until == "2025-06-13"
    assert told_on(machine, "order", date(2025, 6, 16)) == [
        ("2025-05-12", "screening_complete"),
        ("2025-06-14", "hold"),
    ]


def test_an_order_lapses_by_itself(machine: OneMachine) -> None:
    machine.take(lines(order()))
    assert told_on(machine, "order", date(2025, 7, 22)) == [("2025-05-12", "hold"), ("2025-07-20", "lapsed")]


def test_a_start_that_waits_for_evidence_becomes_a_violation_by_itself(machine: OneMachine) -> None:
    machine.take(lines(start()))
    told = told_on(machine, "start", date(2025, 5, 18))
    assert [decision for _, decision in told] == ["awaiting_evidence", "violation"]
    assert answered(machine, "start").cases.keys() == {"violation"}


def test_a_waiver_ends_by_itself(machine: OneMachine) -> None:
    machine.take(lines(*papers()[:3], *papers()[4:], order()))
    machine.waive("hiv", None, 10)
    assert answered(machine).decision == "screening_complete"
    assert told_on(machine, "order", date(2025, 5, 25)) == [
        ("2025-05-12", "screening_complete"),
        ("2025-05-23", "hold"),
    ]


def test_a_midnight_that_passed_while_nobody_ran_is_made_up_for_at_the_start(machine: OneMachine) -> None:
    machine.take(lines(*papers(), order()))
    machine.pass_days(90)
    machine.reopen()
    assert answered(machine).decision == "lapsed"
    machine.equals_replay()


def test_before_midnight_at_the_site_nothing_is_judged_anew(machine: OneMachine) -> None:
    machine.take(lines(start()))
    before = answered(machine, "start")
    machine.now = datetime(2025, 5, 12, 23, 59, 59, tzinfo=LISBON)
    machine.tick()
    assert answered(machine, "start") == before


def test_many_courses_are_judged_anew_in_steps_and_messages_come_in_between(machine: OneMachine) -> None:
    patients = [f"p{number}" for number in range(450)]
    machine.take(lines(*[order(patient) for patient in patients]))
    machine.pass_days(70)
    steps = 0
    while machine.machine.tick():
        steps += 1
        machine.take(lines(*papers(patients[steps])))
    assert steps >= 3
    assert {answered(machine, course=f"{patient}-upa").decision for patient in patients} == {"lapsed"}
    machine.equals_replay()


def test_the_clock_may_be_set_back(machine: OneMachine) -> None:
    machine.take(lines(*papers(), order()))
    machine.pass_days(40)
    machine.equals_replay()
    machine.pass_days(-39)
    machine.equals_replay()
    assert answered(machine).decision == "screening_complete"


def test_each_site_has_its_own_midnight_and_rates_end_with_the_last(tmp_path: Path) -> None:
    registry = of_zones(lisbon="Europe/Lisbon", kiritimati="Pacific/Kiritimati", niue="Pacific/Niue")
    one = OneMachine(tmp_path, POLICY, registry, datetime(2025, 5, 12, 10, 30, tzinfo=UTC))
    machine = one.machine
    assert [date.fromordinal(machine.today(site)).day for site in ("kiritimati", "lisbon", "niue")] == [13, 12, 11]
    assert machine.today_everywhere() == machine.today("niue")
    machine.log.close()


# What it is opened on


@pytest.mark.parametrize("key", [b"another key", b""])
def test_another_key_is_refused_with_what_to_do(machine: OneMachine, key: bytes) -> None:
    with pytest.raises(LogUnusableError, match="Put the right key file back"):
        Machine(machine.machine.log, Rules(POLICY, REGISTRY, key), lambda: EVENING, lambda _: None)


def test_a_record_that_cannot_be_read_is_told_without_what_is_in_it(machine: OneMachine) -> None:
    machine.take(lines(start("patient-4711")))
    log = machine.machine.log
    db = log._db  # noqa: SLF001  the damage that no other way does
    [good] = db.execute("SELECT record FROM facts").fetchone()
    for bad in (
        good[:-20],
        good.replace(b'"schema":1', b'"schema":7'),
        good.replace(b"started_on", b"strated_on"),
        b"",
    ):
        db.execute("UPDATE facts SET record = ?", (bad,))
        with pytest.raises(LogUnusableError, match="the copy you trust") as refused:
            Machine(log, machine.rules, lambda: EVENING, lambda _: None).open()
        assert "4711" not in str(refused.value)


@pytest.mark.parametrize("table", ["answers", "tallies", "actions"])
def test_a_damaged_row_of_any_table_is_told(machine: OneMachine, table: str) -> None:
    violated(machine)
    machine.machine.enact(closing(machine))
    log = machine.machine.log
    log._db.execute(f"UPDATE {table} SET record = x'7b'")  # noqa: S608, SLF001  names of ours
    with pytest.raises(LogUnusableError):
        Machine(log, machine.rules, lambda: machine.now, lambda _: None).open()


@pytest.mark.parametrize("site", ["nowhere", "canary", "", "Lisbon", "lisbon ", "lisbon\n", "../lisbon"])
def test_a_site_that_nobody_registered_is_unknown_and_nothing_is_kept(machine: OneMachine, site: str) -> None:
    with pytest.raises(UnknownSiteError):
        machine.machine.take(site, lines(start()), Origin("http", [0]))
    assert SITE in machine.machine.keepers
    assert site not in machine.machine.keepers
    assert site not in machine.machine.log.sites()


@pytest.mark.parametrize("site", ["canary", "", "Lisbon", "x" * 41, "lis\nbon", "lisbon\n", "-a", 'a"b', "../a"])
def test_without_a_registry_a_site_still_must_be_named_like_one(tmp_path: Path, site: str) -> None:
    log = SqliteLog(tmp_path / "log.sqlite")
    machine = Machine(log, Rules(POLICY, None, b"key"), lambda: EVENING, lambda _: None)
    with pytest.raises(UnknownSiteError):
        machine.take(site, lines(start()), Origin("http", [0]))
    assert log.sites() == []
    log.close()


def test_a_site_that_vanished_from_the_registry_is_never_counted_without_limits(
    machine: OneMachine,
) -> None:
    machine.take(lines(*papers(), order()))
    rules = Rules(POLICY, of_zones(porto="Europe/Lisbon"), machine.rules.key)
    again = Machine(machine.machine.log, rules, lambda: EVENING, lambda _: None)
    with pytest.raises(LogUnusableError, match=r"[Pp]ut it back"):
        again.open()


def test_a_version_that_was_in_force_is_neither_changed_nor_left_out(tmp_path: Path) -> None:
    first, other = policy_document("as it stands"), policy_document("as it stands")
    other["policy"] |= {"approved_by": "somebody else"}
    one = OneMachine(tmp_path, (PolicyDocument.model_validate(first),), None, EVENING)
    one.take(lines(start()))
    further = other | {"policy": other["policy"] | {"version": 2}}
    for document, why in ((other, "says something else now"), (further, "is not given")):
        rules = Rules((PolicyDocument.model_validate(document),), None, one.rules.key)
        again = Machine(one.machine.log, rules, lambda: EVENING, lambda _: None)
        with pytest.raises(LogUnusableError, match=why):
            again.open()
    one.machine.log.close()


def test_a_version_that_would_judge_the_past_anew_is_refused_and_leaves_no_note(tmp_path: Path) -> None:
    first, back_dated = policy_document("as it stands"), policy_document("as it stands")
    back_dated["policy"] |= {"version": 2, "effective_from": date(2023, 3, 1)}  # before the first: first by itself
    policies = tuple(PolicyDocument.model_validate(each) for each in (back_dated, first))
    one = OneMachine(tmp_path, policies[1:], None, EVENING)
    one.take(lines(start()))
    again = Machine(one.machine.log, Rules(policies, None, one.rules.key), lambda: EVENING, lambda _: None)
    with pytest.raises(LogUnusableError):
        again.open()
    one.reopen()  # with the first alone, as before
    one.machine.log.close()


def test_other_id_rules_for_what_was_taken_in_are_refused(tmp_path: Path) -> None:
    one = OneMachine(tmp_path, POLICY, None, EVENING)
    one.take(lines(start()))
    registry = of_zones(**{SITE: "Europe/Lisbon"})
    document = registry.versions[0].model_dump(by_alias=True)
    document["sites"][SITE]["ids"] = {"trim": True, "leading_zeros": "strip"}
    stripped = Registry((RegistryDocument.model_validate(document),))
    again = Machine(one.machine.log, Rules(POLICY, stripped, one.rules.key), lambda: EVENING, lambda _: None)
    with pytest.raises(LogUnusableError, match="the id rules of"):
        again.open()
    one.machine.log.close()


def test_a_day_of_another_policy_is_refused_not_counted_by_this_one(tmp_path: Path) -> None:
    document = policy_document("as it stands")
    document["policy"] |= {"version": 2, "effective_from": date(2025, 5, 1)}
    later = PolicyDocument.model_validate(document)
    first = PolicyDocument.model_validate(policy_document("as it stands"))
    one = OneMachine(tmp_path, (first, later), None, EVENING - timedelta(20))
    one.activate(1)
    one.now = EVENING
    view = View(one.machine)
    counted = view.overview().result  # to the day to which reports are complete, by the policy of that day
    assert (counted["as_of"] < "2025-05-01", counted["policy"]["version"]) == (True, 1)
    assert view.result()["as_of"] == counted["as_of"]
    with pytest.raises(OtherRulesError):
        view.result(date(2025, 5, 1).toordinal())
    one.machine.log.close()


def test_while_a_new_policy_comes_into_force_every_look_is_by_one_of_them(tmp_path: Path) -> None:
    """Sites are loaded one after another; between two of them the page and a scrape must still be served."""
    document = policy_document("as it stands")
    lag = timedelta(document["counting"]["complete_after_days"])
    document["policy"] |= {"version": 2, "effective_from": date(2025, 5, 13) - lag}  # so it counts from tomorrow on
    document["cohorts"] = dict(list(document["cohorts"].items())[:1])
    policies = (PolicyDocument.model_validate(policy_document("as it stands")), PolicyDocument.model_validate(document))
    one = OneMachine(tmp_path, policies, None, EVENING - timedelta(400))
    one.activate(1)
    one.now = EVENING
    one.tick()
    for site in ("lisbon", "porto", "madrid"):
        one.machine.take(site, [each.replace(b'"lisbon"', f'"{site}"'.encode()) for each in lines(start())],
                         Origin("http", [0]))  # fmt: skip
    view = View(one.machine)
    view.overview()
    one.pass_days(1)
    while one.machine.tick():
        view.overview()
        view.result()
    assert view.result()["policy"]["version"] == 2
    one.machine.log.close()
