"""`jakwatch rejected`: what the monitor rejected of a site, and bringing it in again after a mending."""

from __future__ import annotations

import json
import re
import sys
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NoReturn

import click

from monitor.commands.broker import broker_options
from monitor.commands.given import given_site, what_a_person_can_mend
from monitor.core.days import instant
from monitor.exitcodes import ExitCode
from monitor.files import read_registry
from monitor.records import instant_text
from schemas.rules import REASONS

if TYPE_CHECKING:
    from monitor.kafka.connection import Connection
    from monitor.kafka.rejected import Entry, Found
    from monitor.kafka.replaying import Fate, Replay, Tally

_SHOWN = 100
_HARDLY_A_VALUE = re.compile("[A-Za-z_.-]{1,40}")  # the name of a header that can be shown
_UNSAFE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # what would command a terminal
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


@click.group(epilog="Example: jakwatch rejected list --site lisbon --broker kafka:9092")
def command() -> None:
    """List, show and replay what the monitor rejected of a site.

    It keeps what it rejects for 30 days, byte for byte; it may hold patient data.
    """


def _choice_options(inner: Callable[..., None]) -> Callable[..., None]:
    """Which rejections are meant."""
    reason = click.option("--reason", "reasons", multiple=True, type=click.Choice(REASONS), help="Only those.")
    since = click.option("--since", metavar="INSTANT", help="Only what was rejected since, e.g. 2026-06-30T12:00:00Z.")
    return reason(since(inner))


_site_option = click.option("--site", required=True, metavar="NAME", help="Whose messages were rejected.")


@command.command(
    "list",
    epilog="""\b
Examples:
  jakwatch rejected list --site lisbon
  jakwatch rejected list --site lisbon --reason invalid --since 2026-06-30 --format json""",
)
@_site_option
@_choice_options
@click.option("--limit", type=click.IntRange(1), default=_SHOWN, show_default=True, help="The latest so many.")
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
@broker_options
def list_(
    *, connection: Connection, site: str, reasons: tuple[str, ...], since: str | None, limit: int, form: str
) -> None:
    """What was rejected and why; never what was sent."""
    from monitor.kafka.rejected import Choice, read_rejected  # noqa: PLC0415  --help waits for none of this

    choice = Choice(frozenset(reasons), _since(since))
    with _reading(connection, given_site(site)):
        chosen = (each.entry for each in read_rejected(connection, site) if choice.has(each.entry))
        counts: Counter[str] = Counter()
        latest = deque(_counted(chosen, counts), maxlen=limit)
    if form == "json":
        click.echo(json.dumps(_as_json(site, counts, latest), indent=1))
    else:
        _echo_lines(_as_table(site, counts, latest))


def _counted(entries: Iterable[Entry], counts: Counter[str]) -> Iterator[Entry]:
    for each in entries:
        counts[each.reason] += 1
        yield each


def _as_json(site: str, counts: Counter[str], latest: Iterable[Entry]) -> dict[str, Any]:
    return {
        "site": site,
        "total": counts.total(),
        "by_reason": {reason: counts[reason] for reason in REASONS if counts[reason]},
        "rejected": [_entry_as_json(each) for each in latest],
    }


def _entry_as_json(entry: Entry) -> dict[str, Any]:
    return {
        "topic": entry.origin.topic,
        "offset": entry.origin.offset,
        "reason": entry.reason,
        "path": entry.path,
        "rule": entry.rule,
        "rejected_at": entry.rejected_at,
        "bytes": entry.size,
        "replayed_from": [{"topic": each.topic, "offset": each.offset} for each in entry.replayed_from],
    }


def _as_table(site: str, counts: Counter[str], latest: Sequence[Entry]) -> Iterator[str]:
    total = counts.total()
    if not total:
        yield f"{site}: nothing of this kind was rejected in the last 30 days"
        return
    by_reason = ", ".join(f"{reason} {counts[reason]:,}" for reason in REASONS if counts[reason])
    yield f"{site}: {_messages(total)} rejected ({by_reason})"
    yield ""
    head = ("topic", "offset", "rejected at", "reason", "field", "rule", "bytes", "replayed from")
    yield from _columns([head, *map(_cells, latest)], right={1, 6})
    if total > len(latest):
        yield ""
        yield f"The latest {len(latest):,} of {total:,}; --limit {total} shows all."


def _cells(entry: Entry) -> tuple[str, ...]:
    """Of where it was before only the last place: `show` tells of all."""
    before = str(entry.replayed_from[-1].offset) if entry.replayed_from else ""
    came, at = entry.origin, entry.rejected_at[:19] + "Z"
    return (came.topic, str(came.offset), at, entry.reason, entry.path, entry.rule, f"{entry.size:,}", before)


@command.command(
    epilog="""\b
Examples:
  jakwatch rejected show --site lisbon --offset 1017
  jakwatch rejected show --site lisbon --offset 1017 --raw > message.json"""
)
@_site_option
@click.option("--offset", required=True, type=click.IntRange(0), help="Its offset in the inbound topic, from the list.")
@click.option("--raw", is_flag=True, help="Write to standard output what was sent, byte for byte: patient data.")
@broker_options
def show(*, connection: Connection, site: str, offset: int, raw: bool) -> None:
    """One rejected message: why, and where it came from; what was sent only with --raw."""
    from monitor.kafka.rejected import Choice, read_rejected  # noqa: PLC0415

    choice = Choice(offsets=frozenset([offset]))
    with _reading(connection, given_site(site)):
        found = [each for each in read_rejected(connection, site) if choice.has(each.entry)]
    if not found:
        _stop(
            ExitCode.WRONG_USE, f"nothing rejected of {site} came at offset {offset}, or it was more than 30 days ago."
        )
    _echo_lines(_told(found[-1]), err=raw)
    if raw:
        click.echo("jakwatch: what follows may identify a patient: keep it from logs and tickets.", err=True)
        _write_raw(found[-1].raw)


def _told(found: Found) -> Iterator[str]:
    entry = found.entry
    rows = [
        ("topic", entry.origin.topic), ("offset", str(entry.origin.offset)), ("rejected at", entry.rejected_at),
        ("reason", entry.reason), ("field", entry.path), ("rule", entry.rule), ("bytes", f"{entry.size:,}"),
        *(("replayed from", f"{each.topic}/{each.offset}") for each in entry.replayed_from),
        *(("header", f"{_header_name(name)}, {len(value or b''):,} bytes") for name, value in found.headers),
    ]  # fmt: skip
    yield from _columns([row for row in rows if row[1]], right=set())


def _header_name(name: str) -> str:
    return name if _HARDLY_A_VALUE.fullmatch(name) else "(name not shown)"


def _write_raw(raw: bytes) -> None:
    """As it is to a file or program; to a terminal without what would command it."""
    if sys.stdout.isatty():
        text = raw.decode("utf-8", "backslashreplace")
        click.echo(_UNSAFE.sub(lambda one: f"\\x{ord(one[0]):02x}", text))
    else:
        click.echo(raw, nl=False)


@command.command(
    epilog="""\b
Examples:
  jakwatch rejected replay --site lisbon --sites sites.yaml
  jakwatch rejected replay --site lisbon --sites sites.yaml --reason newer_schema --yes

\b
Exit codes: 0 done, 1 some are too large to be sent with the header that is added, 69 Kafka cannot be reached or
stopped confirming: run it again, and only what is missing is done."""
)
@_site_option
@_choice_options
@click.option("--offset", "offsets", multiple=True, type=click.IntRange(0), help="Only the one that came there.")
@click.option(
    "--sites", "registries", multiple=True, metavar="FILE", help="The site registry as it is now. Default: UTC."
)
@click.option("--unmended-too", is_flag=True, help="Also what would be rejected again.")
@click.option("--older-too", is_flag=True, help="Also what was perhaps replayed before; twice counts once.")
@click.option("--yes", is_flag=True, help="Do it. Without this, only say what would be done.")
@broker_options
@click.pass_context
def replay(  # noqa: PLR0913  click calls it with a keyword for each option
    ctx: click.Context,
    *,
    connection: Connection,
    site: str,
    reasons: tuple[str, ...],
    since: str | None,
    offsets: tuple[int, ...],
    registries: tuple[str, ...],
    unmended_too: bool,
    older_too: bool,
    yes: bool,
) -> None:
    """Publish again, as it was, what this version of jakwatch and the registry given no longer reject.

    Each message once, also if this is run twice or was interrupted. One that is rejected again shows in the list where
    it was before.
    """
    from monitor.kafka.rejected import Choice  # noqa: PLC0415
    from monitor.kafka.replaying import Fate, Order, Replay  # noqa: PLC0415

    choice = Choice(frozenset(reasons), _since(since), frozenset(offsets))
    with what_a_person_can_mend():
        order = Order(given_site(site), choice, read_registry(registries), unmended_too, older_too)
    with _reading(connection, site, "in"):
        this = Replay(connection, order)
        tally = _run(this) if yes else this.rehearse()
    _echo_lines(_of_replay(tally, site, done=yes))
    ctx.exit(ExitCode.FINDINGS if any(each[Fate.REFUSED] for each in tally.values()) else ExitCode.DONE)


def _run(this: Replay) -> Tally:
    try:
        return this.run()
    except BaseException:
        click.echo(f"{_messages(len(this.published))} replayed so far; run it again for the rest.", err=True)
        raise


def _of_replay(tally: Tally, site: str, *, done: bool) -> Iterator[str]:
    from monitor.kafka.replaying import Fate  # noqa: PLC0415

    if not tally:
        yield f"{site}: nothing of this kind was rejected in the last 30 days"
        return
    total = sum(tally.values(), Counter[Fate]())
    fates = [fate for fate in Fate if total[fate]]
    yield from _columns(_of_fates(tally, fates, done=done), right=set(range(1, len(fates) + 1)))
    yield ""
    if done:
        yield f"{_messages(total[Fate.DUE])} replayed."
    else:
        yield f"Nothing was published. --yes replays {_messages(total[Fate.DUE])}."
    if total[Fate.TOO_OLD]:
        yield "Too old to know: the inbound topic no longer shows whether they were replayed; see --older-too."


def _of_fates(tally: Tally, fates: Sequence[Fate], *, done: bool) -> Iterator[tuple[str, ...]]:
    from monitor.kafka.replaying import Fate  # noqa: PLC0415

    yield ("reason", *("replayed" if done and fate is Fate.DUE else fate.value for fate in fates))
    for reason in REASONS:
        if reason in tally:
            yield (reason, *(f"{tally[reason][fate]:,}" for fate in fates))


@contextmanager
def _reading(connection: Connection, site: str, *kinds: str) -> Iterator[None]:
    """What is to be read is there; whatever keeps us from it is the end of the command, in words."""
    from monitor.kafka.names import topic  # noqa: PLC0415
    from monitor.kafka.reach import CannotReachError  # noqa: PLC0415
    from monitor.kafka.reading import UnreadableError  # noqa: PLC0415
    from monitor.kafka.sending import UndeliveredError, look, quiet_library  # noqa: PLC0415

    quiet_library()
    try:
        there = look(connection).topics
        missing = [name for kind in ("rejected", *kinds) if (name := topic(kind, site)) not in there]
        if missing:
            raise UnreadableError(
                f"there is no topic {missing[0]} that we may see. Do next: look at the name of the site; "
                "jakwatch topics check says what is missing."
            )
        yield
    except (CannotReachError, UnreadableError, UndeliveredError) as problem:
        _stop(ExitCode.SERVICE_MISSING, str(problem))


def _since(text: str | None) -> str:
    """The instant in the form of the records, nothing where none is given; anything else is wrong use."""
    if text is None:
        return ""
    try:
        moment = datetime.fromisoformat(text)
        if _DAY.fullmatch(text):
            moment = moment.replace(tzinfo=UTC)
        if moment.tzinfo is not None:
            return instant_text(instant(moment))
    except (ValueError, OverflowError):
        pass
    raise click.BadParameter(
        "must be an instant with an offset, like 2026-06-30T12:00:00Z, or a day", param_hint="--since"
    )


def _columns(rows: Iterable[tuple[str, ...]], right: set[int]) -> Iterator[str]:
    """Columns wide enough, those of `right` flush right."""
    rows = list(rows)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            cell.rjust(width) if index in right else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  ".join(cells).rstrip()


def _messages(number: int) -> str:
    return "1 message" if number == 1 else f"{number:,} messages"


def _echo_lines(lines: Iterable[str], *, err: bool = False) -> None:
    for line in lines:
        click.echo(line, err=err)


def _stop(code: ExitCode, text: str) -> NoReturn:
    click.echo(f"jakwatch: {text}", err=True)
    raise click.exceptions.Exit(code)
