"""Who hears of an alert, how often, in which words, and what may be left unsaid beside what."""

from __future__ import annotations

import json
import re
from datetime import timedelta

import pytest

from tests.unit.alert_files import ALERTMANAGER, BY_NAME, OF_SAFETY, PROJECT, read, run

TEMPLATES = ALERTMANAGER.parent / "templates" / "*.tmpl"
SETTINGS = read(ALERTMANAGER)
ROUTES = SETTINGS["route"]["routes"]
RECEIVERS = {each["name"]: each for each in SETTINGS["receivers"]}
WAITS = ("group_by", "group_wait", "group_interval", "repeat_interval")


def receivers(name):
    """Who should hear of it."""
    rule = BY_NAME[name]["labels"]
    if rule["severity"] == "none":
        return ["deadman"]
    if name == "JakwatchSitePaused":  # mended by the one where it is paused, by the other where it is parked
        return ["platform", "integration"]
    if rule["team"] != "safety":
        return [rule["team"]]
    if name.startswith("JakwatchFurther"):
        return ["safety-page-further"]
    return ["safety-page" if rule["severity"] == "critical" else "officers-digest"]


def seconds(text):
    units = {"s": "seconds", "m": "minutes", "h": "hours"}
    return timedelta(**{units[text[-1]]: int(text[:-1])}).total_seconds()


def test_alertmanager_understands_its_settings():
    done = run("amtool", "check-config", ALERTMANAGER)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", BY_NAME)
def test_an_alert_reaches_whom_it_should_and_nobody_else(name):
    labels = {"alertname": name, "site": "lisbon"} | BY_NAME[name]["labels"]
    pairs = [f"{key}={value}" for key, value in labels.items()]
    done = run("amtool", "config", "routes", "test", f"--config.file={ALERTMANAGER}", *pairs)
    assert (done.returncode, done.stdout.strip().split(",")) == (0, receivers(name))


@pytest.mark.parametrize("name", [name for name, rule in BY_NAME.items() if rule["labels"]["severity"] == "critical"])
def test_what_calls_at_once_rings_a_pager(name):
    """A mail that nobody reads at night is no call."""
    assert any(RECEIVERS[each].get("webhook_configs") for each in receivers(name))


def test_a_hospital_that_is_left_alone_is_told_by_itself_and_again_after_four_hours():
    (route,) = (route for route in ROUTES if route["matchers"] == ['alertname="JakwatchSitePaused"'])
    assert (route["group_by"], route["repeat_interval"], route["continue"]) == (["site"], "4h", True)


def test_an_alert_that_no_route_knows_reaches_whoever_runs_the_processes():
    done = run("amtool", "config", "routes", "test", f"--config.file={ALERTMANAGER}", "alertname=Other")
    assert done.stdout.split() == ["platform"]


def test_every_receiver_is_used_and_can_be_reached():
    used = {route["receiver"] for route in ROUTES} | {SETTINGS["route"]["receiver"]}
    assert used == set(RECEIVERS)
    for each in RECEIVERS.values():
        assert each.get("webhook_configs") or each.get("email_configs")


def test_no_secret_stands_in_the_settings():
    text = ALERTMANAGER.read_text(encoding="utf-8")
    assert re.findall(r"password:|secret:|token:|credentials:|api_key:", text) == []
    hosts = {*re.findall(r"https?://([^/\s]+)", text)} | {*re.findall(r"@(\S+)", text)}
    assert [host for host in hosts if not host.endswith("example.org")] == []


# How often


def route_of(name):
    found = [route for route in ROUTES if route["receiver"] == name]
    return {key: SETTINGS["route"].get(key) for key in WAITS} | found[0]


@pytest.mark.parametrize("name", ["safety-page", "safety-page-further", "integration"])
def test_forty_cases_of_one_hospital_are_one_message(name):
    assert route_of(name)["group_by"] == ["site"]


def test_a_known_case_is_told_again_after_a_day():
    page = route_of("safety-page")
    assert seconds(page["repeat_interval"]) == 86_400
    assert seconds(page["group_wait"]) <= 10


def test_the_digest_is_one_message_a_day():
    digest = route_of("officers-digest")
    assert digest["group_by"] == ["team"]
    assert seconds(digest["repeat_interval"]) == 86_400


def test_what_goes_on_longer_than_one_further_case_is_told_again_within_a_quarter_of_an_hour():
    """One alone has ended by then, so nobody hears of it twice."""
    further = route_of("safety-page-further")
    assert (seconds(further["group_interval"]), seconds(further["repeat_interval"])) == (60, 900)
    [lasts] = {
        *re.findall(r"latched\[(\d+)m\] offset|latched\[1d\] offset (\d+)m", BY_NAME["JakwatchFurtherCase"]["expr"])
    }
    assert 60 * int("".join(lasts)) < 900 - 60


def test_a_further_case_has_a_group_of_its_own_of_whose_end_nobody_hears():
    """In the group of the others it would change nothing while they fire; and its end is no news."""
    configs = [each for kind in ("webhook_configs", "email_configs") for each in RECEIVERS["safety-page-further"][kind]]
    assert [each["send_resolved"] for each in configs] == [False, False]
    same = [
        {**each, "send_resolved": False} for kind in ("webhook_configs", "email_configs")
        for each in RECEIVERS["safety-page"][kind]
    ]  # fmt: skip
    assert configs == same


def test_the_listener_outside_is_called_every_minute():
    deadman = route_of("deadman")
    assert [deadman[key] for key in WAITS] == [["alertname"], "0s", "1m", "1m"]
    assert RECEIVERS["deadman"]["webhook_configs"][0]["send_resolved"] is False


@pytest.mark.parametrize("name", sorted(set(RECEIVERS) - {"deadman", "safety-page-further"}))
def test_everybody_else_hears_of_the_end_too(name):
    configs = [each for kind in ("webhook_configs", "email_configs") for each in RECEIVERS[name].get(kind, [])]
    assert configs
    assert all(each["send_resolved"] for each in configs)


# What is left unsaid


def is_hidden(labels, matchers):
    """Whether an inhibition rule's target matchers match."""
    for matcher in matchers:
        key, how, value = re.fullmatch(r'(\w+)(=~|!=|!~|=)"(.*)"', matcher).groups()
        given = labels.get(key, "")
        same = given == value if how in ("=", "!=") else re.fullmatch(value, given) is not None
        if same == how.startswith("!"):
            return False
    return True


@pytest.mark.parametrize("name", OF_SAFETY)
def test_no_alert_of_safety_is_ever_hidden(name):
    labels = {"alertname": name, "site": "lisbon", "kind": "violation"} | BY_NAME[name]["labels"]
    assert [rule for rule in SETTINGS["inhibit_rules"] if is_hidden(labels, rule["target_matchers"])] == []


def test_what_hides_and_what_is_hidden_are_alerts_that_exist_and_differ():
    for rule in SETTINGS["inhibit_rules"]:
        sources = [name for name in BY_NAME if is_hidden({"alertname": name}, rule["source_matchers"])]
        targets = [name for name in BY_NAME if is_hidden({"alertname": name}, rule["target_matchers"])]
        named = re.findall(r"Jakwatch\w+", " ".join(rule["source_matchers"] + rule["target_matchers"]))
        assert sorted(sources + targets) == sorted(named)
        assert not {*sources} & {*targets}


def test_only_feeds_and_processes_are_hidden():
    hidden = {
        name
        for name, rule in BY_NAME.items()
        for each in SETTINGS["inhibit_rules"]
        if is_hidden({"alertname": name, **rule["labels"]}, each["target_matchers"])
    }
    assert "JakwatchFeedSilent" in hidden
    assert {BY_NAME[name]["labels"]["team"] for name in hidden} == {"integration", "platform"}


def test_what_rings_at_night_is_hidden_only_by_what_rings_there_too():
    """For one hospital: an alert that goes to fewer people may not take the call from the others."""
    for rule in SETTINGS["inhibit_rules"]:
        sources = [name for name in BY_NAME if is_hidden({"alertname": name}, rule["source_matchers"])]
        targets = [name for name in BY_NAME if is_hidden({"alertname": name}, rule["target_matchers"])]
        for hidden in (name for name in targets if BY_NAME[name]["labels"]["severity"] == "critical"):
            assert all(BY_NAME[name]["labels"]["team"] == BY_NAME[hidden]["labels"]["team"] for name in sources)


def test_every_matcher_is_quoted_so_that_all_versions_read_it_alike():
    text = ALERTMANAGER.read_text(encoding="utf-8")
    matchers = [each for line in re.findall(r"matchers: \[(.+)\]", text) for each in re.findall(r"'([^']+)'", line)]
    assert len(matchers) > 10
    assert [each for each in matchers if not re.fullmatch(r'\w+(=~|!=|!~|=)"[^"]*"', each)] == []


# In which words


def told(status, *names):
    """Subject and text of a message, as Alertmanager writes it."""
    alerts = [
        {
            "status": status, "labels": {"alertname": name, "site": "lisbon"} | BY_NAME[name]["labels"],
            "annotations": BY_NAME[name]["annotations"] | {"description": "At lisbon: 2."},
            "startsAt": "2026-01-01T10:00:00Z", "endsAt": "2026-01-01T11:00:00Z",
        }
        for name in names
    ]  # fmt: skip
    common = {"alertname": names[0]} if len(names) == 1 else {}
    summary = {"summary": BY_NAME[names[0]]["annotations"]["summary"]} if len(names) == 1 else {}
    data = {
        "status": status, "alerts": alerts, "groupLabels": {"site": "lisbon"}, "commonLabels": common,
        "commonAnnotations": summary,
    }  # fmt: skip
    return rendered("jakwatch.subject", data), rendered("jakwatch.text", data)


def rendered(template, data):
    options = [f"--template.glob={TEMPLATES}", f'--template.text={{{{ template "{template}" . }}}}']
    done = run("amtool", "template", "render", *options, "--template.data=/dev/stdin", given=json.dumps(data))
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_message_says_what_is_the_matter_where_and_what_to_do():
    subject, text = told("firing", "JakwatchStartedUnscreened")
    assert subject == "jakwatch, lisbon: Treatment was started without complete screening"
    said = BY_NAME["JakwatchStartedUnscreened"]["annotations"]
    for part in (said["summary"], "At lisbon: 2.", said["runbook_url"], said["list_url"], "2026-01-01 10:00 UTC"):
        assert part in text
    assert text.rstrip().endswith("This message names no patient. Please name none in an answer.")


def test_a_message_of_several_alerts_counts_them():
    subject, text = told("firing", "JakwatchStartedUnscreened", "JakwatchStartedOnHold")
    assert subject == "jakwatch, lisbon: 2 things need somebody"
    assert "JakwatchStartedOnHold (critical)" in text


@pytest.mark.parametrize("name", [name for name in OF_SAFETY if name != "JakwatchFurtherCase"])
def test_the_end_of_an_alert_is_no_longer_observed_never_closed(name):
    subject, text = told("resolved", name)
    assert "no longer observed" in subject
    assert "no longer observed since 2026-01-01 11:00 UTC" in text
    assert "Look at the list" in text
    assert "closed" not in (subject + text).lower()
    assert BY_NAME[name]["annotations"]["summary"] not in text


def test_every_mail_is_written_by_our_templates_and_in_plain_text():
    mails = [each for receiver in RECEIVERS.values() for each in receiver.get("email_configs", [])]
    assert mails
    for mail in mails:
        assert mail["headers"] == {"Subject": '{{ template "jakwatch.subject" . }}'}
        assert (mail["text"], mail["html"]) == ('{{ template "jakwatch.text" . }}', "")
    assert (PROJECT / "deploy" / "alertmanager" / "templates" / "jakwatch.tmpl").is_file()
