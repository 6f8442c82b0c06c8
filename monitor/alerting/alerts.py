"""Which alerts fire: conditions that have held for long enough; and which have ended and nobody has told of it yet."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from monitor.alerting.rules import RULES, Moment, Rule
from monitor.alerting.words import Number

_OFFSET, _PRIME, _BITS = 0xCBF29CE484222325, 0x100000001B3, (1 << 64) - 1
_BETWEEN = b"\xff"


def fingerprint(labels: Mapping[str, str]) -> str:
    """What an alert is known by: FNV-1a (64 bits) of its labels in order, as Prometheus and Alertmanager compute it."""
    found = _OFFSET
    for byte in b"".join(part.encode() + _BETWEEN for pair in sorted(labels.items()) for part in pair):
        found = ((found ^ byte) * _PRIME) & _BITS
    return f"{found:016x}"


@dataclass(frozen=True, slots=True)
class Links:
    """Where the texts of alerts lead; without a slash at the end."""

    page: str
    runbooks: str | None = None


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert, from when it began to fire; instants in seconds since 1970."""

    labels: dict[str, str]
    annotations: dict[str, str]
    since: float
    until: float | None = None  # None: it fires

    @property
    def name(self) -> str:
        return self.labels["alertname"]

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.labels)


@dataclass(frozen=True, slots=True)
class Standing:
    """What is so, by fingerprint."""

    holding: dict[str, float] = field(default_factory=dict)  # since when a condition has held without interruption
    alerts: dict[str, Alert] = field(default_factory=dict)  # that fire, or have ended and were not told of yet

    @property
    def firing(self) -> list[Alert]:
        return [each for each in self.alerts.values() if each.until is None]

    def without(self, ended: Callable[[Alert], bool]) -> Standing:
        """Without the alerts that need no telling any more."""
        return replace(self, alerts={key: each for key, each in self.alerts.items() if not ended(each)})


def standing_at(moment: Moment, before: Standing, links: Links, pace: float = 1.0) -> Standing:
    """What is so at a moment, after what was so before. `pace`: by how much shorter a condition need hold."""
    holding, alerts = {}, {}
    for rule, alert in _found(moment, links):
        key = alert.fingerprint
        holding[key] = min(before.holding.get(key, moment.now), moment.now)  # the clock may have been set back
        if moment.now - holding[key] >= rule.for_seconds / pace:
            alerts[key] = _gone_on(before.alerts.get(key), alert)
    ended = {key: _ended(each, moment.now) for key, each in before.alerts.items() if key not in alerts}
    return Standing(holding, ended | alerts)


def _found(moment: Moment, links: Links) -> Iterator[tuple[Rule, Alert]]:
    for rule in RULES:
        for labels, value in rule.finds(moment):
            full = {"alertname": rule.name, "severity": rule.severity, "team": rule.team, **labels}
            yield rule, Alert(full, _annotations(rule, labels, value, links), moment.now)


def _annotations(rule: Rule, labels: Mapping[str, str], value: float, links: Links) -> dict[str, str]:
    runbook = {} if links.runbooks is None else {"runbook_url": f"{links.runbooks}/{rule.name}.md"}
    return {
        "summary": rule.summary,
        "description": rule.description.format(**labels, value=Number(value)),
        "resolved": rule.resolved,
        "list_url": f"{links.page}{rule.page}",
        **runbook,
    }


def _gone_on(before: Alert | None, now: Alert) -> Alert:
    return now if before is None or before.until is not None else replace(now, since=before.since)


def _ended(alert: Alert, now: float) -> Alert:
    return alert if alert.until is not None else replace(alert, until=now)
