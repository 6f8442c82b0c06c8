"""Whether a feed is alive: from what its messages say of themselves, and what its site vouches for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from monitor.core import facts as f
from monitor.core.ledger import SITE
from monitor.core.registry import Feed
from monitor.core.state import SiteState


class FeedLife(NamedTuple):
    """One registered feed of a site. Days are ordinals."""

    name: str
    feed: Feed
    vouched: int | None  # the latest day a `feed_status` called complete
    heard: int | None  # day of the latest sign of life
    is_from_the_future: bool  # it is dated after tomorrow: a clock is wrong, so it proves nothing
    is_silent: bool  # for longer than the registry allows, counted from its first day at the earliest


def feeds_of(state: SiteState, today: int) -> Iterator[FeedLife]:
    """The feeds of a site on a day, by name; without a registry none is known."""
    vouched = _vouched(state)
    for name, feed in sorted(state.entry.feeds.items()) if state.entry else ():
        recorded = state.signs.heard.get(name)
        signs = [day for day in (vouched.get(name), None if recorded is None else state.days.day(recorded)) if day]
        heard = max(signs, default=None)
        ahead = heard is not None and heard > today + 1
        since = max(heard or 0, feed.from_.toordinal() - 1)
        yield FeedLife(name, feed, vouched.get(name), heard, ahead, ahead or today > since + feed.silent_after_days)


def _vouched(state: SiteState) -> dict[str, int]:
    """Feed -> the latest day that was called complete."""
    found: dict[str, int] = {}
    for fact in state.ledger.facts(SITE):
        if isinstance(fact, f.FeedStatus):
            found[fact.feed] = max(fact.complete_through, found.get(fact.feed, 0))
    return found
