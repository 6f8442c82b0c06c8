"""What stands in fenced blocks of a Markdown page: the commands of a console with the output they show."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

_FENCE = re.compile(r"( *)```(\w*)\s*$")
_COMMENT = re.compile(r"\s+# ([^#'\"]+)$")
_EXIT_CODE = re.compile(r"exit code (\d+)")


@dataclass
class Block:
    """A fenced block: the word after the fence and the lines within."""

    language: str
    line: int  # of its first line, from 1
    lines: list[str] = field(default_factory=list)


@dataclass
class Command:
    """A line after `$ `, what the comment behind it says of it, and the output shown below it.

    The comment says, in these words: `exit code N`; `in a terminal of its own`, of what serves until somebody stops it;
    `after Ctrl-C there` or `after Ctrl-C of the worker`, before which that is stopped; `within seconds`, where what is
    shown takes a while to come.
    """

    text: str
    line: int
    comment: str = ""
    output: list[str] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        stated = _EXIT_CODE.search(self.comment)
        return int(stated[1]) if stated else 0

    @property
    def serves(self) -> bool:
        return "in a terminal of its own" in self.comment

    @property
    def stops_first(self) -> bool:
        return "after Ctrl-C there" in self.comment

    @property
    def stops_the_worker(self) -> bool:
        return "after Ctrl-C of the worker" in self.comment

    @property
    def takes_a_while(self) -> bool:
        return "within seconds" in self.comment


def blocks(page: str) -> Iterator[Block]:
    """The fenced blocks of a page; those of a list without its indentation."""
    inside: Block | None = None
    indent = ""
    for number, line in enumerate(page.splitlines(), 1):
        fence = _FENCE.match(line)
        if inside is not None and fence:
            yield inside
            inside = None
        elif inside is not None:
            inside.lines.append(line.removeprefix(indent).rstrip())
        elif fence:
            indent, language = fence.groups()
            inside = Block(language, number + 1)


def programs(page: str) -> dict[str, str]:
    """The programs that a reader is to save, by the name that stands in their first line."""
    found = (block.lines for block in blocks(page) if block.language == "python")
    return {lines[0].removeprefix("# "): "\n".join(lines) + "\n" for lines in found}


def commands(page: str) -> list[Command]:
    """The commands of all console blocks, in order."""
    found: list[Command] = []
    for block in blocks(page):
        mine: list[Command] = []
        for number, line in enumerate(block.lines if block.language == "console" else (), block.line):
            if line.startswith("$ "):
                mine.append(_command(line[2:], number))
            else:
                mine[-1].output.append(line)
        found += mine
    return found


def _command(text: str, line: int) -> Command:
    comment = _COMMENT.search(text)
    return Command(_COMMENT.sub("", text), line, comment[1] if comment else "")


def mismatch(shown: list[str], printed: list[str]) -> str | None:
    """Why what is printed is not what a page shows; None if it is. `...` alone is any lines, within a line any text."""
    at = 0
    skips = False
    for line in shown:
        if line.strip() == "...":
            skips = True
            continue
        hits = [number for number in range(at, len(printed)) if _fits(line, printed[number])]
        if not hits or (not skips and hits[0] != at):
            return f"shown, and not printed there: {line}"
        at, skips = hits[0] + 1, False
    return None if skips or at == len(printed) else f"printed, and not shown: {printed[at]}"


def _fits(shown: str, printed: str) -> bool:
    return re.fullmatch(".*".join(map(re.escape, shown.split("..."))), printed) is not None
