"""The pages a safety officer sees: HTML made on the server from what the monitor knows at one moment.

Nothing here asks a clock, a file of data or the network: a page is a function of its `Overview` and of who looks. The
pages work without script; what they fetch, a style sheet and thirty lines of script, comes from this machine.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from monitor.core.rates import DAYS_PER_YEAR
from monitor.overview import Case, CourseView, Overview, SiteActivity
from monitor.stream.standing import ReplicaOverview
from monitor.web import forest, standing, words

STATIC = Path(__file__).with_name("static")
_TEMPLATES = Path(__file__).with_name("templates")
_AT_ONCE, _MOST = 5, 50  # items of a list that a person sees at once, and at all
_RENEW_SECONDS = 5
_ESTIMATORS = {
    "EAER": "all events (EAER)",
    "EAIR": "first event of each patient (EAIR)",
}


@dataclass(frozen=True, slots=True)
class Said:
    """What the page says first: how something that a person just did went."""

    text: str
    done: bool = True


@dataclass(frozen=True, slots=True)
class Choice:
    """Which rates are shown. `aesis`: empty means all. `notes`: what was asked for and is not there."""

    cohort: str
    estimator: str = "EAER"
    window: str | int = "cumulative"
    aesis: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def url(self) -> str:
        """Where the overview with these rates is."""
        asked = {"cohort": self.cohort, "estimator": self.estimator, "window": self.window, "aesi": self.aesis}
        return f"/?{urlencode(asked, doseq=True)}"

    @classmethod
    def from_query(cls, query: Mapping[str, Any], result: Mapping[str, Any]) -> Choice:
        """The choice that a query string states, as far as the result's rates have it.

        `query` may be a multi-dict (`getall`) or map names to a text or a list of texts. What the rates do not have is
        replaced by the default, and `notes` says so: a page must not show other numbers than it was asked for unsaid.
        """
        offered = Offered.of(result)
        notes: list[str] = []
        cohort = _one(query, "cohort", offered.cohorts, offered.largest, notes)
        estimator = _one(query, "estimator", offered.estimators, "EAER", notes)
        window = _one(query, "window", [str(each) for each in offered.windows], "cumulative", notes)
        asked = [name for name in _all(query, "aesi") if name]
        aesis = tuple(name for name in offered.aesis if name in asked)
        if set(asked) - set(aesis):
            notes.append("An adverse event asked for is not in the policy in force and is left out.")
        return cls(cohort, estimator, int(window) if window.isdigit() else window, aesis, tuple(notes))


@dataclass(frozen=True, slots=True)
class Offered:
    """What the rates of a result let one choose, in their order."""

    cohorts: list[str]
    estimators: list[str]
    windows: list[str | int]
    aesis: list[str]
    largest: str  # the undivided cohort with most person-time: what a page shows unless asked

    @classmethod
    def of(cls, result: Mapping[str, Any]) -> Offered:
        rows = result["rates"]
        cohorts = dict.fromkeys(row["cohort"] for row in rows)
        days = {row["cohort"]: row["person_days"] or 0 for row in rows if row["window"] == "cumulative"}
        undivided = [name for name in days if ":" not in name] or list(days) or list(cohorts) or [""]
        return cls(
            list(cohorts),
            list(dict.fromkeys(row["estimator"] for row in rows)),
            list(dict.fromkeys(row["window"] for row in rows)),
            list(dict.fromkeys(row["aesi"] for row in rows)),
            max(undivided, key=lambda name: days.get(name, 0)),
        )

    @property
    def grouped(self) -> dict[str, list[str]]:
        """Cohorts under the name they were split from; those that were not, under none."""
        groups: dict[str, list[str]] = {"": []}
        for name in self.cohorts:
            groups.setdefault(name.partition(":")[0] if ":" in name else "", []).append(name)
        return groups


def _all(query: Mapping[str, Any], name: str) -> list[str]:
    getall = getattr(query, "getall", None)
    found = getall(name, []) if getall else query.get(name, [])
    return [found] if isinstance(found, str) else list(found)


def _one(query: Mapping[str, Any], name: str, offered: Sequence[str], default: str, notes: list[str]) -> str:
    asked = next((each for each in _all(query, name) if each), None)
    if asked is None or asked in offered:
        return asked or default
    notes.append(f"The {name} asked for is not in these rates; shown instead: {words.spelt(default)}.")
    return default


@dataclass(frozen=True, slots=True)
class RateRow:
    """A row of the table and of the plot. Person-time in years; `rate` is None where there is none, and `note` why."""

    aesi: str
    events: int | None
    patients: int | None
    years: float | None
    exposed_years: float | None
    rate: float | None
    lower: float | None
    upper: float | None
    note: str
    mark: forest.Mark | None


@dataclass(frozen=True, slots=True)
class RateTable:
    """The rates of one choice, on one axis."""

    rows: list[RateRow]
    scale: forest.Scale

    @classmethod
    def of(cls, result: Mapping[str, Any], choice: Choice) -> RateTable:
        wanted = (choice.cohort, choice.window, choice.estimator)
        chosen = [
            row
            for row in result["rates"]
            if (row["cohort"], row["window"], row["estimator"]) == wanted
            and (not choice.aesis or row["aesi"] in choice.aesis)
        ]
        scale = forest.scale_of(chosen)
        return cls([_rate_row(row, scale) for row in chosen], scale)


def _rate_row(row: Mapping[str, Any], scale: forest.Scale) -> RateRow:
    return RateRow(
        row["aesi"], row["events"], row["patients_with_event"],
        _years(row["person_days"]), _years(row["exposed_person_days"]),
        row["rate_per_100_patient_years"], row["lower"], row["upper"],
        _note(row), forest.mark_of(row, scale),
    )  # fmt: skip


def _years(days: int | None) -> float | None:
    return None if days is None else days / DAYS_PER_YEAR


def _note(row: Mapping[str, Any]) -> str:
    if row["rate_per_100_patient_years"] is None:
        return "no person-time" if row["person_days"] == 0 else "not given for this window"
    if not row["events"]:
        return "no event"
    return "few events" if row["events"] < forest.FEW else ""


def warnings_of(overview: Overview) -> list[str]:
    """Why what the pages show must not be trusted blindly, in sentences; empty if nothing speaks against it."""
    result, found = overview.result, list[str]()
    if isinstance(overview, ReplicaOverview):
        found += standing.warnings_of(overview)
    elif overview.trouble is not None:
        found.append(f"Nothing is taken in now: {overview.trouble}. Hospitals are told so and send it again.")
    if not overview.sites:
        found.append("Nothing has been received yet: that the lists below are empty does not mean all clear.")
    found += [
        f"{feed.site}: {words.spelt(feed.feed)} was last heard on {feed.last_heard}, which is yet to come: "
        "a clock is wrong, and its rates cannot be trusted."
        for feed in overview.feeds
        if feed.from_the_future
    ]
    for site, feeds in _silent(overview).items():
        found.append(f"{site}: silent for longer than agreed: {', '.join(feeds)}. Ask the hospital.")
    if result["unassessable"]:
        found.append(
            f"The program failed on {words.count(result['unassessable'])} patients. Their courses count as not "
            "complete, and they are missing from the rates. Tell whoever runs the program; its log says why."
        )
    if result["sites"] is None:
        found.append(
            "No site registry: every day counts as observed, days are those of UTC, and no silent feed is noticed."
        )
    if overview.approved_by is None:
        found.append(
            "Nobody has approved the policy in force: its values are examples to be confirmed; "
            "see jakwatch policy check."
        )
    return found


def _silent(overview: Overview) -> dict[str, list[str]]:
    silent: dict[str, list[str]] = {}
    for feed in overview.feeds:
        if feed.silent and not feed.from_the_future:  # what is known of the latter is another thing
            silent.setdefault(feed.site, []).append(
                f"{words.spelt(feed.feed)} (last heard {feed.last_heard or 'never'})"
            )
    return silent


def course_url(site: str, treatment_id: str) -> str:
    """Where the page of a course is; both names are quoted, whatever a hospital calls its courses."""
    return f"/course?{urlencode({'site': site, 'treatment_id': treatment_id})}"


def by_course(cases: Iterable[Case]) -> list[list[Case]]:
    """The cases of each course together, the gravest first; courses in the order of their first."""
    courses: dict[tuple[str, str], list[Case]] = {}
    for case in cases:
        courses.setdefault((case.site, case.treatment_id), []).append(case)
    gravity = {kind: place for place, kind in enumerate(words.KINDS)}
    return [sorted(each, key=lambda case: gravity.get(case.kind, 0)) for each in courses.values()]


def asked_for(answer: Mapping[str, Any]) -> dict[str, list[str]]:
    """Infection -> tests to ask for, of the findings that name any."""
    return {name: list(found["ask_for"]) for name, found in sorted(answer["findings"].items()) if found["ask_for"]}


def are_alike(bodies: Iterable[Mapping[str, Any]]) -> bool:
    """Whether two bodies of a conflict look the same to who reads the page: nobody can choose between those."""
    seen = [(each["type"], each["outcome"], words.moment(each["recorded_at"], seconds=True)) for each in bodies]
    return len(set(seen)) < len(seen)


def reach_of(answer: Mapping[str, Any], today: str) -> str:
    """Of which doses the answer to an order says nothing; empty where it was judged for a dose of today."""
    day = answer.get("dose_on")
    if day is None or answer["kind"] != "order" or answer["decision"] not in ("screening_complete", "hold"):
        return ""
    if day < today:
        return f"Judged for the first dose of {day}; says nothing of a later dose."
    if day == today:
        return ""
    if answer["decision"] == "hold":  # "holds for a dose" would say two things
        return f"Judged for a dose on {day}; says nothing of an earlier dose."
    return f"Holds for a dose on or after {day}, not before."


class Pages:
    """Makes every page; made once per process."""

    def __init__(self) -> None:
        self._templates = Environment(
            loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined,
            trim_blocks=True, lstrip_blocks=True,
        )  # fmt: skip
        self._templates.filters |= {
            "spelt": words.spelt, "count": words.count, "rate": words.rate, "moment": words.moment,
            "moments": words.moments,
        }  # fmt: skip
        self._templates.globals |= {
            "course_url": course_url, "asked_for": asked_for, "are_alike": are_alike, "reach_of": reach_of,
            "forest": forest, "words": words, "state": words.state, "renew_seconds": _RENEW_SECONDS,
            "at_once": _AT_ONCE, "most": _MOST,
        }  # fmt: skip

    def overview(self, overview: Overview, *, choice: Choice, may_write: bool, said: Said | None) -> str:
        """The page `/`: what needs a person, the rates, the feeds."""
        return self._render(
            "overview.html",
            **_frame(overview, may_write=may_write, said=said),
            renew_from=choice.url,
            choice=choice,
            case_courses=by_course(overview.cases),
            offered=Offered.of(overview.result),
            estimators=_ESTIMATORS,
            table=RateTable.of(overview.result, choice),
        )

    def course(
        self, overview: Overview, site: str, treatment_id: str, found: CourseView, *, may_write: bool, said: Said | None
    ) -> str:
        """The page of one course: what the gate says of its order and its start, on what grounds, and its cases."""
        key = (site, treatment_id)
        here = next((each for each in overview.sites if each.site == site), None)
        return self._render(
            "course.html",
            **_frame(overview, may_write=may_write, said=said),
            site=site,
            treatment_id=treatment_id,
            answers={each["kind"]: each for each in found.answers if (each["site"], each["treatment_id"]) == key},
            cases=[each for each in found.cases if (each.site, each.treatment_id) == key],
            closings=found.closings,
            waivers=found.waivers,
            here=here,
            today=here.today if here else overview.today,
            renew_from=course_url(site, treatment_id),
        )

    def problem(self, status: int, title: str, what_to_do: str) -> str:
        """An error page."""
        return self._render("problem.html", status=status, title=title, what_to_do=what_to_do)

    def _render(self, name: str, **values: Any) -> str:
        return self._templates.get_template(name).render(**values)


def _frame(overview: Overview, *, may_write: bool, said: Said | None) -> dict[str, Any]:
    """What every page of the living monitor shows."""
    return {
        "o": overview,
        "result": overview.result,
        "warnings": warnings_of(overview),
        "silent": _silent(overview),
        "decided": _decided(overview.sites),
        **_how_far(overview),
        "may_write": may_write,
        "said": said,
    }


def _how_far(overview: Overview) -> dict[str, Any]:
    """Of a replica; of a single machine nothing, for it has all there is."""
    replica = overview.replica if isinstance(overview, ReplicaOverview) else None
    return {
        "replica": replica,
        "standing": standing.rows_of(replica) if replica else [],
        "is_part": bool(replica and replica.not_shown),
        "digest": overview.digest if isinstance(overview, ReplicaOverview) else None,
    }


def _decided(sites: Iterable[SiteActivity]) -> dict[str, dict[str, int]]:
    """Kind -> decision -> courses, of all sites."""
    totals: dict[str, dict[str, int]] = {"order": {}, "start": {}}
    for site in sites:
        for (kind, decision), number in sorted(site.answers.items()):
            totals[kind][decision] = totals[kind].get(decision, 0) + number
    return totals
