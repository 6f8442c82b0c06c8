"""A worker: owns some of the sites, answers what they send, and keeps the answers right as days pass.

The engine says which sites are this worker's and hands over their messages; the log of each site says what was done.
A site is worked on by one task at a time. What goes wrong with one site is told to the engine, which takes that site
anew from its log; the others go on.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path

from aiokafka.structs import ConsumerRecord

from monitor.core import facts as f
from monitor.core.actions import erasures_of, settlements_of, waivers_of
from monitor.core.batch import News
from monitor.core.days import local_day
from monitor.core.given import Intake
from monitor.core.state import SiteState
from monitor.kafka.connection import Connection
from monitor.kafka.names import topic
from monitor.keeper import Draft, Keeper, Origin
from monitor.log import LogChangedError, LogRefusedError, LogUnreachableError, LogUnusableError
from monitor.log.kafka import LARGEST_KEPT, KafkaLog, Standing, quiet_client
from monitor.rulebook import check_id_rules, check_key, check_versions
from monitor.sites import Rules, Sites
from monitor.stream.inbound import LOOK_SECONDS, inbound_id, made_anew
from monitor.stream.snapshot import Snapshots, mark
from schemas import actions as act
from schemas.parts import RESERVED_SITE

log = logging.getLogger("jakwatch")

COURSES_A_STEP = 100  # judged anew at once beside the messages
REJECTED_IN_A_ROW = 20_000
"""More than any hospital's mistake of a day: what rejects so much is rather ours, and the inbound topic keeps it."""

PAUSE_SECONDS = 900.0
QUIET_SECONDS = 2.0
_APPENDED = 1  # timestamp type of a topic with LogAppendTime


class Owned:
    """A site that this worker owns."""

    def __init__(self, keeper: Keeper, kept_in: KafkaLog, erased: str, today: int) -> None:
        self.keeper = keeper
        self.log = kept_in
        self.meta: dict[str, str] = {}  # to be noted with the first message: of an empty log nothing binds
        self.erased = erased  # mark of those of whom nothing is in it any more
        self.lock = asyncio.Lock()
        self.today = today  # the day it was last judged on, or its topics were written to
        self.due: list[str] = []  # courses to be judged anew
        self.rejected_in_a_row = 0
        self.worked_at = 0.0  # when messages came last (monotonic)


class Worker(Sites):
    """The sites of one worker. For the engine's event loop alone."""

    def __init__(
        self,
        connection: Connection,
        rules: Rules,
        clock: Callable[[], datetime],
        on_fault: Callable[[Exception], None],
        on_unusable: Callable[[str], None],
        snapshots: Path | None = None,
    ) -> None:
        """`on_unusable` is told why this worker must end: with what it was given no site can be judged.

        `snapshots`: a folder for them, None: every site is read from its whole log.
        """
        super().__init__(rules, clock, on_fault)
        quiet_client()
        self.connection = connection
        self.owned: dict[str, Owned] = {}
        self._on_unusable = on_unusable
        self._erasures: Mapping[str, Mapping[str, int]] = {}  # site -> pseudonym -> up to when it was erased
        self.snapshots = Snapshots(snapshots, check_key(None, rules.key, ""))
        self.snapshots.take_up(self.vocabulary)
        self._heard = asyncio.Event()
        self._looked_at = 0.0  # when it was last asked which topics there are (monotonic)
        self.anew: Callable[[str, Exception], None] = lambda _site, _error: None  # the engine's way to take a site anew

    # What the engine asks

    async def take_over(self, site: str) -> int | None:
        """Fence the former owner, read the site's log, be ready; what time has changed is judged afterwards."""
        await self._heard.wait()
        await self.let_go(site)
        self._may_judge()
        if site != RESERVED_SITE:
            self.known(site)
        heard, kept_in = len(self.actions), KafkaLog(self.connection, site, self.rules.key)
        try:
            await kept_in.open()
            keeper, standing = await self._read(site, kept_in)
            meta = self._checked(site, standing, await kept_in.topic_ids([topic("in", site)]))
            position = {} if standing.position is None else {topic("in", site): standing.position}
            keeper.resume(standing.tally, position, standing.answers.items())
            if standing.tally.received and meta != standing.meta:
                await kept_in.append(keeper.unchanged(self.now()), meta)
            self._must_not_have_heard(site, heard)
        except BaseException:
            await kept_in.close()
            raise
        self._stamp = max(self._stamp, standing.tally.last_received or 0)
        owned = Owned(keeper, kept_in, self._erased(site), self._written_on(site, standing))
        owned.meta = meta
        self._begin(site, owned)
        log.info("%s: taken over; %d messages had arrived", site, standing.tally.received)
        return standing.position

    def _must_not_have_heard(self, site: str, before: int) -> None:
        """Raise LogChangedError if since then somebody decided what has to be known while a log is read."""
        for action in self.actions[before:]:
            if isinstance(action, act.SettleConflict | act.Erase) and action.site == site:
                raise LogChangedError(f"somebody decided something about {site} meanwhile")

    def _written_on(self, site: str, standing: Standing) -> int:
        """The day up to which all its compacted topics have been written to every day, as far as can be seen."""
        written = [each * 1000 for each in (standing.facts_at, standing.answers_at) if each is not None]
        zone = self.entry(site) if site != RESERVED_SITE else None
        return local_day(min([*written, self.now()]), zone.zone if zone else None)

    def _may_judge(self) -> None:
        """Raise LogUnreachableError while a version of the policy is in force that this worker was not given."""
        if (lacking := self.lacking()) is not None:
            raise LogUnreachableError(lacking)

    def new_keeper(self, site: str) -> Keeper:
        """As every process makes it; the canary's site is in no registry, and nothing of it is historical."""
        if site != RESERVED_SITE:
            return super().new_keeper(site)
        return Keeper(SiteState(site, Intake(self.vocabulary, key=self.rules.key), on_fault=self.on_fault))

    async def _read(self, site: str, kept_in: KafkaLog) -> tuple[Keeper, Standing]:
        """The site as its log says it is, from a snapshot on if there is one that agrees with it."""
        keeper = self.new_keeper(site)
        known = self.snapshots.load(keeper.state, self._erased(site))
        if known is not None:
            log.info("%s: %d facts are known from a snapshot", site, known.facts)
        while True:
            try:
                return keeper, await self._restored(keeper, kept_in, known)
            except LogChangedError:
                log.debug("%s: read anew without what was erased", site)
            except LogRefusedError as error:
                if known is None:
                    raise
                log.warning("%s: its snapshot does not agree with its log (%s); the log is read whole", site, error)
            self.snapshots.forget(site)
            keeper, known = self.new_keeper(site), None

    async def _restored(self, keeper: Keeper, kept_in: KafkaLog, known: Standing | None) -> Standing:
        """Read the log; what is still there of those who were erased while nobody owned the site goes now."""
        erasures, left = self._erasures.get(keeper.site, {}), set[str]()

        def restore(facts: list[bytes]) -> None:
            left.update(each for each in erasures if any(each.encode() in fact for fact in facts))
            keeper.restore(facts)

        standing = await kept_in.read(restore, known)
        for each in left:
            await self._erase(kept_in, each, erasures[each])
        return standing

    def _erased(self, site: str) -> str:
        """Tells those who were erased of a site from those of other times."""
        return mark(self._erasures.get(site, {}).items())

    async def _save(self, site: str, owned: Owned) -> None:
        """Write a snapshot, if one is due."""
        standing = owned.log.standing
        if self.snapshots.is_due(site, standing.facts):
            snapshot = self.snapshots.taken(owned.keeper.state, standing)
            if snapshot is not None:
                await asyncio.to_thread(self.snapshots.keep, snapshot, owned.erased)
            if owned.erased != self._erased(site):  # somebody is to be erased since
                self.snapshots.forget(site)

    def _begin(self, site: str, owned: Owned) -> None:
        self._judge_later(owned)
        self.owned[site], self.keepers[site] = owned, owned.keeper
        self.changes += 1

    def _judge_later(self, owned: Owned) -> None:
        """By the rules of now; message by message at once, the rest step by step."""
        judgement = self.judging.of(self.policy, self.actions, owned.keeper.site)
        owned.keeper.state.judge_by(judgement, has_counts=False)
        owned.keeper.state.defer()
        owned.due = owned.keeper.courses()

    def _checked(self, site: str, standing: Standing, ids: Mapping[str, str]) -> dict[str, str]:
        """What is to be noted of the log, if it can be gone on with by what this worker was given. `ids`: of topics."""
        known = standing.meta if standing.tally.received else {}  # nobody was named yet, and nobody judged
        tally, rules = standing.tally, self.rules
        try:
            noted = {"pseudonym_key": check_key(known.get("pseudonym_key"), rules.key, f"the log of {site}")}
            if site == RESERVED_SITE:
                return noted  # nobody is treated there, so no version can judge anybody anew
            noted["versions"] = check_versions(
                known.get("versions"), tally.last_received or 0, rules.policies, rules.registry, self.today_everywhere()
            )
        except LogUnusableError as unusable:
            self._on_unusable(str(unusable))
            raise
        noted["id_rules"] = check_id_rules(known.get("id_rules"), site, rules.registry, tally.last_recorded)
        return noted | inbound_id(site, {} if standing.position is None else standing.meta, ids)

    async def work(self, site: str, records: Sequence[ConsumerRecord], end: int) -> float:
        """Take in a batch; kept when this returns."""
        owned = self._owned(site)
        self._may_judge()
        inbound = topic("in", site)
        owned.worked_at = time.monotonic()
        async with owned.lock:
            now = self.now()
            received = [_received(each, now) for each in records]
            origin = Origin(inbound, [each.offset for each in records], end, received, LARGEST_KEPT)
            draft = owned.keeper.draft([each.value or b"" for each in records], origin, now, self.today(site))
            headers = (
                {each.offset: each.headers for each in records if each.headers} if draft.transaction.rejections else {}
            )
            meta = None if owned.log.standing.meta == owned.meta else owned.meta
            await owned.log.append(draft.transaction, meta, headers)
            self._keep(owned, draft)
        if self._is_of_erased(site, draft.transaction.news, received):
            self.anew(site, LogChangedError("a message had come before its patient was erased"))
        return self._pause(owned, draft)

    def _is_of_erased(self, site: str, news: Iterable[News], received: Sequence[int]) -> bool:
        """Whether something was taken in that had come before its patient was erased: then it goes as well."""
        until = self._erasures.get(site)
        return until is not None and any(
            received[each.place] <= until.get(patient.hex(), -1) for each in news for patient in _patients_of(each)
        )

    def _keep(self, owned: Owned, draft: Draft) -> None:
        owned.keeper.keep(draft)
        self.changes += 1

    def _pause(self, owned: Owned, draft: Draft) -> float:
        """How long to leave a site alone that sends nothing but what must be rejected."""
        owned.rejected_in_a_row = owned.rejected_in_a_row + draft.count if draft.is_all_rejected else 0
        if owned.rejected_in_a_row < REJECTED_IN_A_ROW:
            return 0.0
        log.error(
            "%s: %d messages in a row were rejected; it is paused for %.0f min, the others go on. See why: "
            "jakwatch rejected list --site %s", owned.keeper.site, owned.rejected_in_a_row, PAUSE_SECONDS / 60,
            owned.keeper.site,
        )  # fmt: skip
        owned.rejected_in_a_row = 0  # after the pause as many again
        return PAUSE_SECONDS

    async def let_go(self, site: str) -> None:
        """Forget a site; whoever owns it next reads it from its log."""
        owned = self.owned.pop(site, None)
        self.keepers.pop(site, None)
        if owned is not None:
            await owned.log.close()

    def _owned(self, site: str) -> Owned:
        try:
            return self.owned[site]
        except KeyError:
            raise LogRefusedError(f"{site} is not this worker's") from None

    # Time, and what people decide

    async def tick(self) -> bool:
        """Do a step of what the passing of time calls for at each site; whether more is left to do."""
        await self._look_at_topics()
        if self.lacking() is not None:
            return False
        if self.count_by_the_day():
            for owned in self.owned.values():
                self._judge_later(owned)
        more = False
        for site, owned in list(self.owned.items()):
            async with self._worked_on(site, owned):
                more |= await self._step(site, owned)
                await self._save(site, owned)
            await asyncio.sleep(0)
        return more

    async def _look_at_topics(self) -> None:
        """Take anew the sites whose inbound topics are others by now: then it is said what to do."""
        if self.owned and time.monotonic() > self._looked_at + LOOK_SECONDS:
            noted = {site: owned.meta for site, owned in self.owned.items() if site != RESERVED_SITE}
            async for site, error in made_anew(noted, next(iter(self.owned.values())).log):
                self.anew(site, error)
            self._looked_at = time.monotonic()

    async def _step(self, site: str, owned: Owned) -> bool:
        keeper, today = owned.keeper, self.today(site)
        if owned.today != today:
            if site != RESERVED_SITE and self.entry(site) != keeper.state.entry:
                raise LogRefusedError(f"the registry says something else of {site} from today on")
            await owned.log.beat()
            owned.today, owned.due = today, keeper.courses()
        if owned.meta != owned.log.standing.meta and keeper.tally.received:
            await owned.log.append(keeper.unchanged(self.now()), owned.meta)
        if keeper.state.unheld:
            await self._commit(owned, keeper.mend(self.now(), today))
            keeper.state.unheld.clear()
        elif owned.due:
            step = owned.due[-COURSES_A_STEP:]
            await self._commit(owned, keeper.reassess(step, self.now(), today))
            del owned.due[-COURSES_A_STEP:]
        elif time.monotonic() > owned.worked_at + QUIET_SECONDS:  # else many are touched again a moment later
            keeper.state.count(COURSES_A_STEP)  # finds those on whom only the counts fail
            return bool(keeper.state.unheld or keeper.state.uncounted)
        return bool(owned.due or keeper.state.unheld)

    async def _commit(self, owned: Owned, draft: Draft) -> None:
        if not draft.is_empty:
            await owned.log.append(draft.transaction)
            self._keep(owned, draft)

    @asynccontextmanager
    async def _worked_on(self, site: str, owned: Owned) -> AsyncIterator[None]:
        """Nobody else works on the site meanwhile; what goes wrong is the engine's affair."""
        async with owned.lock:
            try:
                yield
            except Exception as error:  # noqa: BLE001  the site is taken anew, the others go on
                if self.owned.get(site) is owned:
                    self.anew(site, error)

    @property
    def has_heard_decisions(self) -> bool:
        """Whether all is known that people had decided when this worker began."""
        return self._heard.is_set()

    def decisions_are_heard(self) -> None:
        """From now on sites may be taken over. To be called as often as one likes."""
        if not self._heard.is_set():
            self.snapshots.tidy(self._erased)
            self._heard.set()

    async def heed(self, action: act.Action) -> None:
        """Let what somebody decided take effect at the sites of this worker."""
        if self.remember(action):
            for site, each in self.owned.items():
                self._judge_later(each)
                each.meta |= self._checked(site, each.log.standing, {})
        site = getattr(action, "site", "")
        if isinstance(action, act.Erase):
            self._erasures = erasures_of(self.actions)
            if self.has_heard_decisions:
                self.snapshots.forget(site)  # also of a time when the site was this worker's
        owned = self.owned.get(site)
        if owned is None:
            return
        async with self._worked_on(site, owned):
            await self._take_effect(action, site, owned)

    async def _take_effect(self, action: act.Action, site: str, owned: Owned) -> None:
        keeper = owned.keeper
        match action:
            case act.SettleConflict():
                settlement = settlements_of([action], site)[0]
                await self._commit(owned, keeper.settle_conflict(settlement, self.now(), self.today(site)))
            case act.SignWaiver():
                keeper.state.waive(waivers_of(self.actions, site))
                owned.due = keeper.courses()
            case act.Erase():
                await self._erase(owned.log, action.pseudonym, self._erasures[site][action.pseudonym])
                owned.erased = self._erased(site)  # of the patient nothing was there

    async def _erase(self, kept_in: KafkaLog, pseudonym: str, until: int) -> None:
        """Raises LogChangedError once something was erased: what was read of the site is to be forgotten."""
        count = await kept_in.erase(pseudonym, until)
        if count:
            log.info("%s: %d facts of a patient were erased", kept_in.site, count)
            raise LogChangedError(f"{count} facts were erased")


def _patients_of(news: News) -> Iterator[bytes]:
    yield news.patient
    if isinstance(news.fact, f.Merged):
        yield news.fact.other


def _received(record: ConsumerRecord, now: int) -> int:
    """When a message arrived: its append time, in microseconds."""
    return record.timestamp * 1000 if record.timestamp_type == _APPENDED else now
