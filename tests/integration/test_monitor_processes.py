"""`jakwatch monitor` and `jakwatch canary` as processes: what ends them, what stops one and not the others."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from kafka import KafkaProducer

from monitor.exitcodes import ExitCode
from monitor.kafka.canary import published_at
from monitor.kafka.names import ACTIONS, topic
from monitor.policyfile import default_policy_path, load_policies
from monitor.rulebook import check_key
from schemas.parts import RESERVED_SITE
from tests.data.one_patient import start
from tests.integration.broker import Broker
from tests.integration.live import PROJECT, until
from tests.integration.lone_worker import LoneWorker, action_of, lines_of, publish, read_topics
from tests.integration.stream_histories import registry_yaml
from tests.integration.stream_workers import READY_WITHIN
from tests.integration.stream_world import make_topics, world
from tests.integration.views import Viewed

ENDS_WITHIN = 60.0  # seconds, on a busy machine


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A broker of these tests' own: what is decided for all sites would reach every other test."""
    kafka = Broker(tmp_path_factory.mktemp("own") / "kafka")
    kafka.start()
    yield kafka
    kafka.kill()


def jakwatch(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: PLW1510  how it ends is what is tested
        [sys.executable, "-m", "monitor", *map(str, words)],
        cwd=PROJECT, capture_output=True, text=True, timeout=ENDS_WITHIN,
    )  # fmt: skip


# A broker that goes away


ASKED_BEFORE = """
from monitor.kafka import preflight
preflight.must_have = lambda *_: preflight.Lacking([], frozenset())
from monitor.cli import main
main()
"""


def test_a_broker_that_goes_away_while_the_worker_begins_is_no_bug(tmp_path: Path) -> None:
    """It was there when it was asked what is lacking, and is not when the engine begins."""
    sites, key = tmp_path / "sites.yaml", tmp_path / "key"
    sites.write_text(registry_yaml(["lisbon"], date(2020, 1, 1), date(2026, 12, 31)), encoding="utf-8")
    key.write_text("18" * 32)
    key.chmod(0o600)
    words = ["monitor", "--broker", "127.0.0.1:9", "--sites", str(sites), "--key", str(key), "--port", "0"]
    ended = subprocess.run(  # noqa: PLW1510  how it ends is what is tested
        [sys.executable, "-c", ASKED_BEFORE, *words], cwd=PROJECT, capture_output=True, text=True, timeout=ENDS_WITHIN
    )
    assert ended.returncode == ExitCode.SERVICE_MISSING
    assert "Kafka at 127.0.0.1:9 broke off (KafkaConnectionError). Do next: see that it runs" in ended.stderr


# Another key


def test_with_another_key_it_ends_at_once_and_names_both_by_their_fingerprints(broker: Broker, tmp_path: Path) -> None:
    with world(broker.servers, tmp_path / "world", 1) as hospitals:
        [site] = hospitals.sites
        with LoneWorker(hospitals.servers, hospitals.rules) as lone:
            lone.take_over(site)
            lone.give(site, start())
        other = tmp_path / "other.key"
        other.write_text("18" * 32)
        other.chmod(0o600)
        ended = jakwatch(
            "monitor", "--broker", broker.servers, "--sites", hospitals.registry, "--key", other, "--port", "0"
        )
        assert ended.returncode == ExitCode.SERVICE_MISSING
        assert "was written with another pseudonym key" in ended.stderr
        for key in (hospitals.rules.key, b"\x18" * 32):
            assert check_key(None, key, "") in ended.stderr
            assert key.hex() not in ended.stderr
        assert "Traceback" not in ended.stderr


# A version that one worker was not given


def second_version(folder: Path) -> Path:
    """A further version of the default policy, that begins in years."""
    document = yaml.safe_load(default_policy_path().read_text(encoding="utf-8"))
    document["policy"] |= {"version": document["policy"]["version"] + 1, "effective_from": date(2099, 1, 1)}
    default = default_policy_path()
    path = Path(shutil.copytree(default.parent, folder / "second")) / default.name  # with its code lists
    path.write_text(yaml.safe_dump(document, allow_unicode=True, sort_keys=False), encoding="utf-8")
    return path


def both(second: Path) -> list[str]:
    return ["--policy", str(default_policy_path()), "--policy", str(second)]


def decided(servers: str, **said: Any) -> None:
    action = action_of(said.pop("action"), datetime.now(UTC), **said)
    record = action.model_dump_json(by_alias=True, exclude_none=True).encode()
    with KafkaProducer(bootstrap_servers=servers) as producer:
        producer.send(ACTIONS, record, action.action_id.encode()).get(60)


def answered(servers: str, site: str) -> list[str]:
    name = topic("out", site)
    return [json.loads(each.value or b"")["decision"] for each in read_topics(servers, [name])[name]]


def test_a_worker_without_an_activated_version_says_so_and_stops_and_the_others_go_on(
    own: Broker, tmp_path: Path
) -> None:
    path = second_version(tmp_path)
    [second] = load_policies([path])
    with world(own.servers, tmp_path / "world", 3) as hospitals, hospitals.workers() as workers:
        lacking = workers.add("lacking")
        workers.options += both(path)
        given = workers.add("given")
        until(
            lambda: lacking.owned() and given.owned() and workers.share_out(hospitals.sites),
            "the two share the sites",
            READY_WITHIN,
        )
        its, other = min(lacking.owned()), min(given.owned())
        decided(own.servers, action="activate", what="policy", version=second.policy.version, sha256=second.sha256)
        until(lambda: lacking.get("readyz")[0] == 503, "it says what it lacks", READY_WITHIN)
        assert f"version {second.policy.version} of the policy" in lacking.get("readyz")[1]
        for site in hospitals.sites:
            publish(own.servers, site, lines_of(site, start()))
        until(lambda: answered(own.servers, other) == ["violation"], "the other goes on", READY_WITHIN)
        assert answered(own.servers, its) == []
        assert lacking.get("healthz")[0] == 200
        assert given.get("readyz")[0] == 200
        assert workers.dismiss(lacking) == 0
        until(lambda: answered(own.servers, its) == ["violation"], "who was given it takes over", READY_WITHIN)
    assert workers.problems() == []


# The canary


def test_a_probe_comes_out_as_a_violation_and_counts_nowhere(own: Broker, tmp_path: Path) -> None:
    policies = both(second_version(tmp_path))  # whatever else is activated on this broker
    with world(own.servers, tmp_path / "world", 1) as hospitals:
        make_topics(own.servers, [RESERVED_SITE])
        hospitals.worker_options = policies
        began = int(time.time())
        sent = jakwatch("canary", "--broker", own.servers, "--once")
        assert (sent.returncode, sent.stdout, sent.stderr) == (0, "", "")
        shown: list[str | Path] = [
            "--broker",
            own.servers,
            "--sites",
            hospitals.registry,
            "--key",
            hospitals.key,
            *policies,
        ]
        with hospitals.workers() as workers, Viewed(tmp_path, *shown, command="view") as view:
            workers.add("only")
            until(lambda: answered(own.servers, RESERVED_SITE), "the probe is answered", READY_WITHIN)
            assert answered(own.servers, RESERVED_SITE) == ["violation"]
            until(lambda: seen_at(view) >= began, "the view has seen it", READY_WITHIN)
            result, overview = view.result(), view.overview
        assert workers.problems() == []
    assert result["messages"] == dict.fromkeys(
        ("received", "accepted", "duplicate", "superseded", "conflicting"), 0
    ) | {"rejected": {}}
    assert (result["decisions"], overview["cases"]) == ([], [])
    assert RESERVED_SITE not in json.dumps([result, overview])


def seen_at(view: Viewed) -> float:
    """When the view says it has seen a violation of the canary; 0 where it has not."""
    lines = str(view.get("metrics")[1]).splitlines()
    return max((float(each.split()[1]) for each in lines if each.startswith("jakwatch_canary_last")), default=0.0)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_in_order_when_it_is_told_to(broker: Broker, tmp_path: Path, how: signal.Signals) -> None:
    make_topics(broker.servers, [RESERVED_SITE])
    sent = len(probes(broker.servers))
    with (tmp_path / "said").open("w") as said:
        running = subprocess.Popen(
            [sys.executable, "-m", "monitor", "canary", "--broker", broker.servers, "--every", "3600"],
            cwd=PROJECT, stdout=said, stderr=said,
        )  # fmt: skip
    until(lambda: len(probes(broker.servers)) > sent, "it has sent a probe", ENDS_WITHIN)
    running.send_signal(how)
    assert running.wait(ENDS_WITHIN) == 0
    assert (tmp_path / "said").read_text() == ""
    assert len(probes(broker.servers)) == sent + 1


def probes(servers: str) -> list[int | None]:
    name = topic("in", RESERVED_SITE)
    return [published_at(json.loads(each.value or b"")["treatment_id"]) for each in read_topics(servers, [name])[name]]


def test_without_a_broker_a_single_probe_fails_with_what_to_do() -> None:
    ended = jakwatch("canary", "--broker", "127.0.0.1:1", "--once")
    assert ended.returncode == ExitCode.SERVICE_MISSING
    assert "no probe was sent: nobody listens at 127.0.0.1:1. Do next" in ended.stderr
