"""How `jakwatch` ends: codes that scripts can use, messages that say what to do, and never a patient's value."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from monitor import __version__, faults
from monitor.cli import COMMANDS, Program, main
from monitor.exitcodes import ExitCode

PROJECT = Path(__file__).resolve().parents[2]
SECRET = "MRN-4711-ZÄHLER"  # noqa: S105 - the patient's number that no output may show

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a program whose one command, `try`, has the given body."""
    monkeypatch.syspath_prepend(tmp_path)

    def run_body(body: str, env: dict[str, str] | None = None) -> Result:
        module = _write_command(tmp_path, body)
        program = Program("jakwatch", modules={"try": (module, "A command for this test.")})
        return CliRunner().invoke(program, ["try"], env=env)

    return run_body


def _write_command(folder: Path, body: str) -> str:
    module = f"command_{folder.name}".replace("-", "_")
    lines = [
        "import os, sys, time, click",
        "@click.command()",
        "def command():",
        *(f"    {x}" for x in body.split("\n")),
    ]
    (folder / f"{module}.py").write_text("\n".join(lines), encoding="utf-8")
    return module


def _start(folder: Path, body: str) -> subprocess.Popen[bytes]:
    """The same in a process of its own, as a shell would start it."""
    module = _write_command(folder, body)
    code = (
        f"from monitor.cli import Program; Program('jakwatch', modules={{'try': ({module!r}, 'A command.')}})(['try'])"
    )
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(PROJECT), str(folder)])}
    pipe = subprocess.PIPE
    return subprocess.Popen([sys.executable, "-c", code], stdin=pipe, stdout=pipe, stderr=pipe, env=env)


def test_the_help_names_every_command_and_imports_none() -> None:
    result = CliRunner().invoke(main, ["--help"])
    assert result.exit_code == ExitCode.DONE
    assert all(name in result.stdout for name in COMMANDS)
    code = "import sys; from monitor.cli import main; main(['-h'], standalone_mode=False); print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=PROJECT)
    loaded = modules.stdout.splitlines()[-1].split()
    assert not {"numpy", "scipy", "pydantic", "monitor.commands"} & set(loaded)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example(name: str) -> None:
    result = CliRunner().invoke(main, [name, "--help"])
    assert result.exit_code == ExitCode.DONE, result.stderr
    assert "xample" in result.stdout


def test_the_version_is_that_of_the_package() -> None:
    assert CliRunner().invoke(main, ["--version"]).stdout == f"jakwatch {__version__}\n"


def test_python_dash_m_monitor_is_the_same_program() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "monitor", "--version"], capture_output=True, cwd=PROJECT, check=True
    )
    assert result.stdout == f"jakwatch {__version__}\n".encode()


def test_a_mistyped_command_is_wrong_use() -> None:
    result = CliRunner().invoke(main, ["repaly"])
    assert result.exit_code == ExitCode.WRONG_USE
    assert "repaly" in result.stderr


def test_a_command_that_is_not_there_says_what_to_install() -> None:
    program = Program("jakwatch", modules={"try": ("monitor.commands.no_such_module", "Not there.")})
    result = CliRunner().invoke(program, ["try"])
    assert result.exit_code == ExitCode.BUG
    assert "monitor.commands.no_such_module is not installed" in result.stderr


@pytest.mark.parametrize("code", [0, 1, 2, 69, 70, 75])
def test_the_code_that_a_command_chooses_is_the_programs_code(run: Run, code: int) -> None:
    assert run(f"click.get_current_context().exit({code})").exit_code == code


@pytest.mark.parametrize(
    "fault",
    [
        f"raise ValueError('{SECRET}')",
        f"int('{SECRET}')",
        f"{{}}['{SECRET}']",
        f"try:\n    int('{SECRET}')\nexcept ValueError as error:\n    raise RuntimeError('{SECRET}') from error",
        f"error = ValueError('x')\nerror.add_note('{SECRET}')\nraise error",
        f"raise AssertionError('{SECRET}')",
    ],
)
@pytest.mark.parametrize("debug", ["", "1"])
def test_a_bug_is_told_by_type_and_place_and_never_by_value(run: Run, fault: str, debug: str) -> None:
    result = run(fault, env={"JAKWATCH_DEBUG": debug})
    assert result.exit_code == ExitCode.BUG
    assert SECRET not in result.output
    assert "a bug: " in result.stderr
    assert "Error in " in result.stderr
    assert "Traceback" not in result.stderr
    assert str(PROJECT) not in result.stderr


def test_debugging_shows_what_caused_it(run: Run) -> None:
    cause = "try:\n    {}['a']\nexcept KeyError as error:\n    raise RuntimeError from error"
    assert "KeyError" not in run(cause).stderr
    assert "KeyError" in run(cause, env={"JAKWATCH_DEBUG": "1"}).stderr


def test_a_bug_in_a_library_is_told_by_our_line_that_called_it() -> None:
    with pytest.raises(TypeError) as caught:
        Program("jakwatch", modules={}, no_such_argument=1)
    assert faults.summary(caught.value).startswith("TypeError in monitor/cli.py:")


def test_a_command_without_its_click_command_is_a_bug() -> None:
    result = CliRunner().invoke(Program("jakwatch", modules={"try": ("json", "No command.")}), ["try"])
    assert result.exit_code == ExitCode.BUG


@pytest.mark.parametrize("name", ["missing.jsonl", "folder"])
def test_a_path_that_cannot_be_read_is_wrong_use(run: Run, tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    path = tmp_path / name
    result = run(f"open({str(path)!r})")
    assert result.exit_code == ExitCode.WRONG_USE
    assert str(path) in result.stderr
    assert "Check the path" in result.stderr


def test_a_file_that_click_cannot_open_is_no_finding(run: Run) -> None:
    result = run("raise click.FileError('a.jsonl', 'it is locked')")
    assert result.exit_code == ExitCode.WRONG_USE
    assert "it is locked" in result.stderr


def test_a_full_disk_is_no_bug(run: Run) -> None:
    result = run("import errno\nraise OSError(errno.ENOSPC, 'x', 'out.json')")
    assert result.exit_code == ExitCode.SERVICE_MISSING
    assert os.strerror(28) in result.stderr


def test_an_interrupt_says_so_and_no_more(run: Run) -> None:
    result = run("raise KeyboardInterrupt")
    assert (result.exit_code, result.stderr) == (ExitCode.INTERRUPTED, "jakwatch: interrupted\n")


def test_ctrl_c_ends_a_running_command_without_traceback(tmp_path: Path) -> None:
    process = _start(tmp_path, "click.echo('running')\ntime.sleep(60)")
    assert process.stdout is not None
    assert process.stdout.readline() == b"running\n"
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=20)
    assert (process.returncode, stderr) == (ExitCode.INTERRUPTED, b"jakwatch: interrupted\n")


@pytest.mark.parametrize("write", ["sys.stdout.write('x' * 10)", "for _ in range(100): click.echo('x' * 10000)"])
def test_a_reader_that_has_gone_ends_the_command_quietly(tmp_path: Path, write: str) -> None:
    process = _start(tmp_path, f"sys.stdin.read()\n{write}")  # it writes only when there is no reader any more
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    process.stdin.close()
    assert (process.stderr.read(), process.wait(timeout=20)) == (b"", ExitCode.READER_GONE)
    process.stderr.close()


def test_usage_errors_keep_clicks_code() -> None:
    assert click.UsageError.exit_code == ExitCode.WRONG_USE
