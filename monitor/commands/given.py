"""What a person gives on the command line, checked; and what is wrong use rather than a bug."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from monitor.core.days import day_of
from monitor.files import FileProblem
from monitor.keyfile import KeyProblem, read_key
from monitor.problems import PolicyError
from schemas.parts import SITE_PATTERN

if TYPE_CHECKING:
    from monitor.core.policy import PolicyDocument

_DAY = re.compile("[1-8][0-9]{3}-[0-9]{2}-[0-9]{2}")  # of the years a message may have been recorded in


def rules_options(without_registry: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """The options `--policy` and `--sites` of a command, and what holds where no registry is given."""

    def add(command: Callable[..., None]) -> Callable[..., None]:
        policies = "A policy; several versions may stand side by side. Default: the built-in one."
        sites = f"The site registry. Without one {without_registry}"
        command = click.option("--sites", "registries", multiple=True, metavar="FILE", help=sites)(command)
        return click.option("--policy", "policies", multiple=True, metavar="FILE", help=policies)(command)

    return add


@contextmanager
def what_a_person_can_mend() -> Iterator[None]:
    """A file that cannot be read or used is wrong use, told by its own words; they hold no value of a message."""
    try:
        yield
    except (FileProblem, PolicyError) as problem:
        raise click.ClickException(str(problem)) from None


def given_policies(paths: Sequence[str]) -> tuple[PolicyDocument, ...]:
    """The policies in some files, or the built-in one."""
    from monitor.policyfile import default_policy_path, load_policies  # noqa: PLC0415  --help waits for none of this

    return load_policies(list(paths) or [default_policy_path()])


def given_site(text: str) -> str:
    """A site name; anything else is wrong use."""
    if not re.fullmatch(SITE_PATTERN, text):
        raise click.BadParameter("allowed are 1 to 40 of a-z, 0-9 and -, not beginning with -", param_hint="--site")
    return text


def given_day(text: str) -> int:
    """A day, as ordinal; anything else is wrong use."""
    try:
        if _DAY.fullmatch(text):
            return day_of(text)
    except ValueError:
        pass
    raise click.BadParameter("must be a day like 2026-06-30, of the years 1000 to 8999", param_hint="--as-of")


def given_key(path: Path) -> bytes:
    """The pseudonym key in a file; anything else is wrong use."""
    try:
        return read_key(path)
    except KeyProblem as problem:
        raise click.ClickException(str(problem)) from None
