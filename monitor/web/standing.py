"""How far a replica has read and what it does not know, in sentences and in a table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from monitor.stream.standing import ReplicaOverview, ReplicaStanding, SiteStanding
from monitor.web import words

LATE_SECONDS = 60.0  # less is on its way
_NAMED = 5
_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400


class Row(NamedTuple):
    """A site in the table."""

    site: str
    state: words.State
    log: str  # offsets of facts and answers
    taken_in: str  # offsets of the inbound topic
    written_at: str | None
    waiting: str
    digest: str


STATES = {
    "read": words.State("read", "check", "good", ""),
    "reading": words.State("being read", "half", "warn", ""),
    "unreadable": words.State("cannot be read", "cross", "bad", ""),
    "unseen": words.State("no topics", "square", "warn", ""),
}


def warnings_of(overview: ReplicaOverview) -> Iterator[str]:
    """What a replica does not know, in sentences; none if it knows everything."""
    standing = overview.replica
    if overview.trouble is not None:
        yield f"What is shown is not all, or not as it is now: {overview.trouble.rstrip('.')}."
    if standing is None:
        return
    if standing.not_shown:
        yield f"Not read yet, and in no list or count: {_names(standing.not_shown)}. Until then there are no rates."
    for site in standing.sites:
        yield from _of_site(site)
    yield from _of_rules(standing)


def _of_site(site: SiteStanding) -> Iterator[str]:
    name, waiting = site.site, site.waiting_seconds or 0.0
    if site.trouble is not None:
        yield site.trouble
    if site.state == "unseen":
        yield f"{name}: no topics of it can be seen, so nothing is known of it. Do next: jakwatch topics check."
    if (site.behind_seconds or 0.0) > LATE_SECONDS and site.state == "read":
        yield f"{name}: this replica is behind; what it has not read has been there for {spell(site.behind_seconds)}."
    if site.has_owner is False:
        yield (
            f"{name}: nobody takes in its messages; the oldest has been waiting for {spell(waiting)} or longer, and "
            "what it says is in no answer and no count. Look at the workers (jakwatch monitor) and their log."
        )
    elif waiting > LATE_SECONDS:
        yield f"{name}: its worker is behind; the oldest message has been waiting for {spell(waiting)} or longer."
    if site.versions_not_given:
        versions = ", ".join(map(str, site.versions_not_given))
        yield (
            f"{name}: answered by a version of the policy that this replica was not given ({versions}): its rates go "
            "by another one. Start it with the policies that the workers have."
        )
    if site.answers_differing:
        yield (
            f"{name}: {words.count(site.answers_differing)} answers are not what the rules of this replica say. Its "
            "worker goes by other rules or does not work; compare what they were started with."
        )


def _of_rules(standing: ReplicaStanding) -> Iterator[str]:
    if standing.not_activated:
        versions = ", ".join(map(str, standing.not_activated))
        yield f"Given and without effect, because nobody has activated it: version {versions} of the policy."
    if standing.actions_unreadable:
        yield (
            f"{words.count(standing.actions_unreadable)} records of what people decided cannot be read and have no "
            "effect here. Use the newest version."
        )


def rows_of(standing: ReplicaStanding) -> list[Row]:
    return [_row(each) for each in standing.sites]


def _row(site: SiteStanding) -> Row:
    read = "none" if site.inbound_offset is None else words.count(site.inbound_offset)
    end = "" if site.inbound_end is None else f" of {words.count(site.inbound_end)}"
    return Row(
        site.site,
        STATES[site.state],
        f"{words.count(site.facts_offset)} and {words.count(site.answers_offset)}",
        read + end,
        site.written_at,
        "not known" if site.waiting_seconds is None else spell(site.waiting_seconds) if site.waiting_seconds else "no",
        (site.sha256 or "")[:8],
    )


def spell(seconds: float | None) -> str:
    """A time as people say it."""
    if seconds is None:
        return "an unknown time"
    for size, name in ((_DAY, "days"), (_HOUR, "hours"), (_MINUTE, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds // size:.0f} {name}"
    return f"{seconds:.0f} seconds"


def _names(sites: Sequence[str]) -> str:
    named = ", ".join(sites[:_NAMED])
    return named if len(sites) <= _NAMED else f"{named} and {len(sites) - _NAMED} more"
