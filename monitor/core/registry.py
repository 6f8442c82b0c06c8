"""The site registry: who publishes, in which zone, from which day what they send is complete.

Versions of it stand side by side; which one holds for a message is decided by when its source recorded it, so that a
message is read the same today and in a year.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field, Strict, StringConstraints

from monitor.core.days import instant
from monitor.core.policy_values import Day, Days, Name, Part, Text, Truth, Version, plain
from schemas.parts import RESERVED_SITE, SITE_PATTERN

FeedName = Literal["treatment", "screening", "adverse_event"]


def _not_reserved(name: str) -> str:
    if name == RESERVED_SITE:
        raise ValueError(f"the site name {RESERVED_SITE!r} is reserved for checks of the service; choose another")
    return name


def _known_zone(key: str) -> str:
    try:
        ZoneInfo(key)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("no such time zone; allowed are the names of the IANA list, like Europe/Lisbon") from None
    return key


SiteName = Annotated[str, Strict(), StringConstraints(pattern=SITE_PATTERN), AfterValidator(_not_reserved)]


class RegistryHead(Part):
    name: Name
    version: Version
    effective_from: Day
    approved_by: Text | None = None


class IdRules(Part):
    """How the patient ids of a site's systems are made equal."""

    trim: Truth = False
    leading_zeros: Literal["keep", "strip"] = "keep"


class Feed(Part):
    """From when a feed is complete and how long it may be silent; results and reports take their time."""

    from_: Annotated[Day, Field(alias="from")]
    silent_after_days: Days
    results_after_hours: Days = 0
    complete_after_days: Days | None = None


class Site(Part):
    zone: Annotated[Text, AfterValidator(_known_zone)]
    go_live: Day
    ids: IdRules = IdRules()
    restamps: Truth = False
    feeds: dict[FeedName, Feed]


class RegistryDocument(Part):
    """One version of the registry."""

    registry: RegistryHead
    sites: Annotated[dict[SiteName, Site], Field(min_length=1)]

    @cached_property
    def sha256(self) -> str:
        """The hash of what the registry says, whatever its comments, layout and order of keys."""
        content = self.model_dump(by_alias=True, exclude_defaults=True)
        text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=plain)
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class SiteEntry:
    """What one version says of one site."""

    site: str
    zone: ZoneInfo
    trim: bool
    strip_zeros: bool
    go_live: Day
    restamps: bool
    feeds: Mapping[FeedName, Feed]


@dataclass(frozen=True)
class Registry:
    """All versions of the registry, sorted by the day from which each is in force."""

    versions: tuple[RegistryDocument, ...]

    def __post_init__(self) -> None:
        days = [version.registry.effective_from for version in self.versions]
        if not days or sorted(set(days)) != days:
            raise ValueError("a registry needs at least one version, each in force from another day, sorted by it")

    def at(self, day: int) -> RegistryDocument:
        """The version in force on a day (`date.toordinal()`); before the first version the first."""
        begun = [one for one in self.versions if one.registry.effective_from.toordinal() <= day]
        return begun[-1] if begun else self.versions[0]

    def entry(self, site: str, recorded_at: int) -> SiteEntry | None:
        """What holds for a message recorded at an instant (microseconds since 1970), None where the site is unknown.

        A version holds from midnight of its day in the site's zone, before the first version the first.
        """
        for begins, entry in self._history.get(site, ()):
            if begins <= recorded_at:
                return entry
        return None

    def id_rules(self, site: str) -> list[tuple[int, bool, bool]]:
        """(instant from which it holds, trim, strip zeros), the earliest first."""
        turns = reversed(self._history.get(site, ()))
        return [(int(max(begins, 0)), one.trim, one.strip_zeros) for begins, one in turns if one is not None]

    def entry_on(self, site: str, day: int) -> SiteEntry | None:
        """What holds for a site on a day; a site that a version has dropped keeps what was said of it last."""
        begun = [one for one in self.versions if one.registry.effective_from.toordinal() <= day] or [self.versions[0]]
        known = [one.sites[site] for one in begun if site in one.sites] or [
            one.sites[site] for one in self.versions if site in one.sites
        ][:1]
        return _entry(site, known[-1]) if known else None

    @cached_property
    def _history(self) -> dict[str, tuple[tuple[float, SiteEntry | None], ...]]:
        """Per site (instant from which it holds, entry) of each version, the latest first."""
        return {name: tuple(reversed([*self._turns(name)])) for name in self.names}

    @cached_property
    def names(self) -> frozenset[str]:
        """Every site that any version knows."""
        return frozenset(name for version in self.versions for name in version.sites)

    def _turns(self, site: str) -> Iterator[tuple[float, SiteEntry | None]]:
        known = [version.sites[site] for version in self.versions if site in version.sites]
        zone = ZoneInfo(known[0].zone)  # of a version that does not know the site: the zone it had or will have
        for at, version in enumerate(self.versions):
            one = version.sites.get(site)
            zone = ZoneInfo(one.zone) if one else zone
            day = version.registry.effective_from
            midnight = instant(datetime(day.year, day.month, day.day, tzinfo=zone))
            yield (midnight if at else float("-inf")), _entry(site, one) if one else None


def complete_to(registry: Registry | None, lag_days: int, as_of: int) -> int:
    """The day up to which reports are taken as complete: that of the slowest registered site.

    `lag_days` is the policy's; a site that states its own goes by that.
    """
    feeds = [site.feeds.get("adverse_event") for site in registry.at(as_of).sites.values()] if registry else []
    own = [None if feed is None else feed.complete_after_days for feed in feeds]
    return as_of - max((lag_days if days is None else days for days in own), default=lag_days)


def _entry(name: str, site: Site) -> SiteEntry:
    return SiteEntry(
        site=name,
        zone=ZoneInfo(site.zone),
        trim=site.ids.trim,
        strip_zeros=site.ids.leading_zeros == "strip",
        go_live=site.go_live,
        restamps=site.restamps,
        feeds=site.feeds,
    )
