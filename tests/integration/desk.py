"""Where the real command is run on files: a folder, a registry, and what the command says."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from monitor.cli import main
from tests.data.good_history import SITES
from tests.data.valid_lines import VALID, compact

PROJECT = Path(__file__).resolve().parents[2]
POLICY = PROJECT / "tests" / "golden" / "policy.yaml"
CLASSES = ("accepted", "duplicate", "superseded", "conflicting")


class Desk:
    """A folder with a registry, and the real command run on files in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.sites = self.file("sites.yaml", SITES.encode())

    def file(self, name: str, content: bytes) -> Path:
        path = self.folder / name
        path.write_bytes(content)
        return path

    def lines(self, lines: Iterable[bytes], name: str = "messages.jsonl") -> Path:
        return self.file(name, b"".join(line + b"\n" for line in lines))

    def replay(self, *arguments: str | Path, given: bytes | None = None) -> Result:
        options = ["--policy", str(POLICY), "--sites", str(self.sites)]
        return CliRunner().invoke(main, ["replay", *map(str, arguments), *options], input=given)

    def printed(self, *arguments: str | Path, given: bytes | None = None) -> bytes:
        """What is printed when all is well."""
        result = self.replay(*arguments, given=given)
        assert (result.exit_code, result.stderr) == (0, "")
        return result.stdout_bytes


def conserves(messages: dict[str, Any]) -> bool:
    """Every message received is in exactly one class."""
    return bool(messages["received"] == sum(messages[name] for name in CLASSES) + sum(messages["rejected"].values()))


def only_rejected(rejected: dict[str, int]) -> dict[str, Any]:
    """The counts of messages where none was taken."""
    return {"received": sum(rejected.values()), **dict.fromkeys(CLASSES, 0), "rejected": rejected}


def with_(kind: str, **changes: Any) -> bytes:
    return compact({**json.loads(VALID[kind]), **changes})
