"""What `jakwatch doctor` hears from processes: over real HTTP, from the texts that the program itself renders."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from monitor.doctor import processes
from monitor.doctor.said import Said
from monitor.metrics import catalogue as c
from monitor.metrics.exposition import Exposition
from monitor.metrics.platform import ReplicaState, RulesInUse, SiteOfWorker, WorkerState, replica_samples
from monitor.metrics.text import as_bytes, family

SHOWN = "what-lets-us-read"
SINCE = "2026-01-01T00:00:00.000000Z"
RULES = RulesInUse("1111aaaa", "2222bbbb", "3333cccc")
Serve = Callable[..., str]


def worker(*sites: SiteOfWorker, program: str = "1.0", rules: RulesInUse = RULES, trouble: str | None = None) -> bytes:
    return Exposition().render_worker(WorkerState(program, SINCE, trouble, rules, sites))


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serves a text as /metrics, to whoever shows the token if there is one; returns the address."""
    servers: list[ThreadingHTTPServer] = []

    def serving(text: bytes, token: str | None = None, ahead: float = 0.0) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                is_let_in = token is None or self.headers["Authorization"] == f"Bearer {token}"
                self.send_response(200 if is_let_in and self.path == "/metrics" else 401)
                self.end_headers()
                self.wfile.write(text if is_let_in else b"")

            def date_time_string(self, timestamp: float | None = None) -> str:
                return super().date_time_string(time.time() + ahead)

            def log_message(self, *args: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}"

    yield serving
    for server in servers:
        server.shutdown()
        server.server_close()


def listen(*urls: str, token: str | None = None) -> tuple[list[processes.Process], list[Said]]:
    return processes.listen(urls, token, time.time)


def texts(said: Iterator[Said]) -> list[str]:
    return [each.text for each in said if each.result == "finding"]


def owning(*sites: str, of: Sequence[str] = ("lisbon", "porto")) -> bytes:
    return worker(*(SiteOfWorker(site, is_owned=site in sites) for site in of))


def test_two_workers_that_share_the_sites_and_judge_alike_are_well(serve: Serve) -> None:
    heard, silent = listen(serve(owning("lisbon")), serve(owning("porto")))
    said = [*processes.readiness(heard, silent), *processes.rules(heard, {}), *processes.owners(heard)]
    assert [(each.result, each.text) for each in said] == [
        ("ok", "2 answer and are ready"),
        ("ok", "all processes are of one version and judge by the same"),
        ("ok", "each of 2 sites has one worker"),
    ]


def test_a_process_that_does_not_answer_is_a_finding() -> None:
    _, (said,) = listen("http://127.0.0.1:1")
    assert (said.result, said.text) == ("finding", "http://127.0.0.1:1 does not answer")
    assert said.todo == "see that the process runs there; if not, its last lines say why"


def test_a_process_that_is_not_ready_is_a_finding_that_says_where_it_tells_why(serve: Serve) -> None:
    url = serve(worker(trouble="something is wrong"))
    heard, silent = listen(url)
    (said,) = processes.readiness(heard, silent)
    assert (said.text, said.todo) == (f"{url} says that it is not ready", f"`curl {url}/readyz` says why")


def test_rules_that_differ_are_told_with_who_has_which(serve: Serve) -> None:
    one, other = serve(worker()), serve(worker(rules=RulesInUse("9999dddd", "2222bbbb", "3333cccc")))
    heard, _ = listen(one, other)
    (said,) = processes.rules(heard, {})
    assert said.text == f"policies differ: 1111aaaa ({one}); 9999dddd ({other})"
    assert said.todo == "give all processes the same files by --policy, and start again those that have others"


def test_rules_that_are_not_those_given_here_are_a_finding(serve: Serve) -> None:
    url = serve(worker())
    heard, _ = listen(url)
    given = {"policies": "1111aaaa", "registries": "7777eeee", "key": "8888ffff"}
    assert texts(processes.rules(heard, given)) == [
        f"registries differ: 7777eeee (given here); 2222bbbb ({url})",
        f"pseudonym keys differ: 8888ffff (given here); 3333cccc ({url})",
    ]


def test_versions_of_the_program_that_are_mixed_are_a_finding(serve: Serve) -> None:
    one, other = serve(worker(program="1.0")), serve(worker(program="1.1"))
    assert texts(processes.rules(listen(one, other)[0], {})) == [
        f"versions of the program differ: 1.0 ({one}); 1.1 ({other})"
    ]


def test_a_site_without_a_worker_and_one_with_two_are_findings(serve: Serve) -> None:
    heard, _ = listen(serve(owning("lisbon")), serve(owning("lisbon")))
    assert texts(processes.owners(heard)) == [
        "2 workers say that lisbon is theirs",
        "none of the 2 workers that answer takes in porto",
    ]


def test_a_paused_site_is_a_finding_with_the_command_that_shows_why(serve: Serve) -> None:
    url = serve(worker(SiteOfWorker("lisbon", is_owned=True, is_paused=True)))
    (said,) = processes.owners(listen(url)[0])
    assert said.text == f"lisbon is paused at {url}"
    assert said.todo == (
        f"`curl {url}/healthz` says whether it is parked, and why; if not, jakwatch rejected list --site lisbon"
    )


def test_a_process_whose_clock_is_wrong_shows_it(serve: Serve) -> None:
    heard, _ = listen(serve(worker(), ahead=60), serve(worker(), ahead=-60), serve(worker()))
    late, early, right = (each.clock.ahead for each in heard if each.clock)
    assert 57 < late < 61
    assert -61 < early < -57
    assert abs(right) < 2


def test_the_token_for_reading_is_shown_and_asked_for_where_it_is_missing(serve: Serve) -> None:
    url = serve(worker(), token=SHOWN)
    _, (said,) = listen(url)
    assert (said.text, said.todo) == (
        f"{url} answers with 401", "give --read-token FILE, the token for reading of that process",
    )  # fmt: skip
    heard, silent = listen(f"{url}/metrics", token=SHOWN)
    assert ([each.url for each in heard], silent) == ([url], [])


@pytest.mark.parametrize("text", [b"<html>", b"up 1\n", b"jakwatch_build_info{version=\n", b""])
def test_what_is_no_process_of_ours_is_told_as_such(serve: Serve, text: bytes) -> None:
    url = serve(text)
    heard, (said,) = listen(url)
    assert heard == []
    assert said.text.startswith(f"what {url} answers are ")


@pytest.mark.parametrize("url", ["worker-1:8322", "file:///etc/passwd", "http://somebody:secret@127.0.0.1:1"])
def test_what_is_no_address_is_not_asked_nor_repeated(url: str) -> None:
    heard, (said,) = listen(url)
    assert heard == []
    assert url not in said.text + said.todo
    assert "http://127.0.0.1:8322" in said.todo


def view() -> bytes:
    state = ReplicaState(RULES, ())
    text = "".join(family(metric, found) for metric, found in replica_samples(state))
    return as_bytes(f"{family(c.BUILD, [(('1.0',), 1)])}{family(c.READY, [((), 1)])}{text}")


def test_an_address_that_was_named_as_that_of_the_other_kind_is_a_finding(serve: Serve) -> None:
    [worker_url, view_url] = [serve(owning("lisbon")), serve(view())]
    (heard, _), (seen, _) = listen(view_url), listen(worker_url)
    assert [(each.text, each.todo) for each in processes.mistaken(heard, seen)] == [
        (f"{view_url} is no worker, though --workers names it", f"--views {view_url}"),
        (f"{worker_url} is a worker, though --views names it", f"--workers {worker_url}"),
    ]
    assert list(processes.mistaken(seen, heard)) == []


def test_a_worker_that_owns_no_site_yet_is_a_worker(serve: Serve) -> None:
    ([heard], _) = listen(serve(worker()))
    assert heard.is_worker
