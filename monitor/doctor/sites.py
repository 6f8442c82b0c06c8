"""What the looks at the sites' topics come to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from monitor.doctor.said import Said, finding, ok, or_ok, sites_text, spoken, unseen
from monitor.doctor.seen import MOST_REJECTED, Look
from monitor.kafka.names import topic
from monitor.log import LogUnusableError
from monitor.rulebook import check_key

LONGEST_WAIT_SECONDS = 60.0  # a site changes hands within ten
_ANOTHER_USER = "run it as a user who may; `jakwatch topics apply --acls` names them"
_AGAIN = (
    "ask the hospital what it published since it was last answered, and have that published again; then "
    "jakwatch topics reread --site {site}, and start the worker again"
)
_START = "start jakwatch monitor with a registry that has the site; if one runs, its log says why it does not take it"


def key(looks: Sequence[Look], given: bytes | None) -> Iterator[Said]:
    """Whether all logs were written with one pseudonym key, and with the one given."""
    if not (seen := [each for each in looks if each.kept is not None]):
        yield _unread("key", "facts")
        return
    marks = {each.site: mark for each in seen if each.kept and (mark := each.kept.mark) is not None}
    if given is None:
        yield _one_key(marks)
        return
    findings = [said for site, mark in marks.items() if (said := _other_key(site, mark, given)) is not None]
    yield from or_ok("key", findings, f"its fingerprint is that of the logs of {sites_text(len(marks))}")


def _other_key(site: str, mark: str, given: bytes) -> Said | None:
    try:
        check_key(mark, given, f"the log of {site}")
    except LogUnusableError as unusable:
        text, _, todo = str(unusable).partition(". ")
        return finding("key", text, todo)
    return None


def _one_key(marks: dict[str, str]) -> Said:
    by_mark: dict[str, list[str]] = {}
    for site, mark in marks.items():
        by_mark.setdefault(mark, []).append(site)
    if len(by_mark) > 1:
        told = "; ".join(f"{mark} ({', '.join(sites)})" for mark, sites in by_mark.items())
        todo = "find out which key is which: jakwatch doctor --key FILE"
        return finding("key", f"the logs were written with different pseudonym keys: {told}", todo)
    known = (
        f"the logs of {sites_text(len(marks))} bear the fingerprint {next(iter(by_mark))}" if marks else "no log yet"
    )
    return ok("key", f"{known}; --key FILE would compare yours")


def lag(looks: Sequence[Look], now: float) -> Iterator[Said]:
    """Where a message has been waiting for more than a minute; `now` in seconds since 1970."""
    seen = [each for each in looks if each.kept is not None and each.inbound is not None]
    if not seen:
        yield _unread("lag", "in")
        return
    ages = [(each, now - each.inbound.oldest) for each in seen if each.inbound and each.inbound.oldest is not None]
    findings = [_waiting(each, age, now) for each, age in ages if age > LONGEST_WAIT_SECONDS]
    longest = max((age for _, age in ages), default=0.0)
    text = f"the oldest message that waits came {spoken(max(0.0, longest))} ago" if ages else "nothing waits"
    yield from or_ok("lag", findings, f"{text} ({sites_text(len(seen))})")


def _waiting(look: Look, age: float, now: float) -> Said:
    moved = look.kept.moved if look.kept else None
    last = "nothing was ever taken in" if moved is None else f"the last was taken in {spoken(now - moved)} ago"
    text = f"{look.site}: a message has been waiting for {spoken(age)}; {last}"
    return finding("lag", text, "see that a worker takes the site in (--workers URL tells), and look into its log")


def progress(looks: Sequence[Look]) -> Iterator[Said]:
    """Where something was sent and no worker has ever been, or the position no longer fits the inbound topic."""
    if not (seen := [each for each in looks if each.kept is not None]):
        yield _unread("progress", "facts")
        return
    findings = [said for each in seen if (said := _stuck(each)) is not None]
    untouched = [each for each in seen if _is_untouched(each)]
    unread = sum(each.inbound is None for each in untouched)
    text = f"a worker has been at each of {sites_text(len(seen) - len(untouched))}"
    text += f"; at {sites_text(silent)} nothing ever came" if (silent := len(untouched) - unread) else ""
    text += f"; of {sites_text(unread)} it cannot be told" if unread else ""
    yield from or_ok("progress", findings, text)


def _is_untouched(look: Look) -> bool:
    """A worker writes nothing before the first message: that nothing is there tells nothing about workers."""
    return look.kept is not None and look.kept.mark is None and look.kept.position is None


def _stuck(look: Look) -> Said | None:
    kept, inbound, name = look.kept, look.inbound, topic("in", look.site)
    if _is_untouched(look) and inbound is not None and inbound.end > 0:
        return finding("progress", f"{look.site}: no worker has ever been there", _START)
    if kept is None or kept.position is None or inbound is None:
        return None
    if inbound.end < kept.position:
        text = f"{name} ends at offset {inbound.end}, but was read up to {kept.position}: it was cut or made anew"
        return finding("progress", text, _AGAIN.format(site=look.site))
    if inbound.first > kept.position:
        text = (
            f"{name} begins at offset {inbound.first}, was read up to {kept.position}: messages may have expired unread"
        )
        return finding("progress", text, "ask the hospital to publish again what it sent meanwhile")
    return None


def rejected(looks: Sequence[Look]) -> Iterator[Said]:
    """Where something was rejected within a day: it is missing until it is mended."""
    seen = {each.site: each.rejected for each in looks if each.rejected is not None}
    if not seen:
        yield _unread("rejected", "rejected")
        return
    findings = []
    for site, counts in seen.items():
        if number := counts.total():
            more = " or more" if number == MOST_REJECTED else ""
            reasons = ", ".join(f"{reason} {count:,}" for reason, count in counts.most_common())
            text = f"{site}: {number:,}{more} rejected within a day ({reasons})"
            findings.append(finding("rejected", text, f"jakwatch rejected list --site {site}"))
    yield from or_ok("rejected", findings, f"nothing within a day ({sites_text(len(seen))})")


def _unread(check: str, kind: str) -> Said:
    return unseen(check, f"our user may not READ {topic(kind, '')}*, or there is none", _ANOTHER_USER)
