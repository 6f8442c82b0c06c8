"""The living demo: a history that ends yesterday, and stories that end as they promise, whenever it is started."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from functools import cache
from itertools import islice

import pytest

from monitor.core.decode import Decoded, Rejection, decode
from monitor.core.registry import Registry
from monitor.demo.garbage import GARBAGE
from monitor.demo.hospitals import SITES, as_line, describe
from monitor.demo.living import CASES_SITE, WAYS, Living, history, registry_text, treated
from monitor.demo.stories import NEW_PATIENTS, TREATED, stories
from monitor.demo.telling import Moment, day_at, moment_at
from monitor.policyfile import default_policy_path, load_policies, load_registry
from monitor.replay import Question, replay_lines
from schemas.inbound import INBOUND

TODAY = date(2026, 11, 23)
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
BEFORE_MIDNIGHT = datetime(2026, 11, 23, 23, 59, 30, tzinfo=UTC)
BEFORE_SUMMER_TIME = datetime(2027, 3, 28, 0, 59, 30, tzinfo=UTC)
SILENT = SITES[-1]
HOURS = 2


@pytest.fixture(scope="module")
def past():
    return history(TODAY, patients_per_site=100, seed=1)


@pytest.fixture(scope="module")
def registry(tmp_path_factory) -> Registry:
    path = tmp_path_factory.mktemp("registry") / "sites.yaml"
    path.write_text(registry_text(TODAY))
    return load_registry([path])


@pytest.fixture(scope="module")
def result(past, registry):
    question = Question(policies(), registry, as_of=TODAY.toordinal())
    return replay_lines(map(as_line, past), question)


@cache
def policies():
    return load_policies([default_policy_path()])


def heard(living: Living, seconds: int, start: datetime = NOON) -> list[tuple[datetime, str, bytes]]:
    """What comes in when one asks every second: when, from which site, what."""
    moments = (start + timedelta(seconds=second) for second in range(seconds))
    return [(now, site, raw) for now in moments for site, raw in living.due(now)]


@pytest.fixture(scope="module")
def afternoon(past):
    return heard(Living(1, followed=treated(past)), HOURS * 3600)


def messages_of(told):
    return [json.loads(raw) for _, _, raw in told if raw not in GARBAGE]


# History


def test_every_message_of_the_history_is_valid(past, registry):
    assert all(isinstance(decode(as_line(each), each["site"], registry), Decoded) for each in past)


@pytest.mark.parametrize("sites", [SITES, ("sao-paulo", "tokyo")])
def test_the_history_ends_before_midnight_of_today_in_utc(sites):
    midnight = datetime(TODAY.year, TODAY.month, TODAY.day, tzinfo=UTC)
    instants = [
        datetime.fromisoformat(each["recorded_at"]) for each in history(TODAY, patients_per_site=30, sites=sites)
    ]
    assert midnight - timedelta(days=2) < max(instants) < midnight


def test_the_history_is_a_function_of_its_arguments(past):
    assert history(TODAY, patients_per_site=100, seed=1) == past
    assert history(TODAY, patients_per_site=100, seed=2) != past


def test_the_history_is_in_the_order_of_recording_but_for_resends(past):
    first_told = {(each["site"], each["event_id"], each["recorded_at"]): None for each in past}
    instants = [datetime.fromisoformat(recorded_at) for _, _, recorded_at in first_told]
    assert instants == sorted(instants)


def test_every_type_of_message_and_trouble_is_in_the_history(past, result):
    assert {each["type"] for each in past} == set(INBOUND)
    assert all(result["messages"][name] for name in ("duplicate", "superseded", "conflicting"))


def test_every_finding_but_a_waiver_occurs_in_the_history(result):
    found = {finding["finding"] for row in result["decisions"] for finding in row["findings"].values()}
    assert found == {
        "excluded", "positive", "indeterminate", "missing", "expired", "late", "conflicting", "treated",
    }  # fmt: skip


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_most_starts_are_compliant_and_a_few_cases_are_open(seed, registry):
    lines = map(as_line, history(TODAY, patients_per_site=100, seed=seed))
    rows = replay_lines(lines, Question(policies(), registry, as_of=TODAY.toordinal()))["decisions"]
    starts = Counter(row["decision"] for row in rows if row["kind"] == "start")
    assert 0.88 < starts["compliant"] / starts.total() < 0.97
    attention = [row for row in rows if row["decision"] in {"hold", "violation"} and not row["historical"]]
    assert 5 <= len(attention) <= 30


def test_rates_are_of_the_published_order_of_magnitude(result):
    rates = {
        row["aesi"]: row["rate_per_100_patient_years"]
        for row in result["rates"]
        if (row["cohort"], row["window"], row["estimator"]) == ("jak", "cumulative", "EAER")
    }
    assert 50 < rates["any"] < 200
    assert 1 < rates["herpes_zoster"] < 6
    assert 2 < rates["serious"] < 15


def test_the_papers_cases_are_live_and_compliant(result):
    answers = {
        (row["treatment_id"], row["kind"]): (row["site"], row["decision"], row["historical"])
        for row in result["decisions"]
        if row["treatment_id"].startswith("case-")
    }
    assert answers == {
        (f"case-{number}-upa", kind): (CASES_SITE, decision, False)
        for number in (1, 2)
        for kind, decision in (("order", "screening_complete"), ("start", "compliant"))
    }


@pytest.mark.parametrize("today", [TODAY, date(2028, 2, 29), date(2030, 1, 1)])
def test_the_papers_cases_count_whenever_the_demo_runs(today, tmp_path):
    path = tmp_path / "sites.yaml"
    path.write_text(registry_text(today))
    lines = [as_line(each) for each in history(today, patients_per_site=1) if each["site"] == CASES_SITE]
    told = replay_lines(lines, Question(policies(), load_registry([path]), as_of=today.toordinal()))
    assert {row["historical"] for row in told["decisions"]} == {False}
    [days] = [
        row["person_days"]
        for row in told["rates"]
        if (row["cohort"], row["aesi"], row["window"], row["estimator"]) == ("jak", "any", "cumulative", "EAER")
    ]
    assert days > 300  # both were seen last in the middle of 2025


def test_the_last_site_tells_of_no_adverse_event_for_weeks(past):
    about = [each for each in past if "adverse_event" in (each["type"], each.get("feed"))]
    last = {site: max(each["recorded_at"][:10] for each in about if each["site"] == site) for site in SITES}
    silent_for = {site: (TODAY - date.fromisoformat(day)).days for site, day in last.items()}
    assert silent_for.pop(SILENT) > 55
    assert max(silent_for.values()) <= 8


def test_those_who_are_treated_have_one_open_course(past):
    followed = treated(past)
    stopped = {(each["site"], each.get("treatment_id")) for each in past if each["type"] == "treatment_stopped"}
    assert len(followed) > 100
    assert len({(each.site, each.treatment_id) for each in followed}) == len(followed)
    assert not stopped & {(each.site, each.treatment_id) for each in followed}


# Stories

DESCRIBED = describe(SITES, ways=WAYS)


@cache
def a_supply():
    followed = treated(history(TODAY, patients_per_site=20, seed=1))
    return list(islice(stories(3, DESCRIBED, followed), 1500))


def of_kind(kind):
    """One story of each site that tells such."""
    found = {story.site: story for story in a_supply() if story.kind == kind}
    return [found[site] for site in sorted(found)]


def site_of(story):
    return next(site for site in DESCRIBED if site.name == story.site)


def told_until(story, start, count):
    """The lines of the first `count` steps."""
    steps = story.steps[:count]
    site = site_of(story)
    began = day_at(site, start)
    at = [moment_at(site, "demo-1", began, start + timedelta(seconds=step.after)) for step in steps]
    return [as_line(step.says(moment)) for step, moment in zip(steps, at, strict=True)], at[-1]


def decided(lines, moment: Moment, registry, kind):
    question = Question(policies(), registry, as_of=moment.now.date().toordinal())
    wanted = moment.order_id if kind == "order" else moment.treatment_id
    rows = replay_lines(lines, question)["decisions"]
    return [row["decision"] for row in rows if (row["treatment_id"], row["kind"]) == (wanted, kind)]


@pytest.mark.parametrize("start", [NOON, BEFORE_MIDNIGHT, BEFORE_SUMMER_TIME], ids=["noon", "midnight", "summer"])
@pytest.mark.parametrize("plot", NEW_PATIENTS, ids=lambda plot: plot.__name__[1:])
def test_a_story_of_a_new_patient_goes_as_it_promises(plot, start, registry):
    promises = 0
    for story in of_kind(plot.__name__[1:]):
        for count, step in enumerate(story.steps, 1):
            if step.promise is None:
                continue
            lines, moment = told_until(story, start, count)
            kind, decision = step.promise
            assert decided(lines, moment, registry, kind) == [decision], (story.site, count)
            promises += 1
    assert promises


def test_the_first_story_is_held_for_about_fifteen_seconds_and_ends_compliant():
    story = a_supply()[0]
    assert story.site == SITES[0]
    assert [step.promise for step in story.steps if step.promise] == [
        ("order", "hold"), ("order", "screening_complete"), ("start", "compliant"),
    ]  # fmt: skip
    [ordered] = [step.after for step in story.steps if step.promise == ("order", "hold")]
    assert 13 <= min(step.after for step in story.steps if step.after > ordered) - ordered <= 18


def test_stories_are_a_function_of_their_seed():
    def told(seed):
        chosen = islice(stories(seed, DESCRIBED), 60)
        return [told_until(story, NOON, len(story.steps))[0] for story in chosen if story.kind != "garbage"]

    assert told(1) == told(1)
    assert told(1) != told(2)


def test_every_plot_is_told_sooner_or_later():
    plots = {plot.__name__[1:] for plot in (*NEW_PATIENTS, *TREATED)}
    assert {story.kind for story in a_supply()} == plots | {"garbage"}


def test_a_late_report_counts_at_once_where_reports_are_complete(past, registry):
    followed = treated(past)
    story = next(story for story in stories(1, DESCRIBED, followed) if story.kind == "late_report")
    lines = [as_line(each) for each in past]
    more, _ = told_until(story, NOON, 1)

    def counted(told):
        rates = replay_lines(told, Question(policies(), registry, as_of=TODAY.toordinal() - 30))["rates"]
        return next(
            row["events"]
            for row in rates
            if (row["cohort"], row["aesi"], row["window"], row["estimator"]) == ("jak", "any", "cumulative", "EAER")
        )

    assert counted(lines + more) == counted(lines) + 1


# Living


def test_what_is_due_is_valid_or_meant_to_be_garbage(afternoon, registry):
    bad = [raw for _, site, raw in afternoon if isinstance(decode(raw, site, registry), Rejection)]
    assert bad
    assert set(bad) <= set(GARBAGE)


def test_what_is_due_was_recorded_between_the_calls_in_the_offset_of_its_site(afternoon):
    offsets = set()
    for now, site, raw in afternoon:
        if raw not in GARBAGE:
            message = json.loads(raw)
            recorded_at = datetime.fromisoformat(message["recorded_at"])
            assert now - timedelta(seconds=1) <= recorded_at <= now
            offsets.add((site, recorded_at.utcoffset()))
    assert dict(offsets)["madrid"] == timedelta(hours=1)
    assert dict(offsets)["ponta-delgada"] == timedelta(hours=-1)


def test_about_one_message_comes_every_two_or_three_seconds(afternoon):
    assert 2 < HOURS * 3600 / len(afternoon) < 3
    by_quarter = Counter(int((now - NOON).total_seconds() // 900) for now, _, _ in afternoon)
    assert min(by_quarter.values()) > 150


def test_the_first_order_comes_within_three_seconds():
    first = heard(Living(1), 4)
    assert "treatment_ordered" in {each["type"] for each in messages_of(first)}


def test_the_same_calls_give_the_same_bytes():
    assert heard(Living(4), 300) == heard(Living(4), 300)
    assert heard(Living(4), 300) != heard(Living(5), 300)


def test_no_identifier_comes_again_after_a_restart(past):
    followed = treated(past)
    runs = [
        messages_of(heard(Living(1, followed=followed), 600, NOON + timedelta(seconds=seconds))) for seconds in (0, 1)
    ]
    identities = [{(each["site"], each.get("source"), each["event_id"]) for each in run} for run in runs]
    courses = [{each["treatment_id"] for each in run if "treatment_id" in each} for run in runs]
    assert not identities[0] & identities[1]
    assert not courses[0] & courses[1]


def test_an_identity_belongs_to_one_story(afternoon):
    kinds = {}
    for each in messages_of(afternoon):
        kinds.setdefault((each["site"], each.get("source"), each["event_id"]), set()).add(each["type"])
    assert {len(each) for each in kinds.values()} == {1}


def test_every_feed_says_once_a_day_that_it_lives_but_the_silent_one(afternoon):
    feeds = Counter((each["site"], each["feed"]) for each in messages_of(afternoon) if each["type"] == "feed_status")
    expected = {(site, feed) for site in (*SITES, CASES_SITE) for feed in ("treatment", "screening", "adverse_event")}
    assert feeds == Counter(expected - {(SILENT, "adverse_event")})
    after_midnight = heard(Living(1), 90, datetime(2026, 11, 23, 23, 59, 0, tzinfo=UTC))
    lisbon = [
        each for each in messages_of(after_midnight) if each["type"] == "feed_status" and each["site"] == "lisbon"
    ]
    assert Counter(each["complete_through"] for each in lisbon) == {"2026-11-22": 3, "2026-11-23": 3}


def test_the_silent_site_tells_of_no_adverse_event(afternoon):
    events = Counter(each["site"] for each in messages_of(afternoon) if each["type"] == "adverse_event")
    assert events[SILENT] == 0
    assert all(events[site] for site in SITES[:-1])


def test_a_machine_that_slept_is_not_flooded_and_stories_go_on():
    living = Living(1)
    heard(living, 120)
    assert len(living.due(NOON + timedelta(hours=8))) < 30
    assert heard(living, 60, NOON + timedelta(hours=8, seconds=1))


def test_a_clock_that_is_set_back_stops_nothing():
    living = Living(1)
    heard(living, 60)
    assert heard(living, 60, NOON - timedelta(hours=1))


def test_twice_the_pace_tells_twice_as_much():
    usual, fast = len(heard(Living(1), 1200)), len(heard(Living(1, pace=2.0), 1200))
    assert fast == pytest.approx(2 * usual, rel=0.2)


def test_a_moment_without_a_zone_is_refused():
    with pytest.raises(ValueError, match="needs a time zone"):
        Living(1).due(datetime(2026, 11, 23, 12))  # noqa: DTZ001 - that is the point
