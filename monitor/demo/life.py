"""One invented patient: screened, treated, followed up, with adverse events, and now and then against the rules."""

from __future__ import annotations

from datetime import date
from itertools import accumulate
from typing import Any

from monitor.demo import medicine
from monitor.demo.build import Message, concept
from monitor.demo.desk import Desk, patient_number
from monitor.demo.medicine import FOR_GOOD, Event, Plan
from monitor.demo.screening import Screening

YEAR = 365.25
OLD = 65
EVENT_WEIGHTS = list(accumulate(each.per_100_patient_years for each in medicine.EVENTS))
EVENTS_A_DAY = EVENT_WEIGHTS[-1] / 100 / YEAR
DEATHS_A_DAY = medicine.DEATHS_PER_100_PATIENT_YEARS / 100 / YEAR
MEAN_COURSE_DAYS = 800
HALVED = {30.0: 15.0, 4.0: 2.0, 200.0: 100.0}
GRADES = (1, 2, 2, 2)
SERIOUS_GRADES = (3, 3, 3, 4)


class Life:
    """Writes one patient's messages to the desk; days are `date.toordinal()`."""

    def __init__(self, desk: Desk, index: int, enters: int) -> None:
        self._rng = rng = desk.rng
        self._desk = desk
        self._id = patient_number(index)
        self._age = int(rng.triangular(14, 88, 45))
        self._birth_year = date.fromordinal(enters).year - self._age
        self._diseases = self._draw_diseases()
        self._enters = enters
        self._end = desk.end
        self._courses = 0
        self._dies = enters + int(rng.expovariate(DEATHS_A_DAY))
        self._last_seen = enters + rng.randrange(100, 900) if self._chance(0.05) else desk.end

    def live(self) -> None:
        """All of it, from the first visit to the last day anything is known of."""
        self._present()
        decided: int | None = self._enters
        while decided is not None and decided < min(self._end, self._dies, self._last_seen):
            decided = self._treat(decided)
        if self._dies <= min(self._end, self._last_seen):
            self._die()

    # who it is

    def _chance(self, share: float) -> bool:
        return self._rng.random() < share

    def _within(self, first: int, last: int) -> int:
        return first + int(self._rng.random() * (last - first + 1))

    def _draw_diseases(self) -> list[str]:
        first = self._rng.choices(list(medicine.SHARE_OF_DISEASES), list(medicine.SHARE_OF_DISEASES.values()))[0]
        if not self._chance(medicine.SECOND_DISEASE):
            return [first]
        return [first, self._rng.choice([each for each in medicine.DISEASES if each != first])]

    def _present(self) -> None:
        conditions = [self._since({"concept": self._coded(each)}) for each in self._diseases]
        for code, share in medicine.OTHER_CONDITIONS.items():
            if self._chance(share * self._age / 45):
                conditions.append(self._since({"concept": concept(code)}))
        sex = self._rng.choice(("female", "male"))
        self._write("patient_profile", self._enters, birth_year=self._birth_year, sex=sex, conditions=conditions)

    def _coded(self, disease: str) -> Message:
        return concept(self._rng.choice(medicine.DISEASES[disease]))

    def _since(self, condition: Message) -> Message:
        if self._chance(0.4):
            condition["since"] = self._desk.dated(self._enters - self._within(30, 4000))[: self._rng.choice((4, 7, 10))]
        return condition

    def _write(self, kind: str, day: int, delay: int = 0, **body: Any) -> Message:
        return self._desk.write(kind, day, self._id, delay, **body)

    # one course: order, start, changes, pause, stop

    def _treat(self, decided: int) -> int | None:
        """One course decided on a day; the day on which the next one is decided, if any."""
        self._courses += 1
        plan = self._rng.choice(medicine.PLANS[self._diseases[0]])
        course = self._course(plan)
        screening = Screening(self._desk, self._id, decided)
        start = screening.ready_on
        order = self._order(course, decided, start)
        screening.report(start)
        if (screening.positive and self._chance(0.8)) or self._chance(0.03):
            self._leave(order, start)
            return None
        return self._dose(plan, course, start)

    def _course(self, plan: Plan) -> Message:
        codes = medicine.DRUGS[plan.drug]
        coding = codes[0] if self._chance(0.8) else self._rng.choice(codes)
        drug = concept(medicine.UNMAPPED_DRUG) if self._chance(0.002) else concept(*coding)
        mg = plan.older if self._age >= OLD and self._chance(0.95) else plan.steps[0][1]
        dose = {"amount": mg, "unit": "mg", "per_day": plan.per_day}
        treatment_id = f"{self._id}-{self._courses}"
        wanted = [self._coded(each) for each in self._diseases]
        return {"treatment_id": treatment_id, "drug": drug, "indications": wanted, "dose": dose}

    def _order(self, course: Message, decided: int, start: int) -> Message:
        own = {"treatment_id": f"{course['treatment_id']}-o"} if self._desk.site.own_order_ids else {}
        planned = self._desk.dated(start)
        return self._write("treatment_ordered", min(decided + 5, start), **course | own, planned_start_on=planned)

    def _leave(self, order: Message, start: int) -> None:
        if self._chance(0.7):
            cancelled = {"treatment_id": order["treatment_id"], "cancelled_on": self._desk.dated(start)}
            self._write("treatment_cancelled", start, **cancelled)

    def _dose(self, plan: Plan, course: Message, start: int) -> int | None:
        """The doses from the first to the last, and what happens meanwhile."""
        end = start + int(self._rng.expovariate(1 / MEAN_COURSE_DAYS))
        end, stopped_by_event = self._suffer(course["treatment_id"], start, min(end, self._dies))
        end = self._paused(course, start, end) if self._chance(0.1) else end
        self._start(course, start)
        self._change(plan, course, start, end)
        self._visit(start, end)
        if end >= min(self._end, self._last_seen):
            return None
        return self._stop(course, end, stopped_by_event)

    def _start(self, course: Message, day: int) -> None:
        extra: Message = {"started_on": self._desk.dated(day)}
        if self._chance(0.3):
            extra["started_at"] = self._desk.calendar.instant(day, 1200)
        if self._desk.site.own_order_ids:
            extra["order_id"] = f"{course['treatment_id']}-o"
        self._write("treatment_started", day, self._within(0, 3), **course, **extra)
        if self._chance(0.001):
            stranger = self._desk.write("treatment_started", day, self._desk.somebody(), **course, **extra)
            if self._chance(0.5):
                self._desk.withdraw(stranger, day + 30)

    def _change(self, plan: Plan, course: Message, start: int, end: int) -> None:
        day = start
        if course["dose"]["amount"] == plan.steps[0][1]:
            for (length, _), (_, mg) in zip(plan.steps, plan.steps[1:], strict=False):
                day += length
                self._change_dose(course, day, end, mg)
        last = plan.steps[-1][1]
        if plan.steps[-1][0] == FOR_GOOD and last in HALVED and course["dose"]["amount"] == last and self._chance(0.15):
            self._change_dose(course, day + self._within(200, 500), end, HALVED[last])

    def _change_dose(self, course: Message, day: int, end: int, mg: float) -> None:
        if day <= end:
            new = {"treatment_id": course["treatment_id"], "dose": {**course["dose"], "amount": mg}}
            self._write("treatment_changed", day, self._within(0, 5), **new, changed_on=self._desk.dated(day))

    def _paused(self, course: Message, start: int, end: int) -> int:
        """A pause within the course; it runs that much longer."""
        stops, pause = start + self._within(40, 300), self._within(8, 260)
        if stops >= end:
            return end
        self._write_stop(course, stops, "other")
        if stops + pause < min(self._end, self._dies):
            self._start(course, stops + pause)
        return min(end + pause, self._dies)

    def _write_stop(self, course: Message, day: int, reason: str) -> None:
        said = {"reason": reason} if self._chance(0.8) else {}
        stop = {"treatment_id": course["treatment_id"], "last_dose_on": self._desk.dated(day)}
        self._write("treatment_stopped", day, self._within(0, 10), **stop, **said)

    def _stop(self, course: Message, day: int, by_event: bool) -> int | None:
        reasons = ("lack_of_efficacy", "remission", "patient_choice", "other")
        reason = "adverse_event" if by_event else self._rng.choices(reasons, (5, 2, 2, 1))[0]
        if day < self._dies or self._chance(0.5):
            self._write_stop(course, day, reason)
        if reason in {"lack_of_efficacy", "adverse_event"} and self._chance(0.5):
            return day - 45 if self._chance(0.05) else day + self._within(-20, 40)
        return None

    def _visit(self, start: int, end: int) -> None:
        day, last = start, min(end, self._end, self._last_seen)
        while (day := day + self._within(56, 120)) < last:
            supply = {"days_supplied": self._rng.choice((28, 84, 90))} if self._chance(0.5) else {}
            self._write("patient_contact", day, self._within(0, 2), seen_on=self._desk.dated(day), **supply)

    # adverse events and death

    def _suffer(self, treatment_id: str, start: int, end: int) -> tuple[int, bool]:
        """Adverse events before, during and after the doses; the day of the last dose and whether one ended them."""
        day = start - 10 + int(self._rng.expovariate(EVENTS_A_DAY))
        while day <= min(end + 60, self._dies, self._end, self._last_seen):
            event = self._rng.choices(medicine.EVENTS, cum_weights=EVENT_WEIGHTS)[0]
            fatal = self._chance(event.fatal)
            stops = fatal or (start < day < end and self._chance(0.035))
            self._report(event, day, treatment_id, fatal, stops)
            if fatal:
                self._dies = day
            if stops and day < end:
                return max(day, start), True
            day += 1 + int(self._rng.expovariate(EVENTS_A_DAY))
        return end, False

    def _report(self, event: Event, day: int, treatment_id: str, fatal: bool, stops: bool) -> None:
        serious = fatal or self._chance(event.serious)
        body: Message = {"term": concept(event.code), "seriousness": self._criteria(serious, fatal)}
        body |= self._onset(day) | {"grade": 5 if fatal else self._rng.choice(SERIOUS_GRADES if serious else GRADES)}
        body["action_taken"] = "drug_stopped" if stops else "none"
        if self._chance(0.6):
            body["suspect_treatment_ids"] = [treatment_id]
        if self._chance(0.5):
            body["relatedness"] = self._rng.choice(("related", "possible", "unlikely", "not_related"))
        self._outcome(body, day, fatal)

    def _outcome(self, body: Message, day: int, fatal: bool) -> None:
        delay = 1 + min(int(self._rng.expovariate(1 / 12)), 300)
        outcome = "fatal" if fatal else self._rng.choice(("recovered", "recovered", "recovering", "unknown"))
        said = self._write("adverse_event", day, delay, **body, outcome=outcome)
        if outcome == "recovering" and self._chance(0.6):
            ended = self._desk.dated(day + delay)
            self._desk.follow_up(said, day + delay + 90, outcome="recovered", ended_on=ended)

    def _criteria(self, serious: bool, fatal: bool) -> list[str]:
        return ["death"] if fatal else [self._rng.choice(medicine.CRITERIA)] if serious else []

    def _onset(self, day: int) -> Message:
        characters = self._rng.choices((10, 7, 4, 0), (960, 25, 5, 10))[0]
        return {"onset_on": self._desk.dated(day)[:characters]} if characters else {}

    def _die(self) -> None:
        died_on = self._desk.dated(self._dies)
        self._write("patient_profile", self._dies, self._within(0, 40), died_on=died_on)
        if self._chance(0.4):
            cause: Message = {"term": concept("icd10:R99"), "seriousness": ["death"], "outcome": "fatal"}
            self._write("adverse_event", self._dies, self._within(2, 30), **cause, onset_on=died_on)
