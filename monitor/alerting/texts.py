"""A message as Alertmanager's webhook would say it, and as a mail that a person reads at night."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from monitor.alerting.alerts import Alert
from monitor.alerting.groups import Message
from monitor.alerting.words import after_epoch

NEVER = "0001-01-01T00:00:00Z"  # the end of what has not ended, in Alertmanager's words
_GOODBYE = "This message names no patient. Please name none in an answer."


def payload(message: Message, page: str) -> dict[str, Any]:
    """Alertmanager's webhook, version 4. `page`: where this process shows its pages."""
    return {
        "version": "4",
        "groupKey": message.group,
        "truncatedAlerts": 0,
        "status": _status(message.is_firing),
        "receiver": message.receiver,
        "groupLabels": message.labels,
        "commonLabels": _common(each.labels for each in message.alerts),
        "commonAnnotations": _common(each.annotations for each in message.alerts),
        "externalURL": page,
        "alerts": [_alert(each) for each in message.alerts],
    }


def _alert(alert: Alert) -> dict[str, Any]:
    return {
        "status": _status(alert.until is None),
        "labels": alert.labels,
        "annotations": alert.annotations,
        "startsAt": _instant(alert.since),
        "endsAt": NEVER if alert.until is None else _instant(alert.until),
        "generatorURL": alert.annotations["list_url"],
        "fingerprint": alert.fingerprint,
    }


def _status(is_firing: bool) -> str:
    return "firing" if is_firing else "resolved"


def _instant(seconds: float) -> str:
    return after_epoch(seconds).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _common(given: Iterable[Mapping[str, str]]) -> dict[str, str]:
    first, *others = given
    return {name: value for name, value in first.items() if all(each.get(name) == value for each in others)}


# For a person


def subject(message: Message) -> str:
    """One line."""
    firing = [each for each in message.alerts if each.until is None]
    where = f", {message.labels['site']}" if "site" in message.labels else ""
    return f"jakwatch{where}: {_needed(firing) if firing else _over(message.alerts)}"


def _needed(firing: list[Alert]) -> str:
    summaries = {each.annotations["summary"] for each in firing}
    return summaries.pop() if len(summaries) == 1 else f"{len(firing)} things need somebody"


def _over(ended: Iterable[Alert]) -> str:
    names = {each.name for each in ended}
    return f"no longer observed{f': {names.pop()}' if len(names) == 1 else ''}"


def text(message: Message) -> str:
    """What is so, what to do, where it is; then what is no longer observed."""
    return "\n".join([*map(_paragraph, message.alerts), _GOODBYE, ""])


def _paragraph(alert: Alert) -> str:
    said = alert.annotations
    if alert.until is not None:
        where = f", {alert.labels['site']}" if "site" in alert.labels else ""
        lines = [f"{alert.name}{where}: no longer observed since {_minute(alert.until)}", said["resolved"]]
        return "\n".join([*lines, f"Where it was: {said['list_url']}", ""])
    lines = [f"{alert.name} ({alert.labels['severity']}), since {_minute(alert.since)}", f"{said['summary']}."]
    runbook = [f"What to do: {said['runbook_url']}"] if "runbook_url" in said else []
    return "\n".join([*lines, said["description"], *runbook, f"Where it is: {said['list_url']}", ""])


def _minute(seconds: float) -> str:
    return f"{after_epoch(seconds):%Y-%m-%d %H:%M} UTC"
