"""A replica: all sites as their logs on Kafka have them, read by anybody and written by nobody here.

It belongs to one thread. It judges nobody: what it shows of courses is what their owners answered; what it counts it
counts itself, from the same facts by the same rules, so any number of replicas show the same.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime

import msgspec
from aiokafka.structs import ConsumerRecord

from monitor import faults
from monitor.core.actions import settlements_of, waivers_of
from monitor.core.registry import SiteEntry
from monitor.kafka.canary import published_at
from monitor.kafka.names import site_of, topic
from monitor.kafka.topics import REJECTED_GONE_WITHIN_DAYS
from monitor.keeper import Keeper
from monitor.log import LogUnusableError
from monitor.records import Answer, instant_text, read_answer
from monitor.rulebook import check_key
from monitor.shown import PEOPLE_A_STEP, ShownSites
from monitor.sites import Rules
from monitor.stream.comparing import Comparison
from monitor.stream.decisions import Decisions
from monitor.stream.followed import Followed
from monitor.stream.standing import Seen
from monitor.view import NotKnownError
from schemas import actions as act
from schemas.parts import RESERVED_SITE

log = logging.getLogger("jakwatch")

STALE_US = 30 * 1_000_000  # for so long the brokers may be silent before answers are taken for old


class WrongKeyError(LogUnusableError):
    """The pseudonym key is another one than the logs were written with."""


class Replica(ShownSites):
    """All sites of the registry."""

    rejected_gone_within_days = REJECTED_GONE_WITHIN_DAYS  # Kafka deletes whole segments only

    def __init__(self, rules: Rules, clock: Callable[[], datetime], on_fault: Callable[[Exception], None]) -> None:
        super().__init__(rules, clock, on_fault)
        registered = rules.registry.names if rules.registry else frozenset[str]()
        self.names = tuple(sorted(registered - {RESERVED_SITE}))
        self.followed: dict[str, Followed] = {}  # what is shown
        self.coming: dict[str, Followed] = {}  # what is being read, for the first time or anew
        self.anew: set[str] = set()  # to be read again from the beginning
        self.unreadable: dict[str, str] = {}
        self.comparisons: dict[str, Comparison] = defaultdict(Comparison)
        self.decisions = Decisions()
        self.canary_seen = 0  # when the latest invented patient was published whose violation came through (instant)
        self.seen = Seen()  # replaced as a whole by whoever asks the brokers
        self._arrived: set[str] = set()  # of those that come, the ones read to their end
        self._days: dict[str, int] = {}  # site -> the day it was last shown on
        self._lacked: str | None = None

    # What is read

    def begin(self, site: str) -> None:
        """From now on the site comes from the beginning of its topics; what was shown of it is shown until then."""
        known = self.coming.get(site) or self.followed.get(site)
        followed = Followed(self.new_keeper(site), known.erased if known else {})
        self._judge(followed)
        self.coming[site] = followed
        self.anew.discard(site)
        self._arrived.discard(site)
        self.unreadable.pop(site, None)
        self.changes += 1

    def take(self, parts: Iterable[tuple[str, Sequence[ConsumerRecord]]]) -> None:
        """Take in records of sites' topics, by topic. Raises WrongKeyError."""
        by_site: dict[str, dict[str, Sequence[ConsumerRecord]]] = defaultdict(dict)
        for name, records in parts:
            by_site[site_of(name) or ""][name] = records
        for site, found in by_site.items():
            followed = self.coming.get(site) or self.followed.get(site)
            if followed is not None and site not in self.unreadable:
                with self._readable(site):
                    self._take(followed, found.get(topic("facts", site), ()), found.get(topic("out", site), ()))
        self.changes += 1

    def _take(self, followed: Followed, facts: Sequence[ConsumerRecord], answers: Sequence[ConsumerRecord]) -> None:
        state, meta = followed.keeper.state, followed.meta
        followed.take(facts, answers)
        if followed.meta is not meta:
            self._check_key(followed)
        if followed is self.followed.get(followed.site):
            state.decide(set(state.ledger.touched), self.today(followed.site))  # whom the gate fails on counts nowhere
            if followed.must_reread:
                self.anew.add(followed.site)
        followed.defer()
        if followed.site in self.followed:
            self.keep_counting(followed.keeper, len(facts))

    def _check_key(self, followed: Followed) -> None:
        try:
            check_key(followed.meta.get("pseudonym_key"), self.given.key, f"the log of {followed.site}")
        except LogUnusableError as other:
            raise WrongKeyError(str(other)) from None

    @contextmanager
    def _readable(self, site: str) -> Iterator[None]:
        """One site that cannot be read stops no other. The words name fields and places, never a value."""
        try:
            yield
        except WrongKeyError:
            raise
        except LogUnusableError as unusable:
            self.leave(site, str(unusable))
        except (ValueError, msgspec.MsgspecError):
            self.leave(site, f"the log of {site} holds what this version cannot read. Use the newest version.")
        except Exception as fault:  # noqa: BLE001  a bug with one site is no reason to show nothing of the others
            self.leave(site, f"a bug while the log of {site} was read ({faults.summary(fault)}). Please report it.")

    def leave(self, site: str, why: str) -> None:
        """Show no more of a site than is known by now, and say why."""
        log.error("%s It is left as it is, the others go on.", why)
        self.unreadable[site] = why
        self.coming.pop(site, None)
        self._arrived.discard(site)
        self.changes += 1

    def arrived(self, site: str) -> None:
        """All was read that the site's topics held when it began to be read."""
        followed = self.coming.get(site)
        if followed is None:
            return
        if followed.must_reread:  # what was erased was still there; now it is known
            self.anew.add(site)
        else:
            self._arrived.add(site)

    def welcome(self) -> bool:
        """Count a step of a site that was read to its end, and show it once that is done; whether more is left."""
        if self._arrived:
            site = min(self._arrived)
            if self.coming[site].keeper.state.count(PEOPLE_A_STEP) == 0:
                self._show(site)
        return bool(self._arrived)

    def absent(self, site: str) -> None:
        """There are no topics of the site: nothing was heard of it."""
        if site not in self.followed and site not in self.coming:
            self.begin(site)
            self._show(site)

    def _show(self, site: str) -> None:
        followed = self.coming.pop(site)
        self._arrived.discard(site)
        self.followed[site], self.keepers[site] = followed, followed.keeper
        self.comparisons[site].anew()
        self._days[site] = self.today(site)
        self._stamp = max(self._stamp, followed.keeper.tally.last_received or 0)
        self.changes += 1

    def see_canary(self, records: Iterable[ConsumerRecord]) -> None:
        """What the owner of the reserved site answers: that a violation comes through, and nothing else of it."""
        for record in records:
            with suppress(ValueError, msgspec.MsgspecError):  # then none has come through
                answer = read_answer(record.value or b"")
                published = published_at(answer.treatment_id)
                if answer.decision == "violation" and published is not None:
                    self.canary_seen = max(self.canary_seen, published * 1_000_000)

    # Time

    def tick(self) -> bool:
        """Do a step of what the passing of time calls for; whether more is left to do."""
        self._tell_lacking()
        self.judge_by_the_day()
        for site, followed in self.followed.items():
            if self._days[site] != self.today(site):
                self._begin_day(site, followed)
        if self.count_later():
            return False
        return self.count() or self._compare()

    def _tell_lacking(self) -> None:
        lacking = self.lacking()
        if lacking is not None and lacking != self._lacked:
            log.error("%s", lacking)
        self._lacked = lacking

    def _begin_day(self, site: str, followed: Followed) -> None:
        self._days[site] = self.today(site)
        self.comparisons[site].anew()
        self.changes += 1
        entry, before = self.entry(site), followed.keeper.state.entry
        if entry == before:
            return
        if entry is None or before is None or entry.restamps != before.restamps:
            self.anew.add(site)  # which facts are repetitions was told when they were taken in
            return
        self._judge(followed, entry)

    def _judge(self, followed: Followed, entry: SiteEntry | None = None) -> None:
        followed.keeper.state.judge_by(self.judging.of(self.policy, self.actions, followed.site), entry=entry)
        followed.defer()

    def judge_anew(self) -> None:
        for followed in (*self.followed.values(), *self.coming.values()):
            self._judge(followed)
        for comparison in self.comparisons.values():
            comparison.anew()
        self.changes += 1

    def _compare(self) -> bool:
        if self._lacked is not None:
            return False
        for site, followed in self.followed.items():
            if self.comparisons[site].step(followed.keeper, self.now(), self.today(site)):
                return True
        for site, followed in self.followed.items():
            self.comparisons[site].recheck(followed.keeper, self.now(), self.today(site))
        return False

    # What it does not know

    def not_shown(self) -> list[str]:
        """The sites that nothing is shown of: their logs are still being read, or cannot be."""
        return [site for site in self.names if site not in self.followed]

    def not_as_it_is(self) -> str | None:
        """Why what is shown is not all, or not as it is; None: it is."""
        if not self.seen.was_asked:
            return "Kafka is being asked which sites there are"
        if self.seen.silent_since is not None:
            return f"Kafka has not answered since {instant_text(self.seen.silent_since)}"
        if (lacking := self.lacking()) is not None:
            return lacking
        if reading := [site for site in self.not_shown() if site not in self.unreadable]:
            return f"{len(reading)} of {len(self.names)} sites are still being read"
        return next(iter(sorted(self.unreadable.values())), None)

    def must_know(self, site: str) -> None:
        """Raise NotKnownError where what is held of a site may be old, or is not all."""
        silent_since = self.seen.silent_since
        if silent_since is not None and self.now() - silent_since > STALE_US:
            raise NotKnownError(f"Kafka has not answered since {instant_text(silent_since)}: what is known may be old")
        if site in self.unreadable:
            raise NotKnownError(self.unreadable[site])
        if site not in self.followed:
            raise NotKnownError(f"{site} is still being read")

    # What was answered

    def keeper(self, site: str) -> Keeper:
        """The keeper of a site. Raises UnknownSiteError, NotKnownError."""
        self.known(site)
        self.must_know(site)
        return self.keepers[site]

    def answers(self, site: str, treatment_id: str) -> list[Answer]:
        """The standing answers of a course. Raises NotKnownError: an old one must not release."""
        if site not in self.names:
            return []
        self.must_know(site)
        return self.followed[site].said_of(treatment_id)

    # What people decided

    def hear(self, records: Iterable[ConsumerRecord]) -> None:
        """Let what people decided take effect, each once."""
        for record in records:
            action = self.decisions.take(record)
            if action is not None:
                if self.remember(action):
                    self.judge_anew()
                self._take_effect(action)
                self.changes += 1

    def _take_effect(self, action: act.Action) -> None:
        site = getattr(action, "site", "")
        for followed in (self.followed.get(site), self.coming.get(site)):
            if followed is not None and site not in self.unreadable:
                with self._readable(site):
                    self._take_effect_at(followed.keeper, action)

    def _take_effect_at(self, keeper: Keeper, action: act.Action) -> None:
        match action:
            case act.SettleConflict():
                settlement = settlements_of([action], keeper.site)[0]
                taken = keeper.state.settle_conflict(settlement, self.today(keeper.site))
                if taken is not None:
                    keeper.state.apply(taken)
            case act.SignWaiver():
                keeper.state.waive(waivers_of(self.actions, keeper.site))

    def action_records(self) -> Iterable[bytes]:
        return self.decisions.records()
