"""A machine over a log in a folder, whose clock is set by hand, beside a memory of all that it was ever given.

What it says can be compared with `replay_lines` of the same lines at any moment: stream equals batch.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from monitor.core.cases import CASE_KINDS
from monitor.core.policy import PolicyDocument
from monitor.core.pseudonyms import pseudonymiser
from monitor.core.registry import Registry
from monitor.keeper import Origin, Receipt
from monitor.log.sqlite import SqliteLog
from monitor.machine import Machine
from monitor.records import Answer, read_answer, write_answer
from monitor.replay import DEFAULT_KEY, Question, Replayer
from monitor.result import result_of
from monitor.sites import ActionRefusedError, Rules
from monitor.view import View
from schemas import actions as act

SITE = "lisbon"
CLASSES = ("accepted", "duplicate", "superseded", "conflicting")


def _fault(error: Exception) -> None:
    raise AssertionError("the core failed on a valid history") from error


class OneMachine:
    """One machine, what it was given, and what must hold of it."""

    def __init__(
        self,
        folder: Path,
        policies: tuple[PolicyDocument, ...],
        registry: Registry | None,
        now: datetime,
        opens: Callable[[Path], SqliteLog] = SqliteLog,
    ) -> None:
        self.path = folder / "log.sqlite"
        self.opens = opens
        self.rules = Rules(policies, registry, DEFAULT_KEY)
        self.now = now
        self.given: list[bytes] = []
        self.statuses: list[str] = []  # what became of each when it came
        self.erased: set[int] = set()  # places of what was given and is erased
        self.activated: set[int] = set()  # places of the policies that somebody activated in time
        self.number = 0  # of what people decided
        self.machine = self._machine()

    def _machine(self) -> Machine:
        machine = Machine(self.opens(self.path), self.rules, lambda: self.now, _fault)
        machine.open()
        return machine

    def reopen(self) -> None:
        self.machine.log.close()
        self.machine = self._machine()

    def take(self, lines: Sequence[bytes]) -> list[Receipt]:
        """Take in a batch, a second later than what was before it."""
        self.now += timedelta(seconds=1)
        receipts = self.machine.take(SITE, lines, Origin("http", range(len(lines))))
        assert len(receipts) == len(lines)
        self.given += lines
        self.statuses += [outcome.status for outcome, _ in receipts]
        return receipts

    def answer(self, treatment_id: str, kind: str) -> Answer | None:
        """What the log says the site was told last."""
        record = self.machine.log.answer(SITE, (treatment_id, kind))
        return None if record is None else read_answer(record)

    def draft(self, lines: Sequence[bytes]) -> None:
        """What a batch would come to, which then is not kept: as when the disk is full."""
        machine = self.machine
        machine.keeper(SITE).draft(lines, Origin("http", range(len(lines))), machine.now(), machine.today(SITE))

    def pass_days(self, days: float) -> None:
        self.now += timedelta(days)

    def tick(self) -> None:
        while self.machine.tick():
            pass

    def signed(self) -> dict[str, Any]:
        """What stands in every action; it is decided now."""
        self.now += timedelta(seconds=1)
        self.number += 1
        who = {"by": "A. Person", "role": "safety officer", "reason": "as minuted"}
        return {"action_id": f"a{self.number}", "at": self.now, "site": SITE, **who}

    def waive(self, infection: str, treatment_id: str | None, days: int | None) -> None:
        ends_on = None if days is None else (self.now + timedelta(days)).date()
        given = {"action": "sign_waiver", "infection": infection, "treatment_id": treatment_id, "ends_on": ends_on}
        self.machine.enact(act.SignWaiver.model_validate(self.signed() | given))

    def settle(self, pick: int) -> None:
        """Settle one of the open conflicts, if there is one, for one of its bodies."""
        found = sorted(self.machine.keeper(SITE).state.open_conflicts(), key=repr)
        if found:
            source, event_id, bodies = found[pick % len(found)]
            said = {"source": source, "event_id": event_id, "digest": bodies[pick % len(bodies)][0]}
            self.machine.enact(act.SettleConflict.model_validate(self.signed() | {"action": "settle_conflict"} | said))

    def activate(self, place: int) -> None:
        """Activate one of the policies; too late it is refused, and has no effect where another process kept it."""
        policy = self.rules.policies[place]
        signed = self.signed()
        del signed["site"]
        what = {"action": "activate", "what": "policy", "version": policy.policy.version, "sha256": policy.sha256}
        action = act.Activate.model_validate(signed | what)
        if self._latest_day() < policy.policy.effective_from:
            self.machine.enact(action)
            self.activated.add(place)
            return
        with pytest.raises(ActionRefusedError):
            self.machine.enact(action)
        self.machine.log.add_action(action.action_id, action.model_dump_json(by_alias=True, exclude_none=True).encode())
        self.reopen()

    def _latest_day(self) -> date:
        versions = self.rules.registry.versions if self.rules.registry else ()
        zones = {ZoneInfo(site.zone) for version in versions for site in version.sites.values()}
        return max(self.now.astimezone(zone).date() for zone in zones or {UTC})

    def erase(self, patient_id: str) -> act.Erase:
        """Erase a patient of whom something is held."""
        of = pseudonymiser(SITE, DEFAULT_KEY, self.rules.registry)
        [pseudonym] = of(patient_id)
        kept = self.machine.enact(act.Erase.model_validate(self.signed() | {"action": "erase", "pseudonym": pseudonym}))
        assert isinstance(kept, act.Erase)
        self.erased |= {
            place
            for place, line in enumerate(self.given)
            if self.statuses[place] != "rejected" and pseudonym in {each for name in _ids(line) for each in of(name)}
        }
        return kept

    def erase_some(self, pick: int) -> None:
        """Erase one of those of whom something was taken in, if there is anybody."""
        taken = (place for place, status in enumerate(self.statuses) if status != "rejected")
        found = sorted({each for place in taken if place not in self.erased for each in _ids(self.given[place])})
        if found:
            self.erase(found[pick % len(found)])

    def actions(self) -> tuple[act.Action, ...]:
        """What people decided, as the log would give it to `replay --actions`."""
        found = [act.decode_action(record) for record in self.machine.log.actions()]
        assert all(isinstance(each, act.ActionEnvelope) for each in found)
        return tuple(found)  # type: ignore[arg-type]

    def replayed(self, as_of: int) -> dict[str, Any]:
        """What a replay says of all that was given but what is erased, by the policies that are in force."""
        actions = tuple(each for each in self.actions() if not isinstance(each, act.Erase))
        question = Question(self.active, self.rules.registry, actions, SITE, as_of)
        replayer, erased = Replayer(question), Replayer(question)
        for place, line in enumerate(self.given):
            (erased if place in self.erased else replayer).take(line)
        for site in replayer.states.keys() & erased.states.keys():  # that its feeds were alive stays
            erased.states[site].signs.messages = 0
            replayer.states[site].signs.add(erased.states[site].signs)
        result = result_of(self.active, self.rules.registry, replayer.judge(as_of), as_of)
        repetitions = sum(self.statuses[place] == "duplicate" for place in self.erased)
        for name in ("received", "duplicate"):  # of what is erased they cannot be told from others
            result["messages"][name] += repetitions
        return result

    @property
    def active(self) -> tuple[PolicyDocument, ...]:
        """The first policy and those that were activated."""
        return tuple(each for place, each in enumerate(self.rules.policies) if place == 0 or place in self.activated)

    # What must hold whenever somebody looks

    def equals_replay(self) -> None:
        """Result, answers and cases, once everything that time calls for is done."""
        self.tick()
        view = View(self.machine)
        day = self.machine.today_everywhere()
        expected = self.replayed(day)
        counted = min(day, self._last_day_of_one_policy(day))
        assert as_text(view.result()) == as_text(expected if counted == day else self.replayed(counted))
        self._answers_equal(expected["decisions"])
        self._cases_equal(expected["decisions"], view)
        assert conserves(view)

    def _last_day_of_one_policy(self, day: int) -> int:
        """Today, but where rates still go by the policy before that of today: then the day to which they go."""
        begun = [each.policy.effective_from.toordinal() for each in self.active[1:]]
        rates_day = self.machine.rates_day()
        return rates_day if any(rates_day < begins <= day for begins in begun) else day

    def _answers_equal(self, rows: Iterable[dict[str, Any]]) -> None:
        standing = {(row["treatment_id"], row["kind"]): row for row in rows}
        found = {course: read_answer(record) for course, record in self.machine.log.answers(SITE)}
        assert {course for course, row in standing.items() if not row["historical"]} <= found.keys()
        for course, answer in found.items():
            row = standing.get(course)
            assert (answer.decision == "withdrawn") == (row is None)
            if row is not None:
                assert told(json.loads(write_answer(answer))) == told(row)

    def _cases_equal(self, rows: Iterable[dict[str, Any]], view: View) -> None:
        """A case is a course's violation, unassessable or held-and-started start; nobody has closed any."""
        expected = {
            (row["treatment_id"], kind)
            for row in rows
            if row["kind"] == "start" and not row["historical"]
            for kind in {row["decision"], *row["reasons"]}.intersection(CASE_KINDS)
        }
        assert {(case.treatment_id, case.kind) for case in view.overview().cases} == expected


def _ids(line: bytes) -> list[str]:
    """The patients that a line names."""
    message = json.loads(line)
    return [message[name] for name in ("patient_id", "merged_patient_id") if name in message]


SAID = ("treatment_id", "kind", "decision", "flags", "reasons", "valid_until")
FOUND = ("finding", "evidence", "ask_for", "marks")


def told(row: dict[str, Any]) -> dict[str, Any]:
    """What an answer and a row of replay both say."""
    findings = {name: {key: found[key] for key in FOUND} for name, found in row["findings"].items()}
    return {key: row[key] for key in SAID} | {"findings": findings}


def as_text(result: dict[str, Any]) -> str:
    return json.dumps(result, indent=1, ensure_ascii=False)


def conserves(view: View) -> bool:
    """Every message received is in exactly one class, of each site and of all."""
    overview = view.overview()
    whole = {"messages": overview.result["messages"], "rejected": overview.result["messages"]["rejected"]}
    each = [{"messages": site.messages, "rejected": site.rejected} for site in overview.sites]
    return all(
        part["messages"]["received"] == sum(part["messages"][name] for name in CLASSES) + sum(part["rejected"].values())
        for part in [whole, *each]
    )
