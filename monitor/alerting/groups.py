"""Who hears of which alerts together, how soon and how often: what deploy/alertmanager/alertmanager.yml says.

Alerts of one group are one message. It is sent when something in the group is new, or has ended, or after a long time
in which nothing changed; else nobody is called again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from monitor.alerting.alerts import Alert, Standing

_SECOND, _MINUTE, _HOUR = 1.0, 60.0, 3_600.0


@dataclass(frozen=True, slots=True)
class Route:
    """Which alerts go where; all times in seconds."""

    receiver: str
    of: Mapping[str, str]  # labels of its alerts; `a|b`: one of these
    by: tuple[str, ...]  # labels that those of one message have in common
    wait: float  # for what comes together with the first
    interval: float  # between two messages of one group
    repeat: float  # until what goes on is told again
    tells_end: bool = True

    def fits(self, labels: Mapping[str, str]) -> bool:
        """Whether an alert goes here, if no route before this one fits."""
        return all(labels.get(name) in value.split("|") for name, value in self.of.items())

    def key(self, labels: Mapping[str, str]) -> str:
        """The name of a group, as Alertmanager writes it."""
        matchers = [f'{name}{"=~" if "|" in value else "="}"{value}"' for name, value in sorted(self.of.items())]
        of = f"/{{{','.join(matchers)}}}" if matchers else ""
        return f"{{}}{of}:{{{', '.join(_pairs(labels))}}}"


def _pairs(labels: Mapping[str, str]) -> list[str]:
    return [f'{name}="{value}"' for name, value in labels.items()]


ROUTES = (
    Route(
        "safety-page-further", {"team": "safety", "alertname": "JakwatchFurtherCase|JakwatchFurtherPositive"},
        ("site",), 10 * _SECOND, 1 * _MINUTE, 15 * _MINUTE, tells_end=False,
    ),
    Route("safety-page", {"team": "safety", "severity": "critical"}, ("site",),
          10 * _SECOND, 5 * _MINUTE, 24 * _HOUR),
    Route("officers-digest", {"team": "safety"}, ("team",), 15 * _MINUTE, 6 * _HOUR, 24 * _HOUR),
    Route("integration", {"team": "integration"}, ("site",), 1 * _MINUTE, 15 * _MINUTE, 24 * _HOUR),
    Route("platform", {"team": "platform", "severity": "critical"}, ("alertname",),
          30 * _SECOND, 5 * _MINUTE, 4 * _HOUR),
    Route("platform", {}, ("alertname",), 30 * _SECOND, 5 * _MINUTE, 24 * _HOUR),
)  # fmt: skip
"""In the order in which they are tried; the last one takes everything."""


def route_of(labels: Mapping[str, str]) -> Route:
    """The first route that fits."""
    return next(route for route in ROUTES if route.fits(labels))


@dataclass(frozen=True, slots=True)
class Timing:
    """`pace`: by how much everything is faster than in life; `repeat`: seconds, in place of what the routes say."""

    pace: float = 1.0
    repeat: float | None = None

    def short(self, seconds: float) -> float:
        return seconds / self.pace

    def repeats(self, route: Route) -> float:
        return route.repeat if self.repeat is None else self.repeat


@dataclass(frozen=True, slots=True)
class Message:
    """What is told of one group at one instant (seconds since 1970)."""

    group: str
    receiver: str
    labels: dict[str, str]  # that its alerts have in common by its route
    alerts: tuple[Alert, ...]
    at: float

    @property
    def is_firing(self) -> bool:
        """Whether anything in it still is so."""
        return any(each.until is None for each in self.alerts)

    @property
    def speaks_of(self) -> frozenset[str]:
        return frozenset(each.fingerprint for each in self.alerts)


@dataclass(frozen=True, slots=True)
class Group:
    """What was told of a group."""

    next_at: float  # when it is looked at again
    told: dict[str, float] = field(default_factory=dict)  # of what fired then: fingerprint -> since when
    told_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What is so and what was told of it, once the messages are sent."""

    standing: Standing
    groups: dict[str, Group]
    messages: tuple[Message, ...]


def planned(standing: Standing, groups: Mapping[str, Group], now: float, timing: Timing) -> Plan:
    """What is to be told now. It sends nothing: keep what is returned before anything is sent."""
    kept: dict[str, Group] = {}
    messages: list[Message] = []
    over: set[str] = set()
    for key, members in _members(standing).items():
        group = groups.get(key, Group(now + timing.short(members.route.wait)))
        if now >= group.next_at or group.next_at - now > _longest(members.route, timing):
            message = _message(key, members, group, timing, now)
            messages += [message] if message else []
            over.update(each.fingerprint for each in members.alerts if each.until is not None)
            told_at = now if message else group.told_at
            group = Group(now + timing.short(members.route.interval), members.firing, told_at)
        kept[key] = group
    return Plan(standing.without(lambda each: each.fingerprint in over), kept, tuple(messages))


def _longest(route: Route, timing: Timing) -> float:
    """What is further away than this was planned before somebody set the clock back."""
    return timing.short(max(route.wait, route.interval))


@dataclass(slots=True)
class _Members:
    """The alerts of one group, those that have ended too."""

    route: Route
    labels: dict[str, str]
    alerts: list[Alert] = field(default_factory=list)

    @property
    def firing(self) -> dict[str, float]:
        return {each.fingerprint: each.since for each in self.alerts if each.until is None}


def _members(standing: Standing) -> dict[str, _Members]:
    found: dict[str, _Members] = {}
    for _, alert in sorted(standing.alerts.items(), key=lambda item: sorted(item[1].labels.items())):
        route = route_of(alert.labels)
        labels = {name: alert.labels[name] for name in route.by if name in alert.labels}
        found.setdefault(route.key(labels), _Members(route, labels)).alerts.append(alert)
    return found


def _message(key: str, members: _Members, group: Group, timing: Timing, now: float) -> Message | None:
    """What is to be told of a group; None where nothing is new. An alert that ended and came anew meanwhile is new."""
    route, firing = members.route, members.firing
    ended = [each for each in members.alerts if each.until is not None and each.fingerprint in group.told]
    is_time_again = bool(firing) and now - group.told_at >= timing.repeats(route)
    if not (firing.items() - group.told.items() or (ended and route.tells_end) or is_time_again):
        return None
    told = [each for each in members.alerts if each.until is None] + (ended if route.tells_end else [])
    return Message(key, route.receiver, members.labels, tuple(told), now)
