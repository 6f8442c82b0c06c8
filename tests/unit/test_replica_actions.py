"""What people decide takes effect at a replica once, in the order of the topic, as it does everywhere else."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

from monitor.core.policy import PolicyDocument
from monitor.kafka import wire
from monitor.kafka.names import ACTIONS
from monitor.kafka.topics import REJECTED_GONE_WITHIN_DAYS
from monitor.replay import Question, replay_lines
from monitor.sites import ActionRefusedError, NotJudgingError, Rules, UnknownSiteError
from monitor.stream.comparing import SURE_AFTER_US
from monitor.stream.shown import ReplicaView
from monitor.stream.standing import ReplicaOverview
from schemas import actions as act
from tests.data.one_machine import as_text
from tests.data.one_patient import COURSE, EVENING, POLICY, REGISTRY, lines, order, papers, start
from tests.data.paper_log import PaperLog, Reader
from tests.property.conftest import policy_document

SITE = "lisbon"
KEY = b"\x17" * 32
WHO = {"by": "A. Person", "role": "safety officer", "reason": "as minuted"}


@pytest.fixture
def log() -> PaperLog:
    """The patient's course was ordered, screened but for HIV, and started; five days have passed."""
    made = PaperLog(Rules(POLICY, REGISTRY, KEY), EVENING)
    made.take(SITE, lines(*papers()[:3], *papers()[4:], order()))
    made.now += timedelta(5)
    made.take(SITE, lines(start()))
    return made


def opened(log: PaperLog, rules: Rules | None = None) -> Reader:
    reader = Reader(log, rules)
    reader.open()
    return reader


def decide(log: PaperLog, action_id: str = "a1", **said: Any) -> act.Action:
    log.now += timedelta(seconds=1)
    action = act.actions.validate_python({"action_id": action_id, "at": log.now} | WHO | said)
    log.decide(action)
    return action


def closing(log: PaperLog, action_id: str = "a1", **more: Any) -> act.Action:
    said = {"action": "close_case", "site": SITE, "treatment_id": COURSE, "kind": "violation"}
    return decide(log, action_id, **(said | more))


def settle(log: PaperLog, conflict: dict[str, Any], which: int) -> None:
    whose = {name: conflict[name] for name in ("site", "source", "event_id")}
    decide(log, action="settle_conflict", digest=conflict["bodies"][which]["digest"], **whose)


def seen(reader: Reader) -> ReplicaOverview:
    found = ReplicaView(reader.replica).overview()
    assert isinstance(found, ReplicaOverview)
    return found


def kinds(reader: Reader) -> list[str]:
    return sorted(case.kind for case in seen(reader).cases)


def equals_replay(reader: Reader) -> bool:
    log, rules = reader.log, reader.replica.rules
    actions = tuple(reader.replica.actions)
    as_of = reader.replica.today_everywhere()
    expected = replay_lines(log.given, Question(rules.policies, rules.registry, actions, SITE, as_of, key=KEY))
    return as_text(ReplicaView(reader.replica).result()) == as_text(expected)


# They take effect


def test_a_closed_case_is_closed_for_who_reads_now_and_for_who_reads_later(log: PaperLog) -> None:
    reader = opened(log)
    assert kinds(reader) == ["started_on_hold", "violation"]
    closing(log)
    reader.catch_up()
    assert kinds(reader) == kinds(opened(log)) == ["started_on_hold"]
    assert seen(reader).digest == seen(opened(log)).digest


def test_a_settled_conflict_counts_as_replay_counts_it(log: PaperLog) -> None:
    one = papers()[3] | {"event_id": "twice"}
    log.take(SITE, lines(one, one | {"outcome": "positive"}))
    reader = opened(log)
    [conflict] = ReplicaView(reader.replica).result()["open_conflicts"]
    settle(log, conflict, 0)
    reader.catch_up()
    assert ReplicaView(reader.replica).result()["conflicts"] == 0
    assert equals_replay(reader)
    assert equals_replay(opened(log))
    assert seen(reader).digest == seen(opened(log)).digest


def test_a_conflict_that_is_settled_while_its_site_is_still_read_is_settled(log: PaperLog) -> None:
    one = papers()[3] | {"event_id": "twice"}
    log.take(SITE, lines(one, one | {"outcome": "positive"}))
    [conflict] = ReplicaView(opened(log).replica).result()["open_conflicts"]
    reader = Reader(log)
    for site in reader.replica.names:
        reader.replica.begin(site)
    settle(log, conflict, 1)
    reader.catch_up()
    assert ReplicaView(reader.replica).result()["conflicts"] == 0
    assert equals_replay(reader)


def test_a_waiver_counts_as_replay_counts_it(log: PaperLog) -> None:
    reader = opened(log)
    log.now = EVENING - timedelta(3)  # signed before the dose
    decide(log, action="sign_waiver", site=SITE, infection="hiv", treatment_id=COURSE)
    log.now = EVENING + timedelta(6)
    reader.catch_up()
    [row] = [each for each in ReplicaView(reader.replica).result()["decisions"] if each["kind"] == "start"]
    assert row["findings"]["hiv"]["finding"] == "waived"
    assert equals_replay(reader)


def policy_of(version: int, begins: date) -> PolicyDocument:
    document = policy_document("as it stands")
    document["policy"] |= {"version": version, "effective_from": begins}
    document["counting"]["complete_after_days"] = 0
    if version > 1:
        document["cohorts"] = dict(list(document["cohorts"].items())[:1])
    return PolicyDocument.model_validate(document)


FIRST, SECOND = policy_of(1, date(2024, 1, 1)), policy_of(2, date(2025, 6, 1))


@pytest.fixture
def two() -> PaperLog:
    """A log whose processes are given two versions of the policy; the second begins on 1 June 2025."""
    made = PaperLog(Rules((FIRST, SECOND), REGISTRY, KEY), EVENING)
    made.take(SITE, lines(*papers(), order(), start()))
    return made


def activate(log: PaperLog) -> None:
    sha256 = SECOND.sha256
    decide(log, action="activate", what="policy", version=2, sha256=sha256, effective_from=date(2025, 6, 1))


def test_a_version_of_the_policy_counts_from_its_day_once_it_is_activated(two: PaperLog) -> None:
    reader = opened(two)
    standing = seen(reader).replica
    assert standing is not None
    assert standing.not_activated == (2,)
    activate(two)
    reader.catch_up()
    assert seen(reader).result["policy"]["version"] == 1
    two.now += timedelta(30)
    reader.catch_up()
    assert seen(reader).result["policy"]["version"] == 2
    assert equals_replay(reader)
    assert seen(reader).digest == seen(opened(two)).digest


def test_a_replica_that_lacks_what_is_in_force_says_so(two: PaperLog) -> None:
    reader = opened(two, Rules((FIRST,), REGISTRY, KEY))
    activate(two)
    reader.catch_up()
    assert reader.replica.not_as_it_is() is None
    two.now += timedelta(30)
    reader.catch_up()
    assert "version 2 of the policy" in (reader.replica.not_as_it_is() or "")
    waiver = {"action": "sign_waiver", "site": SITE, "infection": "hiv", "treatment_id": COURSE}
    with pytest.raises(NotJudgingError):
        reader.replica.checked(act.actions.validate_python({"action_id": "w", "at": two.now} | WHO | waiver))


# One id, one decision


def test_the_first_of_two_decisions_under_one_id_stands(log: PaperLog) -> None:
    reader = opened(log)
    closing(log)
    closing(log, kind="started_on_hold")
    reader.catch_up()
    assert kinds(reader) == ["started_on_hold"]
    assert reader.replica.decisions.overwritten == {"a1"}


def test_what_stands_is_written_again_behind_what_does_not_so_that_compaction_keeps_it(log: PaperLog) -> None:
    reader = opened(log)
    closing(log)
    closing(log, reason="said by another replica at the same moment")
    reader.catch_up()
    log.topics[ACTIONS].append(wire.Record(b"a1", reader.replica.decisions.record("a1")), log.now)
    reader.catch_up()
    assert reader.replica.decisions.overwritten == set()
    log.topics[ACTIONS].records = log.topics[ACTIONS].compacted()
    later = opened(log)
    assert later.replica.actions == reader.replica.actions
    assert list(later.replica.action_records()) == list(reader.replica.action_records())


def test_a_repeated_decision_has_no_further_effect(log: PaperLog) -> None:
    reader = opened(log)
    action = closing(log)
    log.decide(action)
    reader.catch_up()
    assert (len(reader.replica.actions), reader.replica.decisions.overwritten) == (1, set())


def test_what_cannot_be_read_has_no_effect_and_is_counted(log: PaperLog) -> None:
    reader = opened(log)
    log.topics[ACTIONS].append(wire.Record(b"a1", b'{"action":"no_such"}'), log.now)
    log.topics[ACTIONS].append(wire.Record(b"a2", None), log.now)
    reader.catch_up()
    standing = seen(reader).replica
    assert standing is not None
    assert (standing.actions, standing.actions_unreadable) == (0, 2)


# What may be decided


def asked(log: PaperLog, **said: Any) -> act.Action:
    return act.actions.validate_python({"action_id": "a1", "at": log.now} | WHO | said)


def test_only_what_is_there_can_be_decided(log: PaperLog) -> None:
    replica = opened(log).replica
    close = {"action": "close_case", "site": SITE, "treatment_id": COURSE, "kind": "violation"}
    assert replica.checked(asked(log, **close)).at >= log.now
    with pytest.raises(ActionRefusedError, match="no such case that is open"):
        replica.checked(asked(log, **(close | {"kind": "unassessable"})))
    with pytest.raises(UnknownSiteError):
        replica.checked(asked(log, **(close | {"site": "atlantis"})))
    with pytest.raises(ActionRefusedError, match="there is no such conflict"):
        replica.checked(asked(log, action="settle_conflict", site=SITE, event_id="e", digest="d"))
    with pytest.raises(ActionRefusedError, match="this process was not given"):
        replica.checked(asked(log, action="activate", what="policy", version=9, sha256="0f" * 32))


def test_an_erasure_says_by_which_day_the_rest_is_gone(log: PaperLog) -> None:
    replica = opened(log).replica
    erase = replica.checked(asked(log, action="erase", site=SITE, pseudonym="0f" * 16))
    assert isinstance(erase, act.Erase)
    assert erase.gone_by == date(2025, 5, 17) + timedelta(REJECTED_GONE_WITHIN_DAYS)


# What differs


def test_answers_that_are_not_what_the_rules_say_are_counted_once_they_last(two: PaperLog) -> None:
    reader = opened(two, Rules((SECOND,), REGISTRY, KEY))  # given other rules than the owner
    assert [each.answers_differing for each in _standing(reader)] == [0, 0]
    two.now += timedelta(microseconds=SURE_AFTER_US)
    reader.rest()
    assert sum(each.answers_differing or 0 for each in _standing(reader)) > 0
    same = opened(two)
    two.now += timedelta(microseconds=SURE_AFTER_US)
    same.rest()
    assert [each.answers_differing for each in _standing(same)] == [0, 0]


def _standing(reader: Reader) -> Any:
    standing = seen(reader).replica
    assert standing is not None
    return standing.sites


def test_a_version_that_judged_and_was_not_given_is_named() -> None:
    owner = PaperLog(Rules((SECOND,), REGISTRY, KEY), EVENING)
    owner.take(SITE, lines(*papers(), order()))
    reader = opened(owner, Rules((FIRST,), REGISTRY, KEY))
    assert [each.versions_not_given for each in _standing(reader) if each.site == SITE] == [(2,)]
