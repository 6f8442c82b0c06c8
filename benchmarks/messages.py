"""The messages every benchmark reads: a fixed mix of ten years, 11.1 facts a patient, arriving up to 30 days late.

The mix is 15 % starts, 10 % changes, 12 % stops, 38 % screening results and 25 % adverse events, lines of 240 to 370
bytes, 292 on average. It is a load, not a hospital: for plausible lives see `monitor.demo.hospitals`. Every line is
valid and no two are of one identity.

    python -m benchmarks.messages messages.jsonl -n 1000000 --sites 2 --seed 1
"""

from __future__ import annotations

import argparse
from collections import deque
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from random import Random

FACTS_A_PATIENT = 11.1
DAYS = 3_700
FIRST_DAY = date(2016, 1, 1).toordinal()
LATEST_DAYS = 30
LONGEST_LIFE_DAYS = 560  # from the first screening to the last fact of a patient: how much is held in memory

DRUGS = (
    ("L04AF01", 5, 2),
    ("L04AF02", 4, 1),
    ("L04AF03", 15, 1),
    ("L04AF03", 30, 1),
    ("L04AF04", 200, 1),
    ("L04AF08", 50, 1),
    ("D11AH08", 100, 1),
)
INDICATIONS = ("L20.9", "M05.9", "M06.9", "L40.5", "M45.9", "M46.8", "K50.9", "K51.9", "L63.9")
TESTS = ("5195-3", "16933-4", "16128-1", "56888-1", "71773-6")
OUTCOMES = ("negative",) * 18 + ("positive", "indeterminate")
TERMS = (
    *("J00", "J06.9", "L70.0", "R51", "R11", "N39.0", "B00.1", "B02.9", "B02.3", "J18.9", "L03.9", "A41.9", "A15.0"),
    *("I21.9", "I63.9", "I80.2", "I26.9", "C34.9", "C50.9", "C61", "C44.9", "K63.1", "R74.0", "D64.9", "D70", "R74.8"),
)
SERIOUSNESS = ("",) * 9 + ('"hospitalisation"',)
REASONS = ("adverse_event", "lack_of_efficacy", "remission", "patient_choice", "other")

# What is expected of a patient adds up to 11.1: 1.665 starts, 1.11 changes, 1.332 stops, 4.218 results, 2.775 events.
SECOND_COURSE = 0.665
SECOND_CHANGE = 0.11
SECOND_STOP = 0.332 / SECOND_COURSE  # of those with a second course
FIFTH_RESULT = 0.218
THIRD_EVENT = 0.775


def lines(messages: int, sites: int = 1, seed: int = 1) -> Iterator[bytes]:
    """Yield as many messages as compact JSON without line ends, in order of arrival, spread evenly over the sites.

    Sites are called `site-01` and so on. Patients enter evenly over ten years; only those of the last year and a half
    are held in memory.
    """
    rng = Random(seed)  # noqa: S311 - a load, no secret
    mill = Mill(rng, sites)
    patients = round(messages / FACTS_A_PATIENT) + 1
    left = messages
    for arrived in _arrivals(mill, patients):
        rng.shuffle(arrived)
        yield from arrived[:left]
        left -= min(left, len(arrived))
    while left:  # chance made the patients a little shorter than expected
        more = [line for _, line in mill.patient(patients, FIRST_DAY + DAYS)][:left]
        yield from more
        left, patients = left - len(more), patients + 1


def write(path: Path, messages: int, sites: int = 1, seed: int = 1) -> int:
    """Write them to a file, one a line; returns the size in bytes."""
    with path.open("wb") as out:
        out.writelines(line + b"\n" for line in lines(messages, sites, seed))
    return path.stat().st_size


def _arrivals(mill: Mill, patients: int) -> Iterator[list[bytes]]:
    """What arrives on each day, the days in order."""
    days: deque[list[bytes]] = deque([] for _ in range(LONGEST_LIFE_DAYS + LATEST_DAYS))
    entering = DAYS - LONGEST_LIFE_DAYS
    for day in range(DAYS + LATEST_DAYS):
        for patient in range(patients * day // entering, min(patients, patients * (day + 1) // entering)):
            for late, line in mill.patient(patient, FIRST_DAY + day):
                days[late].append(line)
        yield days.popleft()
        days.append([])


class Mill:
    """Turns out the messages of one patient after the other."""

    def __init__(self, rng: Random, sites: int = 1, first_fact: int = 0) -> None:
        self._rng = rng
        self._sites = sites
        self._facts = first_fact
        self._days = [date.fromordinal(FIRST_DAY + each).isoformat() for each in range(DAYS + 2 * LONGEST_LIFE_DAYS)]

    def patient(self, number: int, enters: int) -> Iterator[tuple[int, bytes]]:
        """Yield (days from `enters` to the arrival, message) for every fact of one patient."""
        chance = self._rng.random
        second_course = chance() < SECOND_COURSE
        first_day, site = enters - FIRST_DAY, number % self._sites + 1
        for each in range(5 if chance() < FIFTH_RESULT else 4):
            yield self.message(number, site, first_day, each, self.result(first_day + each, each))
        yield from self.course(number, site, first_day, 0, stopped=True)
        if second_course:
            yield from self.course(number, site, first_day, 1, stopped=chance() < SECOND_STOP)
        if chance() < SECOND_CHANGE:
            yield self.message(number, site, first_day, 120, self.change(number, 0, first_day + 120))
        for _ in range(3 if chance() < THIRD_EVENT else 2):
            after = 40 + int(chance() * 480)
            yield self.message(number, site, first_day, after, self.event(first_day + after))

    def course(
        self, number: int, site: int, first_day: int, course: int, *, stopped: bool
    ) -> Iterator[tuple[int, bytes]]:
        begins = 20 + 270 * course
        ends = begins + 100 + int(self._rng.random() * 160)
        yield self.message(number, site, first_day, begins, self.start(number, course, first_day + begins))
        if course == 0:
            yield self.message(number, site, first_day, 60, self.change(number, 0, first_day + 60))
        if stopped:
            yield self.message(number, site, first_day, ends, self.stop(number, course, first_day + ends))

    def message(self, number: int, site: int, first_day: int, after: int, body: str) -> tuple[int, bytes]:
        """A whole message `after` days from `first_day` (from `FIRST_DAY`), with the days until it arrives."""
        self._facts += 1
        recorded_at = f"{self._days[first_day + after + 1]}T{8 + self._facts % 12:02}:30:00Z"
        text = (
            f'{{"schema":1,"event_id":"ev-{self._facts:09}","recorded_at":"{recorded_at}",'
            f'"site":"site-{site:02}","patient_id":"patient-{number:08}",{body}}}'
        )
        return after + int(self._rng.random() * LATEST_DAYS), text.encode()

    def start(self, number: int, course: int, day: int) -> str:
        """The body of a start; here and below `day` counts from `FIRST_DAY`."""
        drug, mg, per_day = self._rng.choice(DRUGS)
        return (
            f'"type":"treatment_started","treatment_id":"t-{number}-{course}",'
            f'"drug":{{"codings":[{{"system":"atc","code":"{drug}"}}]}},'
            f'"indications":[{{"codings":[{{"system":"icd10","code":"{self._rng.choice(INDICATIONS)}"}}]}}],'
            f'"dose":{{"amount":{mg},"unit":"mg","per_day":{per_day}}},"started_on":"{self._days[day]}"'
        )

    def change(self, number: int, course: int, day: int) -> str:
        """A change of dose."""
        return (
            f'"type":"treatment_changed","source":"pharmacy","treatment_id":"t-{number}-{course}","changed_on":"{self._days[day]}",'
            f'"dose":{{"amount":{self._rng.choice((5, 15, 30, 100))},"unit":"mg","per_day":1}}'
        )

    def stop(self, number: int, course: int, day: int) -> str:
        """A last dose."""
        return (
            f'"type":"treatment_stopped","source":"pharmacy","treatment_id":"t-{number}-{course}",'
            f'"last_dose_on":"{self._days[day]}","reason":"{self._rng.choice(REASONS)}"'
        )

    def result(self, day: int, test: int) -> str:
        """A result of one of `TESTS`, nine in ten negative."""
        return (
            f'"type":"screening_result","test":{{"codings":[{{"system":"loinc","code":"{TESTS[test]}"}}]}},'
            f'"collected_on":"{self._days[day]}","resulted_at":"{self._days[day + 1]}T07:15:00Z",'
            f'"outcome":"{self._rng.choice(OUTCOMES)}"'
        )

    def event(self, day: int) -> str:
        """An adverse event, one in ten serious."""
        return (
            f'"type":"adverse_event","term":{{"codings":[{{"system":"icd10","code":"{self._rng.choice(TERMS)}"}}]}},'
            f'"onset_on":"{self._days[day]}","seriousness":[{self._rng.choice(SERIOUSNESS)}],'
            f'"grade":{self._rng.randint(1, 3)},"outcome":"recovered"'
        )


def main() -> None:
    """Write a file of messages."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.messages", description=main.__doc__)
    parser.add_argument("path", type=Path)
    parser.add_argument("-n", "--messages", type=int, default=100_000)
    parser.add_argument("--sites", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    write(given.path, given.messages, given.sites, given.seed)


if __name__ == "__main__":
    main()
