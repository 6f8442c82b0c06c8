"""A replica on a secured Kafka: it needs no more than its rights, and says which one is missing."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from monitor.exitcodes import ExitCode
from monitor.kafka import acls
from monitor.kafka.names import ACTIONS, topic
from monitor.kafka.reach import administering
from tests.data.good_history import good_lines
from tests.integration.broker import Broker, password_of
from tests.integration.guarded import taken_away
from tests.integration.live import until
from tests.integration.views import WITHIN, Viewed, World, jakwatch_view

SITES = ("lisbon", "madrid")
READS = [(topic(kind, site), "READ") for kind in ("facts", "out") for site in SITES]
CLOSE = {"action": "close_case", "by": "A. Person", "role": "safety officer", "reason": "as minuted"}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("secured")
    broker = Broker(folder / "kafka", secured=True)
    broker.start()
    made = World(broker, folder)
    for site in SITES:
        with made.owner(site) as owner:
            owner.give([line for line in good_lines() if json.loads(line)["site"] == site])
    yield made
    broker.kill()


def user(world: World, name: str, rights: Sequence[acls.Right]) -> list[str]:
    """A user with these rights; the options by which a replica is that user."""
    broker = world.broker
    broker.add_user(name)
    with administering(broker.connection()) as admin:
        acls.give(admin, rights)
    password = world.folder / f"{name}.password"
    password.write_text(password_of(name))
    password.chmod(0o600)
    ca = broker.connection().ca
    return ["--broker-ca", str(ca), "--broker-user", name, "--broker-password", str(password)]


def rights_of(name: str, *topics_and_operations: tuple[str, str]) -> list[acls.Right]:
    return [acls.Right(name, operation, "TOPIC", which) for which, operation in topics_and_operations]


def folder(world: World, name: str) -> Path:
    made = world.folder / name
    made.mkdir()
    return made


def test_the_rights_of_a_view_suffice_for_all_it_does(world: World) -> None:
    users = acls.Users()
    rights = [right for right in acls.wanted(SITES, users) if right.user == users.view]
    options = user(world, users.view, rights)
    with Viewed(folder(world, "enough"), *world.options(), *options, command="view") as view:
        until(view.is_ready, "all is read", WITHIN)
        assert {view.site(site)["state"] for site in SITES} == {"read"}
        until(lambda: view.site("lisbon")["waiting_seconds"] == 0, "it sees how far the messages go", WITHIN)
        case = view.overview["cases"][0]
        named = {name: case[name] for name in ("site", "treatment_id", "kind")}
        assert view.act(**CLOSE, **named)[0] == 200
        assert case not in view.overview["cases"]


def test_a_right_that_is_missing_for_one_site_is_named_and_the_others_go_on(world: World) -> None:
    facts = topic("facts", "madrid")
    given = [each for each in READS if each != (facts, "READ")]
    deciding = rights_of("narrow", (ACTIONS, "WRITE"))
    rights = rights_of("narrow", *given, (facts, "DESCRIBE"), (ACTIONS, "READ")) + deciding
    options = user(world, "narrow", rights)
    with Viewed(folder(world, "narrow"), *world.options(), *options, command="view") as view:
        until(lambda: view.get("v1/overview")[0] == 200, "it serves", WITHIN)
        until(lambda: view.site("madrid")["state"] == "unreadable", "madrid cannot be read", WITHIN)
        until(lambda: view.site("lisbon")["state"] == "read", "lisbon is read", WITHIN)
        assert f"READ {facts}" in view.site("madrid")["trouble"]
        assert f"READ {facts}" in view.get("readyz")[1]["trouble"]
        assert view.site("lisbon")["inbound_end"] is None
        assert view.get("v1/sites/madrid/answers", treatment_id="any")[0] == 503
        case = view.overview["cases"][0]
        named = {name: case[name] for name in ("site", "treatment_id", "kind")}
        with administering(world.broker.connection()) as admin:
            taken_away(admin, *deciding)
        status, refused = view.act(**CLOSE, **named)
        assert (status, f"WRITE {ACTIONS}" in refused["error"]) == (503, True)


@pytest.mark.parametrize("rights", [[], [(ACTIONS, "DESCRIBE")]], ids=["none", "to know of it"])
def test_who_may_not_read_what_people_decided_does_not_start(world: World, rights: list[tuple[str, str]]) -> None:
    name = f"nobody-{len(rights)}"
    options = user(world, name, rights_of(name, *rights))
    done = jakwatch_view(*world.options(), *options)
    assert done.returncode == ExitCode.SERVICE_MISSING
    assert ACTIONS in done.stderr
    assert "Do next" in done.stderr


def test_a_wrong_password_is_an_error_within_seconds_and_is_not_printed(world: World) -> None:
    options = user(world, "forgetful", [])
    Path(options[-1]).write_text("not the password")
    done = jakwatch_view(*world.options(), *options)
    assert done.returncode == ExitCode.SERVICE_MISSING
    assert "does not know the user forgetful with this password" in done.stderr
    assert "not the password" not in done.stderr
