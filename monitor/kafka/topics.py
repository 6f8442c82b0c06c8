"""The topics that sites need, with the settings on which our promises rest: made, compared, mended.

Kafka deletes and compacts whole segments only, and never the one it writes to. So how soon bytes are gone follows from
how often segments are closed, and a segment is closed by the first record that comes after its time is up: the days
promised here hold where at least one record a day is written to the topic.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from monitor.kafka.names import ACTIONS, KINDS, topic
from schemas.parts import RESERVED_SITE

if TYPE_CHECKING:
    from kafka import KafkaAdminClient

IN_DAYS, REJECTED_DAYS = 14, 30  # how long messages are kept: contract, section 3
# From when on nothing is left of what was erased or has run out; the derivation stands at the settings below.
IN_GONE_WITHIN_DAYS, REJECTED_GONE_WITHIN_DAYS, COMPACTED_WITHIN_DAYS = IN_DAYS + 2, REJECTED_DAYS + 2, 7

_HOUR_MS = 3_600_000
_DAY_MS = 24 * _HOUR_MS
_CONFIRMING, _LARGEST = "min.insync.replicas", "max.message.bytes"
_ALWAYS = {
    "message.timestamp.type": "LogAppendTime",  # when Kafka wrote it: clocks of others neither keep nor drop a segment
    "unclean.leader.election.enable": "false",  # a broker that missed records must not speak for the topic
    "retention.bytes": "-1",
}
# A segment holds at most a day, and goes when its last record has run out: a day and some minutes later than it says.
_DELETED = {"cleanup.policy": "delete", "segment.ms": str(_DAY_MS)}
# A record that a tombstone replaces is in a closed segment after a day and a half at most, and compacted at once: it is
# older than the lag. The tombstone goes with the first compaction after three more days, at most a day and a half on.
_COMPACTED = {
    "cleanup.policy": "compact",
    "retention.ms": "-1",
    "segment.ms": str(12 * _HOUR_MS),
    "max.compaction.lag.ms": str(12 * _HOUR_MS),
    "min.compaction.lag.ms": "0",
    "delete.retention.ms": str(3 * _DAY_MS),  # whoever goes on reading after a longer pause may miss a tombstone
}
_BY_KIND: Mapping[str, Mapping[str, str]] = {
    "in": {**_DELETED, "retention.ms": str(IN_DAYS * _DAY_MS), _LARGEST: "1048588"},  # Kafka's own limit
    "facts": _COMPACTED,
    "out": _COMPACTED,
    # Whatever the inbound topic took has to fit, with what we say of it.
    "rejected": {**_DELETED, "retention.ms": str(REJECTED_DAYS * _DAY_MS), _LARGEST: str(2 << 20)},
}
# The canary's: nobody is treated there, so nothing is kept longer than somebody may want to look into it.
_CANARY = {**_DELETED, "segment.ms": str(6 * _HOUR_MS), "retention.ms": str(_DAY_MS)}
_EXISTS_ALREADY, _MAY_NOT_SEE = 36, 29  # Kafka's error codes
_ADMINISTRATOR = "use an administrator's credentials; deploy/kafka/README.md says what they may"

Settings = Mapping[str, str]


class TopicsError(Exception):
    """Kafka refuses to change topics; the text says what and why."""


class Found(NamedTuple):
    """A topic as it is."""

    partitions: int
    replicas: int  # of the partition that has the fewest
    settings: Settings  # all of them, defaults too; none where we may not see them


HIDDEN = Found(0, 0, {})  # there or not: we may not see it


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong with a topic, and what to do."""

    topic: str
    text: str
    todo: str
    setting: tuple[str, str] | None = None  # what would mend it

    def __str__(self) -> str:
        return f"{self.topic}: {self.text}. Do next: {self.todo}"


def wanted(sites: Iterable[str], replication: int) -> dict[str, Settings]:
    """The settings of each topic that the sites need, by name; `replication` brokers keep each."""
    kinds = {topic(kind, site): _of_site(kind, site) for site in sorted(sites) for kind in KINDS}
    needed = {_CONFIRMING: str(max(1, replication - 1))}  # one may be down, and what is confirmed stays
    return {name: {**_ALWAYS, **its, **needed} for name, its in {ACTIONS: _COMPACTED, **kinds}.items()}


def _of_site(kind: str, site: str) -> Settings:
    return _CANARY if site == RESERVED_SITE else _BY_KIND[kind]


def found(admin: KafkaAdminClient, names: Iterable[str]) -> dict[str, Found]:
    """Those of the topics that are there, and those of which we may not know."""
    told = admin.describe_topics(list(names))
    hidden = {each["name"]: HIDDEN for each in told if each["error_code"] == _MAY_NOT_SEE}
    there = {each["name"]: each["partitions"] for each in told if each["partitions"]}
    settings = _settings(admin, there)
    return hidden | {
        name: Found(len(parts), min(len(part["replica_nodes"]) for part in parts), settings[name])
        for name, parts in there.items()
    }


def _settings(admin: KafkaAdminClient, names: Iterable[str]) -> dict[str, Settings]:
    """Without the filter the client would leave out what comes from the brokers' own settings."""
    from kafka.admin import ConfigResource, ConfigResourceType  # noqa: PLC0415

    asked = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    told = admin.describe_configs(asked, config_filter="all").get("topic", {}) if asked else {}
    return {name: {key: each["value"] for key, each in told[name].items()} for name in told}


def compare(expected: Mapping[str, Settings], there: Mapping[str, Found], replication: int) -> Iterator[Finding]:
    """What is missing or otherwise than it should be, topic by topic."""
    for name, settings in expected.items():
        if name not in there:
            yield Finding(name, "there is no such topic", "jakwatch topics apply")
        elif there[name] == HIDDEN:
            yield Finding(name, "our user lacks the right to DESCRIBE it", _ADMINISTRATOR)
        else:
            yield from _compare_shape(name, there[name], replication)
            yield from _compare_settings(name, settings, there[name])


def _compare_shape(name: str, one: Found, replication: int) -> Iterator[Finding]:
    if one.partitions != 1:
        todo = "move what it holds to a topic with one partition; Kafka takes none away"
        yield Finding(name, f"it has {one.partitions} partitions, expected 1, which keeps the order of messages", todo)
    if one.replicas < replication:
        todo = "have it reassigned (kafka-reassign-partitions), or name another --replication"
        yield Finding(name, f"{_brokers(one.replicas)} it, expected {replication}", todo)


def _brokers(number: int) -> str:
    return "1 broker keeps" if number == 1 else f"{number} brokers keep"


def _compare_settings(name: str, expected: Settings, one: Found) -> Iterator[Finding]:
    if not one.settings:
        yield Finding(name, "our user lacks the right to DESCRIBE_CONFIGS of it", _ADMINISTRATOR)
        return
    for key, value in expected.items():
        if not _is_met(key, value, one):
            text = f"{key} is {one.settings.get(key, 'not known')}, expected {value}"
            yield Finding(name, text, "jakwatch topics apply --fix", (key, value))


def _is_met(key: str, expected: str, one: Found) -> bool:
    there = one.settings.get(key)
    if key == _CONFIRMING and there is not None:
        # More brokers than keep the topic could never confirm a record; that too few keep it is told already.
        return min(int(expected), one.replicas) <= int(there) <= one.replicas
    if key == _LARGEST and there is not None:
        return int(there) >= int(expected)
    return there == expected


def create(admin: KafkaAdminClient, topics: Mapping[str, Settings], replication: int) -> tuple[list[str], list[str]]:
    """Make topics of one partition. Returns the names of those that were made, and why the others could not be."""
    if not topics:
        return [], []
    asked = {name: _asked(settings, replication) for name, settings in topics.items()}
    told = admin.create_topics(asked, raise_errors=False)["topics"]  # it would raise the first of several errors
    new = sorted(each["name"] for each in told if not each["error_code"])
    admin.wait_for_topics(new)
    refused = [each for each in told if each["error_code"] not in {0, _EXISTS_ALREADY}]
    return new, sorted(f"{each['name']}: {_reason(each)}" for each in refused)


def _asked(settings: Settings, replication: int) -> dict[str, Any]:
    return {"num_partitions": 1, "replication_factor": replication, "configs": dict(settings)}


def _reason(refused: Mapping[str, Any]) -> str:
    from kafka.errors import TopicAuthorizationFailedError, for_code  # noqa: PLC0415

    error = for_code(refused["error_code"])
    if error is TopicAuthorizationFailedError:
        return f"our user lacks the right to CREATE it. Do next: {_ADMINISTRATOR}"
    return f"Kafka refuses it ({error.__name__}): {refused['error_message']}"


def mend(admin: KafkaAdminClient, findings: Iterable[Finding]) -> None:
    """Set what the findings name. Raises TopicsError."""
    from kafka.admin import ConfigResource, ConfigResourceType  # noqa: PLC0415

    changes: dict[str, dict[str, str]] = {}
    for each in findings:
        if each.setting is not None:
            changes.setdefault(each.topic, {}).update([each.setting])
    asked = [ConfigResource(ConfigResourceType.TOPIC, name, configs) for name, configs in changes.items()]
    told = admin.alter_configs(asked, raise_on_unknown=False).get("topic", {}) if asked else {}  # it does not raise
    refused = [f"{name}: Kafka refuses to change it: {said}" for name, said in told.items() if said != "OK"]
    if refused:
        raise TopicsError("\n".join(refused))
