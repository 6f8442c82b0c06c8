"""`jakwatch topics`: the topics that the sites need, and who may do what with them: made, compared, mended."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from monitor.commands import topics_reread
from monitor.commands.broker import broker_options
from monitor.commands.given import given_site, what_a_person_can_mend
from monitor.exitcodes import ExitCode
from schemas.parts import RESERVED_SITE

if TYPE_CHECKING:
    from kafka import KafkaAdminClient

    from monitor.kafka.acls import Right, Users
    from monitor.kafka.connection import Connection
    from monitor.kafka.topics import Finding, Settings

_HOSPITAL, _MONITOR, _VIEW = "hospital-{site}", "jakwatch-monitor", "jakwatch-view"


@dataclass(frozen=True, slots=True)
class Needed:
    """What is to be there: topics and, where they are asked for, the rights and whose they are."""

    topics: dict[str, Settings]
    replication: int
    rights: list[Right] | None
    ours: frozenset[str]

    def all_is_well(self) -> str:
        rights = "" if self.rights is None else f", {len(self.rights)} rights"
        return f"all is as it should be: {len(self.topics)} topics{rights}"


@click.group(
    epilog="""\b
Example:
  jakwatch topics apply --broker kafka:9092 --sites sites.yaml"""
)
def command() -> None:
    """Make and compare the topics of the sites, and the rights on them."""


command.add_command(topics_reread.command)


def _options(function: Callable[..., None]) -> Callable[..., None]:
    """What both commands are given; the function gets the `connection` and what is `needed`."""

    @functools.wraps(function)
    def wired(
        *,
        registries: tuple[str, ...],
        sites: tuple[str, ...],
        replication: int,
        acls: bool,
        hospital_user: str,
        monitor_user: str,
        view_user: str,
        **given: Any,
    ) -> None:
        from monitor.kafka.acls import Users  # noqa: PLC0415

        users = Users(_of_a_site(hospital_user), monitor_user, view_user) if acls else None
        function(needed=_needed(_named(registries, sites), replication, users), **given)

    for option in reversed(_OPTIONS):
        wired = option(wired)
    return broker_options(wired)


_OPTIONS = (
    click.option("--sites", "registries", multiple=True, metavar="FILE", help="The site registry: all its sites."),
    click.option("--site", "sites", multiple=True, metavar="NAME", help="A site; several may be named."),
    click.option(
        "--replication",
        type=click.IntRange(1, 9),
        default=1,
        show_default=True,
        help="How many brokers keep each topic; 3 where nothing may be lost.",
    ),
    click.option("--acls", is_flag=True, help="The rights of hospitals and processes too."),
    click.option("--hospital-user", default=_HOSPITAL, show_default=True, metavar="NAME", help="With {site} in it."),
    click.option("--monitor-user", default=_MONITOR, show_default=True, metavar="NAME", help="Who runs the monitor."),
    click.option("--view-user", default=_VIEW, show_default=True, metavar="NAME", help="Who runs the views."),
)


@command.command(
    epilog="""\b
Examples:
  jakwatch topics apply --broker kafka:9092 --sites sites.yaml
  jakwatch topics apply --broker kafka:9094 --broker-ca ca.crt --broker-user admin --broker-password admin.secret
       --sites sites.yaml --replication 3 --acls"""
)
@click.option("--fix", is_flag=True, help="Change settings of existing topics that are not as they should be.")
@_options
def apply(connection: Connection, needed: Needed, fix: bool) -> None:
    """Make what is missing, one line for each; nothing of others is changed, and nothing is ever deleted.

    Where an existing topic is otherwise than it should be, this says so and leaves it, with exit code 1, unless --fix.
    """
    with _administering(connection) as admin:
        _say(_made(admin, needed))
        _say(_given(admin, needed))
        findings, of_topics = _findings(admin, needed)
        if fix:
            _say(_mended(admin, of_topics))
            findings, _ = _findings(admin, needed)
    _tell(findings, needed)


@command.command(
    epilog="""\b
Example:
  jakwatch topics check --broker kafka:9092 --sites sites.yaml --acls"""
)
@_options
def check(connection: Connection, needed: Needed) -> None:
    """Say what is missing or otherwise than it should be, and change nothing.

    One line for each finding, with what to do next; the exit code is 1 if there is one.
    """
    with _administering(connection) as admin:
        findings, _ = _findings(admin, needed)
    _tell(findings, needed)


def _of_a_site(name: str) -> str:
    if name.count("{site}") != 1 or name.replace("{site}", "").strip("{}") != name.replace("{site}", ""):
        raise click.BadParameter("must hold {site} once, like hospital-{site}", param_hint="--hospital-user")
    return name


def _named(registries: tuple[str, ...], sites: tuple[str, ...]) -> frozenset[str]:
    from monitor.files import read_registry  # noqa: PLC0415

    with what_a_person_can_mend():
        registry = read_registry(registries)
    registered = (
        {*registry.names, RESERVED_SITE} if registry else set[str]()
    )  # the canary belongs to every installation
    named = frozenset(registered | {given_site(site) for site in sites})
    if not named:
        raise click.UsageError("whose topics? Give --sites FILE, the site registry, or --site NAME.")
    return named


def _needed(sites: frozenset[str], replication: int, users: Users | None) -> Needed:
    from monitor.kafka import acls, topics  # noqa: PLC0415

    rights = None if users is None else acls.wanted(sites, users)
    ours = frozenset[str]() if users is None else users.of(sites)
    return Needed(topics.wanted(sites, replication), replication, rights, ours)


@contextmanager
def _administering(connection: Connection) -> Iterator[KafkaAdminClient]:
    """What Kafka refuses becomes words and an exit code."""
    from kafka.errors import KafkaError  # noqa: PLC0415

    from monitor.kafka.acls import RightsError  # noqa: PLC0415
    from monitor.kafka.reach import CannotReachError, administering, missing_right  # noqa: PLC0415
    from monitor.kafka.topics import TopicsError  # noqa: PLC0415

    try:
        with administering(connection) as admin:
            yield admin
    except (CannotReachError, TopicsError, RightsError) as problem:
        _stop(str(problem))
    except KafkaError as error:
        _stop(
            missing_right(error, "DESCRIBE") or f"Kafka broke off ({type(error).__name__}). Do next: look into its log."
        )


def _stop(text: str) -> None:
    click.echo(f"jakwatch: {text}", err=True)
    raise click.exceptions.Exit(ExitCode.SERVICE_MISSING)


def _made(admin: KafkaAdminClient, needed: Needed) -> Iterator[str]:
    from monitor.kafka import topics  # noqa: PLC0415

    there = topics.found(admin, needed.topics)
    missing = {name: settings for name, settings in needed.topics.items() if name not in there}
    made, refused = topics.create(admin, missing, needed.replication)
    for name in made:
        yield f"made {name}"
    if refused:
        raise topics.TopicsError("\n".join(refused))


def _given(admin: KafkaAdminClient, needed: Needed) -> Iterator[str]:
    from monitor.kafka import acls  # noqa: PLC0415

    if needed.rights is None:
        return
    there = set(acls.found(admin))
    missing = [right for right in needed.rights if right not in there]
    acls.give(admin, missing)
    for right in missing:
        yield f"given: {right}"


def _mended(admin: KafkaAdminClient, findings: Iterable[Finding]) -> Iterator[str]:
    from monitor.kafka import topics  # noqa: PLC0415

    mendable = [each for each in findings if each.setting is not None]
    topics.mend(admin, mendable)
    for each in mendable:
        yield f"changed {each.topic}: {each.text}"


def _findings(admin: KafkaAdminClient, needed: Needed) -> tuple[list[str], list[Finding]]:
    """What is wrong, in words; and of that the findings about topics."""
    from monitor.kafka import acls, topics  # noqa: PLC0415

    of_topics = list(topics.compare(needed.topics, topics.found(admin, needed.topics), needed.replication))
    of_rights = [] if needed.rights is None else acls.compare(needed.rights, acls.found(admin), needed.ours)
    return [*map(str, of_topics), *of_rights], of_topics


def _say(lines: Iterable[str]) -> None:
    """Each as soon as it is true: what was done stays done, whatever fails after it."""
    for line in lines:
        click.echo(line)


def _tell(findings: Iterable[str], needed: Needed) -> None:
    """What is wrong, or that nothing is."""
    findings = list(findings)
    _say(findings or [needed.all_is_well()])
    if findings:
        raise click.exceptions.Exit(ExitCode.FINDINGS)
