"""The site registry as plain questions. Without one: every site is known, in UTC, and all time counts as observed."""

import math
from typing import Any
from zoneinfo import ZoneInfo

from .calendar_days import day

Registry = dict[str, Any] | None


def knows(registry: Registry, site: str) -> bool:
    return registry is None or site in registry["sites"]


def entry(registry: Registry, site: str) -> dict[str, Any]:
    if registry is None:
        return {}
    found: dict[str, Any] = registry["sites"].get(site) or {}
    return found


def zone(registry: Registry, site: str) -> ZoneInfo:
    return ZoneInfo(entry(registry, site).get("zone", "UTC"))


def feed(registry: Registry, site: str, name: str) -> dict[str, Any] | None:
    feeds: dict[str, Any] = entry(registry, site).get("feeds") or {}
    return feeds.get(name)


def go_live(registry: Registry, site: str) -> int | None:
    found = entry(registry, site).get("go_live")
    return None if found is None else day(found)


def restamps(registry: Registry, site: str) -> bool:
    return bool(entry(registry, site).get("restamps", False))


def days_of_delay(registry: Registry, site: str) -> int | None:
    """How many days results normally take to arrive, rounded up; None where nobody said."""
    hours = (feed(registry, site, "screening") or {}).get("results_after_hours")
    return None if hours is None else math.ceil(hours / 24)


def normal_id(registry: Registry, site: str, patient_id: str) -> str:
    """A patient's identifier by the id rules of the site."""
    rules = entry(registry, site).get("ids") or {}
    if rules.get("trim", False):
        patient_id = patient_id.strip()
    if rules.get("leading_zeros", "keep") != "keep":
        patient_id = patient_id.lstrip("0") or patient_id[-1:]
    return patient_id
