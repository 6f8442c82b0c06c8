"""Whether the clocks agree: days begin, evidence expires and certificates end by them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from monitor.doctor.said import Said, finding, or_ok, spoken, unseen

if TYPE_CHECKING:
    from kafka import KafkaAdminClient

CHECK = "clock"
MOST_SECONDS = 2.0


class Clock(NamedTuple):
    """What somebody's clock showed at some moment between two of ours; all in seconds since 1970."""

    whose: str
    earliest: float
    latest: float
    asked: float
    answered: float

    @property
    def ahead(self) -> float:
        """By how much it differs from ours at the least; negative: it is behind."""
        if self.earliest > self.answered:
            return self.earliest - self.answered
        return min(0.0, self.latest - self.asked)


def clocks(shown: Iterable[Clock]) -> Iterator[Said]:
    """Which clocks differ from this machine's by more than two seconds."""
    shown = list(shown)
    if not shown:
        yield unseen(CHECK, "nobody told the time: name processes with --workers or --views")
        return
    findings = [_differing(each) for each in shown if abs(each.ahead) > MOST_SECONDS]
    agreeing = ", ".join(each.whose for each in shown)
    yield from or_ok(CHECK, findings, f"this machine agrees within {MOST_SECONDS:g} s with {agreeing}")


def _differing(clock: Clock) -> Said:
    side = "ahead of" if clock.ahead > 0 else "behind"
    text = f"the clock of {clock.whose} is {spoken(abs(clock.ahead))} {side} this machine's"
    return finding(CHECK, text, "let both follow a time server; `timedatectl` says whether a machine does")


def of_kafka(admin: KafkaAdminClient, time: Callable[[], float]) -> Clock | None:
    """What Kafka's clock shows, by the leader of its controllers, who answers with the time; None: it may not say.

    Source: LastCaughtUpTimestamp of the leader in DescribeQuorum (KIP-836), which needs DESCRIBE on the cluster.
    """
    from kafka.errors import KafkaError  # noqa: PLC0415  to compare clocks nobody needs the library

    asked = time()
    try:
        told = admin.describe_metadata_quorum()
    except KafkaError:
        return None
    answered = time()
    partition = told["topics"][0]["partitions"][0]
    leaders = [each for each in partition["current_voters"] if each["replica_id"] == partition["leader_id"]]
    at = max((each["last_caught_up_timestamp"] for each in leaders), default=-1) / 1000
    return Clock("Kafka", at, at + 0.001, asked, answered) if at > 0 else None


def by_last_append(appended: float, now: float) -> Clock:
    """What can be told from when Kafka wrote something, in seconds since 1970: its clock is not behind that."""
    return Clock("Kafka, as far as what it wrote last tells", appended, math.inf, now, now)
