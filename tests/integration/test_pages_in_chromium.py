"""The pages in a real browser: for everyone to use, without a request to elsewhere, alive, and loud when they die."""

from __future__ import annotations

import asyncio
import dataclasses
import threading

import pytest
from aiohttp import web
from playwright.sync_api import expect

from monitor.overview import CourseView, FeedState
from monitor.web.pages import STATIC, Choice, Pages
from tests.data.shown_overview import overview_of, replay_of_demo, replay_of_nothing, waiver
from tests.integration.chromium import chromium, violations

STRICT = {"Content-Security-Policy": "default-src 'self'; form-action 'self'", "Referrer-Policy": "no-referrer"}
LONG_ID = "x" * 128
SAID = "2026-01-02T03:04:05Z"
CLOSING = {
    "kind": "violation", "at": "2026-01-02T03:04:05Z", "by": "Rui Costa", "role": "safety officer", "reason": "seen",
}  # fmt: skip


class Stage:
    """A server of pages on the loopback address; what `pages` holds is served, every POST is written down."""

    def __init__(self) -> None:
        self.pages: dict[str, str] = {}
        self.posted: list[tuple[str, str, dict[str, str]]] = []  # path, Origin, form
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.runner, self.port = self.run(self._start())

    def run(self, work):
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(timeout=30)

    async def _start(self):
        app = web.Application()
        app.add_routes([web.static("/static", STATIC), web.get("/{name}", self.get), web.post("/{name:.*}", self.post)])
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        return runner, site._server.sockets[0].getsockname()[1]  # noqa: SLF001  there is no other way to learn the port

    async def get(self, request):
        text = self.pages.get(request.match_info["name"])
        if text is None:
            raise web.HTTPNotFound
        return web.Response(text=text, content_type="text/html", headers=STRICT)

    async def post(self, request):
        form = {name: str(value) for name, value in (await request.post()).items()}
        self.posted.append((request.path, request.headers.get("Origin", ""), form))
        return web.Response(text="<!doctype html><title>done</title>", content_type="text/html", headers=STRICT)

    def stop(self) -> None:
        self.run(self.runner.cleanup())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()


@pytest.fixture(scope="module")
def overview():
    overview = overview_of(replay_of_demo())
    long = overview.cases[0].answer | {"treatment_id": LONG_ID}
    silent = FeedState("porto", "adverse_event", "2023-01-01", None, None, 14, silent=True)
    future = FeedState("lisbon", "screening", "2023-01-01", None, "2031-01-01", 14, False, from_the_future=True)
    failed = overview.holds[0] | {"decision": "unassessable", "findings": {}, "treatment_id": "failed"}
    alike = [{"digest": d * 64, "type": "treatment_stopped", "outcome": None, "recorded_at": SAID} for d in "ab"]
    conflict = {"site": "lisbon", "source": None, "event_id": "alike", "bodies": alike}
    conflicts = [*overview.result["open_conflicts"], conflict]
    return dataclasses.replace(
        overview,
        holds=(long, failed, *overview.holds),
        feeds=(*overview.feeds, silent, future),
        result=overview.result | {"open_conflicts": conflicts},
    )


def rendered(overview):
    """Name -> page: each kind of page once, and its extremes."""
    pages, nothing = Pages(), overview_of(replay_of_nothing(), cases=(), holds=(), sites=(), feeds=())
    case = overview.cases[0]

    order = case.answer | {"kind": "order", "decision": "screening_complete", "dose_on": "2026-05-01"}
    unmapped = [{"kind": "drug", "system": "local", "code": "x", "count": 1}]
    empty = overview.result | {"open_conflicts": [], "unmapped": unmapped}
    quiet = dataclasses.replace(overview, cases=(), holds=(), result=empty)

    def front(of, **query):
        choice = Choice.from_query(query, of.result)
        return pages.overview(of, choice=choice, may_write=True, said=None)

    return {
        "front": front(overview),
        "chosen": front(overview, cohort="no such", window="90", aesi="any"),
        "nothing": front(nothing),
        "quiet": front(quiet),
        "course": pages.course(
            overview, case.site, case.treatment_id, CourseView([case.answer, order], [case], [CLOSING], [waiver()]),
            may_write=True, said=None,
        ),
        "no-course": pages.course(overview, "lisbon", LONG_ID, CourseView([], [], []), may_write=True, said=None),
        "problem": pages.problem(404, "There is nothing here", "Go to the overview."),
    }  # fmt: skip


def served(name, text):
    """A page that renews itself from where this stage has it."""
    return text.replace('data-renew-from="/', f'data-renew-from="/{name}#')


@pytest.fixture(scope="module")
def texts(overview):
    return rendered(overview)


@pytest.fixture
def stage(texts):
    stage = Stage()
    stage.pages = {
        name: text.replace('data-renew-from="/', f'data-renew-from="/{name}#') for name, text in texts.items()
    }
    yield stage
    stage.stop()


@pytest.fixture(scope="module", name="chromium")
def one_chromium():
    with chromium() as browser:
        yield browser


class Window:
    """A page of the browser that writes down what it complains of and what it asks elsewhere for."""

    def __init__(self, chromium, stage, **how) -> None:
        self.context = chromium.new_context(**how)
        self.page = self.context.new_page()
        self.home = f"http://127.0.0.1:{stage.port}/"
        self.complaints: list[str] = []
        self.strangers: list[str] = []
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: request.url.startswith(self.home) or self.strangers.append(request.url))

    def open(self, name):
        self.page.goto(self.home + name)
        self.page.wait_for_selector("html[data-ready]")
        return self.page


@pytest.fixture
def window(chromium, stage):
    window = Window(chromium, stage)
    yield window
    window.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_axe_finds_nothing_that_keeps_people_from_using_a_page(chromium, stage, width, scheme):
    window = Window(chromium, stage, viewport={"width": width, "height": 900}, color_scheme=scheme)
    for name in stage.pages:
        page = window.open(name)
        page.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")
        assert (name, violations(page)) == (name, [])
    window.context.close()
    assert (window.complaints, window.strangers) == ([], [])


@pytest.mark.parametrize("width", [320, 390, 768, 1024, 1210, 1600])
def test_nothing_sticks_out_of_the_page_however_narrow(chromium, stage, width):
    window = Window(chromium, stage, viewport={"width": width, "height": 900})
    for name in stage.pages:
        page = window.open(name)
        assert (name, page.evaluate("document.documentElement.scrollWidth")) == (name, width)
        plots = page.evaluate("""[...document.querySelectorAll('.forest')].every(each =>
            each.getBoundingClientRect().right <= each.closest('.card').getBoundingClientRect().right)""")
        assert (name, plots) == (name, True)
    window.context.close()


def test_the_first_tab_is_the_way_past_the_header(window):
    page = window.open("front")
    page.keyboard.press("Tab")
    expect(page.locator(":focus")).to_have_text("Skip to the content")
    page.keyboard.press("Enter")
    expect(page.locator(":focus")).to_have_id("main")


def test_a_form_arrives_whole_and_says_that_it_comes_from_this_site(window, stage, overview):
    page = window.open("front")
    page.get_by_text("Close this case").first.click()
    form = page.locator("form[action='/cases/close']").first
    form.get_by_label("Your name").fill("A. Officer")
    form.get_by_label("Your role").fill("safety officer")
    form.get_by_label("Reason").fill("Reviewed & dealt with")
    form.get_by_role("button", name="Close case").click()
    page.wait_for_url("**/cases/close")
    case = overview.cases[0]
    wanted = {"site": case.site, "treatment_id": case.treatment_id, "kind": case.kind}
    signed = {"by": "A. Officer", "role": "safety officer", "reason": "Reviewed & dealt with"}
    assert stage.posted == [("/cases/close", window.home.rstrip("/"), wanted | signed)]


@pytest.fixture
def living(window):
    """A window in which time passes when the test says so."""
    window.page.clock.install()
    return window


def test_what_is_new_appears_by_itself_and_what_was_opened_stays_open(living, stage, overview):
    page = living.open("front")
    page.locator("#cases-more summary").first.click()
    later = dataclasses.replace(overview, computed_at="2026-01-02T03:04:10Z", closed_cases=41)
    stage.pages["front"] = served("front", rendered(later)["front"])
    with page.expect_response("**/front"):
        page.clock.run_for(5_000)
    expect(page.locator("#computed-at")).to_have_text("2026-01-02 03:04:10 UTC")
    expect(page.locator("#live-cases")).to_contain_text("41 cases were closed by people.")
    expect(page.locator("#cases-more")).to_have_attribute("open", "")
    assert living.complaints == []


def test_a_part_in_which_somebody_writes_stays_and_says_so(living, stage, overview):
    page = living.open("front")
    page.get_by_text("Close this case").first.click()
    page.get_by_label("Reason").first.fill("half a sen")
    later = dataclasses.replace(overview, computed_at="2026-01-02T03:04:10Z", cases=overview.cases[1:])
    stage.pages["front"] = served("front", rendered(later)["front"])
    with page.expect_response("**/front"):
        page.clock.run_for(5_000)
    expect(page.locator("#computed-at")).to_have_text("2026-01-02 03:04:10 UTC")
    expect(page.get_by_label("Reason").first).to_have_value("half a sen")
    expect(page.locator("#live-cases")).to_have_attribute("data-held", "")


def test_a_dead_monitor_does_not_look_like_all_clear_and_comes_back(living, stage):
    page, text = living.open("front"), stage.pages.pop("front")
    with page.expect_response("**/front"):
        page.clock.run_for(5_000)
    expect(page.get_by_role("alert")).to_contain_text("Connection lost since")
    stage.pages["front"] = text
    with page.expect_response("**/front"):
        page.clock.run_for(5_000)
    expect(page.locator("#lost")).to_be_hidden()


def test_without_script_a_page_says_that_it_must_be_reloaded(chromium, stage):
    window = Window(chromium, stage, java_script_enabled=False)
    window.page.goto(window.home + "front")
    expect(window.page.get_by_text("This page does not renew itself")).to_be_visible()
    expect(window.page.locator("table.forest-table tbody tr").first).to_be_visible()
    window.context.close()
