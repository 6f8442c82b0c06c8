"""What the machine shows: rates and counts as replay would print them, and the lists that people work through."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator
from operator import attrgetter
from typing import Any

import msgspec

from monitor.core.days import iso
from monitor.core.decision import one_row_a_course
from monitor.core.feeds import feeds_of
from monitor.core.ledger import SITE
from monitor.core.rates import Rates
from monitor.keeper import Keeper
from monitor.metrics.platform import ReplicaState
from monitor.overview import Case, CourseView, FeedState, Overview, SiteActivity, reference_rates
from monitor.records import Answer, instant_text
from monitor.result import Row, Share, add_site, result_of
from monitor.shown import ShownSites
from schemas import actions as act


class OtherRulesError(Exception):
    """On the day asked for, another version of policy or registry was in force than the one this process counts by."""


class NotKnownError(Exception):
    """What is asked for cannot be said now, or not all of it; the text says why."""


class View:
    """Looks at the sites of a process from their own thread. What nothing has changed since is not computed again."""

    def __init__(self, machine: ShownSites) -> None:
        self.machine = machine
        self.live_since = instant_text(machine.now())
        self._rates: Rates | None = None
        self._seen: tuple[int, int] | None = None
        self._last: Overview | None = None

    def overview(self) -> Overview:
        """Everything as of now; rates up to the day to which reports are complete, what comes later is provisional."""
        machine = self.machine
        today = machine.today_everywhere()
        day = machine.rates_day()
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
            result=self._result(self._share(day, Share(listed=self._listed())), day)
            | {"complete_to": iso(day)},  # it is
            cases=cases,
            closed_cases=closed,
            holds=self._waiting("order", "hold", "unassessable"),
            awaiting=self._waiting("start", "awaiting_evidence"),
            feeds=tuple(feed for keeper in self._keepers() for feed in _feeds(keeper, machine.today(keeper.site))),
            sites=tuple(self._activity(keeper) for keeper in self._keepers()),
            approved_by=machine.policy.policy.policy.approved_by,
            references=reference_rates(machine.policy.policy),
        )
        return self._last

    def replica(self, _overview: Overview) -> ReplicaState | None:
        """What a replica says of itself in its metrics; None where this process is none."""
        return None

    @property
    def last(self) -> Overview | None:
        """The last overview, however old: its `computed_at` says how old it is."""
        return self._last

    def result(self, as_of: int | None = None) -> dict[str, Any]:
        """The object that `jakwatch replay` prints, of all that was taken in, as of a day.

        Without one it is today, or where rates still go by the policy before, the day to which reports are complete.

        Costs a judgement of everybody. Raises OtherRulesError, NotKnownError.
        """
        day = self._last_day() if as_of is None else as_of
        if not self._counts_by_the_rules_of(day):
            raise OtherRulesError(iso(day))
        share = Share()
        for keeper in self._keepers():
            state = keeper.state
            decided = one_row_a_course(state.decide(state.ledger.sheets, day))
            share.decisions += [Row(keeper.site, each) for each in decided]
        share.listed = self._listed()
        return self._result(self._share(day, share), day)

    def _last_day(self) -> int:
        today = self.machine.today_everywhere()
        return today if self._counts_by_the_rules_of(today) else self.machine.rates_day()

    def _counts_by_the_rules_of(self, day: int) -> bool:
        machine, registry = self.machine, self.machine.rules.registry
        if machine.judging.contributions_differ(machine.policy, day):
            return False
        return registry is None or registry.at(day) is registry.at(machine.today_everywhere())

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

    def _waiting(self, kind: str, *decisions: str) -> tuple[dict[str, Any], ...]:
        """The latest first: what just came in is what people look for. An order that was started waits for nobody."""
        found = [
            answer
            for keeper in self._keepers()
            for answer in keeper.open.values()
            if (answer.kind, answer.decision in decisions) == (kind, True)
            and not (kind == "order" and keeper.is_started(answer.treatment_id))
        ]
        found.sort(key=attrgetter("decided_at", "site", "treatment_id"), reverse=True)
        return tuple(as_json(each) for each in found)

    def course(self, site: str, treatment_id: str) -> CourseView:
        """The standing answers of a course, its open cases, and what people said when they closed one."""
        answers = self.machine.answers(site, treatment_id)
        cases = [case for answer in answers for case in self._cases_of(answer)]
        mine = [each for each in self.machine.actions if isinstance(each, act.CloseCase | act.SignWaiver)]
        mine = [each for each in mine if each.site == site and each.treatment_id in (None, treatment_id)]
        closings = [each.model_dump(mode="json") for each in mine if isinstance(each, act.CloseCase)]
        waivers = [each.model_dump(mode="json") for each in mine if isinstance(each, act.SignWaiver)]
        return CourseView([as_json(answer) for answer in answers], cases, closings, waivers)

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
            last_recorded=None if state.signs.last_recorded is None else instant_text(state.signs.last_recorded),
            unmapped=_unmapped(keeper),
        )


def as_json(answer: Answer) -> dict[str, Any]:
    """An answer as `schemas.outbound.Answer` prints it."""
    found: dict[str, Any] = msgspec.to_builtins(answer)
    return found


def _unmapped(keeper: Keeper) -> dict[str, int]:
    """By kind, as `result` has it by code."""
    cube, codings = keeper.state.cube, keeper.state.intake.vocabulary.codings
    found = Counter[str]()
    for (kind, concept), times in (cube.unmapped if cube else {}).items():
        found[kind] += times * len(set(codings[concept]))
    return dict(sorted((+found).items()))


def _feeds(keeper: Keeper, today: int) -> Iterator[FeedState]:
    for each in feeds_of(keeper.state, today):
        yield FeedState(
            site=keeper.site,
            feed=each.name,
            complete_from=each.feed.from_.isoformat(),
            complete_through=None if each.vouched is None else iso(each.vouched),
            last_heard=None if each.heard is None else iso(each.heard),
            silent_after_days=each.feed.silent_after_days,
            silent=each.is_silent,
            from_the_future=each.is_from_the_future,
        )
