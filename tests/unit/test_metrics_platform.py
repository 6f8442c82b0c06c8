"""What workers and replicas say of themselves, and what they keep to themselves until they know it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from prometheus_client.parser import text_string_to_metric_families

from benchmarks import scrape
from monitor.metrics import catalogue as c
from monitor.metrics.exposition import Exposition
from monitor.metrics.platform import (
    ReplicaState,
    RulesInUse,
    SiteOfReplica,
    SiteOfWorker,
    WorkerState,
    digest_number,
    rules_in_use,
)
from monitor.metrics.readings import moment
from monitor.overview import Case, FeedState, SiteActivity, reference_rates
from monitor.policyfile import default_policy_path, load_policies

RULES = RulesInUse("aa", "bb", "cc")
SINCE, SEEN = "2026-01-01T00:00:00Z", "2026-01-01T00:05:00Z"
WORKER = WorkerState(
    "1.2", SINCE, None, RULES,
    (
        SiteOfWorker("lisbon", is_owned=True, lag_seconds=2.5, rejected_in_a_row=3),
        SiteOfWorker("madrid", is_owned=True, is_loading=True, is_paused=True),
        SiteOfWorker("porto", is_owned=False),
    ),
)  # fmt: skip
READ = SiteOfReplica("lisbon", is_loading=False, behind_seconds=0.5, offset=17, digest=digest_number(b"\xff" * 32))
HALF = SiteOfReplica("porto", is_loading=True, behind_seconds=None, offset=None)


def said(text):
    """Name and labels -> number, without the metrics of the process."""
    found = {}
    for family in text_string_to_metric_families(text.decode()):
        for each in family.samples:
            if each.name.startswith("jakwatch_"):
                found[each.name.removeprefix("jakwatch_"), *sorted(each.labels.values())] = each.value
    return found


def overview():
    """Of two sites, each with a case, a silent feed and messages; rates and counts of both."""
    sites = [SiteActivity(each, "UTC", "2026-01-01", SINCE, {"received": 3}, {}, 2, {}) for each in ("lisbon", "porto")]
    cases = [Case(each.site, "1", "violation", SINCE, {"findings": {}}) for each in sites]
    feeds = [FeedState(each.site, "treatment", "2025-01-01", None, None, 2, silent=True) for each in sites]
    empty = scrape.overview(next(scrape.rows_anew(10)))
    return replace(empty, sites=tuple(sites), cases=tuple(cases), feeds=tuple(feeds))


def of_replica(*sites, canary=None):
    return said(Exposition().render(overview(), ReplicaState(RULES, sites, canary)))


def test_a_worker_says_of_every_registered_site_whether_it_owns_it():
    found = said(Exposition().render_worker(WORKER))
    assert {key[1]: value for key, value in found.items() if key[0] == "site_owned"} == {
        "lisbon": 1, "madrid": 1, "porto": 0,
    }  # fmt: skip


def test_a_worker_says_nothing_else_of_a_site_that_another_owns():
    found = said(Exposition().render_worker(WORKER))
    assert [key[0] for key in found if "porto" in key] == ["site_owned"]


def test_a_worker_says_how_its_sites_are():
    found = said(Exposition().render_worker(WORKER))
    mine = {
        ("site_lag_seconds", "lisbon"): 2.5, ("site_rejected_in_a_row", "lisbon"): 3,
        ("site_rejected_in_a_row", "madrid"): 0, ("site_paused", "lisbon"): 0, ("site_paused", "madrid"): 1,
        ("site_loading", "lisbon"): 0, ("site_loading", "madrid"): 1, ("build_info", "1.2"): 1, ("ready",): 1,
        ("rules_info", "aa", "bb", "cc"): 1, ("live_since_timestamp_seconds",): moment(SINCE),
    }  # fmt: skip
    assert {key: found.get(key) for key in mine} == mine


def test_a_lag_that_is_not_known_is_not_zero():
    assert ("site_lag_seconds", "madrid") not in said(Exposition().render_worker(WORKER))


def test_a_process_in_trouble_is_not_ready():
    assert said(Exposition().render_worker(replace(WORKER, trouble="no broker")))["ready",] == 0
    assert said(Exposition().render(replace(overview(), trouble="the disk is full")))["ready",] == 0


def test_a_replica_adds_where_it_stands():
    found = of_replica(READ, canary=SEEN)
    mine = {
        ("site_behind_seconds", "lisbon"): 0.5, ("site_offset", "lisbon"): 17, ("site_loading", "lisbon"): 0,
        ("site_digest", "lisbon"): 2**48 - 1, ("canary_last_success_timestamp_seconds",): moment(SEEN),
        ("rules_info", "aa", "bb", "cc"): 1,
    }  # fmt: skip
    assert {key: found.get(key) for key in mine} == mine


def test_what_a_replica_does_not_know_has_no_sample():
    found = of_replica(HALF)
    names = {key[0] for key in found}
    assert (
        names & {"site_behind_seconds", "site_offset", "site_digest", "canary_last_success_timestamp_seconds"} == set()
    )
    assert found["site_loading", "porto"] == 1


def test_nothing_is_said_of_a_site_that_is_still_loading():
    assert {key[0] for key in of_replica(READ, HALF) if "porto" in key} == {"site_loading"}


def test_sites_that_are_read_are_told_of_while_another_loads():
    found = of_replica(READ, HALF)
    assert found["cases_open", "lisbon", "violation"] == 1
    assert found["feed_silent", "lisbon", "treatment"] == 1


def test_while_a_site_loads_no_number_of_all_sites_together_is_said():
    found = of_replica(READ, HALF)
    names = {key[0] for key in found if not {"lisbon", "porto"} & {*key}}
    assert names == {
        "build_info", "policy_info", "as_of_timestamp_seconds", "complete_to_timestamp_seconds", "rules_info",
        "computed_timestamp_seconds", "live_since_timestamp_seconds", "ready", "series_budget", "rate_rows_left_out",
    }  # fmt: skip


def test_once_all_is_read_a_replica_says_what_a_single_machine_says():
    alone = said(Exposition().render(overview()))
    both = of_replica(READ, replace(HALF, is_loading=False))
    kafka = {metric.name.removeprefix("jakwatch_") for metric in (*c.OF_KAFKA, *c.OF_REPLICA)}
    assert {key: value for key, value in both.items() if key[0] not in kafka} == alone


def test_workers_and_replicas_say_all_that_the_catalogue_knows():
    texts = Exposition().render_worker(WORKER) + Exposition().render(overview(), ReplicaState(RULES, (READ,)))
    heads = [line.split()[2] for line in texts.decode().splitlines() if line.startswith("# TYPE jakwatch_")]
    assert {*heads} == {metric.name for metric in c.CATALOGUE}


def test_no_number_of_a_digest_is_lost_in_a_sample():
    found = {digest_number(bytes([at]) * 32) for at in range(256)}
    assert len({float(each) for each in found}) == 256


def test_the_rules_in_use_are_the_same_whatever_the_order_of_the_files():
    policies = load_policies([default_policy_path()])
    other = policies[0].model_copy(update={"cohorts": {}})
    one, two = rules_in_use([*policies, other], None, "k"), rules_in_use([other, *policies], None, "k")
    assert one == two
    assert one != rules_in_use(policies, None, "k")
    assert (one.registries, one.key) == ("-", "k")


def test_every_reference_of_the_policy_has_a_rate_and_its_exact_limits():
    policy = load_policies([default_policy_path()])[0]
    by_key = {(each.cohort, each.aesi): each for each in reference_rates(policy)}
    assert len(by_key) == len(policy.references)
    perforation = by_key["upadacitinib_ra_15", "gi_perforation"]  # 1 event in 4496.6 years, and 0.0253178 to 5.57164
    found = (perforation.rate, perforation.lower, perforation.upper)
    assert found == pytest.approx((0.0222390, 0.000563044, 0.123908), rel=1e-5)


def test_limits_that_the_policy_states_stand_as_published():
    policy = load_policies([default_policy_path()])[0]
    given = policy.references[0].model_copy(
        update={"events": None, "patient_years": None, "rate": 2.8, "lower": 2.4, "upper": None}
    )
    found = reference_rates(policy.model_copy(update={"references": (given,)}))[0]
    assert (found.rate, found.lower, found.upper) == (2.8, 2.4, None)
