"""All tests, in two halves side by side: most of the time they wait for processes that they started.

python -m tools.test_all    exit code 0 if all of both passed
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
QUICK = ("unit", "golden", "reference", "property")


def halves() -> tuple[list[str], list[str]]:
    """Every test is in one of them; those that start processes are dealt out in turn."""
    slow = sorted(str(path.relative_to(PROJECT)) for path in PROJECT.glob("tests/integration/test_*.py"))
    return [*(f"tests/{name}" for name in QUICK), *slow[::2]], slow[1::2]


def main() -> int:
    """What the first half says is shown at once, what the second says behind it."""
    first, second = ([sys.executable, "-m", "pytest", *names] for names in halves())
    with tempfile.TemporaryFile() as said:
        other = subprocess.Popen(second, cwd=PROJECT, stdout=said, stderr=subprocess.STDOUT)  # noqa: S603 - pytest
        code = subprocess.run(first, cwd=PROJECT, check=False).returncode  # noqa: S603 - pytest
        code = other.wait() or code
        said.seek(0)
        sys.stdout.buffer.write(said.read())
    return code


if __name__ == "__main__":
    sys.exit(main())
