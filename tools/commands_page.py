"""Writes docs/reference/commands.md from what `--help` says.

python -m tools.commands_page            write
python -m tools.commands_page --check    compare, exit 1 where the page is not current
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import click

from monitor.cli import main

PAGE = Path(__file__).resolve().parent.parent / "docs" / "reference" / "commands.md"
_WIDTH = 100

_HEAD = """# All commands

What `jakwatch COMMAND --help` says. Generated (`make format`), so it is what the program does.
"""


def page() -> str:
    """The whole page."""
    return "\n".join([_HEAD, *(_section(context) for context in _contexts(_context(main, "jakwatch", None)))])


def _context(command: click.Command, name: str, parent: click.Context | None) -> click.Context:
    """As `jakwatch` makes it, for a terminal of a fixed width."""
    names = main.context_settings["help_option_names"]
    return click.Context(
        command, info_name=name, parent=parent, terminal_width=_WIDTH, max_content_width=_WIDTH, help_option_names=names
    )


def _contexts(context: click.Context) -> Iterator[click.Context]:
    """A command and all below it, in the order of its help."""
    yield context
    group = context.command
    if isinstance(group, click.Group):
        for name in group.list_commands(context):
            command = group.get_command(context, name)
            if command is not None:
                yield from _contexts(_context(command, name, context))


def _section(context: click.Context) -> str:
    heading = "" if context.parent is None else f"## {context.command_path}\n\n"
    return f"{heading}```text\n{context.get_help()}\n```\n"


def run(arguments: list[str]) -> int:
    """In a process of its own: click keeps on a command the help option its first caller asked for."""
    if arguments == ["--check"]:
        if PAGE.read_text(encoding="utf-8") == page():
            return 0
        sys.stderr.write(f"{PAGE.name} is not what --help says. Do next: python -m tools.commands_page\n")
        return 1
    PAGE.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
