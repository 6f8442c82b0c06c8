"""All checks in their order: first whether Kafka can be reached, then what can be seen there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from kafka.errors import KafkaError

from monitor.core.days import instant
from monitor.doctor import clocks, logs, processes, sites
from monitor.doctor.certificates import certificates
from monitor.doctor.rules import activation
from monitor.doctor.said import Said, as_finding, finding, ok, or_ok, sites_text, unseen
from monitor.doctor.seen import Look
from monitor.kafka import preflight, topics
from monitor.kafka.names import ACTIONS, KINDS, site_of, topic
from monitor.kafka.reach import CannotReachError, administering, check
from monitor.kafka.reading import UnreadableError

if TYPE_CHECKING:
    from kafka import KafkaAdminClient

    from monitor.core.policy import PolicyDocument
    from monitor.core.registry import Registry
    from monitor.kafka.connection import Connection

BROKER = "broker"
_DAY_SECONDS = 86_400.0
_NO_TOPICS = (
    "if nobody has made any yet, make them: jakwatch topics apply --sites FILE, the site registry; if they are there, "
    "run this as a user who may see them, or with --sites FILE or --site NAME, which says what is lacking"
)


@dataclass(frozen=True, slots=True)
class Given:
    """What to look at, and with whose eyes."""

    connection: Connection
    role: preflight.Role  # whose rights our user should have
    policies: Sequence[PolicyDocument]
    registry: Registry | None
    time: Callable[[], float]  # seconds since 1970
    sites: frozenset[str] = frozenset()  # those alone; none: all that are registered, or that can be seen
    key: bytes | None = None
    workers: Sequence[str] = ()  # URLs
    views: Sequence[str] = ()
    token: str | None = None  # for reading their metrics
    uses: Mapping[str, str] = field(default_factory=dict)  # hashes that processes must name, by `processes`' names


def examine(given: Given) -> Iterator[Said]:
    """What each check says, as soon as it says it."""
    reached = _broker(given.connection)
    yield reached
    is_reached = reached.result == "ok"
    yield from certificates(given.connection, datetime.fromtimestamp(given.time(), UTC), is_reached=is_reached)
    shown: list[clocks.Clock] = []
    yield from _processes(given, shown)
    if is_reached:
        try:
            yield from _kafka(given, shown)
        except (KafkaError, CannotReachError, UnreadableError) as error:
            yield _broken_off(error)
    yield from clocks.clocks(shown)


def _broker(connection: Connection) -> Said:
    try:
        check(connection)
    except CannotReachError as problem:
        return as_finding(BROKER, str(problem))
    return ok(BROKER, f"Kafka at {connection.servers} lets us in")


def _broken_off(error: Exception) -> Said:
    if isinstance(error, KafkaError):
        return finding(BROKER, f"Kafka broke off ({type(error).__name__})", "look into its log")
    return as_finding(BROKER, str(error))


def _processes(given: Given, shown: list[clocks.Clock]) -> Iterator[Said]:
    if not given.workers and not given.views:
        yield unseen("processes", "none was named", "--workers URL and --views URL")
        return
    workers, silent = processes.listen(given.workers, given.token, given.time)
    views, silent_views = processes.listen(given.views, given.token, given.time)
    heard = [*workers, *views]
    shown.extend(each.clock for each in heard if each.clock is not None)
    yield from processes.readiness(heard, [*silent, *silent_views, *processes.mistaken(workers, views)])
    if heard:
        yield from processes.rules(heard, given.uses)
    if at_work := [each for each in workers if each.is_worker]:
        yield from processes.owners(at_work)


def _kafka(given: Given, shown: list[clocks.Clock]) -> Iterator[Said]:
    with administering(given.connection) as admin:
        names = _sites(given, admin)
        if not names:
            yield finding("topics", "not one topic of a site can be seen", _NO_TOPICS)
            return
        may = preflight.operations(admin, [ACTIONS, *(topic(kind, site) for site in names for kind in KINDS)])
        yield from _rights(admin, given.role, names, may)
        if given.role == "publish":
            yield from _no_inbound(names, may)
            return
        yield from _topics(admin, names, may)
        clock = clocks.of_kafka(admin, given.time)
    readable = frozenset(name for name, allowed in may.items() if allowed and "READ" in allowed)
    if all(may[topic(kind, site)] is None for site in names for kind in KINDS):
        shown.extend([] if clock is None else [clock])  # of what is not there yet nothing else is to be said
    else:
        yield from _logs(given, names, readable, shown, clock)
    yield from _activation(given, ACTIONS in readable)


def _activation(given: Given, is_readable: bool) -> Iterable[Said]:
    if not is_readable:
        return [unseen("activation", f"our user may not READ {ACTIONS}, or there is none")]
    now = instant(datetime.fromtimestamp(given.time(), UTC))
    return activation(given.policies, given.registry, logs.decisions(given.connection), now)


def _sites(given: Given, admin: KafkaAdminClient) -> list[str]:
    if given.sites:
        return sorted(given.sites)
    if given.registry is not None:
        return sorted(given.registry.names)
    return sorted({site for name in admin.list_topics() if (site := site_of(name)) is not None})


def _rights(
    admin: KafkaAdminClient, role: preflight.Role, names: Sequence[str], may: preflight.Operations
) -> Iterable[Said]:
    """Whether our user may do what such a process does."""
    said = preflight.no_rights(admin, preflight.rights_of(role, names), names, may)
    return or_ok("rights", [as_finding("rights", str(each)) for each in said], f"our user may do what {role} does")


def _no_inbound(names: Sequence[str], may: preflight.Operations) -> Iterator[Said]:
    """Which topics to publish to are not there, as far as our user is told."""
    inbound = {name: may[name] for name in (topic("in", site) for site in names)}
    yield from (as_finding("topics", str(each)) for each in preflight.no_topics(inbound))


def _topics(admin: KafkaAdminClient, names: Sequence[str], may: preflight.Operations) -> Iterable[Said]:
    """Whether the topics are there, and as they should be."""
    there = topics.found(admin, [name for name, allowed in may.items() if allowed])
    hidden = [name for name in may if name in there and not there[name].settings]
    expected = topics.wanted(names, replication=1)
    compared = topics.compare({name: expected[name] for name in there if name not in hidden}, there, replication=1)
    findings = [as_finding("topics", str(each)) for each in (*preflight.no_topics(may), *compared)]
    if hidden:
        findings.append(unseen("topics", f"our user may not DESCRIBE_CONFIGS of {preflight.some(hidden)}"))
    return or_ok("topics", findings, f"{len(there)} are as they should be ({sites_text(len(names))})")


def _logs(
    given: Given,
    names: Sequence[str],
    readable: frozenset[str],
    shown: list[clocks.Clock],
    clock: clocks.Clock | None,
) -> Iterator[Said]:
    """What the sites' topics hold. Kafka's clock is told from there, where it does not tell itself."""
    now = given.time()
    seen = list(logs.look_at_all(given.connection, names, readable, now - _DAY_SECONDS))
    yield from (as_finding("log", each) for each in seen if isinstance(each, str))
    looks = [each for each in seen if isinstance(each, Look)]
    yield from sites.key(looks, given.key)
    yield from sites.lag(looks, now)
    yield from sites.progress(looks)
    yield from sites.rejected(looks)
    written = [each.kept.moved for each in looks if each.kept and each.kept.moved is not None]
    if clock is not None:
        shown.append(clock)
    elif written:
        shown.append(clocks.by_last_append(max(written), given.time()))
