"""The pseudonym key: made once, read by its owner alone, and never made anew beside a log."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitor.keyfile import KeyProblem, pseudonym_key


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "pseudonym.key"


def test_the_key_is_made_once_and_stays(path: Path) -> None:
    key = pseudonym_key(path, may_make=True)
    assert len(key) == 32
    assert pseudonym_key(path, may_make=True) == pseudonym_key(path, may_make=False) == key


def test_two_keys_are_never_the_same(tmp_path: Path) -> None:
    assert pseudonym_key(tmp_path / "a", may_make=True) != pseudonym_key(tmp_path / "b", may_make=True)


def test_only_its_owner_may_read_it(path: Path) -> None:
    pseudonym_key(path, may_make=True)
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o610])
def test_a_key_that_others_may_read_or_change_is_refused(path: Path, mode: int) -> None:
    pseudonym_key(path, may_make=True)
    path.chmod(mode)
    with pytest.raises(KeyProblem, match="chmod 600"):
        pseudonym_key(path, may_make=True)


def test_none_is_made_beside_a_log(path: Path) -> None:
    with pytest.raises(KeyProblem, match="Put the key back"):
        pseudonym_key(path, may_make=False)
    assert not path.exists()


@pytest.mark.parametrize("content", ["", "00" * 31, "00" * 33, "zz" * 32, "\u00fc" * 64, "00" * 16 + "\n" + "00" * 15])
def test_what_is_no_key_is_refused_and_not_quoted(path: Path, content: str) -> None:
    path.write_text(content, encoding="utf-8")
    path.chmod(0o600)
    with pytest.raises(KeyProblem, match="holds no key: 64 hexadecimal digits") as refused:
        pseudonym_key(path, may_make=True)
    assert not content.strip() or content.strip() not in str(refused.value)
    assert path.read_text(encoding="utf-8") == content


def test_a_start_that_died_while_it_made_the_key_is_no_hindrance(path: Path) -> None:
    path.with_name(f".{path.name}.new").write_text("half a k")
    assert len(pseudonym_key(path, may_make=True)) == 32
    assert list(path.parent.iterdir()) == [path]


def test_no_message_holds_the_key(path: Path) -> None:
    key = pseudonym_key(path, may_make=True).hex()
    path.chmod(0o644)
    with pytest.raises(KeyProblem) as refused:
        pseudonym_key(path, may_make=True)
    assert key not in str(refused.value)
