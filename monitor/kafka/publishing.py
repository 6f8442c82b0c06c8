"""Publishing the lines of files to the sites' inbound topics: each confirmed, and gone on with where it ended.

Lines go as they are, garbage too: the monitor keeps what it rejects, with the reason. That none is lost is all that
counts here, one that is sent twice counts once. So they go in windows, each confirmed and noted before the next.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from monitor.kafka.names import topic
from monitor.kafka.progress import Progress, Reading
from monitor.kafka.sending import LONGEST, Letter, Sender
from schemas.jsontext import NotJsonError, Twice, read
from schemas.parts import RESERVED_SITE, SITE_PATTERN

WINDOW_LINES = 1_000
WINDOW_BYTES = 1 << 20
TOO_LONG = f"longer than {LONGEST:,} bytes; a message has at most 65,536"
TOO_LARGE = "refused by Kafka as too large; a message has at most 65,536 bytes"
NO_SITE = "no site can be read from it; give --site NAME, or each line its field `site`"
NO_TOPIC = "its site has no inbound topic that we may see; correct the name, or run jakwatch topics apply"
RESERVED = f"the site `{RESERVED_SITE}` is reserved for checks of the service"


class Line(NamedTuple):
    number: int  # from 1; blank ones count
    raw: bytes  # without its end; of one that is too long its first LONGEST + 1 bytes


class NotSentError(Exception):
    """A line that goes nowhere; the text is one of those above."""


@dataclass(frozen=True, slots=True)
class Account:
    """What came of the lines so far; filled as they go."""

    sent: Counter[str] = field(default_factory=Counter)  # by site; in a rehearsal: what would be sent
    refused: dict[tuple[str, str], list[tuple[int, int]]] = field(default_factory=dict)  # file, why -> first, last line
    published_before: Counter[str] = field(default_factory=Counter)  # by file

    def refuse(self, file: str, why: str, number: int) -> None:
        ranges = self.refused.setdefault((file, why), [])
        first = ranges.pop()[0] if ranges and ranges[-1][1] == number - 1 else number
        ranges.append((first, number))


@dataclass(frozen=True, slots=True)
class Publication:
    """Where lines go: all to `site`, or each to the one it names. Without a sender it is a rehearsal."""

    site: str | None
    topics: frozenset[str]
    sender: Sender | None
    progress: Progress
    account: Account = field(default_factory=Account)

    def publish(self, file: str, lines: Iterable[Line | None]) -> None:
        """Send the lines of a file that were not confirmed before; None says that there are no more by now.

        Raises progress.ProgressError and sending.UndeliveredError.
        """
        reading = self.progress.reading(file)
        for window in _windows(self._due(reading, lines)):
            self._finish(reading, window)
        reading.check_end()
        self._note(reading)

    def _due(self, reading: Reading, lines: Iterable[Line | None]) -> Iterator[Line | None]:
        for line in lines:
            if line is None or reading.is_due(*line):
                yield line
            else:
                self.account.published_before[reading.file] += 1

    def _finish(self, reading: Reading, window: Sequence[Line]) -> None:
        """Send a window; when this returns, all of it is confirmed or refused."""
        refused, addressed = self._addressed(window)
        refused |= self._delivered(addressed)
        for number, why in sorted(refused.items()):
            self.account.refuse(reading.file, why, number)
        reading.finish({line.number for line in window}, set(refused))
        self._note(reading)

    def _note(self, reading: Reading) -> None:
        if self.sender is not None:
            self.progress.note(reading)

    def _addressed(self, window: Sequence[Line]) -> tuple[dict[int, str], list[tuple[Line, str]]]:
        """Of lines that go nowhere the reason, by number; of the others their site."""
        refused, addressed = {}, []
        for line in window:
            try:
                addressed.append((line, self._site_of(line.raw)))
            except NotSentError as why:
                refused[line.number] = str(why)
        return refused, addressed

    def _site_of(self, raw: bytes) -> str:
        if len(raw) > LONGEST:
            raise NotSentError(TOO_LONG)
        if self.site is not None:
            return self.site
        site = named_site(raw)
        if topic("in", site) not in self.topics:
            raise NotSentError(NO_TOPIC)
        return site

    def _delivered(self, addressed: Sequence[tuple[Line, str]]) -> dict[int, str]:
        """Of lines that the broker refused the reason, by number."""
        letters = [Letter(topic("in", site), line.raw) for line, site in addressed]
        refused = set() if self.sender is None else set(self.sender.deliver(letters))
        self.account.sent.update(site for index, (_, site) in enumerate(addressed) if index not in refused)
        return {addressed[index][0].number: TOO_LARGE for index in refused}


def named_site(raw: bytes) -> str:
    """The site that a message names, read as carefully as the monitor reads it. Raises NotSentError."""
    try:
        value = read(raw)
    except NotJsonError:
        value = None
    if not isinstance(value, dict) or (isinstance(value, Twice) and value.key == "site"):
        raise NotSentError(NO_SITE)
    site = value.get("site")
    if not isinstance(site, str) or not re.fullmatch(SITE_PATTERN, site):
        raise NotSentError(NO_SITE)
    if site == RESERVED_SITE:
        raise NotSentError(RESERVED)
    return site


def _windows(lines: Iterable[Line | None]) -> Iterator[list[Line]]:
    """Lines that are confirmed together: as many as go well at once, or as many as there are by now."""
    window: list[Line] = []
    size = 0
    for line in lines:
        if line is not None:
            window.append(line)
            size += len(line.raw)
        if window and (line is None or len(window) >= WINDOW_LINES or size >= WINDOW_BYTES):
            yield window
            window, size = [], 0
    if window:
        yield window
