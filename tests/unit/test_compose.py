"""docker-compose.yml and what lies beside it: a valid file, careful containers, and all that it names is there."""

from __future__ import annotations

import copy
import re
import shutil
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from monitor.keyfile import read_key
from tools import compose_check
from tools.compose_check import PROJECT
from tools.grafana import common

COMPOSE = yaml.safe_load(compose_check.FILE.read_text(encoding="utf-8"))
DOCKERFILE = (PROJECT / "deploy/Dockerfile").read_text(encoding="utf-8")


def from_file(name: str) -> Any:
    return yaml.safe_load((PROJECT / name).read_text(encoding="utf-8"))


def command(service: str) -> str:
    return " ".join(COMPOSE["services"][service]["command"])


def test_the_file_is_as_the_specification_has_it_and_every_container_is_careful() -> None:
    assert list(compose_check.findings(COMPOSE)) == []
    assert compose_check.main() == 0


def test_docker_compose_reads_it_too() -> None:
    docker = shutil.which("docker")
    if docker is None or subprocess.run([docker, "compose", "version"], capture_output=True).returncode:  # noqa: PLW1510
        pytest.skip("There is no docker compose here.")
    done = subprocess.run([docker, "compose", "config", "--quiet"], cwd=PROJECT, capture_output=True, text=True)  # noqa: PLW1510
    assert done.returncode == 0, done.stderr


def put(*path: str, value: Any) -> Callable[[Any], None]:
    def change(compose: Any) -> None:
        at = compose
        for step in path[:-1]:
            at = at[step]
        at[path[-1]] = value

    return change


VIEW = ("services", "view")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (put(*VIEW, "healthchek", value={}), "healthchek"),
        (put(*VIEW, "ports", value="8321"), "services.view.ports is not as the specification has it"),
        (put("services", "kafka", "image", value="apache/kafka"), "kafka: apache/kafka is no exact version"),
        (put("services", "kafka", "image", value="apache/kafka:latest"), "kafka:latest is no exact version"),
        (put(*VIEW, "user", value="${JAKWATCH_UID:-0}:0"), "view: it runs as root"),
        (put(*VIEW, "user", value="root"), "view: it runs as root"),
        (put(*VIEW, "read_only", value=False), "view: its file system can be written"),
        (put(*VIEW, "cap_add", value=["NET_ADMIN"]), "view: it keeps rights of root"),
        (put(*VIEW, "cap_drop", value=["CHOWN"]), "view: it keeps rights of root"),
        (put(*VIEW, "security_opt", value=[]), "view: it may win rights"),
        (put(*VIEW, "networks", value=[]), "view: it is in the default network"),
        (put(*VIEW, "restart", value="no"), "view: nobody starts it again"),
        (put(*VIEW, "healthcheck", value={}), "view: nobody sees whether it does its work"),
        (put(*VIEW, "mem_limit", value=None), "view.mem_limit is not as the specification has it"),
        (put(*VIEW, "logging", value={"driver": "local"}), "view: its log may fill the disk"),
        (put(*VIEW, "depends_on", "topics", "condition", value="service_started"), "waits for topics to run, not to"),
        (put(*VIEW, "ports", value=["8321:8321"]), "view: the port 8321:8321 can be reached from outside"),
        (put(*VIEW, "ports", value=["0.0.0.0:8321:8321"]), "can be reached from outside"),
        (put(*VIEW, "environment", "WRITE_TOKEN", value="abc"), "view: WRITE_TOKEN holds a secret"),
        (put("secrets", "read.token", "file", value="./read.token"), "the secret read.token is no file below"),
        (put(*VIEW, "volumes", 0, "read_only", value=False), "can be written from inside"),
        (put(*VIEW, "volumes", 0, "source", value="./gone"), "./gone is not there"),
        (put(*VIEW, "volumes", 0, "bind", value={}), "an empty folder would be made"),
    ],
)
def test_what_is_not_careful_is_told(change: Callable[[Any], None], told: str) -> None:
    compose = copy.deepcopy(COMPOSE)
    change(compose)
    assert any(told in finding for finding in compose_check.findings(compose)), list(compose_check.findings(compose))


# What it names is there, and means the same everywhere


def test_prometheus_scrapes_the_containers_where_they_listen() -> None:
    jobs = {each["job_name"]: each for each in from_file("deploy/compose/prometheus.yml")["scrape_configs"]}
    targets = {name: job["static_configs"][0]["targets"] for name, job in jobs.items()}
    for service in ("view", "monitor"):
        port = re.search(r"--port=(\d+)", command(service))
        assert port is not None
        assert targets[f"jakwatch-{service}"] == [f"{service}:{port[1]}"]
        assert f"127.0.0.1:{port[1]}/readyz" in " ".join(COMPOSE["services"][service]["healthcheck"]["test"])
    assert jobs["jakwatch-view"]["authorization"]["credentials_file"] == "/run/secrets/read-token"
    assert COMPOSE["services"]["prometheus"]["secrets"] == [{"source": "prometheus.token", "target": "read-token"}]


def test_prometheus_is_told_the_same_as_where_there_are_no_containers() -> None:
    here, there = from_file("deploy/compose/prometheus.yml"), from_file("deploy/prometheus/prometheus.yml")
    rules = {Path(name).name for name in there.pop("rule_files")}
    assert here.pop("rule_files") == ["/alerts/rules/*.yaml"]
    assert rules == {path.name for path in (PROJECT / "alerts/rules").glob("*.yaml")}
    for job in here["scrape_configs"]:
        job.pop("authorization", None)
    leads = here["global"].pop("external_labels")
    assert set(leads) == set(there["global"].pop("external_labels"))
    assert here == there
    assert (leads["jakwatch"], leads["runbooks"]) == (common.PAGES, common.RUNBOOKS)


def test_every_runbook_is_where_its_alert_links_to() -> None:
    words = COMPOSE["services"]["prometheus"]["command"]
    mounted = {volume["target"]: volume["source"] for volume in COMPOSE["services"]["prometheus"]["volumes"]}
    served = next(word.partition("=")[2] for word in words if word.startswith("--web.user-assets"))
    assert mounted[served] == "./alerts/runbooks"
    rules = [from_file(f"alerts/rules/{path.name}") for path in (PROJECT / "alerts/rules").glob("*.yaml")]
    alerts = [rule for each in rules for group in each["groups"] for rule in group["rules"] if "alert" in rule]
    assert alerts
    for alert in alerts:
        linked = alert["annotations"]["runbook_url"].removeprefix("{{ $externalLabels.runbooks }}/")
        assert (PROJECT / "alerts/runbooks" / linked).is_file(), alert["alert"]


def test_grafana_finds_its_dashboards_and_its_source() -> None:
    (provider,) = from_file("deploy/grafana/provisioning/dashboards/jakwatch.yaml")["providers"]
    (source,) = from_file("deploy/grafana/provisioning/datasources/prometheus.yaml")["datasources"]
    mounted = {volume["target"]: volume["source"] for volume in COMPOSE["services"]["grafana"]["volumes"]}
    assert mounted[provider["options"]["path"]] == "./deploy/grafana/dashboards"
    assert provider["allowUiUpdates"] is False
    assert (source["uid"], source["url"]) == ("jakwatch", "http://prometheus:9090")
    scraped = from_file("deploy/compose/prometheus.yml")["global"]["scrape_interval"]
    assert source["jsonData"]["timeInterval"] == scraped
    home = COMPOSE["services"]["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert (PROJECT / "deploy/grafana/dashboards" / Path(home).name).is_file()


def test_grafana_is_the_one_whose_schema_the_dashboards_keep_to() -> None:
    schema = (PROJECT / "tools/grafana/schema.json").read_text(encoding="utf-8")
    version = COMPOSE["services"]["grafana"]["image"].partition(":")[2]
    assert f"@grafana/schema {version}," in schema


def test_nobody_but_the_containers_reaches_kafka_and_this_machine() -> None:
    settings = (PROJECT / "deploy/compose/kafka/server.properties").read_text(encoding="utf-8")
    assert "advertised.listeners=STREAM://kafka:9092,MACHINE://127.0.0.1:9094" in settings
    assert COMPOSE["services"]["kafka"]["ports"] == ["127.0.0.1:9094:9094"]
    assert COMPOSE["networks"]["stream"] == {"internal": True}
    assert COMPOSE["services"]["monitor"]["networks"] == ["stream", "metrics"]


# What a person does first


def prepared(folder: Path) -> tuple[Path, str]:
    """The folder of the secrets, and what was said, after the script ran in a copy of the project."""
    script = folder / "deploy" / "compose" / "prepare.sh"
    script.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(PROJECT / "deploy/compose/prepare.sh", script)
    done = subprocess.run(["/bin/sh", str(script)], cwd="/", capture_output=True, text=True, check=True)
    return script.parent / "secrets", done.stdout


def mode(path: Path) -> str:
    return oct(stat.S_IMODE(path.stat().st_mode))


def test_the_secrets_are_made_for_those_alone_who_read_them(tmp_path: Path) -> None:
    secrets, said = prepared(tmp_path)
    assert mode(secrets) == "0o700"
    assert {path.name: mode(path) for path in secrets.iterdir()} == {
        "pseudonym.key": "0o600", "write.token": "0o600", "read.token": "0o600",
        "prometheus.token": "0o644", "grafana.password": "0o644",
    }  # fmt: skip
    assert {path.name for path in secrets.iterdir()} == {
        Path(secret["file"]).name for secret in COMPOSE["secrets"].values()
    }
    assert len(read_key(secrets / "pseudonym.key")) == 32
    held = {path.read_text().strip() for path in secrets.iterdir()}
    assert len(held) == 4  # Prometheus has the token that may read
    assert min(map(len, held)) >= 24
    assert not any(secret in said for secret in held)
    uid = (tmp_path / ".env").read_text().strip().partition("=")[2]
    assert int(uid) == secrets.stat().st_uid > 0


def test_what_was_made_once_stays(tmp_path: Path) -> None:
    secrets, _ = prepared(tmp_path)
    before = {path.name: path.read_text() for path in secrets.iterdir()}
    (tmp_path / ".env").write_text("JAKWATCH_UID=7\n")
    _, said = prepared(tmp_path)
    assert {path.name: path.read_text() for path in secrets.iterdir()} == before
    assert (tmp_path / ".env").read_text() == "JAKWATCH_UID=7\n"
    assert said.count("kept: ") == len(before)


def test_no_secret_can_be_committed_or_get_into_the_image() -> None:
    ignored = (PROJECT / "deploy/compose/.gitignore").read_text(encoding="utf-8").splitlines()
    assert "/secrets/" in ignored
    rules = (PROJECT / "deploy/Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    assert next(rule for rule in rules if not rule.startswith("#")) == "*"


# The image


def test_the_image_holds_what_was_locked_and_runs_as_nobody_special() -> None:
    assert "--require-hashes --only-binary :all:" in DOCKERFILE
    assert re.findall(r"^USER (.*)$", DOCKERFILE, re.MULTILINE) == ["1000:0"]
    assert re.search(r"^ARG PYTHON=\d+\.\d+\.\d+-slim-\w+$", DOCKERFILE, re.MULTILINE)
    assert {base.split(" AS ")[0] for base in re.findall(r"^FROM (.*)$", DOCKERFILE, re.MULTILINE)} == {
        "python:${PYTHON}"
    }


def test_all_that_the_image_copies_is_there_and_let_in() -> None:
    rules = (PROJECT / "deploy/Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    copied = re.findall(r"^COPY (?!--from)(?:--\S+ )?(\S+) ", DOCKERFILE, re.MULTILINE)
    assert set(copied) == {rule.removeprefix("!") for rule in rules if rule.startswith("!")}
    assert all((PROJECT / name).exists() for name in copied)
