"""The rights that each process and each hospital needs, and no more: given, compared, never taken from others."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from monitor.kafka.names import ACTIONS, GROUP, PREFIX, topic

if TYPE_CHECKING:
    from kafka import KafkaAdminClient
    from kafka.admin import ACL

_TOPIC, _GROUP, _TRANSACTION = "TOPIC", "GROUP", "TRANSACTIONAL_ID"
_EVERYBODY = "*"
_SECONDS_TO_BE_SEEN = 10.0


class RightsError(Exception):
    """Kafka refuses to give rights; the text says why."""


class Right(NamedTuple):
    """A user may do something to a thing of that name, or to all whose names begin so; or is denied it."""

    user: str
    operation: str  # READ, WRITE, ...: Kafka's words, as are the kinds TOPIC, GROUP, TRANSACTIONAL_ID
    kind: str
    name: str
    begins: bool = False
    allowed: bool = True
    host: str = "*"

    def __str__(self) -> str:
        verb = "may" if self.allowed else "is denied to"
        host = "" if self.host == "*" else f" from {self.host}"
        what = self.kind.lower().replace("_", " ")
        return f"User:{self.user} {verb} {self.operation} {what} {self.name}{'*' * self.begins}{host}"


@dataclass(frozen=True, slots=True)
class Users:
    """By which names Kafka knows who connects: `{site}` in a hospital's stands for its site."""

    hospital: str = "hospital-{site}"
    monitor: str = "jakwatch-monitor"
    view: str = "jakwatch-view"

    def of(self, sites: Iterable[str]) -> frozenset[str]:
        return frozenset([self.monitor, self.view, *(self.hospital.format(site=site) for site in sites)])


def wanted(sites: Iterable[str], users: Users) -> list[Right]:
    """All rights, and each is needed: without it somebody cannot do their work."""
    hospitals = (right for site in sorted(sites) for right in _of_hospital(site, users.hospital.format(site=site)))
    return [*_of_monitor(users.monitor), *_of_view(users.view), *hospitals]


def _of_hospital(site: str, user: str) -> Iterator[Right]:
    yield Right(user, "WRITE", _TOPIC, topic("in", site))
    yield Right(user, "READ", _TOPIC, topic("out", site))
    yield Right(user, "READ", _TOPIC, topic("rejected", site))


def _of_monitor(user: str) -> Iterator[Right]:
    """By prefix, so that a new hospital stops nobody: one topic that may not be read stops a whole consumer."""
    for kind in ("in", "facts", "out"):
        yield Right(user, "READ", _TOPIC, topic(kind, ""), begins=True)
    for kind in ("facts", "out", "rejected"):
        yield Right(user, "WRITE", _TOPIC, topic(kind, ""), begins=True)
    yield Right(user, "READ", _TOPIC, ACTIONS)
    yield Right(user, "DESCRIBE_CONFIGS", _TOPIC, PREFIX, begins=True)  # to see whether they are as they should be
    yield Right(user, "READ", _GROUP, GROUP)
    yield Right(user, "WRITE", _TRANSACTION, f"{GROUP}-", begins=True)


def _of_view(user: str) -> Iterator[Right]:
    """What hospitals sent it does not read: it only sees how far that has been read, and by whom."""
    for kind in ("facts", "out", "rejected"):
        yield Right(user, "READ", _TOPIC, topic(kind, ""), begins=True)
    yield Right(user, "READ", _TOPIC, ACTIONS)
    yield Right(user, "WRITE", _TOPIC, ACTIONS)
    yield Right(user, "DESCRIBE", _TOPIC, topic("in", ""), begins=True)
    yield Right(user, "DESCRIBE", _GROUP, GROUP)


def found(admin: KafkaAdminClient) -> list[Right]:
    """All rights of users that Kafka holds. Raises errors of kafka-python: a missing right, or that rights are off."""
    from kafka.admin import (  # noqa: PLC0415
        ACLFilter,
        ACLOperation,
        ACLPermissionType,
        ACLResourcePatternType,
        ResourcePatternFilter,
        ResourceType,
    )

    everything = ResourcePatternFilter(ResourceType.ANY, None, ACLResourcePatternType.ANY)
    anything = ACLFilter(None, None, ACLOperation.ANY, ACLPermissionType.ANY, everything)
    acls, _ = admin.describe_acls(anything)
    return sorted(_right(acl) for acl in acls if acl.principal.startswith("User:"))


def _right(acl: ACL) -> Right:
    on = acl.resource_pattern
    begins, allowed = on.pattern_type.name == "PREFIXED", acl.permission_type.name == "ALLOW"
    user = acl.principal.removeprefix("User:")
    return Right(user, acl.operation.name, on.resource_type.name, on.resource_name, begins, allowed, acl.host)


def give(admin: KafkaAdminClient, rights: Iterable[Right]) -> None:
    """Returns once they are there. Raises RightsError: the client only says how it was refused, not what."""
    rights = list(rights)
    refused = admin.create_acls([_acl(right) for right in rights])["failed"] if rights else []
    if refused:
        reasons = ", ".join(sorted({error.__name__ for error in refused}))
        raise RightsError(f"Kafka refuses {len(refused)} of {len(rights)} rights ({reasons}).")
    deadline = time.monotonic() + _SECONDS_TO_BE_SEEN
    while not set(rights) <= set(found(admin)) and time.monotonic() < deadline:
        time.sleep(0.1)  # the controller has them; the broker that is asked hears of them a moment later


def _acl(right: Right) -> ACL:
    from kafka.admin import (  # noqa: PLC0415
        ACL,
        ACLOperation,
        ACLPermissionType,
        ACLResourcePatternType,
        ResourcePattern,
        ResourceType,
    )

    how = ACLResourcePatternType.PREFIXED if right.begins else ACLResourcePatternType.LITERAL
    on = ResourcePattern(ResourceType[right.kind], right.name, how)
    may = ACLPermissionType.ALLOW if right.allowed else ACLPermissionType.DENY
    return ACL(f"User:{right.user}", right.host, ACLOperation[right.operation], may, on)


def compare(needed: Iterable[Right], there: Iterable[Right], ours: frozenset[str]) -> Iterator[str]:
    """What is missing, and what the users of ours, or everybody, have beyond: in words, with what to do."""
    needed, there = list(needed), list(there)
    for right in needed:
        if right not in there:
            yield f"{right}: not given. Do next: jakwatch topics apply --acls"
    for right in there:
        if right not in needed and right.user in ours | {_EVERYBODY} and _touches_ours(right):
            yield f"{right}: {_too_much(right)}. Do next: {_removal(right)}"


def _touches_ours(right: Right) -> bool:
    ours = {_TOPIC: PREFIX, _GROUP: GROUP, _TRANSACTION: GROUP}.get(right.kind)
    if ours is None:
        return right.kind == "CLUSTER"
    return right.name == "*" or right.name.startswith(ours) or (right.begins and ours.startswith(right.name))


def _too_much(right: Right) -> str:
    return "more than is needed" if right.allowed else "overrules what is needed"


def _removal(right: Right) -> str:
    """The command of Kafka's own: what others gave, others take away."""
    option = {_TOPIC: "--topic", _GROUP: "--group", _TRANSACTION: "--transactional-id"}.get(right.kind)
    on = "--cluster" if option is None else f"{option} '{right.name}'"
    how = " --resource-pattern-type prefixed" if right.begins else ""
    who, where = ("--allow-principal", "--allow-host") if right.allowed else ("--deny-principal", "--deny-host")
    host = "" if right.host == "*" else f" {where} {right.host}"
    return f"kafka-acls --remove {who} 'User:{right.user}'{host} --operation {right.operation} {on}{how}"
