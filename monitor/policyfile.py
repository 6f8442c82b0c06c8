"""Policies and site registries from files: the typed documents, or everything that is wrong with them at once."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from monitor.core.policy import Codings, PolicyDocument
from monitor.core.policy_values import CODE, CODE_LIST, Part
from monitor.core.registry import Registry, RegistryDocument
from monitor.problems import PolicyError, Problem, explained, key_of
from monitor.yamlfile import Document, Lines, read_yaml
from monitor.yamlfile import Path as KeyPath

__all__ = [
    "Loaded",
    "PolicyError",
    "default_policy_path",
    "is_registry",
    "load_policies",
    "load_registry",
    "read_policy",
]

Model = TypeVar("Model", bound=Part)
_CODE = re.compile(CODE)


@dataclass(frozen=True)
class Loaded:
    """A policy with the lines of its file, for whoever talks about places in it."""

    file: str
    policy: PolicyDocument
    lines: Lines

    def line(self, path: KeyPath) -> int:
        """The line of a place, or of the nearest place around it where it was left out."""
        return _line(self.lines, path)


def default_policy_path() -> Path:
    """The policy that comes with the product."""
    return Path(__file__).parent / "policies" / "default.yaml"


def read_policy(path: str | Path) -> Loaded:
    """One policy and its code lists. OSError: a file cannot be opened; PolicyError: what is wrong in it."""
    reading = _Reading(path)
    data = reading.document.data
    files = dict(reading.code_lists())
    if isinstance(data, dict):
        if "files" in data:
            reading.say(("files",), "is no key of this block; a code list is named where it is used: file:list.csv")
        data = data | {"files": files}
    return Loaded(str(path), reading.build(PolicyDocument, data), reading.document.lines)


def load_policies(paths: Sequence[str | Path]) -> tuple[PolicyDocument, ...]:
    """Versions of a policy, sorted by the day from which each is in force; two of one day or number are refused."""
    loaded = [read_policy(path) for path in paths]
    heads = [(one.policy.policy.version, one.policy.policy.effective_from) for one in loaded]
    _refuse_doubles("policy", [(one.file, one.lines) for one in loaded], heads)
    return tuple(sorted((one.policy for one in loaded), key=lambda one: one.policy.effective_from))


def is_registry(path: str | Path) -> bool:
    """Whether a file is a site registry rather than a policy, as far as its keys tell."""
    document = read_yaml(Path(path).read_bytes().decode("utf-8-sig", "replace"))
    return isinstance(document.data, dict) and "registry" in document.data and "policy" not in document.data


def load_registry(paths: Sequence[str | Path]) -> Registry:
    """All versions of the site registry; two of one day or number are refused."""
    readings = [_Reading(path) for path in paths]
    documents = [reading.build(RegistryDocument, reading.document.data) for reading in readings]
    heads = [(one.registry.version, one.registry.effective_from) for one in documents]
    _refuse_doubles("registry", [(reading.file, reading.document.lines) for reading in readings], heads)
    return Registry(tuple(sorted(documents, key=lambda one: one.registry.effective_from)))


def _refuse_doubles(block: str, files: list[tuple[str, Lines]], heads: list[tuple[int, date]]) -> None:
    problems = []
    for at, (file, lines) in enumerate(files):
        for which, key in enumerate(("version", "effective_from")):
            earlier = [other for other in range(at) if heads[other][which] == heads[at][which]]
            if earlier:
                message = f"{heads[at][which]} is that of {files[earlier[0]][0]} too; each version needs its own"
                problems.append(Problem(file, _line(lines, (block, key)), f"{block}.{key}", message))
    if problems:
        raise PolicyError(problems)


def _line(lines: Lines, path: KeyPath) -> int:
    while path and path not in lines:
        path = path[:-1]
    return lines.get(path, 1)


class _Reading:
    """One file on its way to a document; collects what is wrong so that all of it is said together."""

    def __init__(self, path: str | Path) -> None:
        self.file = str(path)
        self.problems: list[Problem] = []
        self.document = self._read(Path(path))

    def say(self, path: KeyPath, message: str) -> None:
        self.problems.append(Problem(self.file, _line(self.document.lines, path), key_of(path), message))

    def build(self, model: type[Model], data: object) -> Model:
        """The document, if nothing was wrong with the file either."""
        try:
            built = model.model_validate(data)
        except ValidationError as error:
            said = {problem.key for problem in self.problems}  # a word YAML refused has no right type either
            for path, message in explained(model, data, error):
                if key_of(path) not in said:
                    self.say(path, message)
            raise PolicyError(self.problems) from None
        if self.problems:
            raise PolicyError(self.problems)
        return built

    def code_lists(self) -> Iterator[tuple[str, Codings]]:
        """The rows of every csv file that the document names, each read once."""
        done = set()
        for key, name in _files_named(self.document.data, ()):
            if name not in done:
                done.add(name)
                yield name, self._code_list(name, key)

    def _read(self, path: Path) -> Document:
        try:
            text = path.read_bytes().decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = error.object[: error.start].count(b"\n") + 1
            raise PolicyError([Problem(self.file, line, "", "is not UTF-8; save it in that encoding")]) from None
        document = read_yaml(text)
        self.problems = [Problem(self.file, one.line, key_of(one.path), one.message) for one in document.problems]
        if not isinstance(document.data, dict):
            shape = Problem(self.file, 1, "", "must be a block of `key: value`, beginning with its head")
            raise PolicyError(self.problems or [shape])
        return document

    def _code_list(self, name: str, key: KeyPath) -> Codings:
        path = Path(self.file).parent / name
        try:
            text = path.read_bytes().decode("utf-8-sig")
        except FileNotFoundError:
            self.say(key, f"there is no {path}; a code list stands beside the policy that names it")
            return ()
        except UnicodeDecodeError:
            self.problems.append(Problem(str(path), 1, "", "is not UTF-8; save it in that encoding"))
            return ()
        codings, problems = read_code_list(text, str(path))
        self.problems += problems
        return codings


def _files_named(data: object, path: KeyPath) -> Iterator[tuple[KeyPath, str]]:
    """Every `file:x.csv` of a document with its place."""
    if isinstance(data, dict):
        for key, value in data.items():
            yield from _files_named(value, (*path, key))
    elif isinstance(data, list):
        for at, value in enumerate(data):
            yield from _files_named(value, (*path, at))
    elif isinstance(data, str) and (named := CODE_LIST.match(data)):
        yield path, named[1]


def read_code_list(text: str, file: str) -> tuple[Codings, list[Problem]]:
    """The sorted (system, code) pairs of a csv list; further columns are for the reader, `#` begins a comment line."""
    rows = [(line, row) for line, row in _rows(text) if row and not row[0].startswith("#")]
    header = rows[0][1] if rows else []
    if not {"system", "code"} <= set(header):
        first = rows[0][0] if rows else 1
        return (), [Problem(file, first, "", "needs a header with the columns system,code, separated by commas")]
    at = header.index("system"), header.index("code")
    pairs, problems = set(), []
    for line, row in rows[1:]:
        system, code = (row[column] if column < len(row) else "" for column in at)
        if _CODE.match(f"{system}:{code}") and system != "file":
            pairs.add((system, code))
        else:
            message = f"{system}:{code} is no code; write system,code like icd10,B02* (a * takes all below it)"
            problems.append(Problem(file, line, "", message))
    if len(rows) == 1:
        problems.append(Problem(file, rows[0][0], "", "has no codes below its header"))
    return tuple(sorted(pairs)), problems


def _rows(text: str) -> Iterator[tuple[int, list[str]]]:
    for line, row in enumerate(text.splitlines(), 1):
        yield line, [cell.strip() for cell in next(csv.reader([row]), [])] if row.strip() else []
