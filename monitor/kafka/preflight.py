"""What a process needs of Kafka, asked for with its own credentials before it starts.

Unasked, nobody would hear of it: the engine waits without a word for a group that it may not read as, and goes on
without a hospital whose topic it may not read.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Literal, NamedTuple

from kafka import errors
from kafka.admin import MemberToRemove

from monitor.kafka import acls, topics
from monitor.kafka.names import ACTIONS, GROUP, KINDS, site_of, topic, transactional_id
from monitor.kafka.reach import CannotReachError, administering

if TYPE_CHECKING:
    from kafka import KafkaAdminClient

    from monitor.kafka.connection import Connection

Role = Literal["monitor", "view", "publish"]
Operations = Mapping[str, frozenset[str] | None]
"""Topic -> what our user may do with it (READ, WRITE, ...), None where there is no such topic."""

SETTING = "setting"
SECONDS = 3.0  # for a cluster that has just been made to say who coordinates groups and transactions
_SHOWN = 3
_APPLY = "Do next: jakwatch topics apply --sites FILE"
_GIVE = "Do next: have an administrator run `jakwatch topics apply --acls`, which names the users and what each may"
_NO_TOPIC = 3  # Kafka's error code
_FOUND_OUT_LATER = (
    errors.CoordinatorNotAvailableError,
    errors.CoordinatorLoadInProgressError,
    errors.NotCoordinatorError,
)


class Problem(NamedTuple):
    """Something that a process lacks."""

    text: str  # what it is, and what to do
    of: str = ""  # READ, WRITE, ...: a right; SETTING; empty: that something is there at all
    topics: tuple[str, ...] = ()  # of which it is lacking; none where it is of a group or of transactions

    def __str__(self) -> str:
        return self.text


class Lacking(NamedTuple):
    """What a process lacks though it may start, in words, and which sites it is to leave out."""

    told: list[str]
    left_out: frozenset[str]


def must_have(connection: Connection, role: Role, sites: Iterable[str]) -> Lacking:
    """What stops only some of the sites, or none: one hospital's topics never stop the others.

    Raises CannotReachError, also with all that is missing without which the process would do nothing, and not say so.
    """
    names = sorted(sites)
    found = problems(connection, role, names)
    stopped = [_stops(each, role) for each in found]
    left_out = frozenset(site for some in stopped for site in some or ())
    if None in stopped or (left_out and left_out.issuperset(names)):
        raise CannotReachError("\n".join(map(str, found)))
    return Lacking(list(map(str, found)), left_out)


def _stops(problem: Problem, role: Role) -> frozenset[str] | None:
    """The sites on which nothing can be done with a problem; None: on none of all."""
    if not problem.topics:
        return frozenset() if role == "view" else None  # it only looks at who is in the group
    vital = [name for name in problem.topics if _is_vital(role, problem.of, name)]
    if ACTIONS in vital:
        return None
    return frozenset(site for name in vital if (site := site_of(name)) is not None)


def _is_vital(role: Role, of: str, name: str) -> bool:
    """Whether a process can do nothing without it, for a site or for all."""
    if not of:
        return name == ACTIONS  # a site waits for its topics
    if of == SETTING:
        return True
    if role == "view":
        return (of, name) == ("WRITE", ACTIONS) or (of == "READ" and not name.startswith(topic("rejected", "")))
    return of in ("READ", "WRITE")


def missing(connection: Connection, role: Role, sites: Iterable[str]) -> list[str]:
    """What a process of that role lacks, in words, each with what to do; empty where it may start.

    Topics, rights, and settings under which its promises would not hold. Raises CannotReachError.
    """
    return list(map(str, problems(connection, role, sorted(sites))))


def problems(connection: Connection, role: Role, sites: Sequence[str]) -> list[Problem]:
    """The same with what each is of. Raises CannotReachError."""
    try:
        with administering(connection) as admin:
            rights = rights_of(role, sites)
            may = operations(admin, {each for right in rights for each in topics_of(right, sites)})
            return [*no_topics(may), *no_rights(admin, rights, sites, may), *wrong_settings(admin, may)]
    except errors.KafkaError as error:
        raise CannotReachError(f"Kafka broke off ({type(error).__name__}). Do next: look into its log.") from None


def rights_of(role: Role, sites: Sequence[str]) -> list[acls.Right]:
    """What `jakwatch topics apply --acls` gives to whoever runs such a process; a publisher need only write."""
    users = acls.Users()
    everything = acls.wanted(sites, users)
    if role == "publish":
        inbound = {topic("in", site) for site in sites}
        return [each for each in everything if each.name in inbound and each.operation == "WRITE"]
    user = {"monitor": users.monitor, "view": users.view}[role]
    return [each for each in everything if each.user == user]


def topics_of(right: acls.Right, sites: Sequence[str]) -> list[str]:
    """The topics of some sites that a right is about."""
    everything = [ACTIONS, *(topic(kind, site) for site in sites for kind in KINDS)]
    if right.kind != "TOPIC":
        return []
    return [name for name in everything if name == right.name or (right.begins and name.startswith(right.name))]


def operations(admin: KafkaAdminClient, names: Iterable[str]) -> Operations:
    """What our user may do with topics, as Kafka says it. Whether one exists is only told to who may do anything."""
    asked = sorted(names)
    told = admin.describe_topics(asked) if asked else []
    return {
        each["name"]: None if each["error_code"] == _NO_TOPIC else frozenset(each["authorized_operations"] or ())
        for each in told
    }


def no_topics(may: Operations) -> Iterator[Problem]:
    """Which topics are not there."""
    names = sorted(name for name, allowed in may.items() if allowed is None)
    if names:
        yield Problem(f"there is no topic {some(names)}. {_APPLY}", topics=tuple(names))


def no_rights(
    admin: KafkaAdminClient, rights: Sequence[acls.Right], sites: Sequence[str], may: Operations
) -> Iterator[Problem]:
    """Which of some rights our user does not have."""
    yield from _not_with_topics(rights, sites, may)
    for right in rights:
        if right.kind == "GROUP" and not _may(partial(_ask_as_group, admin, right.operation)):
            yield Problem(f"our user may not {right.operation} as the group {GROUP}. {_GIVE}", right.operation)
    if any(right.kind == "TRANSACTIONAL_ID" for right in rights):
        yield from _not_with_transactions(admin, [transactional_id(site) for site in sites])


def _not_with_topics(rights: Iterable[acls.Right], sites: Sequence[str], may: Operations) -> Iterator[Problem]:
    lacking: dict[str, list[str]] = {}
    for right in rights:
        for name in topics_of(right, sites):
            if _lacks(may[name], right.operation):
                lacking.setdefault(right.operation, []).append(name)
    for operation, names in lacking.items():
        doubt = "" if any(may[name] for name in names) else ", if they are there at all"
        text = f"our user may not {operation} {some(names)}{doubt}. {_GIVE}"
        yield Problem(text, operation, tuple(names))


def _lacks(allowed: frozenset[str] | None, operation: str) -> bool:
    """READ and WRITE let a user see a topic. Of one that is not seen, whether its settings may be is not told."""
    if allowed is None or (not allowed and operation == "DESCRIBE_CONFIGS"):
        return False
    return operation not in allowed


def _ask_as_group(admin: KafkaAdminClient, operation: str) -> None:
    """A group that nobody has joined yet tells no rights. So for READ somebody takes leave of it who never came."""
    if operation == "READ":
        admin.remove_group_members(GROUP, [MemberToRemove(member_id="nobody, to see whether we may")])
    else:
        admin.describe_groups([GROUP])


def _not_with_transactions(admin: KafkaAdminClient, names: Iterable[str]) -> Iterator[Problem]:
    """To ask is allowed to whoever may WRITE; to try would fence the worker that is at work."""
    lacking = [name for name in names if not _may(partial(admin.describe_transactions, [name]))]
    if lacking:
        yield Problem(f"our user may not WRITE as the transactional id {some(lacking)}. {_GIVE}", "WRITE")


def _may(ask: Callable[[], object]) -> bool:
    """Whether Kafka lets our user ask."""
    deadline = time.monotonic() + SECONDS
    while True:
        try:
            ask()
        except errors.AuthorizationError:
            return False
        except _FOUND_OUT_LATER as error:
            if time.monotonic() > deadline:
                raise CannotReachError(
                    f"Kafka does not say who coordinates groups and transactions ({type(error).__name__}). "
                    "Do next: look into its log for __consumer_offsets and __transaction_state."
                ) from None
            time.sleep(0.1)
            continue
        except (errors.TransactionalIdNotFoundError, errors.UnknownMemberIdError):
            pass  # which is only told to who may ask
        return True


def wrong_settings(admin: KafkaAdminClient, may: Operations) -> Iterator[Problem]:
    """Which topics are such that messages would be lost, put in another order or dated by others' clocks.

    What our user may not see is not held against a topic.
    """
    there = topics.found(admin, (name for name, allowed in may.items() if allowed))
    needed = {name: _deadly(name) for name in there}
    seen = {name: one if one.settings else one._replace(settings=needed[name]) for name, one in there.items()}
    for finding in topics.compare(needed, seen, replication=1):
        yield Problem(str(finding), SETTING, (finding.topic,))


def _deadly(name: str) -> topics.Settings:
    if name.startswith((topic("in", ""), topic("rejected", ""))):
        return {"message.timestamp.type": "LogAppendTime"}
    return {"cleanup.policy": "compact"}


def some(names: Sequence[str]) -> str:
    """The first few of some names, and how many more there are."""
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
