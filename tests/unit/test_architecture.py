"""What the whole project promises of its own code. `lint-imports` judges the layers; here stands what it cannot see."""

import ast
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROJECT = Path(__file__).resolve().parents[2]
NOT_OURS = re.compile(r"\.git|\.venv.*|__pycache__|\.\w+_cache|\.hypothesis|dist|.*\.egg-info")
LONGEST_MODULE = 400
LARGEST_FILE = 1_000_000

# zoneinfo reads the world's time zones, which change by decision of parliaments, not by our doing; all else computes.
# fmt: off
PURE_LIBRARIES = {
    "__future__", "abc", "array", "bisect", "calendar", "collections", "copy", "dataclasses",
    "datetime", "decimal", "enum", "fractions", "functools", "hashlib", "heapq", "hmac",
    "itertools", "json", "math", "numbers", "operator", "re", "statistics", "string", "struct",
    "types", "typing", "unicodedata", "zoneinfo", "msgspec", "numpy", "pydantic", "pydantic_core",
    "scipy",
}
# fmt: on
ASKS_THE_WORLD = {"__import__", "breakpoint", "compile", "eval", "exec", "input", "open", "print"}
ASKS_CLOCK_OR_CHANCE = {"default_rng", "now", "today", "utcnow"}

MACHINE = re.compile(r"(?<![\w.])/(?:home|Users|root|work|farm)/\w|/tmp/\w+_jobs|[A-Z]:\\+Users\\")
REGISTRY = re.compile(
    r"pypi\.org|pythonhosted\.org|registry\.npmjs\.|crates\.io|repo1?\.maven\.|proxy\.golang\.|deb\.debian\.org"
)


def files(*folders: str, pattern: str = "*") -> Iterator[Path]:
    """The project's own files below the folders, or all of them; not what tools and people left beside them."""
    for top in [PROJECT / folder for folder in folders] or [PROJECT]:
        for folder, below, names in os.walk(top):
            below[:] = sorted(name for name in below if not NOT_OURS.fullmatch(name))
            yield from (Path(folder, name) for name in sorted(names) if Path(name).match(pattern))


def name_of(path: Path) -> str:
    return path.relative_to(PROJECT).as_posix()


CORE = list(files("monitor/core", pattern="*.py"))


def foreign_imports(source: str) -> set[str]:
    """Imported names that are neither the core's, nor the messages', nor a library that only computes."""
    found = set[str]()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{'.' * node.level}{node.module or ''}.{alias.name}" for alias in node.names}
    return {name for name in found if not _is_pure(name)}


def _is_pure(name: str) -> bool:
    first, _, rest = name.partition(".")
    return first in PURE_LIBRARIES | {"schemas", ""} or (first == "monitor" and rest.split(".")[0] == "core")


def worldly_calls(source: str) -> set[str]:
    calls = [node.func for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    names = {call.id for call in calls if isinstance(call, ast.Name)} & ASKS_THE_WORLD
    return names | {call.attr for call in calls if isinstance(call, ast.Attribute)} & ASKS_CLOCK_OR_CHANCE


@pytest.mark.parametrize("path", CORE, ids=name_of)
def test_the_core_imports_only_what_computes(path: Path) -> None:
    assert foreign_imports(path.read_text(encoding="utf-8")) == set()


@pytest.mark.parametrize("path", CORE, ids=name_of)
def test_the_core_asks_no_clock_and_opens_nothing(path: Path) -> None:
    assert worldly_calls(path.read_text(encoding="utf-8")) == set()


def test_the_core_is_looked_at() -> None:
    assert len(CORE) > 10


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import os", {"os"}),
        ("def f():\n    from time import monotonic", {"time.monotonic"}),
        ("from monitor.replay import run", {"monitor.replay.run"}),
        ("from monitor import files", {"monitor.files"}),
        ("import monitor.cli", {"monitor.cli"}),
        (
            "from monitor.core import days\nfrom schemas.parts import Dose\nfrom . import days\nimport numpy as np",
            set(),
        ),
    ],
)
def test_a_foreign_import_is_found_wherever_it_stands(source: str, found: set[str]) -> None:
    assert foreign_imports(source) == found


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("x = datetime.now(tz=UTC)", {"now"}),
        ("x = [date.today() for _ in y]", {"today"}),
        ("with open(p) as f: print(f)", {"open", "print"}),
        ("re.compile('a')", set()),
    ],
)
def test_a_call_to_the_world_is_found_wherever_it_stands(source: str, found: set[str]) -> None:
    assert worldly_calls(source) == found


KAFKA_PYTHON_READS_SO = [
    *("-W", "ignore:read_text is deprecated:DeprecationWarning"),
    *("-W", "ignore:open_text is deprecated:DeprecationWarning"),
]
IMPORT_EVERYTHING = """
import importlib, pkgutil, sys, threading
import croniter  # of Faust's: asks the program `file` which Python this is

seen = []
LOUD = {"os.system", "os.fork", "os.mkdir", "os.remove", "os.rename", "signal.pthread_kill", "socket.__new__",
        "subprocess.Popen"}

def watch(event, args):
    if event in LOUD:
        seen.append(event)
    elif event == "open" and isinstance(args[0], str) and not args[0].endswith((".py", ".pyc", ".so", ".pyd")):
        brought = args[0].startswith((sys.prefix, sys.base_prefix))  # libraries may read what they brought with them,
        if not brought and not args[0].endswith("mime.types"):  # and aiohttp which type a file has by its name
            seen.append(f"open {args[0]}")

def start(thread):
    seen.append("thread")

sys.addaudithook(watch)
threading.Thread.start = start  # not every Python has an audit event for it
modules = []
for name in ("monitor", "schemas"):
    package = importlib.import_module(name)
    modules += [name, *(each.name for each in pkgutil.walk_packages(package.__path__, f"{name}."))]
for name in modules:
    importlib.import_module(name)
print(len(modules), *seen, sep="\\n")
"""


def import_everything(folder: Path) -> tuple[int, list[str], str]:
    """How many modules were imported, what that did beside reading code, and what it printed to stderr."""
    done = subprocess.run(
        [sys.executable, "-W", "error", *KAFKA_PYTHON_READS_SO, "-B", "-c", IMPORT_EVERYTHING],
        capture_output=True,
        text=True,
        cwd=folder,
        env={key: value for key, value in os.environ.items() if key != "PYTHONPATH"},
        timeout=120,
        check=False,
    )
    count, *seen = done.stdout.splitlines() or ["0"]
    return (int(count), seen, done.stderr) if count.isdigit() else (0, [count, *seen], done.stderr)


def test_importing_any_module_does_nothing() -> None:
    count, seen, stderr = import_everything(PROJECT)
    assert (seen, stderr) == ([], "")
    assert count > 20


@pytest.mark.parametrize(
    ("line", "seen"),
    [
        ("print('hello')", "hello"),
        ("import os; open(os.devnull)", "open /dev/null"),
        ("import threading; threading.Thread(target=print).start()", "thread"),
    ],
)
def test_a_module_that_does_something_is_found(tmp_path: Path, line: str, seen: str) -> None:
    for package, text in (("monitor", line), ("schemas", "")):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text(text, encoding="utf-8")
    assert seen in import_everything(tmp_path)[1]


@pytest.mark.parametrize("path", list(files(pattern="*.py")), ids=name_of)
def test_a_module_is_one_thing(path: Path) -> None:
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= LONGEST_MODULE, f"{name_of(path)} has {lines} lines: is it one thing?"


def test_no_file_names_a_machine_or_a_registry() -> None:
    small = [path for path in files() if path.stat().st_size < LARGEST_FILE]  # a history left here is not the project's
    texts = {path: path.read_bytes().decode("utf-8", "replace") for path in small}
    assert len(texts) > 30
    found = {name_of(path): hit.group() for path, text in texts.items() for hit in [MACHINE.search(text)] if hit}
    found |= {name_of(path): hit.group() for path, text in texts.items() for hit in [REGISTRY.search(text)] if hit}
    assert found == {}


@pytest.mark.parametrize(
    ("text", "is_found"),
    [
        (" ".join(["open", "/" + "home/anna/x.csv"]), True),
        ("C:" + r"\Users\anna", True),
        ("files.python" + "hosted.org", True),
        ("docs/home/page, ../shared/data", False),
    ],
)
def test_a_name_of_a_machine_or_a_registry_is_found(text: str, *, is_found: bool) -> None:
    assert bool(MACHINE.search(text) or REGISTRY.search(text)) == is_found


def locked(name: str) -> dict[str, str]:
    """Name -> version of a lock, whose every entry must bear the digest of its files."""
    text = (PROJECT / name).read_text(encoding="utf-8")
    assert "://" not in text
    versions = dict[str, str]()
    for entry in re.split(r"\n(?=[a-z0-9])", text)[1:]:  # the first is the file's own comment
        assert "--hash=sha256:" in entry
        name, version = entry.split()[0].split("==")
        versions[name] = version
    return versions


def test_the_locks_hold_what_the_project_asks_for() -> None:
    asked = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))
    runtime, dev = locked("requirements.lock"), locked("requirements-dev.lock")
    for lock, lines in ((runtime, asked["project"]["dependencies"]), (dev, asked["dependency-groups"]["dev"])):
        for line in map(Requirement, lines):
            assert lock[canonicalize_name(line.name)] in line.specifier
    assert runtime.items() <= dev.items(), "tests must run what users install"
