"""Bytes to a message or a rejection: a pure function of the bytes and of the site's registry entry.

Millions of lines go through here, so there are two ways to the same answer. The short one validates once and then
proves that the parser hid nothing (`schemas.proof`). Where the proof does not hold, or validation fails, the careful
one (`schemas.careful`) reads the text again and judges in the contract's order. That both agree is a property test.
"""

from __future__ import annotations

import datetime as dt
import functools
import zoneinfo
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, cast

from pydantic import ValidationError

from monitor.core.days import instant
from schemas import inbound as msg
from schemas.careful import read_message
from schemas.parts import MAX_BYTES, RESERVED_SITE, happened_type
from schemas.proof import nothing_is_hidden
from schemas.retraction import retraction_of
from schemas.rules import Reason, Rejection

_ONE_DAY, _HALF_A_DAY = dt.timedelta(days=1), dt.timedelta(hours=12)
_ZONES_SINCE = 1900
_validate = msg.inbound.validator.validate_json  # the adapter's own method costs a twentieth more
_UTC = dt.UTC

AnyMessage = msg.InboundMessage | msg.Retraction

__all__ = [
    "Decoded",
    "EntryLike",
    "Reason",
    "Rejection",
    "SitesLike",
    "decode",
    "decode_carefully",
    "normalise",
    "recall",
]


class Decoded(NamedTuple):
    """A valid message, or the retraction of one, and the site it belongs to."""

    message: AnyMessage
    site: str


_decoded = cast("Callable[[tuple[AnyMessage, str]], Decoded]", functools.partial(tuple.__new__, Decoded))


class EntryLike(Protocol):
    """What decoding needs of a site's registry entry."""

    @property
    def zone(self) -> zoneinfo.ZoneInfo: ...
    @property
    def trim(self) -> bool: ...
    @property
    def strip_zeros(self) -> bool: ...


class SitesLike(Protocol):
    """The registry: the entry of a site in force at an instant (`days.instant`), None for a site it does not know."""

    def entry(self, site: str, recorded_at: int, /) -> EntryLike | None: ...


def decode(
    raw: bytes, site: str | None = None, sites: SitesLike | None = None, default_site: str | None = None
) -> Decoded | Rejection:
    """The message in `raw`, which came through the channel of `site` (None: a file, the line names it).

    `default_site` is the site of a file's lines that name none. Without `sites` every site is known, in UTC. Never
    raises, whatever the bytes.
    """
    if len(raw) > MAX_BYTES:
        return Rejection("too_large", "", f"must have at most {MAX_BYTES} bytes")
    try:
        message = _validate(raw)
    except ValidationError:
        return decode_carefully(raw, site, sites, default_site)
    if nothing_is_hidden(raw, message):
        return _place(message, site, sites, default_site)
    return decode_carefully(raw, site, sites, default_site)


def recall(raw: bytes) -> AnyMessage:
    """A message that was accepted before, read again from where it was kept: site and days need no second test.

    Raises ValueError where it is none: what was kept is damaged, or was written by a later version.
    """
    try:
        message: msg.InboundMessage | None = _validate(raw)
    except ValidationError:
        message = None  # a retraction without its body, or numbers that must be read with care
    if message is not None and message.status == "final" and nothing_is_hidden(raw, message):
        return message
    known = read_message(raw)
    if isinstance(known, Rejection):
        raise ValueError(f"a fact is kept that is no message: {known.reason} at {known.path!r}: {known.rule}")
    return known if isinstance(known, msg.Retraction) or known.status == "final" else retraction_of(known)


def decode_carefully(
    raw: bytes, site: str | None = None, sites: SitesLike | None = None, default_site: str | None = None
) -> Decoded | Rejection:
    """The same answer as `decode` on bytes that are not too large, without the short way."""
    message = read_message(raw)
    return message if isinstance(message, Rejection) else _place(message, site, sites, default_site)


def normalise(patient_id: str, entry: EntryLike | None) -> str:
    """The identifier as the site's id rules make it equal across its systems."""
    if entry is None:
        return patient_id
    if entry.trim:
        patient_id = patient_id.strip()
    if entry.strip_zeros:
        patient_id = patient_id.lstrip("0") or "0"
    return patient_id


def _place(message: AnyMessage, given: str | None, sites: SitesLike | None, default: str | None) -> Decoded | Rejection:
    """The last tests: the site, the identifiers by its rules, and that nothing happened after it was recorded."""
    values = message.__dict__  # as fast as attributes where they exist, twenty times as fast where they do not
    named = values["site"]
    site = given or named or default
    if site is None:
        return Rejection("invalid", "site", "is required where no channel names the site")
    entry = None if sites is None else sites.entry(site, instant(values["recorded_at"]))
    if entry is not None and entry.trim and (blank := _blank_id(values)):
        return Rejection("invalid", blank, "must hold more than white space")
    if (named is not None and named != site) or site == RESERVED_SITE or (sites is not None and entry is None):
        rule = _misplaced(site, named, given, known=sites is None or entry is not None)
        if rule is not None:
            return Rejection("site_mismatch", "site", rule)
    if values.get("status") != "final":  # what a retraction denies did not happen, on no day
        return _decoded((message if isinstance(message, msg.Retraction) else retraction_of(message), site))
    ahead = _first_ahead(message, _UTC if entry is None else entry.zone)
    if ahead is not None:
        return Rejection("in_the_future", ahead, "must not lie more than a day after recorded_at")
    return _decoded((message, site))


def _blank_id(values: dict[str, Any]) -> str | None:
    """The first identifier of a patient of which trimming would leave nothing."""
    for name in ("patient_id", "merged_patient_id"):
        value = values.get(name)
        if value is not None and value.isspace():
            return name
    return None


def _misplaced(site: str, named: str | None, given: str | None, known: bool) -> str | None:
    """The rule about the site that the message breaks, if any. Only its own channel may say `canary`."""
    if given is None and site == RESERVED_SITE:
        return "is reserved"
    if given is not None and named is not None and named != given:
        return "must be the site of the channel"
    if not known and given != RESERVED_SITE:
        return "must be a site of the registry"
    return None


def _first_ahead(message: AnyMessage, zone: dt.tzinfo) -> str | None:
    """The path of the first field by which something happened more than a day after it was recorded.

    Days count in the site's zone; a partial date counts from the earliest day it may mean.
    """
    values = message.__dict__
    recorded = values["recorded_at"]
    today = recorded.date()  # where it was recorded, so within two days of the site's: what lies before needs no zone
    days, instants, partials = _HAPPENED[type(message)]
    for name in days:
        if (day := values[name]) is not None and day >= today and _is_after(day, today, recorded, zone):
            return name
    for name in instants:
        if (moment := values[name]) is not None and moment > recorded and moment - recorded > _ONE_DAY:
            return name
    for name in partials:
        if (partial := values[name]) is not None and _is_ahead(partial, today, recorded, zone):
            return name
    return _profile_ahead(message, zone) if type(message) is msg.PatientProfile else None


def _is_after(day: dt.date, today: dt.date, recorded: dt.datetime, zone: dt.tzinfo) -> bool:
    """Whether a day lies beyond the site's day after `recorded`, which was `today` where it was recorded.

    No zone lags more than twelve hours behind UTC, but for local times of the nineteenth century. So `today` itself is
    never too late if the clock that wrote it ran no more than twelve hours ahead; this spares most the site's zone.
    """
    if day == today and recorded.utcoffset() <= _HALF_A_DAY and today.year >= _ZONES_SINCE:  # type: ignore[operator]  # aware
        return False
    return day > _last_day(recorded, zone)


def _last_day(recorded: dt.datetime, zone: dt.tzinfo) -> dt.date:
    return recorded.astimezone(zone).date() + _ONE_DAY


def _is_ahead(partial: str, today: dt.date, recorded: dt.datetime, zone: dt.tzinfo) -> bool:
    """Text order is the order of the earliest days: a month sorts before its first day, after all days before it."""
    return partial >= today.isoformat() and partial > _last_day(recorded, zone).isoformat()


def _profile_ahead(profile: msg.PatientProfile, zone: dt.tzinfo) -> str | None:
    recorded, today = profile.recorded_at, profile.recorded_at.date()
    if profile.birth_year is not None and _is_ahead(f"{profile.birth_year:04}", today, recorded, zone):
        return "birth_year"
    for index, condition in enumerate(profile.conditions or ()):
        if condition.since is not None and _is_ahead(condition.since, today, recorded, zone):
            return f"conditions[{index}].since"
    return None


def _happened(model: type[msg.Envelope], kind: type) -> tuple[str, ...]:
    """The fields of a kind that are marked as having happened."""
    return tuple(name for name, field in model.model_fields.items() if happened_type(field) is kind)


_HAPPENED: dict[type, tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]] = {
    model: (_happened(model, dt.date), _happened(model, dt.datetime), _happened(model, str))
    for model in msg.INBOUND.values()
}
