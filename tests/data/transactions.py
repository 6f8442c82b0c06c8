"""Transactions for a log, and all that a log says."""

from __future__ import annotations

from typing import Any

from monitor.log import SiteLog, Transaction
from monitor.records import Rejected, Tally

ORDER, START = ("t1", "order"), ("t1", "start")


def rejected(place: int, channel: str = "a.jsonl") -> Rejected:
    return Rejected(b"\xff\x00bad", channel, place, "not_json", "", "must be JSON")


def batch(site: str = "lisbon", number: int = 1, **given: Any) -> Transaction:
    told: dict[str, Any] = {"tally": Tally(received=number, taken=number, heard={"treatment": number}), "at": number}
    return Transaction(site=site, **(told | given))


def content(log: SiteLog) -> dict[str, Any]:
    """All that a log says."""
    return {
        site: {
            "facts": list(log.facts(site)),
            "answers": dict(log.answers(site)),
            "tally": log.tally(site),
            "position": log.position(site),
            "rejected": [list(log.rejections(site, channel)) for channel in ("a.jsonl", "b.jsonl", "http")],
        }
        for site in log.sites()
    }
