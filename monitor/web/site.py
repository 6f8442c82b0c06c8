"""The pages over HTTP: what a safety officer sees, and the two forms by which a person decides something."""

from __future__ import annotations

import json
from collections.abc import Mapping
from urllib.parse import parse_qs

from aiohttp import web

from monitor.shown import ShownSites
from monitor.view import View
from monitor.web.api import Api, as_refusals
from monitor.web.guard import Guard, RefusedError
from monitor.web.pages import STATIC, Choice, Pages, Said, course_url
from monitor.writer import SitesThread

_CLOSE = ("site", "treatment_id", "kind", "by", "role", "reason")
_SETTLE = ("site", "source", "event_id", "digest", "by", "role", "reason")
_DONE = {
    "closed": Said("The case is closed."),
    "settled": Said("The conflict is settled: the version you chose stands."),
}


class Site:
    """Handlers of the pages."""

    def __init__(self, thread: SitesThread[ShownSites], view: View, guard: Guard, api: Api, pages: Pages) -> None:
        self.thread = thread
        self.view = view
        self.guard = guard
        self.api = api
        self.pages = pages

    def routes(self) -> list[web.AbstractRouteDef]:
        return [
            web.get("/", self.get_overview),
            web.get("/course", self.get_course),
            web.post("/cases/close", self.close_case),
            web.post("/conflicts/settle", self.settle_conflict),
            web.static("/static", STATIC, append_version=False),
        ]

    async def get_overview(self, request: web.Request) -> web.Response:
        said = _DONE.get(request.query.get("done", ""))
        return await self._overview(request.query, said, may_write=self.guard.may_write(request))

    async def _overview(
        self, query: Mapping[str, str], said: Said | None, status: int = 200, *, may_write: bool = True
    ) -> web.Response:
        older = self.view.last if said is None else None  # whoever just did something is shown what it came to
        overview = await self.thread.look(self.view.overview, lambda: older)
        choice = Choice.from_query(query, overview.result)
        return _html(self.pages.overview(overview, choice=choice, may_write=may_write, said=said), status)

    async def get_course(self, request: web.Request) -> web.Response:
        site, treatment_id = request.query.get("site", ""), request.query.get("treatment_id", "")
        said = _DONE.get(request.query.get("done", ""))
        return await self._course(site, treatment_id, said, may_write=self.guard.may_write(request))

    async def _course(
        self, site: str, treatment_id: str, said: Said | None, status: int = 200, *, may_write: bool = True
    ) -> web.Response:
        with as_refusals():
            overview, found = await self.thread.look(
                lambda: (self.view.overview(), self.view.course(site, treatment_id))
            )
        page = self.pages.course(overview, site, treatment_id, found, may_write=may_write, said=said)
        return _html(page, status)

    async def close_case(self, request: web.Request) -> web.Response:
        form = await self._form(request, _CLOSE)
        refused = await self._enact({"action": "close_case", **form})
        if refused is not None:
            return await self._course(form.get("site", ""), form.get("treatment_id", ""), *refused)
        raise web.HTTPSeeOther(course_url(form["site"], form["treatment_id"]) + "&done=closed")

    async def settle_conflict(self, request: web.Request) -> web.Response:
        form = await self._form(request, _SETTLE)
        refused = await self._enact({"action": "settle_conflict", **form})
        if refused is not None:
            return await self._overview({}, *refused)
        raise web.HTTPSeeOther("/?done=settled")

    async def _enact(self, stated: dict[str, str]) -> tuple[Said, int] | None:
        """Let a person's decision take effect; what is said, and the status, where it cannot."""
        try:
            await self.api.enact(json.dumps(stated).encode())
        except RefusedError as refused:
            return Said(f"Nothing was changed: {refused.wrong}. {refused.do}", done=False), refused.status
        return None

    async def _form(self, request: web.Request, names: tuple[str, ...]) -> dict[str, str]:
        """The fields of a form, each at most once; empty ones are missing."""
        if request.content_type != "application/x-www-form-urlencoded":
            raise RefusedError(415, "this is no form", "Use the form on the page.")
        try:
            fields = parse_qs((await self.guard.body(request)).decode(), strict_parsing=True, max_num_fields=20)
        except ValueError:
            raise RefusedError(400, "the form cannot be read", "Use the form on the page.") from None
        return {name: fields[name][0].strip() for name in names if fields.get(name, [""])[0].strip()}


def _html(text: str, status: int = 200) -> web.Response:
    return web.Response(text=text, content_type="text/html", charset="utf-8", status=status)
