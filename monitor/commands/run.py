"""`jakwatch run`: the single machine, live."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from monitor.commands.alerting import alert_options
from monitor.commands.given import given_policies, rules_options, what_a_person_can_mend
from monitor.commands.serving import served, serving_options

if TYPE_CHECKING:
    from monitor.alerting.watching import Settings as Alerts
    from monitor.web.serving import Address

DEFAULT_PORT = 8321


@click.command(
    epilog="""\b
Examples:
  jakwatch run --sites sites.yaml
  jakwatch run --sites sites.yaml --data /var/lib/jakwatch --inbox /srv/jakwatch-in --port 8321
  curl -H 'Content-Type: application/x-ndjson' --data-binary @day.jsonl
       http://127.0.0.1:8321/v1/sites/lisbon/messages
  jakwatch run --sites sites.yaml --alerts-webhook https://pager.example.org/safety"""
)
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("jakwatch-data"),
    show_default=True,
    help="Folder of the log and the pseudonym key; made where there is none.",
)
@rules_options("every site is taken, in UTC, and all time counts as observed.")
@click.option(
    "--inbox",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder to watch: INBOX/<site>/*.jsonl or .jsonl.gz; read files move to INBOX/<site>/done.",
)
@alert_options
@serving_options(DEFAULT_PORT)
def command(
    data: Path,
    policies: tuple[str, ...],
    registries: tuple[str, ...],
    inbox: Path | None,
    at: Address,
    alerts: Alerts | None,
) -> None:
    """Watch live: messages in by HTTP and a folder, answers out, and a page with rates and what needs a person.

    Every answer is on disk before it is given. Stop it with Ctrl-C; started again it goes on where it was.
    """
    from monitor.files import read_registry  # noqa: PLC0415  --help waits for none of this
    from monitor.service import Settings, serve  # noqa: PLC0415

    with what_a_person_can_mend():
        settings = Settings(
            data=data,
            policies=given_policies(policies),
            registry=read_registry(registries),
            at=at,
            inbox=inbox,
            alerts=alerts,
        )
    with served():
        serve(settings, lambda address: click.echo(f"Open {address} (Ctrl-C ends it)"))
