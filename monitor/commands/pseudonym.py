"""`jakwatch pseudonym`: the name under which a log holds a patient whose identifier is known."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from monitor.commands.given import given_key, given_site, what_a_person_can_mend

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_LONGEST = 128  # characters of a patient id


@click.command(
    epilog="""\b
Example:
  jakwatch pseudonym --site lisbon --key jakwatch-data/pseudonym.key --sites sites.yaml < id.txt"""
)
@click.option("--site", required=True, metavar="NAME", help="Whose patient.")
@click.option("--key", "key_file", required=True, type=_FILE, help="File with the pseudonym key of the service.")
@click.option(
    "--sites", "registries", multiple=True, metavar="FILE", help="The site registry of the service: its id rules."
)
def command(site: str, key_file: Path, registries: tuple[str, ...]) -> None:
    """Read a patient id from standard input and print the pseudonym under which the log holds that patient.

    For the action `erase`, which names a patient by it. The id is read, not given as an argument, so that it stands in
    no history of commands. Where id rules changed, there may be several, one a line.
    """
    from monitor.core.pseudonyms import pseudonymiser  # noqa: PLC0415  --help waits for none of this
    from monitor.files import read_registry  # noqa: PLC0415

    site, key = given_site(site), given_key(key_file)
    with what_a_person_can_mend():
        registry = read_registry(registries)
    if registry is not None and site not in registry.names:
        raise click.BadParameter("the registry knows no such site", param_hint="--site")
    for pseudonym in pseudonymiser(site, key, registry)(_patient_id()):
        click.echo(pseudonym)


def _patient_id() -> str:
    """What stands in the only line; a person at a terminal is asked for it."""
    if sys.stdin.isatty():
        click.echo("Patient id: ", nl=False, err=True)
    try:
        given = sys.stdin.buffer.readline() if sys.stdin.isatty() else sys.stdin.buffer.read().rstrip(b"\r\n")
        patient_id = given.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        patient_id = ""
    if not 1 <= len(patient_id) <= _LONGEST or "\n" in patient_id:
        raise click.UsageError(f"standard input must hold one patient id: a line of 1 to {_LONGEST} characters, UTF-8.")
    return patient_id
