"""Rule, promtool tests and runbook of an alert share one name, and say only what the catalogue of metrics knows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from monitor.cli import COMMANDS
from monitor.metrics import catalogue
from monitor.metrics.catalogue import CATALOGUE
from tests.unit.alert_files import (
    ALERTS,
    BY_NAME,
    LINKS,
    OF_SAFETY,
    PROJECT,
    PROMETHEUS,
    RULE_FILES,
    RULES,
    RUNBOOKS,
    TEST_FILES,
    labels_of,
    metrics_of,
    read,
    run,
)

FOREIGN = {  # of Prometheus and Alertmanager themselves
    "up": {"job"},
    "prometheus_rule_evaluation_failures_total": set[str](),
    "alertmanager_notifications_failed_total": {"integration"},
}
ADDED = {"job", "instance"}  # by Prometheus, to every series it scrapes
SEVERITIES, TEAMS = {"critical", "warning", "none"}, {"safety", "integration", "platform"}
SECTIONS = ["Meaning", "Impact", "Diagnosis", "Mitigation"]
RATES = {metric.name for metric in CATALOGUE if "_rate" in metric.name} | {"jakwatch_events", "jakwatch_person_years"}
SHOWN = {"site", "kind", "feed", "job", "instance", "integration"}  # labels that a text may show: none names a patient
ALWAYS = "JakwatchWatchdog"  # it is never silent


def test_rule_promtool_tests_and_runbook_share_one_name():
    assert {path.stem for path in TEST_FILES} == set(BY_NAME)
    assert {path.stem for path in RUNBOOKS} == set(BY_NAME)
    assert len(BY_NAME) == sum("alert" in rule for rule in RULES) > 20


def test_prometheus_understands_the_rules_and_its_settings():
    done = run("promtool", "check", "rules", "--lint=all", "--lint-fatal", *RULE_FILES)
    assert done.returncode == 0, done.stdout + done.stderr
    done = run("promtool", "check", "config", PROMETHEUS)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_fires_and_stays_silent_as_its_tests_say():
    done = run("promtool", "test", "rules", *TEST_FILES)
    assert done.returncode == 0, done.stdout + done.stderr


# What the promtool tests look at


def checks(path):
    """(name, has data, alerts expected) of each check."""
    for case in read(path)["tests"]:
        for check in case["alert_rule_test"]:
            assert check["alertname"] == path.stem
            yield case["name"], bool(case["input_series"]), check["exp_alerts"]


@pytest.mark.parametrize("path", TEST_FILES, ids=lambda path: path.stem)
def test_an_alert_is_tested_to_fire_to_be_silent_and_without_data(path):
    found = list(checks(path))
    assert any(expected for _, _, expected in found)
    assert path.stem == ALWAYS or any(not expected for _, _, expected in found)
    assert any(not has_data for _, has_data, _ in found) or any("without data" in name for name, _, _ in found)
    assert {file.rpartition("/")[2] for file in read(path)["rule_files"]} == {
        rules.name for rules in RULE_FILES if f"alert: {path.stem}\n" in rules.read_text(encoding="utf-8")
    }


ENDS_BY_ITSELF = {"JakwatchFurtherCase", "JakwatchFurtherPositive"}  # ten minutes after the news


def told(name, title):
    """(series, checks) of the promtool tests of an alert whose names begin so."""
    cases = [case for case in read(ALERTS / "tests" / f"{name}.yaml")["tests"] if case["name"].startswith(title)]
    assert cases
    return [(case["input_series"], [check["exp_alerts"] for check in case["alert_rule_test"]]) for case in cases]


def is_gone(series):
    """Whether it has ended and never comes back."""
    return set(series["values"].rpartition("stale")[2].split()) <= {"_"} and "stale" in series["values"]


@pytest.mark.parametrize("name", OF_SAFETY)
def test_the_end_of_a_process_ends_no_alert_of_safety(name):
    """By promtool: the series vanish, and at every look it still fires, hours later too."""
    found = [(series, expected) for series, expected in told(name, "goes on when the process ends")]
    if name in ENDS_BY_ITSELF:
        assert all(len([each for each in expected if each]) >= 3 for _, expected in found)
        return
    assert all(all(map(is_gone, series)) for series, _ in found)
    assert all(all(expected) for _, expected in found)


@pytest.mark.parametrize("name", OF_SAFETY)
def test_a_replica_that_is_cut_off_and_outlives_the_one_that_knew_ends_no_alert_of_safety(name):
    """By promtool: one is gone, the other is not ready and says that there is nothing, or less."""
    for series, expected in told(name, "goes on where the process that knew ends and one is left that is cut off"):
        ready = [each["values"] for each in series if each["series"].startswith("jakwatch_ready") and not is_gone(each)]
        assert any(is_gone(each) for each in series)
        assert [values.split()[-1].startswith("0x") for values in ready] == [True]
        assert all(expected) or (name in ENDS_BY_ITSELF and len([each for each in expected if each]) >= 3)


@pytest.mark.parametrize("name", OF_SAFETY)
def test_an_alert_of_safety_is_one_for_all_replicas(name):
    expected = [each for _, _, found in checks(ALERTS / "tests" / f"{name}.yaml") for each in found]
    assert expected
    assert [each for each in expected if {"instance", "job"} & each["exp_labels"].keys()] == []


# What the rules speak of


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.get("alert") or rule["record"])
def test_a_rule_knows_only_metrics_and_labels_of_the_catalogue(rule):
    known = {metric.name: {label.name for label in metric.labels} for metric in CATALOGUE}
    known |= FOREIGN | {each["record"]: labels_of(each["expr"]) for each in RULES if "record" in each}
    used = metrics_of(rule["expr"])
    assert used - known.keys() == set()
    assert labels_of(rule["expr"]) <= set().union(ADDED, *(known[each] for each in used))


def test_no_rule_looks_at_a_rate_of_events():
    assert len(RATES) > 8
    found = {name: metrics_of(rule["expr"]) & RATES for name, rule in BY_NAME.items()}
    assert {name: used for name, used in found.items() if used} == {
        "JakwatchRatesLeftOut": {catalogue.ROWS_LEFT_OUT.name}  # how many are missing, not how high they are
    }


def test_starts_that_still_wait_for_evidence_are_alerted_nowhere():
    assert [rule for rule in RULES if "awaiting" in rule["expr"] or "jakwatch_courses" in rule["expr"]] == []


@pytest.mark.parametrize(
    ("expression", "metrics", "labels"),
    [
        ('max by (site) (a{kind="x", feed!="y"}) > 0', {"a"}, {"site", "kind", "feed"}),
        ("a:b:c and on (site) last_over_time(d_total[6h]) > 7 * 86400", {"a:b:c", "d_total"}, {"site"}),
        ("time() - max(a) > 300 or absent(b)", {"a", "b"}, set()),
        ("a > (max_over_time(b[1d] offset 10m) > 0)", {"a", "b"}, set()),
        ('max by (site, read) (count_values by (site) ("read", a))', {"a"}, {"site"}),
    ],
)
def test_what_an_expression_speaks_of_is_found(expression, metrics, labels):
    assert (metrics_of(expression), labels_of(expression)) == (metrics, labels)


# What an alert says


@pytest.mark.parametrize("name", BY_NAME)
def test_an_alert_says_whom_it_calls_and_what_to_do(name):
    rule = BY_NAME[name]
    said = rule["annotations"]
    assert rule["labels"].keys() == {"severity", "team"}
    assert rule["labels"]["severity"] in SEVERITIES
    assert rule["labels"]["team"] in TEAMS
    assert {"summary", "description", "runbook_url", "dashboard_url"} <= said.keys()
    assert said["runbook_url"] == f"{{{{ $externalLabels.runbooks }}}}/{name}.md"
    assert "{{" not in said["summary"]
    assert name.startswith("Jakwatch")


@pytest.mark.parametrize("name", BY_NAME)
def test_an_alert_leads_to_a_dashboard_and_a_page_that_exist(name):
    said = BY_NAME[name]["annotations"]
    uid = said["dashboard_url"].removeprefix("{{ $externalLabels.grafana }}/d/")
    assert (PROJECT / "deploy" / "grafana" / "dashboards" / f"{uid}.json").is_file()
    if "list_url" in said:
        anchor = said["list_url"].removeprefix("{{ $externalLabels.jakwatch }}/#")
        pages = (PROJECT / "monitor" / "web" / "templates").glob("*.html")
        assert [each for each in pages if f'id="{anchor}"' in each.read_text(encoding="utf-8")]


@pytest.mark.parametrize("name", OF_SAFETY)
def test_an_alert_of_safety_leads_to_the_list_of_what_is_to_be_done(name):
    assert "list_url" in BY_NAME[name]["annotations"]


@pytest.mark.parametrize("name", BY_NAME)
def test_no_text_shows_a_label_that_could_name_a_patient(name):
    texts = " ".join(BY_NAME[name]["annotations"].values())
    assert {*re.findall(r"\$labels\.(\w+)", texts)} <= SHOWN
    assert {*re.findall(r"\{\{ \$(\w+)", texts)} <= {"labels", "value", "externalLabels"}


@pytest.mark.parametrize("name", sorted(set(BY_NAME) - {ALWAYS, "JakwatchCanarySeen"}))
def test_the_text_of_the_end_never_says_that_a_case_is_closed(name):
    said = BY_NAME[name]["annotations"]["resolved"]
    assert "closed" not in said.lower()
    assert said.startswith("No longer observed.") or name == "JakwatchMessagesRejected"


def test_the_links_of_all_texts_are_set_in_one_place_and_sent_to_nobody():
    settings = read(PROMETHEUS)
    assert settings["global"]["external_labels"].keys() == LINKS.keys()
    dropped = [each["regex"] for each in settings["alerting"]["alert_relabel_configs"]]
    assert dropped == ["|".join(LINKS)]


def test_prometheus_takes_more_series_than_jakwatch_ever_says():
    jobs = [job for job in read(PROMETHEUS)["scrape_configs"] if job["job_name"].startswith("jakwatch")]
    assert {job["job_name"] for job in jobs} == {"jakwatch-view", "jakwatch-monitor"}
    assert all(job["sample_limit"] > catalogue.SERIES_BUDGET + 1_000 for job in jobs)  # and those of the process
    assert all(job["label_limit"] > max(len(metric.labels) for metric in CATALOGUE) for job in jobs)


# Runbooks


@pytest.mark.parametrize("path", RUNBOOKS, ids=lambda path: path.stem)
def test_a_runbook_says_what_it_means_what_it_does_how_to_see_and_what_to_do(path):
    text = path.read_text(encoding="utf-8")
    rule = BY_NAME[path.stem]
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == SECTIONS
    assert text.startswith(f"# {path.stem}\n\n{rule['annotations']['summary']}.\n")
    assert f"`{rule['labels']['severity']}` for `{rule['labels']['team']}`" in text
    assert f"after {rule['for']} " in text if "for" in rule else " · after " not in text
    assert min(len(part.split()) for part in re.split(r"^## .+$", text, flags=re.MULTILINE)[1:]) >= 3


def anchors(page: Path) -> set[str]:
    heads = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("path", RUNBOOKS, ids=lambda path: path.stem)
def test_what_a_runbook_names_exists(path):
    text = path.read_text(encoding="utf-8")
    assert {*re.findall(r"\bJakwatch[A-Z]\w+", text)} <= set(BY_NAME)
    assert {*re.findall(r"`jakwatch ([a-z]+)", text)} <= set(COMMANDS)
    assert {*re.findall(r"\bjakwatch_\w+", text)} <= {metric.name for metric in CATALOGUE}
    for link, anchor in re.findall(r"\]\(([^)#]+)#?([^)]*)\)", text):
        page = (path.parent / link).resolve()
        assert page.is_file(), link
        assert not anchor or anchor in anchors(page), f"{link}#{anchor}"


@pytest.mark.parametrize("path", RUNBOOKS, ids=lambda path: path.stem)
def test_a_command_about_one_hospital_names_it_so_that_it_can_be_copied(path):
    text = path.read_text(encoding="utf-8")
    assert all("--site " in said for said in re.findall(r"`(jakwatch (?:rejected|topics reread)[^`]*)`", text))


def test_the_page_of_all_alerts_names_each_of_them_once():
    page = (ALERTS / "README.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"\(runbooks/(\w+)\.md\)", page)) == sorted(BY_NAME)
    rows = dict(re.findall(r"\| \[(\w+)\]\([^)]+\) \| ([a-z ]+) \|", page))
    calls = {"critical": {"at once"}, "warning": {"digest", "mail", "daily"}, "none": {"always"}}
    assert [name for name, rule in BY_NAME.items() if rows[name] not in calls[rule["labels"]["severity"]]] == []
