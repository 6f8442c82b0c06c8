"""What changes between two policies: values, and what the same messages say under each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from monitor.commands.policy_text import brief
from monitor.core.policy import PolicyDocument
from monitor.problems import key_of

Path = tuple[str | int, ...]
_ABSENT = object()
_TOLD = ("events", "patients_with_event", "person_days", "rate_per_100_patient_years")  # the rest follows from them


def changed_values(old: PolicyDocument, new: PolicyDocument) -> Iterator[str]:
    """A line per value that differs, csv lists included."""
    before, after = (one.model_dump(by_alias=True, exclude_defaults=True) for one in (old, new))
    return _changes(before, after, ())


def _changes(old: object, new: object, path: Path) -> Iterator[str]:
    if old == new:
        return
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *(key for key in new if key not in old)]:
            yield from _changes(old.get(key, _ABSENT), new.get(key, _ABSENT), (*path, key))
    elif old is _ABSENT or new is _ABSENT:
        yield f"+ {key_of(path)}: {brief(new)}" if old is _ABSENT else f"- {key_of(path)}: {brief(old)}"
    elif isinstance(old, tuple) and isinstance(new, tuple):
        yield from _changed_list(old, new, path)
    else:
        yield f"~ {key_of(path)}: {brief(old)} -> {brief(new)}"


def _changed_list(old: tuple[object, ...], new: tuple[object, ...], path: Path) -> Iterator[str]:
    gone = [one for one in old if one not in new]
    come = [one for one in new if one not in old]
    yield from (f"- {key_of(path)}: {_item(one)}" for one in gone)
    yield from (f"+ {key_of(path)}: {_item(one)}" for one in come)
    if not gone and not come:
        yield f"~ {key_of(path)}: same entries in another order"


def _item(value: object) -> str:
    is_coding = isinstance(value, tuple) and len(value) == 2 and all(isinstance(part, str) for part in value)  # noqa: PLR2004
    return ":".join(value) if is_coding and isinstance(value, tuple) else brief(value)


def moved_decisions(old: dict[str, Any], new: dict[str, Any]) -> Iterator[str]:
    """A line per order or start whose decision, findings, flags, reasons or validity differ."""
    before, after = (
        {(row["site"], row["treatment_id"], row["kind"]): row for row in each["decisions"]} for each in (old, new)
    )
    for key in sorted({*before, *after}):
        one, other = before.get(key), after.get(key)
        if one != other:
            yield f"{key[0]} {key[1]} {key[2]}: " + "; ".join(_moved_parts(one or {}, other or {}))


def _moved_parts(old: dict[str, Any], new: dict[str, Any]) -> Iterator[str]:
    if old.get("decision") != new.get("decision"):
        yield f"{old.get('decision', 'no decision')} -> {new.get('decision', 'no decision')}"
    found, finds = old.get("findings", {}), new.get("findings", {})
    for infection in sorted({*found, *finds}):
        was, now = found.get(infection, {}), finds.get(infection, {})
        if was.get("finding") != now.get("finding"):
            yield f"{infection} {was.get('finding')} -> {now.get('finding')}"
        elif was != now:
            yield f"{infection} {was.get('finding')} with other evidence, requests or marks"
    for key in ("flags", "reasons", "valid_until"):
        if (old.get(key) or None) != (new.get(key) or None):
            yield f"{key} {_plain(old.get(key))} -> {_plain(new.get(key))}"


def moved_rates(old: dict[str, Any], new: dict[str, Any]) -> Iterator[str]:
    """A line per row of rates that differs, comes or goes."""
    names = ("cohort", "aesi", "window", "estimator")
    before, after = ({tuple(row[name] for name in names): row for row in each["rates"]} for each in (old, new))
    for key in [*before, *(key for key in after if key not in before)]:
        one, other = before.get(key), after.get(key)
        label = " ".join(map(str, key))
        if one is None or other is None:
            yield f"{label}: {'new row' if one is None else 'row gone'}"
        elif one != other:
            moved = [name for name in one if one[name] != other[name]]
            told = [name for name in moved if name in _TOLD] or moved
            yield f"{label}: {', '.join(f'{name} {_plain(one[name])} -> {_plain(other[name])}' for name in told)}"


def moved_tallies(old: dict[str, Any], new: dict[str, Any]) -> Iterator[str]:
    """What was not placed, imputed, waiting, lost or unmapped, where the number differs."""
    for key in ("unplaced", "imputed", "waiting", "conflicts", "lost_to_follow_up", "unassessable"):
        if old[key] != new[key]:
            yield f"{key}: {_plain(old[key])} -> {_plain(new[key])}"
    before, after = ({_unmapped(row): row["count"] for row in each["unmapped"]} for each in (old, new))
    for name in sorted({*before, *after}):
        if before.get(name) != after.get(name):
            yield f"unmapped {name}: {before.get(name, 0)} -> {after.get(name, 0)}"


def _unmapped(row: dict[str, Any]) -> str:
    return f"{row['kind']} {row['system']}:{row['code']}"


def _plain(value: object) -> str:
    return "none" if value in (None, [], {}, ()) else brief(value)
