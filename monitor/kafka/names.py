"""The names of topics, group and transactions: contract, section 3."""

from __future__ import annotations

import re

from schemas.parts import SITE_PATTERN

PREFIX = "jakwatch.v1."
ACTIONS = f"{PREFIX}actions"
GROUP = "jakwatch-monitor"
KINDS = ("in", "facts", "out", "rejected")
_SITE_TOPIC = re.compile(rf"{re.escape(PREFIX)}(in|facts|out|rejected)\.({SITE_PATTERN.strip('^$')})")


def topic(kind: str, site: str) -> str:
    """The topic of a kind (`in`, `facts`, `out`, `rejected`) of a site."""
    return f"{PREFIX}{kind}.{site}"


def site_of(name: str) -> str | None:
    """The site of a topic, None where it is nobody's."""
    found = _SITE_TOPIC.fullmatch(name)
    return found[2] if found else None


def transactional_id(site: str) -> str:
    """Whoever holds its newest epoch is the only one who can write what is the site's."""
    return f"{GROUP}-{site}"
