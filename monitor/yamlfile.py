"""YAML as a person means it: plain data, the line of everything, and no guessing.

A policy decides over patients, so what YAML 1.1 would read as something else than it says is refused instead: `no` for
false, 1_000 for a thousand, 12:30 for 750, a key given twice for its last value. Numbers stay the decimals that were
written.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import Any, NamedTuple

import yaml

Path = tuple[str | int, ...]
Lines = dict[Path, int]
Plain = Any
"""None, bool, int, Decimal, date, str, list or dict of these."""

_WORDS: dict[str, bool | None] = {"true": True, "false": False, "null": None, "~": None, "": None}
_OTHER_TRUTHS = frozenset({"yes", "no", "on", "off", "y", "n"})
_WHOLE = re.compile(r"[-+]?(0|[1-9][0-9]*)\Z")
_DECIMAL = re.compile(r"[-+]?(0|[1-9][0-9]*)\.[0-9]+\Z")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}\Z")
_NUMBER_LIKE = re.compile(
    r"[-+]?(\.?[0-9][0-9_,.]*(e[-+]?[0-9]+)?|0x[0-9a-f_]+|0o?[0-7_]+|\.inf|\.nan|[0-9:]+)\Z", re.IGNORECASE
)
_EXPLICIT = "write the value itself: this file uses neither anchors (&), references (*), merges (<<) nor tags (!)"


class YamlProblem(NamedTuple):
    """Where (line from 1, path of keys) and what is wrong with the YAML itself."""

    line: int
    path: Path
    message: str


class Document(NamedTuple):
    """The data of a file, the line of each of its places, and what could not be read as it stands."""

    data: Plain
    lines: Lines
    problems: tuple[YamlProblem, ...]


def read_yaml(text: str) -> Document:
    """The one document of a text. With problems, `data` is what could be read beside them, or None."""
    try:
        if refused := tuple(_refused(text)):
            return Document(None, {}, refused)
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        return Document(None, {}, (_broken(error),))
    except yaml.YAMLError:
        return Document(None, {}, (YamlProblem(1, (), "holds a character that YAML does not allow; save it as UTF-8"),))
    except RecursionError:
        return Document(None, {}, (YamlProblem(1, (), "is nested too deeply"),))
    reader = _Reader()
    data = None if node is None else reader.value(node, ())
    return Document(data, reader.lines, tuple(reader.problems))


def _refused(text: str) -> Iterator[YamlProblem]:
    """What YAML can do and a document to be signed should not: the same text would stand for something unseen."""
    documents = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        line = event.start_mark.line + 1 if event.start_mark else 1
        documents += isinstance(event, yaml.DocumentStartEvent)
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) or getattr(event, "tag", None):
            yield YamlProblem(line, (), _EXPLICIT)
        elif documents > 1:
            yield YamlProblem(line, (), "a second document begins (---); keep one a file")
            return


def _broken(error: yaml.MarkedYAMLError) -> YamlProblem:
    mark = error.problem_mark or error.context_mark
    line = mark.line + 1 if mark else 1
    return YamlProblem(
        line, (), f"is no YAML: {error.problem or error.context}; check indentation, quotes and brackets"
    )


class _Reader:
    """Turns the nodes of a document into data, noting lines and problems on the way."""

    def __init__(self) -> None:
        self.lines: Lines = {}
        self.problems: list[YamlProblem] = []

    def value(self, node: yaml.Node, path: Path) -> Plain:
        self.lines.setdefault(path, node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, (*path, at)) for at, item in enumerate(node.value)]
        if isinstance(node, yaml.ScalarNode) and node.style is None:
            return self._unquoted(node, path)
        return node.value

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Plain]:
        read: dict[str, Plain] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            key = key_node.value
            if not isinstance(key, str) or key == "<<":
                self.problems.append(YamlProblem(line, path, "a key must be one word" if key != "<<" else _EXPLICIT))
            elif key in read:
                first = self.lines[(*path, key)]
                self._say(line, (*path, key), f"stands twice, first in line {first}; keep one")
            else:
                self.lines[(*path, key)] = line
                read[key] = self.value(value_node, (*path, key))
        return read

    def _unquoted(self, node: yaml.ScalarNode, path: Path) -> Plain:
        text = node.value
        if text.lower() in _WORDS:
            return _WORDS[text.lower()]
        if _WHOLE.match(text):
            return int(text)
        if _DECIMAL.match(text):
            return Decimal(text)
        if _DAY.match(text):
            return self._day(text, node, path)
        if trap := _trap(text):
            self._say(node.start_mark.line + 1, path, trap)
        return text

    def _day(self, text: str, node: yaml.ScalarNode, path: Path) -> Plain:
        try:
            return date.fromisoformat(text)
        except ValueError:
            self._say(node.start_mark.line + 1, path, f"{text} is no day of the calendar")
            return text

    def _say(self, line: int, path: Path, message: str) -> None:
        self.problems.append(YamlProblem(line, path, message))


def _trap(text: str) -> str | None:
    """Why an unquoted word may be read as something else than it says, None where it cannot."""
    if text.lower() in _OTHER_TRUTHS:
        return f"{text} may mean a truth value or a word; write true or false, or quote it: '{text}'"
    if _NUMBER_LIKE.match(text):
        return f"{text} may be read as several numbers; write plain digits like 1000 or 0.95, or quote it: '{text}'"
    return None
