"""`jakwatch doctor` on a secured broker: certificates, rights, what somebody decided; and no secret is told."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from monitor.core.policy import PolicyDocument
from monitor.doctor.examination import Given, examine
from monitor.kafka import acls
from monitor.kafka.connection import Connection
from monitor.kafka.names import ACTIONS
from monitor.kafka.reach import administering
from monitor.policyfile import default_policy_path, load_policies
from tests.integration.broker import Broker, password_of
from tests.integration.doctor_visit import (
    KEY,
    findings,
    given,
    keep,
    key_file,
    make_topics,
    of,
    registered,
    run,
    send,
)


class ShortLived(Broker):
    """A secured broker whose certificate ends in twenty days."""

    def _format(self) -> None:
        self.authority.sign("broker", valid=(openssl_time(-1), openssl_time(20)))
        super()._format()


def openssl_time(days: int) -> str:
    return f"{datetime.now(UTC) + timedelta(days=days):%Y%m%d%H%M%SZ}"


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """With the site lisbon, and users with the rights of a monitor and of a view."""
    kafka = ShortLived(tmp_path_factory.mktemp("doctor"), secured=True)
    kafka.start()
    for user in ("jakwatch-monitor", "jakwatch-view", "hospital-lisbon", "stranger"):
        kafka.add_user(user)
    make_topics(kafka.connection(), "lisbon")
    with administering(kafka.connection()) as admin:
        acls.give(admin, acls.wanted(["lisbon"], acls.Users()))
    keep(kafka.connection(), "lisbon", position=0)
    yield kafka
    kafka.stop()


def test_kafkas_certificate_that_ends_soon_is_a_finding(secured: Broker, tmp_path: Path) -> None:
    connection = secured.connection("jakwatch-monitor")
    said = findings(examine(given(connection, "lisbon", tmp_path=tmp_path)))
    ((check, text, todo),) = said
    assert check == "certificates"
    assert re.fullmatch(rf"the certificate of Kafka at {connection.servers} ends in (19|20) days, on [0-9-]+", text)
    assert todo.startswith("have it renewed there")


def test_our_certificate_that_ends_soon_is_a_finding(secured: Broker, tmp_path: Path) -> None:
    secured.hospitals.sign("lisbon", valid=(openssl_time(-1), openssl_time(10)))
    connection = secured.connection("lisbon", "mtls")
    said = [each.text for each in of("certificates", examine(given(connection, "lisbon", tmp_path=tmp_path)))]
    assert any(
        re.fullmatch(rf"our certificate {connection.cert} ends in (9|10) days, on [0-9-]+", each) for each in said
    )


def test_a_certificate_that_has_ended_is_told_although_kafka_lets_nobody_in(secured: Broker, tmp_path: Path) -> None:
    secured.hospitals.sign("ended", valid=("20240101000000Z", "20240201000000Z"))
    asked = secured.connection("ended", "mtls")
    code, text = run(
        "--broker", asked.servers, "--broker-ca", asked.ca or "", "--broker-cert", asked.cert or "",
        "--broker-key", asked.key or "", "--sites", registered(tmp_path, "lisbon"),
    )  # fmt: skip
    assert code == 69
    assert f"finding  certificates: our certificate {asked.cert} ended on 2024-02-01" in text


def test_an_authority_that_ends_soon_is_a_finding_and_one_that_signed_nothing_here_is_not(
    secured: Broker, tmp_path: Path
) -> None:
    both = tmp_path / "both.crt"
    both.write_bytes(secured.authority.ca.read_bytes() + authority_ending(tmp_path).read_bytes())
    known = Connection(secured.servers, both, user="admin", password=password_of("admin"))
    told = [each.text for each in of("certificates", examine(given(known, "lisbon", tmp_path=tmp_path)))]
    assert len(told) == 1
    assert "Kafka at" in told[0]
    alone = Connection("127.0.0.1:1", authority_ending(tmp_path))
    (said,) = of("certificates", examine(given(alone, "lisbon", tmp_path=tmp_path)))
    assert re.match(r"old CA, an authority in \S+, ends in (4|5) days", said.text)
    assert said.todo.startswith("add the authority that follows it to --broker-ca everywhere")


def authority_ending(folder: Path) -> Path:
    path = folder / "old.crt"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc", "-days", "5",  # noqa: S607
         "-subj", "/CN=old CA", "-keyout", folder / "old.key", "-out", path],
        check=True, capture_output=True,
    )  # fmt: skip
    return path


def test_a_right_that_is_missing_is_a_finding(secured: Broker, tmp_path: Path) -> None:
    connection = secured.connection("stranger")
    said = findings(examine(given(connection, "lisbon", tmp_path=tmp_path)))
    assert ("rights", "our user may not READ as the group jakwatch-monitor", GIVE) in said
    assert ("rights", "our user may not WRITE as the transactional id jakwatch-monitor-lisbon", GIVE) in said
    assert any(text.startswith("our user may not READ jakwatch.v1.in.lisbon, jakwatch.v1.") for _, text, _ in said)


GIVE = "have an administrator run `jakwatch topics apply --acls`, which names the users and what each may"


def test_a_hospital_sees_whether_it_may_publish_and_nothing_of_others(secured: Broker, tmp_path: Path) -> None:
    asked = given(secured.connection("hospital-lisbon"), "lisbon", tmp_path=tmp_path, role="publish")
    said = list(examine(asked))
    assert [each.text for each in said if each.check == "rights"] == ["our user may do what publish does"]
    assert not {each.check for each in said} & {"topics", "key", "lag", "progress", "rejected", "activation"}
    elsewhere = given(secured.connection("hospital-lisbon"), "porto", tmp_path=tmp_path, role="publish")
    (said_of_rights,) = of("rights", examine(elsewhere))
    assert said_of_rights.text == "our user may not WRITE jakwatch.v1.in.porto, if they are there at all"


def test_who_sees_no_site_is_not_told_that_all_is_well(secured: Broker) -> None:
    seen = Given(secured.connection("stranger"), "publish", load_policies([default_policy_path()]), None, time.time)
    (said,) = of("topics", examine(seen))
    assert (said.result, said.text) == ("finding", "not one topic of a site can be seen")
    assert said.todo.startswith("if nobody has made any yet, make them: jakwatch topics apply --sites FILE")


def test_what_a_user_may_not_see_is_unseen_and_no_finding(secured: Broker, tmp_path: Path) -> None:
    asked = given(secured.connection("jakwatch-view"), "lisbon", tmp_path=tmp_path, role="view")
    said = list(examine(asked))
    assert {each.check for each in said if each.result == "finding"} == {"certificates"}
    assert {each.check for each in said if each.result == "unseen"} == {"processes", "topics", "lag"}


def test_who_may_not_ask_for_the_time_still_sees_that_kafka_is_ahead(secured: Broker, tmp_path: Path) -> None:
    asked = given(secured.connection("jakwatch-monitor"), "lisbon", tmp_path=tmp_path, time=lambda: time.time() - 3600)
    (said,) = of("clock", examine(asked))
    assert re.fullmatch(
        "the clock of Kafka, as far as what it wrote last tells is .* ahead of this machine's", said.text
    )


def test_a_policy_that_nobody_activated_is_a_finding_until_somebody_has(secured: Broker, tmp_path: Path) -> None:
    policies = [default_policy_path(), later_version(tmp_path)]
    later = load_policies(policies)[1]
    asked = given(secured.connection(), "lisbon", tmp_path=tmp_path, policies=load_policies(policies))
    (said,) = of("activation", examine(asked))
    assert said.text == "version 99 of the policy is given, and nobody has activated it: on 2999-01-01 it is void"
    assert later.sha256 in said.todo
    send(secured.connection(), ACTIONS, activation(later), b"a1")
    assert [each.result for each in of("activation", examine(asked))] == ["ok"]
    without = given(secured.connection(), "lisbon", tmp_path=tmp_path)
    (said,) = of("activation", examine(without))
    assert said.text == f"version 99 of policy ({later.sha256[:8]}...) was activated and is not given here"


def later_version(folder: Path) -> Path:
    """The built-in policy once more, from a day that never comes. Its code lists stand beside it."""
    shutil.copytree(default_policy_path().parent, folder / "later")
    path = folder / "later" / default_policy_path().name
    text = re.sub(r"effective_from: [0-9-]+", "effective_from: 2999-01-01", path.read_text(encoding="utf-8"), count=1)
    path.write_text(re.sub(r"version: \d+", "version: 99", text, count=1), encoding="utf-8")
    return path


def activation(policy: PolicyDocument) -> bytes:
    said = {"action": "activate", "action_id": "a1", "at": "2026-01-01T00:00:00Z", "by": "A. Silva", "role": "officer"}
    more = {"reason": "rehearsed", "what": "policy", "version": policy.policy.version, "sha256": policy.sha256}
    return json.dumps(said | more).encode()


def test_no_secret_is_told(secured: Broker, tmp_path: Path) -> None:
    connection, password = secured.connection("stranger"), tmp_path / "password"
    password.write_text(password_of("stranger"), encoding="ascii")
    password.chmod(0o600)
    _, text = run(
        "--broker", connection.servers, "--broker-ca", connection.ca or "", "--broker-user", "stranger",
        "--broker-password", password, "--sites", registered(tmp_path, "lisbon"), "--key", key_file(tmp_path),
    )  # fmt: skip
    assert "our user may not READ" in text
    assert password_of("stranger") not in text
    assert KEY.hex() not in text
