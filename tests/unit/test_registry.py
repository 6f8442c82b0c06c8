"""The site registry: which entry holds for a message, and what cannot be registered."""

import pickle
from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from monitor.core.days import instant
from monitor.core.registry import Registry
from monitor.policyfile import PolicyError, load_registry

SITES = Path(__file__).parents[1] / "data" / "policy" / "sites.yaml"
TEXT = SITES.read_text("utf-8")


@pytest.fixture
def registry() -> Registry:
    return load_registry([SITES])


def at(text: str) -> int:
    return instant(datetime.fromisoformat(text))


def second_version(folder: Path, *changes: tuple[str, str]) -> Registry:
    text = TEXT.replace("version: 1", "version: 2").replace("effective_from: 2027-02-01", "effective_from: 2027-07-01")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    (folder / "second.yaml").write_text(text, "utf-8")
    return load_registry([folder / "second.yaml", SITES])


def test_an_entry_says_all_that_is_registered_of_a_site(registry: Registry) -> None:
    entry = registry.entry("coimbra", at("2027-05-01T12:00Z"))
    assert entry is not None
    assert (entry.site, entry.zone, entry.go_live) == ("coimbra", ZoneInfo("Europe/Lisbon"), date(2027, 3, 1))
    assert (entry.trim, entry.strip_zeros, entry.restamps) == (True, True, True)
    assert entry.feeds["treatment"].from_ == date(2025, 1, 1)
    assert (entry.feeds["screening"].silent_after_days, entry.feeds["screening"].results_after_hours) == (3, 36)
    assert entry.feeds["adverse_event"].complete_after_days == 30


def test_what_is_left_out_has_the_plain_meaning(registry: Registry) -> None:
    entry = registry.entry("azores", at("2027-05-01T12:00Z"))
    assert entry is not None
    assert (entry.trim, entry.strip_zeros, entry.restamps) == (False, False, False)
    assert (entry.feeds["adverse_event"].results_after_hours, entry.feeds["adverse_event"].complete_after_days) == (
        0, None,
    )  # fmt: skip
    assert "treatment" not in entry.feeds


def test_a_site_nobody_registered_is_unknown(registry: Registry) -> None:
    assert registry.entry("porto", at("2027-05-01T12:00Z")) is None


def test_before_the_first_version_the_first_holds(registry: Registry) -> None:
    assert registry.entry("coimbra", at("1990-01-01T00:00Z")) is not None
    assert registry.at(date(1990, 1, 1).toordinal()).registry.version == 1


def test_a_version_holds_from_midnight_in_the_sites_own_zone(tmp_path: Path) -> None:
    registry = second_version(tmp_path, ("restamps: true", "restamps: false"), ("2027-04-01", "2027-04-02"))
    before, after = at("2027-06-30T23:59:59+01:00"), at("2027-07-01T00:00:00+01:00")  # Lisbon in summer
    entries = [registry.entry("coimbra", each) for each in (before, after)]
    assert [entry.restamps for entry in entries if entry] == [True, False]
    azores = [registry.entry("azores", each) for each in (after, at("2027-07-01T00:00:00+00:00"))]  # an hour later
    assert [entry.go_live.day for entry in azores if entry] == [1, 2]


def test_the_version_in_force_on_a_day(tmp_path: Path) -> None:
    registry = second_version(tmp_path)
    versions = [registry.at(date(2027, month, day).toordinal()).registry.version for month, day in ((6, 30), (7, 1))]
    assert versions == [1, 2]


def test_a_site_that_a_later_version_drops_is_unknown_from_then(tmp_path: Path) -> None:
    registry = second_version(tmp_path, ("  azores:", "  madeira:"), ("Atlantic/Azores", "Atlantic/Madeira"))
    moments = at("2027-06-30T12:00Z"), at("2027-07-02T12:00Z")
    assert [registry.entry("azores", each) is not None for each in moments] == [True, False]
    assert [registry.entry("madeira", each) is not None for each in moments] == [False, True]


def test_the_hash_ignores_comments_order_and_written_out_defaults(tmp_path: Path) -> None:
    text = f"# other\n{TEXT}".replace("    go_live: 2027-04-01\n", "    restamps: false\n    go_live: 2027-04-01\n")
    (tmp_path / "same.yaml").write_text(text, "utf-8")
    assert load_registry([tmp_path / "same.yaml"]).versions[0].sha256 == load_registry([SITES]).versions[0].sha256


def test_the_hash_changes_with_a_value(tmp_path: Path) -> None:
    (tmp_path / "other.yaml").write_text(TEXT.replace("silent_after_days: 3", "silent_after_days: 4"), "utf-8")
    assert load_registry([tmp_path / "other.yaml"]).versions[0].sha256 != load_registry([SITES]).versions[0].sha256


def test_a_registry_travels_between_processes(registry: Registry) -> None:
    registry.entry("coimbra", 0)
    assert pickle.loads(pickle.dumps(registry)) == registry  # noqa: S301  our own bytes


def test_an_instant_is_read_in_any_offset(registry: Registry) -> None:
    assert at("2027-05-01T12:00+02:00") == instant(datetime(2027, 5, 1, 10, tzinfo=UTC))
    assert registry.entry("coimbra", at("2027-05-01T12:00+02:00")) is not None


@pytest.mark.parametrize(
    ("old", "new", "key", "words"),
    [
        ("Europe/Lisbon", "Europe/Lissabon", "sites.coimbra.zone", "no such time zone"),
        ("Europe/Lisbon", "../etc/passwd", "sites.coimbra.zone", "no such time zone"),
        ("coimbra:", "Coimbra:", "sites.Coimbra", "a site is named by a-z, 0-9 and -"),
        ("coimbra:", "canary:", "sites.canary", "is reserved"),
        ("go_live: 2027-03-01", "golive: 2027-03-01", "sites.coimbra.golive", "did you mean go_live?"),
        ("    go_live: 2027-03-01\n", "", "sites.coimbra.go_live", "is missing"),
        ("trim: true", "trim: yes", "sites.coimbra.ids.trim", "write true or false"),
        ("leading_zeros: strip", "leading_zeros: drop", "sites.coimbra.ids.leading_zeros", "'keep' or 'strip'"),
        ("treatment:     {", "treatmnt: {", "sites.coimbra.feeds.treatmnt", "allowed: 'treatment', 'screening'"),
        ("silent_after_days: 2}", "silent_after_days: -2}", "sites.coimbra.feeds.treatment.silent_after_days", "0"),
        ("{from: 2025-01-01, ", "{", "sites.coimbra.feeds.treatment.from", "is missing"),
        ("results_after_hours: 36", "results_after_hours: 1.5", "sites.coimbra.feeds.screening.results_after_hours",
         "whole number"),
        ("version: 1", "version: one", "registry.version", "whole number"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_its_line_and_key(tmp_path: Path, old: str, new: str, key: str, words: str) -> None:
    (tmp_path / "sites.yaml").write_text(TEXT.replace(old, new, 1), "utf-8")
    with pytest.raises(PolicyError) as caught:
        load_registry([tmp_path / "sites.yaml"])
    named = [problem for problem in caught.value.problems if problem.key == key]
    assert named, str(caught.value)
    assert words in named[0].message
    assert named[0].line in range(TEXT[: TEXT.index(old)].count("\n") - 1, TEXT[: TEXT.index(old)].count("\n") + 2)


def test_two_versions_of_one_day_are_refused(tmp_path: Path) -> None:
    (tmp_path / "other.yaml").write_text(TEXT.replace("version: 1", "version: 2"), "utf-8")
    with pytest.raises(PolicyError, match=r"other\.yaml:2: registry\.effective_from: 2027-02-01 is that of"):
        load_registry([SITES, tmp_path / "other.yaml"])
