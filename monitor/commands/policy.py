"""`jakwatch policy`: check, show, explain and compare the documents that safety officers sign."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from monitor.commands.broker import broker_options_if_any
from monitor.commands.given import given_day, given_key, given_site, what_a_person_can_mend
from monitor.commands.policy_diff import changed_values, moved_decisions, moved_rates, moved_tallies
from monitor.commands.policy_explain import explained, systems_of
from monitor.commands.policy_text import page, review
from monitor.commands.serving import ended_by
from monitor.policyfile import (
    Loaded,
    PolicyError,
    default_policy_path,
    is_registry,
    load_policies,
    load_registry,
    read_policy,
)

if TYPE_CHECKING:
    from monitor.core.policy import PolicyDocument
    from monitor.core.registry import Registry
    from monitor.kafka.connection import Connection

FINDINGS = 1
_FILE = click.Path(exists=True, dir_okay=False, readable=True)


@click.group(epilog="Example: jakwatch policy check my-policy.yaml")
def command() -> None:
    """Check, show, explain and compare policies.

    Without a file the policy that comes with jakwatch is meant.
    """


@command.command(
    epilog="\b\nExample: jakwatch policy check policy-2026.yaml policy-2027.yaml sites.yaml\n"
    "Exit codes: 0 sound, 1 errors."
)
@click.argument("files", nargs=-1, type=_FILE)
@click.pass_context
def check(ctx: click.Context, files: tuple[str, ...]) -> None:
    """Say what is wrong in policies and site registries, and what a person must still decide or sign.

    Errors come with file, line, key and what is allowed. Values that are unconfirmed or local are listed and are no
    errors; so is each combination of results that a table calls excluded beside one that is not negative.
    """
    paths = files or (str(default_policy_path()),)
    results = [_checked(path) for path in paths]
    faulty = [one for one in results if isinstance(one, PolicyError)] or _faults_between(paths)
    for one in results:
        if not isinstance(one, PolicyError):
            _print(one)
    for error in faulty:
        click.echo(str(error), err=True)
    ctx.exit(FINDINGS if faulty else 0)


def _checked(path: str) -> list[str] | PolicyError:
    try:
        return _registry(path) if is_registry(path) else _policy(read_policy(path))
    except PolicyError as error:
        return error


def _policy(loaded: Loaded) -> list[str]:
    return list(review(loaded))


def _registry(path: str) -> list[str]:
    only = load_registry([path]).versions[0]
    head = only.registry
    named = f"{path}: {head.name} version {head.version}, in force from {head.effective_from}, no errors"
    missing = [
        f"  {site}: no {feed} feed; "
        + ("no day of this site counts" if feed == "adverse_event" else "nothing is known of it")
        for site, entry in only.sites.items()
        for feed in ("treatment", "screening", "adverse_event")
        if feed not in entry.feeds
    ]
    return [named, f"  sha256 {only.sha256}", f"  sites: {', '.join(sorted(only.sites))}", *missing]


def _faults_between(paths: Sequence[str]) -> list[PolicyError]:
    """What only shows when the versions stand side by side."""
    registries = [path for path in paths if is_registry(path)]
    try:
        load_policies([path for path in paths if path not in registries])
        if registries:
            load_registry(registries)
    except PolicyError as error:
        return [error]
    return []


@command.command(epilog="\b\nExample: jakwatch policy show policy-2026.yaml | less")
@click.argument("file", required=False, type=_FILE)
def show(file: str | None) -> None:
    """Print a policy as a page to read: each value with its source beside it."""
    with what_a_person_can_mend():
        loaded = read_policy(file or default_policy_path())
    _print(page(loaded.policy))


@command.command(
    epilog="\b\nExample: jakwatch policy explain icd10:B02.9\n"
    "         jakwatch policy explain L04AF03 --policy mine.yaml"
)
@click.argument("code")
@click.option("--policy", "file", type=_FILE, help="The policy to ask; default: the one that comes with jakwatch.")
def explain(code: str, file: str | None) -> None:
    """Say what CODE (system:code, or a code alone) means: drug, test, disease, adverse events, or unmapped."""
    with what_a_person_can_mend():
        policy = read_policy(file or default_policy_path()).policy
    system, colon, rest = code.partition(":")
    pairs = [(system, rest)] if colon else [(known, code) for known in systems_of(policy, code)]
    if not pairs:
        click.echo(
            f"{code}\n  unmapped in every code system of this policy; name one to see what that means: icd10:{code}"
        )
    for pair in pairs:
        if not all(pair):
            raise click.UsageError(f"{code}: write system:code, such as icd10:B02.9")
        _print(explained(policy, *pair))


@command.command(
    epilog="\b\nExamples:\n"
    "  jakwatch policy diff signed.yaml draft.yaml history.jsonl --sites sites.yaml\n"
    "  jakwatch policy diff signed.yaml draft.yaml --log jakwatch-data/log.sqlite --sites sites.yaml\n"
    "  jakwatch policy diff signed.yaml draft.yaml --broker kafka:9092 --sites sites.yaml\n"
    "\b\n"
    "Exit codes: 0 nothing moves, 1 something does (with messages a decision, rate or count; without, a value)."
)
@click.argument("old", type=_FILE)
@click.argument("new", type=_FILE)
@click.argument("files", nargs=-1, type=_FILE)
@broker_options_if_any
@click.option("--log", "log_file", type=_FILE, help="A log of jakwatch run instead of FILES; it is only read.")
@click.option(
    "--pseudonym-key",
    "key_file",
    type=_FILE,
    help="Key of the log, for the conflicts that people settled; default: pseudonym.key beside it.",
)
@click.option("--sites", multiple=True, type=_FILE, help="The site registry; several versions allowed.")
@click.option("--site", metavar="NAME", help="The site of lines that name none.")
@click.option(
    "--as-of", "as_of", metavar="YYYY-MM-DD", help="The last day that counts; default: the latest of the input."
)
@click.option("--limit", default=40, show_default=True, metavar="N", help="Lines shown of each list; all are counted.")
@click.pass_context
def diff(  # noqa: PLR0913, PLR0917  click calls it with a keyword for each option
    ctx: click.Context,
    old: str,
    new: str,
    files: tuple[str, ...],
    connection: Connection | None,
    log_file: str | None,
    key_file: str | None,
    sites: tuple[str, ...],
    site: str | None,
    as_of: str | None,
    limit: int,
) -> None:
    """List the values that differ between two policies and, with FILES of messages or a log, what would move.

    With --broker the logs of all sites of the registry are read from Kafka. Each policy judges all of the messages
    alone, whatever its effective_from. What people decided in a log counts.
    """
    if sum(map(bool, (files, log_file, connection))) > 1:
        raise click.UsageError("FILES, --log or --broker, one of them: what was sent is in the log already.")
    if connection is not None and not sites:
        raise click.UsageError("--broker needs --sites: the registry says whose logs to read.")
    with what_a_person_can_mend():
        policies = [read_policy(path).policy for path in (old, new)]
        registry = load_registry(sites) if sites else None
    values = list(changed_values(*policies))
    _print_list("values changed", values, limit)
    moved = bool(values)
    if files or log_file or connection:
        moved = False
        given_day(as_of) if as_of is not None else None
        given_site(site) if site is not None else None
        with what_a_person_can_mend():
            if files:
                results = _of_files(policies, files, registry, site, as_of)
            else:
                results = _of_log(policies, log_file or connection, key_file, registry, as_of)
        for title, lines in _moves(*results):
            _print_list(title, lines, limit)
            moved = moved or bool(lines)
    ctx.exit(FINDINGS if moved else 0)


def _of_files(
    policies: list[PolicyDocument], files: Sequence[str], registry: Registry | None, site: str | None, as_of: str | None
) -> list[dict[str, Any]]:
    from monitor.replay import replay_files  # noqa: PLC0415  the other commands need none of its numerics

    return [replay_files(files, policies=(each,), registry=registry, site=site, as_of=as_of) for each in policies]


def _of_log(
    policies: list[PolicyDocument],
    log: str | Connection | None,
    key_file: str | None,
    registry: Registry | None,
    as_of: str | None,
) -> list[dict[str, Any]]:
    from monitor.commands.rehearsal import rehearsed_on, rehearsed_on_kafka  # noqa: PLC0415  as above
    from monitor.kafka.connection import Connection  # noqa: PLC0415
    from monitor.kafka.reach import CannotReachError  # noqa: PLC0415
    from monitor.log import LogRefusedError, LogUnreachableError, LogUnusableError  # noqa: PLC0415

    day = None if as_of is None else given_day(as_of)
    beside = Path(str(log)).with_name("pseudonym.key")
    key = given_key(Path(key_file)) if key_file else None
    try:
        with ended_by(CannotReachError, LogUnreachableError, LogRefusedError):
            if isinstance(log, Connection):
                return rehearsed_on_kafka(log, policies, registry, key, day)
            key = given_key(beside) if key is None and beside.exists() else key
            return rehearsed_on(Path(str(log)), policies, registry, key, day)
    except LogUnusableError as problem:
        raise click.ClickException(str(problem)) from None


def _moves(before: dict[str, Any], after: dict[str, Any]) -> Iterator[tuple[str, list[str]]]:
    yield "decisions moved", list(moved_decisions(before, after))
    yield "rates moved", list(moved_rates(before, after))
    yield "counts moved", list(moved_tallies(before, after))


def _print(lines: Iterable[str]) -> None:
    for line in lines:
        click.echo(line)


def _print_list(title: str, lines: Sequence[str], limit: int) -> None:
    click.echo(f"{title}: {len(lines)}")
    _print(f"  {line}" for line in islice(lines, limit))
    if len(lines) > limit:
        click.echo(f"  ... and {len(lines) - limit} more (--limit)")
