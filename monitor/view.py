"""What the machine shows: rates and counts as replay would print them, and the lists that people work through."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from operator import attrgetter
from typing import Any

import msgspec

from monitor.core import facts as f
from monitor.core.days import iso
from monitor.core.decision import one_row_a_course
from monitor.core.ledger import SITE
from monitor.core.rates import Rates
from monitor.core.registry import complete_to
from monitor.keeper import Keeper
from monitor.machine import Machine
from monitor.overview import Case, CourseView, FeedState, Overview, SiteActivity
from monitor.records import Answer, instant_text
from monitor.result import Row, Share, add_site, result_of
from schemas import actions as act


class OtherRulesError(Exception):
    """On the day asked for, another version of policy or registry was in force than the one this process counts by."""


class View:
    """Looks at a machine from its own thread. What nothing has changed since is not computed again."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.live_since = instant_text(machine.now())
        self._rates: Rates | None = None
        self._seen: tuple[int, int] | None = None
        self._last: Overview | None = None

    def overview(self) -> Overview:
        """Everything as of now; rates up to the day to which reports are complete, what comes later is provisional."""
        machine = self.machine
        today = machine.today_everywhere()
        day = complete_to(machine.rules.registry, machine.policy.policy.counting.complete_after_days, today)
        now = instant_text(machine.now())
        if self._last is not None and self._seen == (machine.changes, today):
            return dataclasses.replace(self._last, computed_at=now, trouble=machine.trouble)
        cases, closed = self._cases()
        self._seen = (machine.changes, today)
        self._last = Overview(
            computed_at=now,
            live_since=self.live_since,
            trouble=machine.trouble,
            today=iso(today),
            result=self._result(self._share(day, Share(listed=self._listed())), day) | {"complete_to": iso(day)},
            cases=cases,
            closed_cases=closed,
            holds=self._waiting("hold"),
            awaiting=self._waiting("awaiting_evidence"),
            feeds=tuple(feed for keeper in self._keepers() for feed in _feeds(keeper, machine.today(keeper.site))),
            sites=tuple(self._activity(keeper) for keeper in self._keepers()),
        )
        return self._last

    def result(self, as_of: int | None = None) -> dict[str, Any]:
        """The object that `jakwatch replay` prints, of all that was taken in, as of a day (default: today).

        Costs a judgement of everybody. Raises OtherRulesError.
        """
        machine = self.machine
        today = machine.today_everywhere()
        day = today if as_of is None else as_of
        registry = machine.rules.registry
        if machine.judging.contributions_differ(machine.policy, day) or (
            registry is not None and registry.at(day) is not registry.at(today)
        ):
            raise OtherRulesError(iso(day))
        share = Share()
        for keeper in self._keepers():
            state = keeper.state
            decided = one_row_a_course(state.decide(state.ledger.sheets, day))
            share.decisions += [Row(keeper.site, each) for each in decided]
        share.listed = self._listed()
        return self._result(self._share(day, share), day)

    def _keepers(self) -> Iterator[Keeper]:
        return (keeper for _, keeper in sorted(self.machine.keepers.items()))

    def _listed(self) -> list[tuple[str, ...]]:
        return [(keeper.site, *each) for keeper in self._keepers() for each in keeper.state.listed()]

    def _share(self, day: int, share: Share) -> Share:
        counts = []
        for keeper in self._keepers():
            share.messages["received"] += keeper.tally.received
            share.rejected.update(keeper.tally.rejected)
            counts.append(add_site(share, keeper.state, day))
        share.table = self._rates_now().table(counts, day)
        return share

    def _rates_now(self) -> Rates:
        if self._rates is None or self._rates.contributions is not self.machine.policy:
            self._rates = Rates(self.machine.policy)
        return self._rates

    def _result(self, share: Share, day: int) -> dict[str, Any]:
        rules = self.machine.rules
        return result_of(rules.policies, rules.registry, share, day, self._rates_now())

    # Lists of what needs somebody

    def _cases(self) -> tuple[tuple[Case, ...], int]:
        """The open cases, oldest first, and how many are closed."""
        answers = [answer for keeper in self._keepers() for answer in keeper.open.values()]
        found = [case for answer in answers for case in self._cases_of(answer)]
        closed = sum(len(answer.cases) for answer in answers) - len(found)
        return tuple(sorted(found, key=attrgetter("since", "site", "treatment_id", "kind"))), closed

    def _cases_of(self, answer: Answer) -> Iterator[Case]:
        for kind, since in self.machine.open_cases(answer).items():
            yield Case(answer.site, answer.treatment_id, kind, since, as_json(answer))

    def _waiting(self, decision: str) -> tuple[dict[str, Any], ...]:
        """The latest first: what just came in is what people look for. An order that was started waits for nobody."""
        found = [
            answer
            for keeper in self._keepers()
            for answer in keeper.open.values()
            if answer.decision == decision and not (answer.kind == "order" and keeper.has_start(answer.treatment_id))
        ]
        found.sort(key=attrgetter("decided_at", "site", "treatment_id"), reverse=True)
        return tuple(as_json(each) for each in found)

    def course(self, site: str, treatment_id: str) -> CourseView:
        """The standing answers of a course, its open cases, and what people said when they closed one."""
        answers = self.machine.answers(site, treatment_id)
        cases = [case for answer in answers for case in self._cases_of(answer)]
        closings = [
            action.model_dump(mode="json", by_alias=True)
            for action in self.machine.actions
            if isinstance(action, act.CloseCase) and (action.site, action.treatment_id) == (site, treatment_id)
        ]
        return CourseView([as_json(answer) for answer in answers], cases, closings)

    def _activity(self, keeper: Keeper) -> SiteActivity:
        tally, state = keeper.tally, keeper.state
        return SiteActivity(
            site=keeper.site,
            zone=state.days.zone.key if state.days.zone else "UTC",
            today=iso(self.machine.today(keeper.site)),
            last_received=None if tally.last_received is None else instant_text(tally.last_received),
            messages={"received": tally.received, **state.classes()},
            rejected=dict(tally.rejected),
            patients=len(state.ledger.sheets) - (SITE in state.ledger.sheets),
            answers={course: count for course, count in sorted(keeper.decisions.items()) if count},
        )


def as_json(answer: Answer) -> dict[str, Any]:
    """An answer as `schemas.outbound.Answer` prints it."""
    found: dict[str, Any] = msgspec.to_builtins(answer)
    return found


def _feeds(keeper: Keeper, today: int) -> Iterator[FeedState]:
    """How each registered feed of a site does: from what its messages say of themselves and of it."""
    entry, state = keeper.state.entry, keeper.state
    vouched: dict[str, int] = {}
    for fact in state.ledger.facts(SITE):
        if isinstance(fact, f.FeedStatus):
            vouched[fact.feed] = max(fact.complete_through, vouched.get(fact.feed, 0))
    for name, feed in sorted(entry.feeds.items()) if entry else ():
        recorded = state.signs.heard.get(name)
        heard = max(vouched.get(name, 0), 0 if recorded is None else state.days.day(recorded))
        yield FeedState(
            site=keeper.site,
            feed=name,
            complete_from=feed.from_.isoformat(),
            complete_through=iso(vouched[name]) if name in vouched else None,
            last_heard=iso(heard) if heard else None,
            silent_after_days=feed.silent_after_days,
            silent=today > heard + feed.silent_after_days,
        )
