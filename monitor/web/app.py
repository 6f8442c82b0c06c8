"""The web application put together: pages, interface for programs, metrics, health."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from monitor.metrics.exposition import CONTENT_TYPE, Exposition
from monitor.shown import ShownSites
from monitor.view import View
from monitor.web import openapi
from monitor.web.api import Api
from monitor.web.connections import Limits, listening
from monitor.web.desk import Desk
from monitor.web.guard import Guard, RefusedError, Tokens
from monitor.web.health import Health
from monitor.web.pages import Pages
from monitor.web.site import Site
from monitor.writer import SitesThread


class Application:
    """All handlers of one process over the thread that owns its sites."""

    def __init__(
        self,
        thread: SitesThread[ShownSites],
        view: View,
        health: Health,
        desk: Desk,
        tokens: Tokens,
        limits: Limits | None = None,
    ) -> None:
        self.thread = thread
        self.view = view
        self.health = health
        self.pages = Pages()
        self.exposition = Exposition()
        self.guard = Guard(tokens, health, self._told, limits or Limits())
        self.api = Api(thread, view, self.guard, desk)
        self.site = Site(thread, view, self.guard, self.api, self.pages)
        self.document = json.dumps(openapi.document(takes_messages=desk.takes_messages), ensure_ascii=False).encode()

    @asynccontextmanager
    async def listening(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
        """The URL under which all of it is served, until the end of the block; what is under way then may finish."""
        app = web.Application()
        app.add_routes([*self.site.routes(), *self.api.routes(), *self._routes()])
        limits = self.guard.limits
        runner = web.AppRunner(app, shutdown_timeout=limits.end_seconds, handler_cancellation=False)
        await runner.setup()
        try:
            async with listening(self._guarded(runner), self.guard.connections, host, port, tls) as url:
                yield url
        finally:
            await runner.cleanup()

    def _guarded(self, runner: web.AppRunner) -> web.Server:
        if runner.server is None:
            raise RuntimeError("the web server was not set up")
        runner.server.request_handler = self.guard.around(runner.server.request_handler)
        return runner.server

    def _routes(self) -> list[web.RouteDef]:
        return [
            web.get("/metrics", self.get_metrics),
            web.get("/healthz", self.get_healthz),
            web.get("/readyz", self.get_readyz),
            web.get("/openapi.json", self.get_openapi),
        ]

    async def get_metrics(self, _: web.Request) -> web.Response:
        overview = await self.thread.look(self.view.overview, lambda: self.view.last)
        replica = self.view.replica(overview)
        text = await asyncio.to_thread(self.exposition.render, overview, replica)  # so that a scrape holds up nobody
        return web.Response(body=text, headers={"Content-Type": CONTENT_TYPE})

    async def get_healthz(self, _: web.Request) -> web.Response:
        """Whether the process does its work at all; if not, it should be started anew."""
        return _state(self.health.trouble_of_process())

    async def get_readyz(self, _: web.Request) -> web.Response:
        """Whether messages are taken now, or all is shown as it is."""
        return _state(self.health.trouble())

    async def get_openapi(self, _: web.Request) -> web.Response:
        return web.Response(body=self.document, content_type="application/json")

    def _told(self, request: web.BaseRequest, refused: RefusedError) -> web.Response:
        """A refusal as a page for a person, as JSON for a program."""
        if "text/html" in request.headers.get("Accept", ""):
            page = self.pages.problem(refused.status, refused.wrong, refused.do)
            return web.Response(
                text=page, status=refused.status, content_type="text/html", charset="utf-8", headers=refused.headers
            )
        body = {"error": refused.wrong, "do": refused.do}
        return web.json_response(body, status=refused.status, headers=refused.headers)


def _state(trouble: str | None) -> web.Response:
    return web.json_response({"ok": trouble is None, "trouble": trouble}, status=200 if trouble is None else 503)
