"""The `jakwatch` command: finds the subcommand, and turns every way of ending into an exit code that scripts can use.

A subcommand is imported when it is called: `--help` stays fast, and what one command needs cannot break another.
"""

import contextlib
import errno
import importlib
import io
import os
import sys
from collections.abc import Mapping
from typing import Any, NoReturn

import click

from monitor import __version__, faults
from monitor.exitcodes import ExitCode

COMMANDS = {
    "replay": ("monitor.commands.replay", "Decisions and rates of files of messages: what the live service would say."),
    "run": ("monitor.commands.run", "The single machine, live: HTTP and folder in, answers and a page out."),
    "monitor": ("monitor.commands.monitor", "A worker on Kafka: takes in what hospitals publish, and answers it."),
    "view": ("monitor.commands.view", "A replica on Kafka: the pages, the interface and the metrics of all sites."),
    "publish": ("monitor.commands.publish", "Send messages of files to Kafka, each confirmed."),
    "topics": ("monitor.commands.topics", "The topics and rights that sites need: make them, check them."),
    "rejected": ("monitor.commands.rejected", "What could not be taken from Kafka: list it, show it, send it again."),
    "doctor": ("monitor.commands.doctor", "What is wrong with brokers, topics, rights, clocks, workers; what to do."),
    "canary": ("monitor.commands.canary", "Prove every few minutes that a violation comes through."),
    "pseudonym": ("monitor.commands.pseudonym", "The pseudonym of a patient of a site, to erase what is held."),
    "validate": ("monitor.commands.validate", "Which lines of a file would be rejected, and why."),
    "policy": ("monitor.commands.policy", "Check, show, explain and compare policies."),
    "schemas": ("monitor.commands.schemas", "The messages in and out as JSON Schema, with examples."),
    "import": ("monitor.commands.import_", "Turn trial data (SDTM) into messages."),
    "demo": ("monitor.commands.demo", "The live service in invented hospitals, with two known cases."),
}


EPILOG = """\b
Exit codes: 0 done, 1 findings (validate, policy check, policy diff, topics, doctor, publish), 2 wrong use,
69 something needed is missing, 70 a bug, 75 stopped to be restarted.

\b
Example: jakwatch replay history.jsonl --site lisbon --format table
"""


class Program(click.Group):
    """Commands by name, each a module with a `command` and a line of help; it imports the one that is called."""

    def __init__(self, name: str | None = None, *, modules: Mapping[str, tuple[str, str]], **attrs: Any) -> None:
        super().__init__(name, **attrs)
        self.modules = modules

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.modules)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return _load(cmd_name, self.modules[cmd_name][0]) if cmd_name in self.modules else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in self.modules.items()])

    def invoke(self, ctx: click.Context) -> object:
        """Run the subcommand; whatever it raises that click does not know becomes a message and an exit code."""
        try:
            return self._invoke_and_flush(ctx)
        except (KeyboardInterrupt, click.Abort):
            _stop(ExitCode.INTERRUPTED, "interrupted")
        except (click.exceptions.Exit, click.UsageError):
            raise
        except click.ClickException as error:  # a file that cannot be opened: click would say 1, here that is findings
            _stop(ExitCode.WRONG_USE, error.format_message())
        except OSError as error:
            _stop_for_system(error)
        except Exception as error:  # noqa: BLE001 - the last resort: the interpreter would print the exception's text
            _stop_for_bug(error)

    def _invoke_and_flush(self, ctx: click.Context) -> object:
        """A reader that has gone shows when the output is flushed; at the interpreter's end it would be too late."""
        try:
            return super().invoke(ctx)
        finally:
            sys.stdout.flush()


@click.group(
    cls=Program,
    modules=COMMANDS,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
)
@click.version_option(__version__, message="jakwatch %(version)s")
def main() -> None:
    """Watch the safety of JAK-inhibitor treatment from the events hospitals already have.

    Was every infection excluded before the first dose, and how often do adverse events occur per patient-year?
    It documents and counts; it does not advise on a patient's treatment.
    """


def _load(name: str, module: str) -> click.Command:
    try:
        command = importlib.import_module(module).command
    except ModuleNotFoundError as error:
        _stop(
            ExitCode.BUG,
            f"the command '{name}' cannot start: the Python module {error.name} is not installed.",
            "Install jakwatch again with what it needs (from a clone: make setup).",
        )
    if not isinstance(command, click.Command):
        raise TypeError(f"{module}.command is no click command")
    return command


def _stop_for_system(error: OSError) -> NoReturn:
    if error.errno == errno.EPIPE:
        _forget_output()
        _stop(ExitCode.READER_GONE)
    reason = os.strerror(error.errno) if error.errno else type(error).__name__
    if error.filename is not None and error.errno != errno.ENOSPC:
        _stop(ExitCode.WRONG_USE, f"{os.fsdecode(error.filename)!r}: {reason}. Check the path and its permissions.")
    _stop(ExitCode.SERVICE_MISSING, f"the system says: {reason} ({faults.summary(error)}). Mend that and run it again.")


def _stop_for_bug(error: Exception) -> NoReturn:
    first = f"a bug: {faults.summary(error)}, version {__version__}."
    if os.environ.get("JAKWATCH_DEBUG"):
        _stop(ExitCode.BUG, first, *faults.places(error), "Please report these lines; no patient's value is in them.")
    _stop(ExitCode.BUG, first, "Please report this line; no patient's value is in it. JAKWATCH_DEBUG=1 tells more.")


def _forget_output() -> None:
    """What is still buffered would raise once more when the interpreter ends."""
    with contextlib.suppress(io.UnsupportedOperation):  # an output in memory has no descriptor and no such trouble
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _stop(code: ExitCode, *lines: str) -> NoReturn:
    if lines:
        click.echo("jakwatch: " + "\n".join(lines), err=True)
    raise click.exceptions.Exit(code)
