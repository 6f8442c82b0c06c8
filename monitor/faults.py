"""Tells of an unexpected exception without any patient's value, so that what it prints can be sent to anyone.

The text of an exception, and of what caused it, may quote what was being read. Types and places in the code cannot.
"""

import logging
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

log = logging.getLogger("jakwatch")

ROOT = Path(__file__).resolve().parents[1]
OUR_CODE = (ROOT / "monitor", ROOT / "schemas")
PLACES_SHOWN = 30  # of each exception; endless recursion has a thousand that are alike


def summary(error: BaseException) -> str:
    """`KeyError in monitor/core/gate.py:12 (judge)`: the innermost line of our own code, never a text or value."""
    error = _first(error)
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if _is_ours(frame)]
    place = f" {_place((ours or frames)[-1])}" if frames else ""
    return f"{type(error).__name__}{place}"


def unassessable(fault: Exception) -> str:
    """Where the core failed on a patient, who is then held and counted as unassessable."""
    return f"a bug left a patient unassessable: {summary(fault)}"


def tell(fault: Exception) -> None:
    """Log that the core failed on a patient."""
    log.error("%s", unassessable(fault))


def places(error: BaseException) -> Iterator[str]:
    """A line for the exception and each one that caused it, and under it the way through the code, innermost last."""
    for each in _chain(error):
        yield type(each).__name__
        yield from (f"  {_place(frame)}" for frame in traceback.extract_tb(each.__traceback__)[-PLACES_SHOWN:])


def _first(error: BaseException) -> BaseException:
    """Of a group the first that is none: the group names no cause."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _chain(error: BaseException) -> list[BaseException]:
    chain: list[BaseException] = []
    cause: BaseException | None = _first(error)
    while cause is not None and cause not in chain:
        chain.append(cause)
        cause = cause.__cause__ or cause.__context__
    return chain


def _is_ours(frame: traceback.FrameSummary) -> bool:
    return any(Path(frame.filename).is_relative_to(code) for code in OUR_CODE)


def _place(frame: traceback.FrameSummary) -> str:
    """Enough of the path to find the module, and nothing of the machine."""
    path = Path(frame.filename)
    parts = path.relative_to(ROOT).parts if _is_ours(frame) else path.parts[-2:]
    return f"in {'/'.join(parts)}:{frame.lineno} ({frame.name})"


class DiscreetFormatter(logging.Formatter):
    """Tells of an exception by type and place only, whoever logs it."""

    def formatException(self, ei: Any) -> str:  # noqa: N802  the library's name
        return summary(ei[1]) if ei[1] is not None else ""
