"""`jakwatch schemas`: the messages in and out for people who write the other end."""

from __future__ import annotations

import shutil
from pathlib import Path

import click

from schemas.generate import EXAMPLES, JSON_SCHEMAS

DEFAULT = Path("jakwatch-schemas")
EXAMPLE = "\b\nExample: jakwatch schemas export contract/"


@click.group(epilog=EXAMPLE)
def command() -> None:
    """The messages in and out as JSON Schema, with examples."""


@command.command(epilog=EXAMPLE)
@click.argument("folder", default=str(DEFAULT), metavar="[DIR]", type=click.Path(file_okay=False, path_type=Path))
def export(folder: Path) -> None:
    """Write the JSON Schema of every type to DIR/json and examples, valid and invalid, to DIR/examples.

    What lies there under the same name is replaced. DIR is jakwatch-schemas unless named.
    """
    count = 0
    for source in (JSON_SCHEMAS, EXAMPLES):
        shutil.copytree(source, folder / source.name, dirs_exist_ok=True)
        count += sum(1 for path in source.rglob("*.json"))
    click.echo(f"{count} files written to {folder}")
