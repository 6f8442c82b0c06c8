"""Every metric there is, once: code, page, rules, dashboards and tests take names, labels and units from here.

All are gauges. They say what holds at the moment, recomputed from the log: a correction, a retraction or an erasure
may lower any of them, which a counter must never do. So rates of events are computed by days of onset here, not by
`rate()` over the times of scrapes; of messages `delta()` speaks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from monitor.core.cases import CASE_KINDS
from monitor.core.registry import FeedName
from monitor.result import CLASSES, UNPLACED
from schemas.parts import Infection
from schemas.rules import REASONS

OTHER = "other"  # a value that a closed label does not know: never dropped, and no series for each
NO_SITE = "-"  # no site can bear this name
CUMULATIVE = "cumulative"
SERIES_BUDGET = 50_000
PROCESS_PREFIXES = ("process_", "python_")  # of prometheus_client's own metrics of the process


@dataclass(frozen=True, slots=True)
class Label:
    """`values`: all there are, if that is known beforehand; then counts start at 0 for each of them."""

    name: str
    meaning: str
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Metric:
    """One gauge. The unit is part of its name where it is not a plain count."""

    name: str
    unit: str
    help: str
    labels: tuple[Label, ...] = ()


COHORT = Label("cohort", "cohort of the policy; of a divided one `name:level`")
AESI = Label("aesi", "class of adverse events of special interest")
WINDOW = Label("window", f"`{CUMULATIVE}`, or the length of the rolling window in days, as in `30d`")
ESTIMATOR = Label("estimator", "all events, or patients' first ones", ("EAER", "EAIR"))
SITE = Label("site", "the hospital, as the registry names it")
SITE_OR_NONE = Label("site", f"the hospital, or `{NO_SITE}` where the message does not tell")
CLASS = Label("class", "what became of a message, by the final state", tuple(c for c in CLASSES if c != "received"))
REASON = Label("reason", "the first reason that is true of it", tuple(REASONS))
CASE_KIND = Label("kind", "what a person must close", CASE_KINDS)
ORDER_DECISIONS = ("screening_complete", "hold", "cancelled", "lapsed", "unassessable", "withdrawn")
START_DECISIONS = ("compliant", "awaiting_evidence", "violation", "unassessable", "withdrawn")
COURSE_KIND = Label("kind", "what was judged", ("order", "start"))
DECISION = Label("decision", "the answer", tuple(dict.fromkeys(ORDER_DECISIONS + START_DECISIONS)))
INFECTION = Label("infection", "which infection was to be excluded", get_args(Infection))
CLEARED = ("excluded", "treated", "waived")
FINDING = Label(
    "finding", "why it is not", ("positive", "indeterminate", "missing", "expired", "late", "conflicting")
)  # fmt: skip
FEED = Label("feed", "what the site sends", get_args(FeedName))
UNPLACED_REASON = Label("reason", "the first reason that is true of it", UNPLACED)
CODE_KIND = Label("kind", "what the code stands for", ("drug", "test", "term", "indication", "condition"))
NAME = Label("name", "its name")
VERSION = Label("version", "its version")
SHA256 = Label("sha256", "the hash of its content")
POLICIES = Label("policies", "one hash over all versions of the policy that the process was given")
REGISTRIES = Label("registries", "one hash over all versions of the registry that the process was given")
KEY = Label("key", "fingerprint of the pseudonym key")

RATE_LABELS = (COHORT, AESI, WINDOW, ESTIMATOR)
PER_100 = "per 100 patient-years"
MOMENT = "seconds since 1970"

EVENTS = Metric("jakwatch_events", "events", "Adverse events counted; EAIR: patients with a first one.", RATE_LABELS)
PERSON_YEARS = Metric(
    "jakwatch_person_years", "years of 365.25 days", "Person-time of the rate's denominator.", RATE_LABELS
)
RATE = Metric(
    "jakwatch_rate_per_100_patient_years", PER_100,
    "Exposure-adjusted rate by day of onset; absent without person-time.", RATE_LABELS,
)  # fmt: skip
RATE_LOWER = Metric(
    "jakwatch_rate_lower_per_100_patient_years", PER_100, "Lower exact (Garwood) limit of the rate.", RATE_LABELS
)
RATE_UPPER = Metric(
    "jakwatch_rate_upper_per_100_patient_years", PER_100, "Upper exact (Garwood) limit of the rate.", RATE_LABELS
)
REFERENCE_LABELS = (COHORT, AESI, ESTIMATOR, Label("source", "where the reference is from, as the policy names it"))
REFERENCE = Metric(
    "jakwatch_reference_rate_per_100_patient_years", PER_100,
    "Published rate that the policy in force compares with; shown, and nothing is alerted on it.", REFERENCE_LABELS,
)  # fmt: skip
REFERENCE_LOWER = Metric(
    "jakwatch_reference_rate_lower_per_100_patient_years", PER_100,
    "Lower limit of the published rate: as the policy states it, else exact (Garwood); absent without events.",
    REFERENCE_LABELS,
)  # fmt: skip
REFERENCE_UPPER = Metric(
    "jakwatch_reference_rate_upper_per_100_patient_years", PER_100,
    "Upper limit of the published rate: as the policy states it, else exact (Garwood); absent without events.",
    REFERENCE_LABELS,
)  # fmt: skip
CONFIDENCE = Metric("jakwatch_rate_limits_confidence_ratio", "0 to 1", "Level of the exact limits of all rates.")
ROWS_LEFT_OUT = Metric(
    "jakwatch_rate_rows_left_out", "rows",
    "Rows of cohort, AESI, window and estimator that the budget of series left out, the smallest cohorts first.",
)  # fmt: skip
BUDGET = Metric("jakwatch_series_budget", "series", "The most series of these metrics in a scrape before rates go.")
RATE_FAMILIES = (EVENTS, PERSON_YEARS, RATE, RATE_LOWER, RATE_UPPER)

CASES_OPEN = Metric(
    "jakwatch_cases_open",
    "cases",
    "Cases that a person must close; a start may be one of each kind.",
    (SITE, CASE_KIND),
)
CASES_OLDEST = Metric(
    "jakwatch_cases_open_oldest_timestamp_seconds", MOMENT,
    "Since when the oldest open case has been one; absent without any.", (SITE, CASE_KIND),
)  # fmt: skip
CASES_NEWEST = Metric(
    "jakwatch_cases_open_newest_timestamp_seconds", MOMENT,
    "Since when the newest open case has been one; absent without any.", (SITE, CASE_KIND),
)  # fmt: skip
CASES_CLOSED = Metric("jakwatch_cases_closed", "cases", "Cases that a person closed and that did not reopen.")
HOLDS = Metric("jakwatch_orders_on_hold", "orders", "Orders not started whose answer is hold or unassessable.", (SITE,))
FINDINGS = Metric(
    "jakwatch_open_findings", "findings",
    "Findings behind orders on hold (kind order) and starts with an open case (kind start).",
    (SITE, COURSE_KIND, INFECTION, FINDING),
)  # fmt: skip
COURSES = Metric(
    "jakwatch_courses", "courses", "Courses by their current answer, without those that began before go-live.",
    (SITE, COURSE_KIND, DECISION),
)  # fmt: skip
STARTS_JUDGED = Metric(
    "jakwatch_starts_judged", "starts",
    "Denominator of screening compliance: starts that are compliant, a violation or unassessable.", (SITE,),
)  # fmt: skip
STARTS_COMPLIANT = Metric(
    "jakwatch_starts_compliant", "starts", "Numerator of screening compliance: compliant starts.", (SITE,)
)

SILENT = Metric(
    "jakwatch_feed_silent", "0 or 1", "1: the feed has been silent for longer than its limit.", (SITE, FEED)
)
LAST_HEARD = Metric(
    "jakwatch_feed_last_heard_timestamp_seconds", MOMENT,
    "Day of the feed's latest sign of life; absent without any.", (SITE, FEED),
)  # fmt: skip
SILENCE_LIMIT = Metric(
    "jakwatch_feed_silence_limit_seconds", "seconds", "How long the feed may be silent by the registry.", (SITE, FEED)
)
COMPLETE_THROUGH = Metric(
    "jakwatch_feed_complete_through_timestamp_seconds", MOMENT,
    "Latest day through which the site vouched for the feed; absent without such word.", (SITE, FEED),
)  # fmt: skip
LAST_RECEIVED = Metric(
    "jakwatch_site_last_received_timestamp_seconds", MOMENT,
    "When the site's last message arrived; absent before the first.", (SITE,),
)  # fmt: skip
LATENESS = Metric(
    "jakwatch_site_lateness_seconds", "seconds",
    "How old the newest of the site's messages was when its last one arrived; absent before the first.", (SITE,),
)  # fmt: skip
CLOCK_AHEAD = Metric(
    "jakwatch_site_clock_ahead_seconds", "seconds",
    "How long after its last arrival the site's newest message is dated: at least so far is its clock ahead.", (SITE,),
)  # fmt: skip
PATIENTS = Metric("jakwatch_patients", "patients", "Patients of whom the site has sent anything.", (SITE,))
RECEIVED = Metric("jakwatch_messages_received", "messages", "Messages that arrived.", (SITE_OR_NONE,))
MESSAGES = Metric(
    "jakwatch_messages", "messages", "Messages by what became of them, rejected ones apart.", (SITE, CLASS)
)
REJECTED = Metric("jakwatch_messages_rejected", "messages", "Messages that were rejected.", (SITE_OR_NONE, REASON))

UNPLACED_EVENTS = Metric(
    "jakwatch_events_unplaced", "events", "Adverse events that count in no rate.", (UNPLACED_REASON,)
)
IMPUTED = Metric("jakwatch_events_imputed", "events", "Adverse events whose day of onset was given in part only.")
WAITING = Metric("jakwatch_facts_waiting", "facts", "Stops and changes of treatment that wait for their start.")
CONFLICTS = Metric("jakwatch_conflicts_open", "conflicts", "Conflicts that nobody has settled.", (SITE,))
LOST = Metric("jakwatch_patients_lost_to_follow_up", "patients", "Patients lost to follow-up with a course open.")
UNASSESSABLE = Metric("jakwatch_patients_unassessable", "patients", "Patients on whom the program failed.")
UNMAPPED_CODES = Metric(
    "jakwatch_unmapped_codes", "codes", "Distinct codes that the policy does not know.", (CODE_KIND,)
)
UNMAPPED_FACTS = Metric(
    "jakwatch_unmapped_occurrences", "occurrences",
    "Occurrences in standing facts of codes that the policy does not know.", (SITE_OR_NONE, CODE_KIND),
)  # fmt: skip

BUILD = Metric("jakwatch_build_info", "always 1", "The program that answers.", (VERSION,))
POLICY = Metric("jakwatch_policy_info", "always 1", "The policy in force for the rates.", (NAME, VERSION, SHA256))
REGISTRY = Metric(
    "jakwatch_registry_info", "always 1", "The site registry in force; absent without one.", (VERSION, SHA256)
)
AS_OF = Metric("jakwatch_as_of_timestamp_seconds", MOMENT, "Day with which person-time and events end.")
COMPLETE_TO = Metric("jakwatch_complete_to_timestamp_seconds", MOMENT, "Day up to which reports are taken as complete.")
COMPUTED = Metric("jakwatch_computed_timestamp_seconds", MOMENT, "When all of this was computed.")
READY = Metric("jakwatch_ready", "0 or 1", "0: nothing is taken in, or shown as it is; /readyz says why.")
LIVE_SINCE = Metric("jakwatch_live_since_timestamp_seconds", MOMENT, "When this process began to serve.")

RULES = Metric(
    "jakwatch_rules_info", "always 1", "What the process judges by; all processes must say the same.",
    (POLICIES, REGISTRIES, KEY),
)  # fmt: skip
LOADING = Metric(
    "jakwatch_site_loading", "0 or 1",
    "1: the process still reads the site's log, and until it has, says nothing of its patients, cases and feeds.",
    (SITE,),
)  # fmt: skip
OWNED = Metric("jakwatch_site_owned", "0 or 1", "1: this worker takes in the site's messages.", (SITE,))
LAG = Metric(
    "jakwatch_site_lag_seconds", "seconds",
    "How long the oldest message that the worker has not taken in yet has been waiting; 0 without any.", (SITE,),
)  # fmt: skip
PAUSED = Metric(
    "jakwatch_site_paused", "0 or 1",
    "1: the worker leaves the site alone: too much was rejected in a row, or taking it in failed again and again.",
    (SITE,),
)  # fmt: skip
REJECTED_IN_A_ROW = Metric(
    "jakwatch_site_rejected_in_a_row", "messages", "Messages rejected since the last one that was not.", (SITE,)
)
BEHIND = Metric(
    "jakwatch_site_behind_seconds", "seconds",
    "How long the oldest record of the site's log that the replica has not read yet has been there; 0 without any.",
    (SITE,),
)  # fmt: skip
OFFSET = Metric("jakwatch_site_offset", "offset", "Up to where the replica has read the site's facts.", (SITE,))
DIGEST = Metric(
    "jakwatch_site_digest", "48 bits of a hash",
    "Of all that the replica holds of the site: at one offset it is the same on every replica.", (SITE,),
)  # fmt: skip
CANARY = Metric(
    "jakwatch_canary_last_success_timestamp_seconds", MOMENT,
    "When the violation of the invented patient was last seen, who is published to prove the way; absent before.",
)  # fmt: skip

OF_WORKER = (OWNED, LAG, PAUSED, REJECTED_IN_A_ROW)
OF_REPLICA = (BEHIND, OFFSET, DIGEST, CANARY)
OF_KAFKA = (RULES, LOADING)
OF_PROCESS = (BUILD, POLICY, REGISTRY, AS_OF, COMPLETE_TO, COMPUTED, READY, LIVE_SINCE)
GROUPS: dict[str, tuple[Metric, ...]] = {
    "Rates": (*RATE_FAMILIES, REFERENCE, REFERENCE_LOWER, REFERENCE_UPPER, CONFIDENCE, ROWS_LEFT_OUT, BUDGET),
    "Cases and screening": (
        CASES_OPEN, CASES_OLDEST, CASES_NEWEST, CASES_CLOSED, HOLDS, FINDINGS, COURSES, STARTS_JUDGED, STARTS_COMPLIANT,
    ),
    "Feeds and messages": (
        SILENT, LAST_HEARD, SILENCE_LIMIT, COMPLETE_THROUGH, LAST_RECEIVED, LATENESS, CLOCK_AHEAD, PATIENTS, RECEIVED,
        MESSAGES, REJECTED,
    ),
    "What does not count, or not yet": (
        UNPLACED_EVENTS, IMPUTED, WAITING, CONFLICTS, LOST, UNASSESSABLE, UNMAPPED_CODES, UNMAPPED_FACTS,
    ),
    "What was computed, when, by what": OF_PROCESS,
    "Processes on Kafka: all of them": OF_KAFKA,
    "Processes on Kafka: workers (`jakwatch monitor`)": OF_WORKER,
    "Processes on Kafka: replicas (`jakwatch view`)": OF_REPLICA,
}  # fmt: skip
CATALOGUE: tuple[Metric, ...] = tuple(metric for group in GROUPS.values() for metric in group)
