"""A replica shows what the owners wrote and counts what they counted, however the records reach it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import cache
from random import Random
from typing import Any

import pytest
import yaml

from monitor.core.registry import Registry, RegistryDocument
from monitor.kafka import wire
from monitor.kafka.names import topic
from monitor.policyfile import default_policy_path, load_policies
from monitor.records import Answer, write_answer
from monitor.replay import Question, replay_lines
from monitor.rulebook import check_key
from monitor.sites import Rules, UnknownSiteError
from monitor.stream.replica import WrongKeyError
from monitor.stream.shown import ReplicaView
from monitor.stream.standing import ReplicaOverview, Seen, SeenSite
from monitor.view import NotKnownError
from tests.data.good_history import HOSPITALS, SITES, good_lines
from tests.data.paper_log import PaperLog, Reader

KEY = b"\x17" * 32
RULES = Rules(
    load_policies([default_policy_path()]),
    Registry((RegistryDocument.model_validate(yaml.safe_load(SITES)),)),
    KEY,
)
EVENING = datetime(2025, 7, 1, 18, tzinfo=UTC)
GARBAGE = [b"not json", b'{"type": "no_such"}', b"\xff"]
KINDS = ("facts", "out")


@cache
def lines() -> dict[str, list[bytes]]:
    """By site, with something in between that is rejected."""
    found: dict[str, list[bytes]] = {site: list(GARBAGE) for site in HOSPITALS}
    for line in good_lines():
        found[json.loads(line)["site"]].append(line)
    return found


@pytest.fixture(scope="module")
def log() -> PaperLog:
    """What the owners of three hospitals have written of a year, in batches; nobody writes any more."""
    made = PaperLog(RULES, EVENING)
    for site, given in lines().items():
        for first in range(0, len(given), 40):
            made.take(site, given[first : first + 40])
    return made


@pytest.fixture
def own() -> PaperLog:
    """A log that a test may go on with: one hospital's."""
    made = PaperLog(RULES, EVENING)
    made.take("lisbon", lines()["lisbon"])
    return made


def opened(log: PaperLog) -> Reader:
    reader = Reader(log)
    reader.open()
    return reader


def as_text(result: dict[str, Any]) -> str:
    return json.dumps(result, indent=1, ensure_ascii=False)


def replayed(log: PaperLog, reader: Reader) -> dict[str, Any]:
    given = [line for line in log.given if line not in GARBAGE]
    as_of = reader.replica.today_everywhere()
    return replay_lines(given, Question(RULES.policies, RULES.registry, as_of=as_of, key=KEY))


def without_what_was_rejected(result: dict[str, Any]) -> dict[str, Any]:
    """Files name no site for lines that cannot be read, so replay is not given them."""
    rejected = sum(result["messages"]["rejected"].values())
    messages = result["messages"] | {"received": result["messages"]["received"] - rejected, "rejected": {}}
    return result | {"messages": messages}


def overview(reader: Reader) -> ReplicaOverview:
    found = ReplicaView(reader.replica).overview()
    assert isinstance(found, ReplicaOverview)
    return found


def digest(reader: Reader) -> str:
    found = overview(reader).digest
    assert found is not None
    return found


# The same as replay, however it comes


def test_a_replica_says_what_replay_says_of_the_same_messages(log: PaperLog) -> None:
    reader = opened(log)
    result = ReplicaView(reader.replica).result()
    assert result["messages"]["rejected"] == {"not_json": 6, "unknown_type": 3}
    assert as_text(without_what_was_rejected(result)) == as_text(replayed(log, reader))


def test_answers_and_cases_are_those_that_the_owners_gave(log: PaperLog) -> None:
    reader = opened(log)
    for site, keeper in log.keepers.items():
        mine = reader.replica.keepers[site]
        assert {course: said.content for course, said in mine.said.items()} == {
            course: said.content for course, said in keeper.said.items()
        }
        assert mine.open.keys() == keeper.open.keys()
        assert (+mine.decisions, mine.tally) == (+keeper.decisions, keeper.tally)
    assert overview(reader).cases


@pytest.mark.parametrize("seed", range(5))
def test_records_in_any_portions_and_topics_in_any_order_come_to_the_same_digest(log: PaperLog, seed: int) -> None:
    expected, reader = digest(opened(log)), Reader(log)
    rng = Random(seed)  # noqa: S311  no secret
    reader.hear()
    for site in reader.replica.names:
        reader.replica.begin(site)
    left = [(kind, site) for kind in KINDS for site in HOSPITALS]
    while left:
        which = rng.choice(left)
        if not reader.step(*which, at_most=rng.choice((1, 7, 100))):
            left.remove(which)
        elif rng.random() < 0.2:
            reader.replica.arrived(rng.choice(HOSPITALS))
            reader.replica.welcome()
            reader.replica.tick()
    reader.catch_up()
    assert digest(reader) == expected


def test_what_is_read_twice_counts_once(log: PaperLog) -> None:
    expected, reader = digest(opened(log)), opened(log)
    for site in HOSPITALS:
        for kind in KINDS:
            reader.replica.take([(topic(kind, site), log.topic(kind, site).records[-50:])])
    reader.catch_up()
    assert digest(reader) == expected


def test_a_compacted_log_comes_to_the_same_digest(log: PaperLog) -> None:
    expected, reader = digest(opened(log)), Reader(log)
    for site in reader.replica.names:
        reader.replica.begin(site)
        for kind in KINDS:
            reader.replica.take([(topic(kind, site), log.topic(kind, site).compacted())])
    for site in reader.replica.names:
        reader.replica.arrived(site)
    reader.rest()
    assert digest(reader) == expected


def test_one_record_more_is_another_digest_at_other_offsets(own: PaperLog) -> None:
    reader = opened(own)
    before, offset = digest(reader), reader.replica.followed["lisbon"].facts.offset
    own.take("lisbon", [b"no message"])
    reader.catch_up()
    assert digest(reader) != before
    assert reader.replica.followed["lisbon"].facts.offset > offset


def test_live_records_are_judged_and_counted_as_they_come(own: PaperLog) -> None:
    reader = Reader(own)
    reader.open()
    for first in range(0, 200, 50):
        own.take("madrid", lines()["madrid"][first : first + 50])
        reader.catch_up()
        result = ReplicaView(reader.replica).result()
        assert as_text(without_what_was_rejected(result)) == as_text(replayed(own, reader))
    assert digest(reader) == digest(opened(own))


# What is shown when


def test_a_site_is_shown_only_when_all_of_it_is_read_and_counted(log: PaperLog) -> None:
    reader = Reader(log)
    for site in reader.replica.names:
        reader.replica.begin(site)
    while reader.step("facts", "lisbon") or reader.step("out", "lisbon"):
        pass
    reader.rest()
    assert "lisbon" not in reader.replica.keepers
    reader.replica.arrived("lisbon")
    reader.rest()
    assert list(reader.replica.keepers) == ["lisbon"]
    assert reader.replica.keepers["lisbon"].state.uncounted == 0


def test_while_a_site_is_read_there_are_no_rates_no_digest_and_no_result(log: PaperLog) -> None:
    reader = opened(log)
    assert overview(reader).result["rates"]
    reader = Reader(log)
    for site in set(reader.replica.names) - {"madrid"}:
        reader.replica.absent(site)
    seen = overview(reader)
    assert (seen.result["rates"], seen.digest) == ([], None)
    assert seen.replica is not None
    assert seen.replica.not_shown == ("madrid",)
    with pytest.raises(NotKnownError, match="1 of 5 sites"):
        ReplicaView(reader.replica).result()


def test_a_site_without_topics_is_shown_as_one_that_was_never_heard_of(log: PaperLog) -> None:
    reader = opened(log)
    reader.replica.seen = Seen({site: SeenSite(0.0) for site in HOSPITALS}, None, was_asked=True)
    standing = overview(reader).replica
    assert standing is not None
    assert {each.site: each.state for each in standing.sites} == dict.fromkeys(HOSPITALS, "read") | {
        "kiritimati": "unseen",
        "niue": "unseen",
    }
    assert {each.site for each in overview(reader).sites} == set(reader.replica.names)


def test_an_answer_is_given_only_while_it_is_known_to_stand(log: PaperLog) -> None:
    reader = opened(log)
    replica = reader.replica
    course = next(iter(replica.followed["lisbon"].answers))[0]
    assert replica.answers("lisbon", course)
    assert replica.answers("lisbon", "no such course") == []
    replica.seen = Seen({}, replica.now() - 60_000_000, was_asked=True)
    with pytest.raises(NotKnownError, match="has not answered since"):
        replica.answers("lisbon", course)
    replica.seen = Seen({}, None, was_asked=True)
    replica.leave("lisbon", "the log of lisbon cannot be read.")
    with pytest.raises(NotKnownError, match="cannot be read"):
        replica.answers("lisbon", course)
    with pytest.raises(UnknownSiteError):
        replica.keeper("atlantis")


def test_readiness_says_what_is_missing(log: PaperLog) -> None:
    reader = Reader(log)
    assert "being asked" in (reader.replica.not_as_it_is() or "")
    reader.replica.seen = Seen({}, None, was_asked=True)
    assert reader.replica.not_as_it_is() == "5 of 5 sites are still being read"
    reader.open()
    assert reader.replica.not_as_it_is() is None
    reader.replica.seen = Seen({}, 1_751_392_800_000_000, was_asked=True)
    assert reader.replica.not_as_it_is() == "Kafka has not answered since 2025-07-01T18:00:00.000000Z"


def canary(name: str, decision: str) -> wire.Record:
    said = Answer(site="canary", treatment_id=name, kind="start", decision=decision)
    return wire.answer((name, "start"), write_answer(said))


def test_a_canary_whose_violation_came_through_is_seen_and_counts_nowhere(own: PaperLog) -> None:
    reader = opened(own)
    view = ReplicaView(reader.replica)
    before = view.overview()
    for record in (
        canary("canary-1751392800", "violation"),
        canary("canary-1751392920", "unassessable"),
        canary("course", "violation"),
        wire.Record(b"no key", b"nothing"),
        canary("canary-1751392680", "violation"),
    ):
        own.write("out", "canary", record)
    reader.replica.see_canary(own.topic("out", "canary").records)
    state = view.replica(view.overview())
    assert state is not None
    assert state.canary_seen_at == "2025-07-01T18:00:00.000000Z"
    assert view.overview().result == before.result


# What is gone


def erased(log: PaperLog, site: str, word: bytes) -> int:
    """Erase all facts of a site whose key has the word; returns how many."""
    keys = [each.key for each in log.topic("facts", site).records if word in each.key]
    for key in keys:
        log.write("facts", site, wire.Record(key, None))
    return len(keys)


def test_an_erased_fact_is_forgotten_at_once_and_by_whoever_reads_later(own: PaperLog) -> None:
    reader = opened(own)
    before = ReplicaView(reader.replica).result()["messages"]["accepted"]
    gone = erased(own, "lisbon", b"lost-")
    assert gone > 3
    reader.catch_up()
    after = ReplicaView(reader.replica).result()
    assert before - after["messages"]["accepted"] >= gone - 3  # of corrections one stands
    assert "lost" not in json.dumps(after["decisions"]) + json.dumps(after["open_conflicts"])
    late = opened(own)
    assert as_text(ReplicaView(late.replica).result()) == as_text(after)
    assert digest(late) == digest(reader)


def test_what_was_shown_is_shown_until_the_rest_is_read_anew(own: PaperLog) -> None:
    reader = opened(own)
    erased(own, "lisbon", b"lost-")
    reader.step("facts", "lisbon")
    assert reader.replica.anew == {"lisbon"}
    reader.replica.begin("lisbon")
    assert reader.replica.not_shown() == []
    assert overview(reader).result["rates"]


def test_a_tombstone_of_what_was_never_read_makes_nobody_read_anew(own: PaperLog) -> None:
    reader = opened(own)
    own.write("facts", "lisbon", wire.Record(b'{"event_id":"nobody-knows","recorded_at":"","digest":""}', None))
    reader.step("facts", "lisbon")
    assert reader.replica.anew == set()


def test_an_answer_that_is_gone_is_no_answer(own: PaperLog) -> None:
    reader = opened(own)
    course = next(iter(reader.replica.followed["lisbon"].answers))
    own.write("out", "lisbon", wire.answer(course, None))
    reader.catch_up()
    assert course[1] not in [each.kind for each in reader.replica.answers("lisbon", course[0])]
    assert course not in reader.replica.keepers["lisbon"].said


# What it refuses


def test_another_pseudonym_key_is_refused(log: PaperLog) -> None:
    reader = Reader(log, Rules(RULES.policies, RULES.registry, b"\x18" * 32))
    with pytest.raises(WrongKeyError, match="was written with another pseudonym key"):
        reader.open()


def test_a_later_word_of_another_key_is_refused_too(own: PaperLog) -> None:
    reader = opened(own)
    own.write("facts", "lisbon", wire.meta({"pseudonym_key": check_key(None, b"other", "")}))
    with pytest.raises(WrongKeyError):
        reader.catch_up()


@pytest.mark.parametrize(
    ("kind", "record"),
    [
        ("facts", wire.Record(b'{"event_id":"x"}', b'{"schema":99}')),
        ("facts", wire.Record(wire.POSITION, b'{"schema":99,"topic":"t","offset":1,"tally":{}}')),
        ("facts", wire.Record(wire.META, b"nothing")),
        ("out", wire.Record(b"no course", b"{}")),
        ("out", wire.Record(b'{"treatment_id":"t","kind":"order"}', b"Ana Lopes")),
    ],
)
def test_a_site_that_cannot_be_read_stops_no_other(own: PaperLog, kind: str, record: wire.Record) -> None:
    own.write(kind, "lisbon", record)
    own.take("madrid", lines()["madrid"])
    reader = opened(own)
    assert "lisbon" not in reader.replica.keepers
    assert reader.replica.keepers["madrid"].said
    assert "lisbon" in (reader.replica.not_as_it_is() or "")
    assert "Ana" not in (reader.replica.not_as_it_is() or "")
