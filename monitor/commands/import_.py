"""`jakwatch import`: history from elsewhere as messages of the contract."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import BinaryIO

import click
import msgspec

from monitor.sdtm import Accounts, Options, Table, WrongFileError, convert, read_table
from monitor.sdtm.message import Coding, Message, decimal

_SITE = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
_CODING = re.compile(r"([a-z][a-z0-9_-]*):(\S.*)")
_FILE = click.Path(exists=True, dir_okay=False, readable=True)

EXAMPLE = """\b
Example: jakwatch import sdtm --ex ex.csv --ae ae.csv --dm dm.csv --site trial-1 \\
             --drug UPADACITINIB=atc:L04AF03 --indication icd10:L20 -o trial-1.jsonl
         jakwatch replay trial-1.jsonl --format table
"""


@click.group("import", epilog="Example: jakwatch import sdtm --ex ex.csv --ae ae.csv -o history.jsonl")
def command() -> None:
    """Turn data from elsewhere into messages, one JSON object a line."""


@command.command(epilog=EXAMPLE)
@click.option("--ex", "ex", type=_FILE, multiple=True, required=True, help="Exposure (EX), csv or csv.gz.")
@click.option("--ae", "ae", type=_FILE, multiple=True, required=True, help="Adverse events (AE).")
@click.option("--lb", "lb", type=_FILE, multiple=True, help="Laboratory (LB): screening results.")
@click.option("--dm", "dm", type=_FILE, multiple=True, help="Demographics (DM): sex, birth year, death, reference end.")
@click.option("--site", metavar="NAME", help="Write this site into every message; without it replay needs --site.")
@click.option(
    "--indication", "indications", metavar="SYSTEM:CODE", multiple=True,
    help="What the drugs were given for; several allowed. Without it: local:UNKNOWN.",
)  # fmt: skip
@click.option(
    "--drug", "drugs", metavar="EXTRT=SYSTEM:CODE", multiple=True,
    help="The code of a treatment; several allowed. Without it: local:<EXTRT>.",
)  # fmt: skip
@click.option(
    "--frequency", "frequencies", metavar="EXDOSFRQ=N", multiple=True,
    help="Doses a day of a frequency that is not known, such as QW=0.142857; the number is taken as exact.",
)  # fmt: skip
@click.option(
    "-o", "--output", default="-", metavar="FILE", help="Where the messages go; - is standard output (default)."
)
@click.option(
    "--report",
    type=click.Path(dir_okay=False, writable=True),
    help="Write the list of rows here, not to standard error.",
)
def sdtm(  # noqa: PLR0913, PLR0917  click calls it with a keyword for each option
    ex: tuple[str, ...],
    ae: tuple[str, ...],
    lb: tuple[str, ...],
    dm: tuple[str, ...],
    site: str | None,
    indications: tuple[str, ...],
    drugs: tuple[str, ...],
    frequencies: tuple[str, ...],
    output: str,
    report: str | None,
) -> None:
    """Turn SDTM exposure, adverse events, laboratory and demographics into messages.

    Every row that cannot be used is listed with file, line and reason, never with a value; a summary accounts for all
    rows. The exit code is 0 whatever the rows hold, 2 where a file lacks a column.
    """
    paths = {"EX": ex, "AE": ae, "LB": lb, "DM": dm}
    _refuse_overwriting((output, report), paths.values())
    options = Options(_site(site), _codings(indications), _drugs(drugs), _frequencies(frequencies))
    tables = _tables(paths)
    _refuse_unknown_treatments(options.drugs, tables["EX"])
    accounts = Accounts(tables)
    with _written(output) as stream:
        _write(stream, convert(tables, options, datetime.now(UTC).date(), accounts))
    _tell(accounts, report)


def _tables(paths: Mapping[str, tuple[str, ...]]) -> dict[str, Table]:
    try:
        return {domain: read_table(domain, files) for domain, files in paths.items() if files}
    except WrongFileError as problem:
        raise click.UsageError(str(problem)) from None


def _write(stream: BinaryIO, messages: Iterable[Message]) -> None:
    encoder = msgspec.json.Encoder(decimal_format="number")  # a double would change the digits of a dose
    stream.writelines(encoder.encode(message) + b"\n" for message in messages)


@contextmanager
def _written(output: str) -> Iterator[BinaryIO]:
    """Standard output, or a file that appears only when all of it is written."""
    if output == "-":
        yield sys.stdout.buffer
        return
    target = Path(output).resolve()
    if target.exists() and not target.is_file():  # a pipe or a device is written to, never replaced
        with target.open("wb") as stream:
            yield stream
        return
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        with draft.open("xb") as stream:
            yield stream
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)


def _tell(accounts: Accounts, report: str | None) -> None:
    """The rows, then the accounts; with --report both go there and the accounts to standard error as well."""
    if report:
        Path(report).write_text("".join(f"{line}\n" for line in (*accounts.lines(), *accounts.summary())), "utf-8")
    for line in accounts.summary() if report else (*accounts.lines(), *accounts.summary()):
        click.echo(line, err=True)


def _refuse_overwriting(outputs: Iterable[str | None], inputs: Iterable[tuple[str, ...]]) -> None:
    read = {Path(path).resolve() for files in inputs for path in files}
    for output in outputs:
        if output and output != "-" and Path(output).resolve() in read:
            raise click.UsageError(f"{output} is one of the files to be read; write to another one")


def _site(text: str | None) -> str | None:
    if text is not None and not _SITE.fullmatch(text):
        raise click.UsageError(f"--site {text}: allowed are 1 to 40 of a-z, 0-9 and -, not beginning with -")
    return text


def _coding(option: str, text: str) -> Coding:
    match = _CODING.fullmatch(text)
    if not match:
        raise click.UsageError(f"{option} {text}: write SYSTEM:CODE, such as icd10:L20 or atc:L04AF03")
    return match[1], match[2]


def _codings(texts: Iterable[str]) -> tuple[Coding, ...]:
    return tuple(dict.fromkeys(_coding("--indication", text) for text in texts))


def _drugs(texts: Iterable[str]) -> dict[str, tuple[Coding, ...]]:
    found: dict[str, tuple[Coding, ...]] = {}
    for text in texts:
        treatment, is_pair, code = text.rpartition("=")
        if not is_pair or not treatment:
            raise click.UsageError(f"--drug {text}: write EXTRT=SYSTEM:CODE, such as UPADACITINIB=atc:L04AF03")
        found[treatment] = (*found.get(treatment, ()), _coding("--drug", code))
    return found


def _frequencies(texts: Iterable[str]) -> dict[str, Decimal]:
    pairs = [text.rpartition("=") for text in texts]
    found = {name.strip().upper(): decimal(number) for name, _, number in pairs}
    if any(not name or number is None or number <= 0 for name, number in found.items()):
        raise click.UsageError("--frequency: write EXDOSFRQ=N with N above 0, such as QW=0.142857")
    return {name: number for name, number in found.items() if number is not None}


def _refuse_unknown_treatments(drugs: Mapping[str, object], table: Table) -> None:
    present = sorted({row.cells["EXTRT"] for row in table.rows if "EXTRT" in row.cells})
    for treatment in drugs:
        if treatment not in present:
            raise click.UsageError(f"--drug {treatment}: no row has this EXTRT; there are: {', '.join(present[:20])}")
