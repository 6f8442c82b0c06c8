"""The HTTP interface for programs: messages in, answers out. What it says is in `monitor.web.openapi`."""

from __future__ import annotations

import dataclasses
import json
import re
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import msgspec
from aiohttp import web

from monitor.core.days import day_of
from monitor.keeper import Receipt
from monitor.log import LogFullError
from monitor.overview import Overview, SiteActivity
from monitor.records import Answer, instant_text
from monitor.shown import ShownSites
from monitor.sites import ActionRefusedError, NotJudgingError, UnknownSiteError
from monitor.view import NotKnownError, OtherRulesError, View
from monitor.web.connections import MOST_LINES
from monitor.web.desk import Desk
from monitor.web.guard import Guard, RefusedError
from monitor.writer import BusyError, SitesThread
from schemas import actions as act
from schemas.careful import as_json, read_object
from schemas.parts import MAX_BYTES, SITE_PATTERN
from schemas.rules import Rejection

NDJSON = "application/x-ndjson"
_LOOK_AGAIN: dict[type, str] = {  # what to do about a decision that cannot be taken any more, or never could
    act.CloseCase: "Look at the course again.",
    act.SettleConflict: "Look at the conflict again.",
    act.Activate: "Look at the versions that this process was given, and at the days on which they begin.",
    act.Erase: "Look at the site and the pseudonym again.",
}
_AT_ALL = "Look again at what is to be decided."
_STATUS = {"not_json": 400, "too_large": 413}  # of a single message that is rejected; otherwise 422
_AGAIN = {"Retry-After": "5"}
_DAY = re.compile("[1-8][0-9]{3}-[0-9]{2}-[0-9]{2}")  # of the years a message may have been recorded in
_write = msgspec.json.Encoder().encode


class Api:
    """Handlers; each asks the thread that owns the sites, and waits."""

    def __init__(self, thread: SitesThread[ShownSites], view: View, guard: Guard, desk: Desk) -> None:
        self.thread = thread
        self.machine = thread.machine
        self.view = view
        self.guard = guard
        self.desk = desk

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/v1/sites/{site}/messages", self.post_messages),
            web.get("/v1/sites/{site}/answers", self.get_answers),
            web.get("/v1/overview", self.get_overview),
            web.get("/v1/result", self.get_result),
            web.get("/v1/actions", self.get_actions),
            web.post("/v1/actions", self.post_action),
        ]

    async def post_messages(self, request: web.Request) -> web.Response:
        """One message, or many with one answer per line; durable before any answer."""
        site = _site(request)
        kind = request.content_type
        if kind not in ("application/json", NDJSON):
            raise RefusedError(415, "neither JSON nor NDJSON", f"Say Content-Type: application/json, or {NDJSON}.")
        body = await self.guard.body(request)
        if kind == NDJSON:
            return await self._many(site, body)
        receipt = (await self._take(site, [body]))[0]
        rejection = receipt.outcome.rejection
        status = 200 if rejection is None else _STATUS.get(rejection.reason, 422)
        return web.json_response(body=_write(_told(receipt)), status=status)

    async def _many(self, site: str, body: bytes) -> web.Response:
        given = body.split(b"\n", MOST_LINES + 1)  # no further: millions of blank ones would hold up everybody
        lines = [(number, line) for number, line in enumerate(given, 1) if line.strip(b" \t\r")]
        if len(lines) > MOST_LINES or len(given) > MOST_LINES + 1:
            raise RefusedError(413, f"more than {MOST_LINES} lines", "Send fewer at a time, or use the folder.")
        receipts = await self._take(site, [line.removesuffix(b"\r") for _, line in lines]) if lines else []
        told = ({"line": number, **_told_shortly(each)} for (number, _), each in zip(lines, receipts, strict=True))
        return web.Response(body=b"".join(_write(each) + b"\n" for each in told), content_type=NDJSON)

    async def _take(self, site: str, messages: Sequence[bytes]) -> list[Receipt]:
        with as_refusals():
            return await self.desk.take(site, messages)

    async def get_answers(self, request: web.Request) -> web.Response:
        """What stands of one course; an empty list means: not complete."""
        site, treatment_id = _site(request), request.query.get("treatment_id", "")
        if not treatment_id:
            raise RefusedError(422, "treatment_id is missing", "Name the course: ?treatment_id=...")

        def read() -> list[Answer]:
            self.machine.known(site)
            return self.machine.answers(site, treatment_id)

        with as_refusals():
            answers = await self.thread.run(read, patience=0)
        return web.json_response(body=_write({"answers": answers}))

    async def get_overview(self, _: web.Request) -> web.Response:
        """What needs somebody, the rates, and the state of the feeds, as the page shows them."""
        overview = await self.thread.look(self.view.overview, lambda: self.view.last)
        return web.json_response(body=_write(_plain(overview)))

    async def get_result(self, request: web.Request) -> web.Response:
        """The object of `jakwatch replay`, of all that was taken in so far."""
        as_of = _day(request.query["as_of"]) if "as_of" in request.query else None
        with as_refusals():
            result = await self.thread.look(lambda: self.view.result(as_of))
        return web.json_response(text=json.dumps(result, indent=1, ensure_ascii=False) + "\n")

    async def get_actions(self, _: web.Request) -> web.Response:
        """All that people decided, one a line: what `jakwatch replay --actions` reads."""
        lines = await self.thread.run(lambda: list(self.machine.action_records()))
        return web.Response(body=b"".join(line + b"\n" for line in lines), content_type=NDJSON)

    async def post_action(self, request: web.Request) -> web.Response:
        """What a person decided; when is said by this machine's clock."""
        if request.content_type != "application/json":
            raise RefusedError(415, "no JSON", "Say Content-Type: application/json.")
        kept = await self.enact(await self.guard.body(request))
        return web.json_response(text=kept.model_dump_json(by_alias=True, exclude_none=True))

    async def enact(self, stated: bytes) -> act.Action:
        """Let an action that a request states take effect. Raises RefusedError."""
        action = self.action_of(stated)
        with as_refusals(action):
            return await self.desk.enact(action)

    def action_of(self, body: bytes) -> act.Action:
        """The action that a request states, with its id where it states none. Raises RefusedError."""
        if len(body) > MAX_BYTES:
            raise RefusedError(413, f"more than {MAX_BYTES} bytes", "Say it in fewer words.")
        given = read_object(body, "action", act.ACTIONS)
        if isinstance(given, Rejection):
            raise _no_action(given)
        if "at" in given:
            raise RefusedError(422, "`at` is set here", "Leave it out: when you decide is when you say so.")
        stated = {"action_id": str(uuid.uuid4()), "at": instant_text(self.machine.now())} | given
        action = act.decode_action(as_json(stated).encode())
        if isinstance(action, Rejection):
            raise _no_action(action)
        return action


def _told(receipt: Receipt) -> dict[str, object]:
    """What became of a message, with the whole answer to an order or a start."""
    outcome, answer = receipt
    if outcome.rejection is not None:
        return {"status": outcome.status, **outcome.rejection._asdict()}
    told: dict[str, object] = {"status": outcome.status}
    if outcome.is_contested:
        told["conflict"] = True
    if outcome.unmapped:
        told["unmapped"] = outcome.unmapped
    return told if answer is None else told | {"answer": answer}


def _told_shortly(receipt: Receipt) -> dict[str, object]:
    """The same for one of many."""
    told = _told(receipt)
    answer = told.pop("answer", None)
    if isinstance(answer, Answer):
        told |= {"decision": answer.decision, "valid_until": answer.valid_until}
    return told


def _no_action(why: Rejection) -> RefusedError:
    return RefusedError(_STATUS.get(why.reason, 422), f"{why.path or 'the action'} {why.rule}", "See /openapi.json.")


def _site(request: web.Request) -> str:
    """The site of the path. Raises RefusedError where it can be no site's name."""
    site = request.match_info["site"]
    if not re.fullmatch(SITE_PATTERN, site):
        raise RefusedError(404, "this site is not known", "A site is named by 1 to 40 of a-z, 0-9 and -.")
    return site


def _day(text: str) -> int:
    try:
        if _DAY.fullmatch(text):
            return day_of(text)
    except ValueError:
        pass
    raise RefusedError(422, "as_of is no day of the years 1000 to 8999", "Write it as YYYY-MM-DD.")


def _plain(overview: Overview) -> dict[str, object]:
    """An overview as JSON can hold it: courses by kind and then by decision."""
    plain = _fields(overview)
    return plain | {"sites": [_fields(site) | {"answers": by_kind(site.answers)} for site in overview.sites]}


def _fields(value: Overview | SiteActivity) -> dict[str, object]:
    return {each.name: getattr(value, each.name) for each in dataclasses.fields(value)}


def by_kind(counts: dict[tuple[str, str], int]) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {"order": {}, "start": {}}
    for (kind, decision), count in counts.items():
        found[kind][decision] = count
    return found


@contextmanager
def as_refusals(action: act.Action | None = None) -> Iterator[None]:
    """Turns what the machine says, of an action if one is to take effect, into what a client is told."""
    try:
        yield
    except UnknownSiteError:
        raise RefusedError(404, "this site is not known", "Sites are named by the site registry.") from None
    except LogFullError:
        wrong = "the log cannot be written: nothing of this was kept"
        raise RefusedError(
            503, wrong, "See to its disk and file (/readyz says more), then send it again.", _AGAIN
        ) from None
    except NotJudgingError as lacking:
        raise RefusedError(503, f"nothing is judged, nothing of this was kept: {lacking}", "Do that first.") from None
    except NotKnownError as unknown:
        raise RefusedError(503, str(unknown), "Ask again in a moment, or another replica.", _AGAIN) from None
    except BusyError:
        wrong = "too much waits already: nothing of this was kept"
        raise RefusedError(503, wrong, "Send it again.", _AGAIN) from None
    except ActionRefusedError as refused:
        raise RefusedError(409, str(refused), _LOOK_AGAIN.get(type(action), _AT_ALL)) from None
    except OtherRulesError:
        wrong = "another version of policy or registry was in force on that day"
        raise RefusedError(422, wrong, "Ask jakwatch replay for it.") from None
