"""What workers and replicas say of themselves in their metrics, and whether it fits together."""

from __future__ import annotations

import ssl
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import ProxyHandler, Request, build_opener

from monitor.doctor.clocks import Clock
from monitor.doctor.said import Said, as_finding, finding, or_ok, sites_text
from monitor.metrics import catalogue as c

CHECK = "processes"
_SECONDS = 5.0
_MOST_BYTES = 64 << 20
_SAME = "give all processes the same files by {}, and start again those that have others"
_SHARED = {  # what all must have in common, and what to do where they do not
    "program": ("versions of the program", "install the same version everywhere"),
    "policies": ("policies", _SAME.format("--policy")),
    "registries": ("registries", _SAME.format("--sites")),
    "key": ("pseudonym keys", _SAME.format("--key")),
}
HERE = "given here"
_READ = (c.BUILD, c.READY, c.RULES, c.OWNED, c.PAUSED)


@dataclass(frozen=True, slots=True)
class Process:
    """What one process says."""

    url: str
    clock: Clock | None
    is_worker: bool = False  # else it is a view, or a process that serves on its own
    is_ready: bool = True
    uses: Mapping[str, str] = field(default_factory=dict)  # program, policies, registries, key -> version or hash
    owned: Mapping[str, bool] = field(default_factory=dict)  # site -> whether it is this worker's
    paused: frozenset[str] = frozenset()


class SilentError(Exception):
    """A process does not say what it was asked; the text says why and what to do."""


def listen(urls: Sequence[str], token: str | None, time: Callable[[], float]) -> tuple[list[Process], list[Said]]:
    """What the processes at some addresses say, and which say nothing."""
    heard, silent = [], []
    for url in urls:
        try:
            heard.append(_ask(url.rstrip("/").removesuffix("/metrics"), token, time))
        except SilentError as error:
            silent.append(as_finding(CHECK, str(error)))
    return heard, silent


def _ask(url: str, token: str | None, time: Callable[[], float]) -> Process:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or "@" in parts.netloc:  # a password in it would be printed
        raise SilentError("an address is none of a process. Do next: give it like http://127.0.0.1:8322")
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    asked = time()
    try:
        with build_opener(ProxyHandler({})).open(Request(f"{url}/metrics", headers=headers), timeout=_SECONDS) as said:  # noqa: S310  http or https
            answered, date, text = time(), said.headers.get("Date"), said.read(_MOST_BYTES).decode("utf-8", "replace")
    except HTTPError as error:
        raise SilentError(f"{url} answers with {error.code}. Do next: {_about(error.code, url)}") from None
    except (OSError, HTTPException, ValueError) as error:
        raise SilentError(f"{url} {_about_silence(error)}") from None
    return _read(url, text, _clock(url, date, asked, answered))


def _about_silence(error: Exception) -> str:
    if isinstance(error, URLError) and isinstance(error.reason, ssl.SSLCertVerificationError):
        return "shows a certificate that is not trusted. Do next: SSL_CERT_FILE=FILE, with the authority that signed it"
    return "does not answer. Do next: see that the process runs there; if not, its last lines say why"


def _about(status: int, url: str) -> str:
    if status in {401, 403}:
        return "give --read-token FILE, the token for reading of that process"
    return f"`curl {url}/readyz` says what it is waiting for"


def _clock(url: str, date: str | None, asked: float, answered: float) -> Clock | None:
    """A header tells whole seconds, rounded down."""
    try:
        at = parsedate_to_datetime(date or "").timestamp()
    except ValueError:
        return None
    return Clock(url, at, at + 1, asked, answered)


def _read(url: str, text: str, clock: Clock | None) -> Process:
    from prometheus_client.parser import text_string_to_metric_families  # noqa: PLC0415

    samples: dict[str, list[tuple[dict[str, str], float]]] = {each.name: [] for each in _READ}
    families = set[str]()
    try:
        for family in text_string_to_metric_families(text):
            families.add(family.name)
            if family.name in samples:
                samples[family.name] = [(each.labels, each.value) for each in family.samples]
    except ValueError:
        raise SilentError(f"what {url} answers are no metrics. Do next: look at the address") from None
    if not samples[c.BUILD.name]:
        raise SilentError(f"what {url} answers are metrics of something else. Do next: look at the address")
    uses = {"program": samples[c.BUILD.name][0][0][c.VERSION.name]}
    for labels, _ in samples[c.RULES.name]:
        uses |= labels
    return Process(
        url=url,
        clock=clock,
        is_worker=c.OWNED.name in families,
        is_ready=all(value for _, value in samples[c.READY.name]),
        uses=uses,
        owned={labels[c.SITE.name]: bool(value) for labels, value in samples[c.OWNED.name]},
        paused=frozenset(labels[c.SITE.name] for labels, value in samples[c.PAUSED.name] if value),
    )


def readiness(heard: Sequence[Process], silent: Sequence[Said]) -> Iterator[Said]:
    """Which processes do not answer, or cannot do their work."""
    findings = [
        finding(CHECK, f"{each.url} says that it is not ready", f"`curl {each.url}/readyz` says why")
        for each in heard
        if not each.is_ready
    ]
    yield from or_ok(CHECK, [*silent, *findings], f"{len(heard)} answer and are ready")


def mistaken(workers: Sequence[Process], views: Sequence[Process]) -> Iterator[Said]:
    """Which addresses were named as those of the other kind: what is said of them would be said of nobody."""
    for each in workers:
        if not each.is_worker:
            yield finding(CHECK, f"{each.url} is no worker, though --workers names it", f"--views {each.url}")
    for each in views:
        if each.is_worker:
            yield finding(CHECK, f"{each.url} is a worker, though --views names it", f"--workers {each.url}")


def rules(heard: Sequence[Process], given: Mapping[str, str]) -> Iterator[Said]:
    """Whether all are of one version and judge by the same, and by what was given here (hashes by their names)."""
    findings = []
    for what, (words, todo) in _SHARED.items():
        users: dict[str, list[str]] = {given[what]: [HERE]} if what in given else {}
        for process in heard:
            if what in process.uses:
                users.setdefault(process.uses[what], []).append(process.url)
        if len(users) > 1:
            told = "; ".join(f"{value} ({', '.join(who)})" for value, who in users.items())
            findings.append(finding("rules", f"{words} differ: {told}", todo))
    yield from or_ok("rules", findings, "all processes are of one version and judge by the same")


def owners(workers: Sequence[Process]) -> Iterator[Said]:
    """Whether each site is taken in by exactly one of the workers, and none is paused."""
    sites = sorted({site for worker in workers for site in worker.owned})
    owned = Counter(site for worker in workers for site, is_owned in worker.owned.items() if is_owned)
    findings = [_owned_by(site, owned[site], len(workers)) for site in sites if owned[site] != 1]
    findings += [
        finding("owners", f"{site} is paused at {worker.url}", _about_pause(worker.url, site))
        for worker in workers
        for site in sorted(worker.paused)
    ]
    yield from or_ok("owners", findings, f"each of {sites_text(len(sites))} has one worker")


def _about_pause(url: str, site: str) -> str:
    return f"`curl {url}/healthz` says whether it is parked, and why; if not, jakwatch rejected list --site {site}"


def _owned_by(site: str, number: int, workers: int) -> Said:
    if number:
        return finding(
            "owners", f"{number} workers say that {site} is theirs", "ask again in a minute: one is leaving it"
        )
    todo = "ask again in a minute; then look into the workers' logs for that site"
    return finding("owners", f"none of the {workers} workers that answer takes in {site}", todo)
