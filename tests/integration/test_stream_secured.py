"""The stream on a secured Kafka, end to end, with least rights; and what goes wrong is told soon, and without a secret.

Commands run as if somebody looked for a fault, with everything switched on that makes them tell more.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from monitor.exitcodes import ExitCode
from monitor.kafka import acls
from monitor.kafka.connection import Connection
from monitor.kafka.preflight import Role, rights_of
from monitor.kafka.reach import administering
from tests.integration.guarded import taken_away
from tests.integration.live import until
from tests.integration.secured_world import (
    COMES_WITHIN,
    MONITOR,
    PATIENT,
    SITES,
    VIEW,
    Said,
    World,
    address,
    applied,
    debugging,
    order,
    secured_world,
    wrong,
)
from tests.integration.stream_workers import Worker
from tests.integration.views import Viewed

INFECTIONS = ("hepatitis_b", "hepatitis_c", "hiv", "tuberculosis")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with secured_world(tmp_path_factory.mktemp("secured")) as made:
        yield made


@pytest.fixture(scope="module")
def made(world: World) -> Said:
    """What an administrator's only command says the first time."""
    return applied(world)


@pytest.fixture(scope="module")
def worker(world: World, made: Said) -> Iterator[Worker]:
    assert made.code == 0, made.text
    with world.worker() as running:
        yield running


@pytest.fixture(scope="module")
def view(world: World, made: Said) -> Iterator[Viewed]:
    assert made.code == 0, made.text
    with world.view() as running:
        yield running


@pytest.fixture(autouse=True)
def _no_secret_is_told(world: World) -> Iterator[None]:
    yield
    assert world.told() == set()


def test_a_secret_that_somebody_is_told_is_found(world: World) -> None:
    world.said += [f"jakwatch: a fault ({PATIENT}, 1 message)"]
    try:
        assert world.told() == {PATIENT}
    finally:
        world.said.pop()


# End to end, with the rights that `topics apply` gives and no other


def test_topics_and_rights_are_made_by_one_command_and_a_second_finds_nothing_to_do(world: World, made: Said) -> None:
    assert made.code == 0, made.text
    assert "made jakwatch.v1.in.lisbon\n" in made.text
    assert "given: User:hospital-oslo may WRITE topic jakwatch.v1.in.oslo\n" in made.text
    again = applied(world)
    assert (again.code, again.text.splitlines()[-1]) == (0, "all is as it should be: 13 topics, 26 rights")


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize("site", SITES)
def test_what_a_hospital_publishes_is_answered_where_it_reads_it_itself_and_shown_by_a_view(
    world: World, view: Viewed, site: str
) -> None:
    treatment_id = f"RX-{site}"
    published = world.publish(site, order(treatment_id))
    assert (published.code, f"1 message confirmed ({site} 1)" in published.text) == (0, True), published.text
    world.until_answered(site, treatment_id, "hold")
    until(lambda: shown(view, site, treatment_id) == ["hold"], "the view shows it", COMES_WITHIN)
    assert treatment_id in view.get("")[1]


def shown(view: Viewed, site: str, treatment_id: str) -> list[str]:
    """The decisions that a view shows of a course."""
    _, found = view.get(f"v1/sites/{site}/answers", treatment_id=treatment_id)
    return [each["decision"] for each in found["answers"]]


@pytest.mark.usefixtures("worker")
def test_what_a_person_decides_at_a_view_changes_what_the_hospital_reads(world: World, view: Viewed) -> None:
    assert world.publish("oslo", order("RX-waived")).code == 0
    world.until_answered("oslo", "RX-waived", "hold")
    who = {"by": "A. Sousa", "role": "safety officer", "reason": "screened abroad, papers seen"}
    for infection in INFECTIONS:
        status, found = view.act(
            action="sign_waiver", action_id=f"waive-{infection}", site="oslo", infection=infection,
            treatment_id="RX-waived", **who,
        )  # fmt: skip
        assert status == 200, found
    world.until_answered("oslo", "RX-waived", "screening_complete")


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize("site", SITES)
def test_a_hospital_sees_itself_why_a_message_of_its_own_was_rejected(world: World, site: str) -> None:
    assert world.publish(site, order("RX-bad") | {"dose": "one tablet"}).code == 0
    hospital = world.hospital(site)

    def rules() -> list[str]:
        said = world.jakwatch("rejected", "list", "--site", site, "--format", "json", who=hospital)
        assert said.code == 0, said.text
        return [each["path"] for each in json.loads(said.text[said.text.index("{\n") :])["rejected"]]

    until(lambda: rules() == ["dose"], "the hospital reads the rejection", COMES_WITHIN)


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize("kind", ["facts", "out"])
def test_no_identifier_of_a_patient_is_in_what_is_kept(world: World, kind: str) -> None:
    assert world.publish("lisbon", order(f"RX-{kind}")).code == 0
    world.until_answered("lisbon", f"RX-{kind}", "hold")
    kept = world.values(kind, "lisbon", world.broker.connection(VIEW))
    assert len(kept) >= 2
    assert [value for value in kept if PATIENT.encode() in value] == []


@pytest.mark.parametrize("role", ["monitor", "view", "publish"])
def test_the_doctor_finds_nothing_wrong_with_least_rights_but_what_hospitals_sent(
    world: World, worker: Worker, view: Viewed, role: str
) -> None:
    site, user = "oslo", {"monitor": MONITOR, "view": VIEW}.get(role)
    who = world.hospital(site) if user is None else world.broker.connection(user)
    at = [] if user is None else ["--workers", address(worker), "--views", view.url.rstrip("/")]
    said = world.jakwatch("doctor", "--role", role, "--site", site, *at, who=who)
    findings = [line for line in said.text.splitlines() if line.startswith("finding") and " rejected: " not in line]
    assert (said.code <= ExitCode.FINDINGS, findings) == (True, []), said.text


@pytest.mark.usefixtures("worker")
def test_a_hospital_whose_certificate_was_renewed_goes_on(world: World) -> None:
    before = world.hospital("oslo").cert
    assert before is not None
    old = before.read_bytes()
    world.broker.hospitals.sign("oslo")
    assert before.read_bytes() != old
    assert world.publish("oslo", order("RX-renewed")).code == 0
    world.until_answered("oslo", "RX-renewed", "hold")


def test_a_worker_and_a_view_that_are_looked_into_tell_no_secret(world: World, made: Said) -> None:
    assert made.code == 0, made.text
    with debugging(), world.worker("looked-into"), world.view() as view:
        assert world.publish("lisbon", order("RX-debug")).code == 0
        until(lambda: shown(view, "lisbon", "RX-debug") == ["hold"], "the view shows it", COMES_WITHIN)
        assert world.told() == set()


# Who is not let in, or Kafka is not there: every command says so and ends

COMMANDS = {
    "monitor": ("monitor", "--port", "0"),
    "view": ("view", "--port", "0"),
    "publish": ("publish", "-", "--site", "oslo"),
    "canary": ("canary", "--once"),
    "rejected list": ("rejected", "list", "--site", "oslo"),
    "rejected replay": ("rejected", "replay", "--site", "oslo", "--yes"),
    "topics check": ("topics", "check", "--site", "oslo"),
    "topics apply": ("topics", "apply", "--site", "oslo", "--acls"),
    "doctor": ("doctor", "--site", "oslo"),
}
CAUSES: dict[str, tuple[Callable[[World], Connection], str]] = {
    "wrong password": (
        lambda world: wrong(world.broker.connection(MONITOR)),
        r"does not know the user jakwatch-monitor with this password\.?\s+Do next: look at --broker-user",
    ),
    "certificate that ended": (
        lambda world: world.broker.connection("ended", "mtls"),
        r"ended\.crt ended on 2024-02-01\.?\s+Do next: have a new one made",
    ),
    "no broker": (
        lambda world: replace(world.broker.connection(MONITOR), servers="127.0.0.1:1"),
        r"nobody listens at 127\.0\.0\.1:1\.?\s+Do next: start Kafka there",
    ),
}


@pytest.mark.parametrize("cause", CAUSES)
@pytest.mark.parametrize("command", COMMANDS)
def test_whoever_is_not_let_in_hears_why_within_seconds_and_ends(world: World, command: str, cause: str) -> None:
    reached, words = CAUSES[cause]
    rules = world.rules if command in {"monitor", "view"} else []
    given = json.dumps(order("RX-never")).encode() if command == "publish" else b""
    said = world.jakwatch(*COMMANDS[command], *rules, who=reached(world), given=given)
    assert (said.code, bool(re.search(words, said.text))) == (ExitCode.SERVICE_MISSING, True), said.text


# Who lacks a right: the process that would wait for ever does not start

LACKING: list[tuple[Role, str, str]] = [
    ("monitor", "READ", "jakwatch.v1.in."),
    ("monitor", "WRITE", "jakwatch.v1.facts."),
    ("monitor", "READ", "jakwatch.v1.actions"),
    ("monitor", "READ", "jakwatch-monitor"),
    ("monitor", "WRITE", "jakwatch-monitor-"),
    ("view", "READ", "jakwatch.v1.facts."),
    ("view", "READ", "jakwatch.v1.out."),
    ("view", "WRITE", "jakwatch.v1.actions"),
]


@pytest.mark.usefixtures("made")
@pytest.mark.parametrize(("role", "operation", "name"), LACKING)
def test_a_process_that_lacks_a_right_names_it_and_does_not_start(
    world: World, role: Role, operation: str, name: str
) -> None:
    rights = rights_of(role, SITES)
    left = [right for right in rights if (right.operation, right.name) != (operation, name)]
    assert len(left) == len(rights) - 1
    said = world.jakwatch(role, *world.rules, "--port", "0", who=world.user_with(left))
    assert said.code == ExitCode.SERVICE_MISSING, said.text
    assert f"our user may not {operation} " in said.text, said.text
    assert name in said.text
    assert "Do next: have an administrator run `jakwatch topics apply --acls`" in said.text


@pytest.mark.usefixtures("made")
def test_a_hospital_is_not_told_that_the_topics_of_another_are_there(world: World) -> None:
    lisbon = world.hospital("lisbon")
    message = json.dumps(order("RX-not-mine")).encode()
    sent = world.jakwatch("publish", "-", "--site", "oslo", who=lisbon, given=message)
    assert sent.code == ExitCode.SERVICE_MISSING
    assert "there is no topic jakwatch.v1.in.oslo that we may see" in sent.text
    read = world.jakwatch("rejected", "list", "--site", "oslo", who=lisbon)
    assert read.code == ExitCode.SERVICE_MISSING
    assert "there is no topic jakwatch.v1.rejected.oslo that we may see" in read.text


# A right that is taken away from a worker at work, and given again


@pytest.fixture
def without(world: World, request: pytest.FixtureRequest) -> Iterator[acls.Right]:
    """A right of the monitor that it has no more, while it works."""
    operation, name = request.param
    (right,) = [each for each in rights_of("monitor", SITES) if (each.operation, each.name) == (operation, name)]
    with administering(world.broker.connection()) as admin:
        taken_away(admin, right)
        try:
            yield right
        finally:
            acls.give(admin, [right])


@pytest.mark.parametrize(
    "without", [("READ", "jakwatch-monitor"), ("READ", "jakwatch.v1.in.")], indirect=True, ids=["group", "topic"]
)
def test_a_worker_that_may_read_no_more_ends_and_says_why_until_it_may_again(
    world: World, worker: Worker, without: acls.Right
) -> None:
    ended = len(worker.codes)
    until(lambda: ExitCode.SERVICE_MISSING in worker.codes[ended:], "it does not start again", COMES_WITHIN)
    assert worker.codes[ended] == ExitCode.STOPPED_TO_BE_RESTARTED
    assert f"our user may not READ {'as the group ' * (without.kind == 'GROUP')}{without.name}" in worker.all_said()
    give_back(world, without)
    until(worker.is_ready, "it works again", COMES_WITHIN)


@pytest.mark.parametrize("without", [("WRITE", "jakwatch-monitor-")], indirect=True, ids=["transactional id"])
def test_a_worker_that_may_write_no_more_is_not_ready_and_answers_once_it_may_again(
    world: World, worker: Worker, without: acls.Right
) -> None:
    assert world.publish("lisbon", order("RX-late")).code == 0
    until(lambda: worker.get("readyz")[0] == 503, "it is not ready", COMES_WITHIN)
    assert "TransactionalIdAuthorizationFailed" in worker.said() or "WRITE as the transactional id" in worker.said()
    assert ("RX-late", "order") not in world.answers("lisbon")
    give_back(world, without)
    world.until_answered("lisbon", "RX-late", "hold")


def give_back(world: World, right: acls.Right) -> None:
    with administering(world.broker.connection()) as admin:
        acls.give(admin, [right])
