"""How `jakwatch run` starts, or says why it does not: an exit code for scripts, words for a person, never a hang."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from monitor.cli import main
from monitor.exitcodes import ExitCode
from tests.integration.live import PROJECT, Live

WITHIN = 60.0
GOOD = "0123456789abcdefghij"


@pytest.fixture
def token(tmp_path: Path) -> Path:
    return secret(tmp_path / "good-token", GOOD)


def secret(path: Path, text: str, mode: int = 0o600) -> Path:
    path.write_text(text, encoding="latin-1")
    path.chmod(mode)
    return path


def refused(tmp_path: Path, *options: str | Path) -> str:
    """What is said to wrong use; nothing was made."""
    data = tmp_path / "data"
    with socket.create_server(("127.0.0.1", 0)) as taken:  # what is not refused ends there
        port = str(taken.getsockname()[1])
        result = CliRunner().invoke(main, ["run", "--data", str(data), "--port", port, *map(str, options)])
    assert result.exit_code == ExitCode.WRONG_USE, result.output
    assert "Traceback" not in result.output
    assert "a bug" not in result.output
    assert not data.exists()
    return result.output


# Wrong use


@pytest.mark.parametrize(
    "options",
    [
        ("--port", "65536"), ("--port", "-1"), ("--port", "http"), ("--no-such",), ("stray",), ("--host",),
        ("--policy", "missing.yaml"), ("--sites", "missing.yaml"), ("--write-token", "missing"), ("--sites", "/"),
        ("--tls-cert", "missing.pem"), ("--tls-cert", "/"), ("--data", "/dev/null"),
    ],
    ids=" ".join,
)  # fmt: skip
def test_wrong_options_are_wrong_use(tmp_path: Path, options: tuple[str, ...]) -> None:
    assert "Error" in refused(tmp_path, *options) or "jakwatch: " in refused(tmp_path, *options)


def test_files_that_are_no_policy_and_no_registry_are_wrong_use(tmp_path: Path, token: Path) -> None:
    assert str(token) in refused(tmp_path, "--policy", token)
    assert str(token) in refused(tmp_path, "--sites", token)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.0.2.1", "jakwatch.example", "127.0.0.1.example"])  # noqa: S104
def test_beyond_loopback_both_tokens_are_needed(tmp_path: Path, token: Path, host: str) -> None:
    for options in ((), ("--write-token", token), ("--read-token", token)):
        said = refused(tmp_path, "--host", host, *options)
        assert "--write-token FILE and --read-token FILE" in said


def test_one_token_alone_is_wrong_use_on_loopback_too(tmp_path: Path, token: Path) -> None:
    assert "belong together" in refused(tmp_path, "--write-token", token)


@pytest.mark.parametrize(
    "text", ["", "\n", "0123456789abcde", "0123456789 abcdefgh", "0123456789abcdefgh\u00e9", "0123456789\x00abcdefghi"]
)
def test_a_token_is_long_and_printable(tmp_path: Path, token: Path, text: str) -> None:
    other = secret(tmp_path / "other-token", text)
    said = refused(tmp_path, "--write-token", token, "--read-token", other)
    assert f"{other} holds no token" in said
    assert not text.strip() or text.strip() not in said


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660])
def test_a_token_that_others_may_read_is_none(tmp_path: Path, token: Path, mode: int) -> None:
    other = secret(tmp_path / "other-token", "ABCDEFGHIJ0123456789", mode)
    assert f"chmod 600 {other}" in refused(tmp_path, "--read-token", token, "--write-token", other)


def test_one_token_for_both_would_let_every_reader_write(tmp_path: Path, token: Path) -> None:
    other = secret(tmp_path / "other-token", GOOD + "\n")
    said = refused(tmp_path, "--read-token", token, "--write-token", other)
    assert "the same token" in said
    assert GOOD not in said


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a certificate, its key, the same key with a password, and another key."""
    folder = tmp_path_factory.mktemp("pem")
    openssl = shutil.which("openssl")
    assert openssl is not None, "openssl makes the certificate of this test: install it"
    for name in ("own", "other"):
        made = [
            "-keyout",
            folder / f"{name}.key",
            "-out",
            folder / f"{name}.crt",
            "-days",
            "2",
            "-subj",
            "/CN=localhost",
        ]
        subprocess.run(
            [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", *made], check=True, stderr=subprocess.PIPE
        )
    locked = ["-in", folder / "own.key", "-out", folder / "locked.key"]
    subprocess.run([openssl, "rsa", "-aes256", "-passout", "pass:secret", *locked], check=True, stderr=subprocess.PIPE)
    return folder


def test_a_certificate_needs_its_own_key_without_password(tmp_path: Path, token: Path, pem: Path) -> None:
    assert "belong together" in refused(tmp_path, "--tls-cert", pem / "own.crt")
    assert "belong together" in refused(tmp_path, "--tls-key", pem / "own.key")
    for key in (pem / "other.key", pem / "locked.key", pem / "own.crt", token):
        said = refused(tmp_path, "--tls-cert", pem / "own.crt", "--tls-key", key)
        assert "no certificate and its key in PEM, without password" in said


# What is missing


def starts(tmp_path: Path, *options: str | Path, name: str = "data") -> subprocess.CompletedProcess[str]:
    """A start that does not get far."""
    command = [sys.executable, "-m", "monitor", "run", "--data", tmp_path / name, *options]
    return subprocess.run(
        list(map(str, command)), capture_output=True, text=True, check=False, cwd=PROJECT, timeout=WITHIN
    )


def assert_missing(ended: subprocess.CompletedProcess[str], *words: str) -> None:
    assert ended.returncode == ExitCode.SERVICE_MISSING, ended.stderr
    assert ended.stdout == ""
    assert all(word in ended.stderr for word in words), ended.stderr
    assert "Traceback" not in ended.stderr
    assert "a bug" not in ended.stderr
    told = [line for line in ended.stderr.splitlines() if not line.endswith("a new, empty log is begun")]
    assert len(told) == 1


def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert_missing(starts(tmp_path, "--port", port), "127.0.0.1", port, "Address already in use", "--port")


def test_a_host_that_is_not_ours_is_named(tmp_path: Path, token: Path) -> None:
    other = secret(tmp_path / "other-token", "ABCDEFGHIJ0123456789")
    for host in ("192.0.2.1", "no..name"):
        ended = starts(tmp_path, "--host", host, "--port", "0", "--write-token", token, "--read-token", other)
        assert_missing(ended, f"cannot listen on {host}, port 0", "--host")


def test_two_processes_do_not_share_their_data(tmp_path: Path) -> None:
    with Live(tmp_path):
        assert_missing(starts(tmp_path, "--port", "0"), "another jakwatch works on", "--data")


def test_a_file_that_is_no_log_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    log = tmp_path / "data" / "log.sqlite"
    log.write_bytes(b"not a database at all " * 100)
    secret(tmp_path / "data" / "pseudonym.key", "ab" * 32 + "\n")
    assert_missing(starts(tmp_path, "--port", "0"), str(log))
    assert log.read_bytes() == b"not a database at all " * 100


@pytest.mark.parametrize("key", ["", "ab" * 31, "\u00ff" * 64])
def test_a_key_that_is_none_is_named_and_not_shown(tmp_path: Path, key: str) -> None:
    (tmp_path / "data").mkdir()
    secret(tmp_path / "data" / "pseudonym.key", key)
    ended = starts(tmp_path, "--port", "0")
    assert_missing(ended, "pseudonym.key holds no key")
    assert not key or key not in ended.stderr


# The end


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Live]:
    with Live(tmp_path) as running:
        yield running


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
def test_asked_to_end_it_ends_well_and_says_nothing(live: Live, sign: signal.Signals) -> None:
    assert live.process is not None
    os.kill(live.pid, sign)
    assert live.process.wait(WITHIN) == ExitCode.DONE
    assert live.stderr == ""
    with sqlite3.connect(live.data / "log.sqlite") as log:
        assert log.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_only_its_owner_can_read_what_it_made(live: Live) -> None:
    made = {path.name: path.stat().st_mode & 0o077 for path in (live.data, live.data / "pseudonym.key")}
    assert made == {"data": 0, "pseudonym.key": 0}
