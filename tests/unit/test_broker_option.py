"""What may be named as Kafka's address is told by whoever reads the command line, before anybody is asked."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from monitor.commands.broker import broker_options
from monitor.exitcodes import ExitCode
from monitor.kafka.connection import Connection, address, addresses


@click.command()
@broker_options
def command(connection: Connection) -> None:
    click.echo(connection.servers)


@pytest.mark.parametrize("named", ["kafka:9092", "a:1,b:65535", "[::1]:9092", "a:1,"])
def test_an_address_is_taken_as_it_is_named(named: str) -> None:
    said = CliRunner().invoke(command, ["--broker", named])
    assert (said.exit_code, said.output) == (0, f"{named}\n")


@pytest.mark.parametrize(
    "named", ["kafka", ":9092", "kafka:", "kafka:x", "a:1,kafka", "", ",", "kafka:-1", "kafka:9\u0662"]
)
def test_what_is_no_address_is_wrong_use(named: str) -> None:
    said = CliRunner().invoke(command, ["--broker", named])
    assert said.exit_code == ExitCode.WRONG_USE
    assert "is no address of Kafka. Allowed is HOST:PORT, several joined by commas." in said.output


@pytest.mark.parametrize("port", ["0", "65536", "99999", "9" * 30])
def test_a_port_that_there_is_not_is_wrong_use_and_it_is_said_which_there_are(port: str) -> None:
    said = CliRunner().invoke(command, env={"JAKWATCH_BROKER": f"localhost:{port}"})
    assert said.exit_code == ExitCode.WRONG_USE
    assert "its port must be from 1 to 65535" in said.output


def test_host_and_port_are_told_apart_at_the_last_colon() -> None:
    assert address("[::1]:9092") == ("::1", 9092)
    assert address(" kafka:1 ") == ("kafka", 1)
    assert addresses("a:1,,b:2") == ["a:1", "b:2"]
