"""The requester console: overview, HITs, workers, ledger and results, for requesters who signed in."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import wraps
from typing import Any

from aiohttp import web

from ...database import reading
from ...errors import RequestRefused
from ...model import HitStatus
from .. import console_access, progress
from ..console_access import Requester
from ..deciding import approve, reject
from ..dues import settle
from ..identifiers import new_token
from ..lifecycle import available, hit_status
from ..listings import AssignmentPosition, hit_assignments, requester_hits
from ..publishing import set_expiration
from ..records import PUBLIC_STATES
from ..results import results as table_of_results
from ..store import find_hit
from .rendering import html, protect
from .visits import MARKETPLACE, Handler, Marketplace, form_of, on_site, row_of, see_other

COOKIE = "hits_console"
PAGE_SIZE = 50
_LONGEST_FEEDBACK = 1024


@dataclass(frozen=True, slots=True)
class ConsoleVisit:
    """One request to the console; `requester` is None for a visitor who is not signed in."""

    request: web.Request
    marketplace: Marketplace
    cookie: str
    requester: Requester | None
    now: datetime

    def page(self, template: str, *, status: int = 200, **values: Any) -> web.Response:
        """A page of the console for this visitor."""
        csrf = self.marketplace.sign("console", self.cookie)
        everything = {"requester": self.requester, "csrf": csrf, "now": self.now, **values}
        return html(self.marketplace.templates, template, everything, status=status)

    def message(self, status: int, title: str, text: str) -> web.Response:
        """A page that says what went wrong and how to go on."""
        return self.page("console_message.html", status=status, title=title, text=text)


@dataclass(frozen=True, slots=True)
class RequesterVisit:
    """A signed-in requester's request."""

    visit: ConsoleVisit
    requester_id: str

    @property
    def now(self) -> datetime:
        return self.visit.now

    @property
    def marketplace(self) -> Marketplace:
        return self.visit.marketplace

    async def run(self, function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        """Call a function of the store on this requester's behalf, in a thread."""
        engine = self.marketplace.engine
        return await asyncio.to_thread(function, engine, self.requester_id, *arguments, **named)


def for_visitors(handler: Callable[[ConsoleVisit], Awaitable[web.StreamResponse]]) -> Handler:
    """Make a handler of console visits an aiohttp handler: session, due changes, and the token of every POST."""

    @wraps(handler)
    async def answer_request(request: web.Request) -> web.StreamResponse:
        marketplace = request.app[MARKETPLACE]
        on_site(request, marketplace.settings)
        cookie, now = request.cookies.get(COOKIE, ""), marketplace.clock()
        requester = await asyncio.to_thread(_arrive, marketplace, cookie, now)
        visit = ConsoleVisit(request, marketplace, cookie or new_token(), requester, now)
        if request.method == "POST":
            token = (await form_of(request)).get("csrf")
            if not isinstance(token, str) or not marketplace.signed(token, "console", visit.cookie):
                text = "Nothing was changed. Go back, reload the page and try again."
                return visit.message(403, "That form is out of date", text)
        response = await handler(visit)
        if not cookie and COOKIE not in response.cookies:
            _set_cookie(response, marketplace, visit.cookie)
        return response

    return answer_request


def for_requesters(handler: Callable[[RequesterVisit], Awaitable[web.StreamResponse]]) -> Handler:
    """As `for_visitors`; those who are not signed in are sent to sign in."""

    async def answer_visit(visit: ConsoleVisit) -> web.StreamResponse:
        if visit.requester is None:
            return see_other("/requester/sign-in")
        return await handler(RequesterVisit(visit, visit.requester.requester_id))

    return for_visitors(answer_visit)


def _arrive(marketplace: Marketplace, cookie: str, now: datetime) -> Requester | None:
    settle(marketplace.engine, now)
    return console_access.console_requester(marketplace.engine, cookie, now) if cookie else None


def _set_cookie(response: web.StreamResponse, marketplace: Marketplace, token: str) -> None:
    response.set_cookie(
        COOKIE,
        token,
        max_age=int(console_access.SESSION_LIFE.total_seconds()),
        path="/requester",
        httponly=True,
        samesite="Lax",
        secure=marketplace.settings.public_url.startswith("https:"),
    )


# --- signing in -----------------------------------------------------------------------------------------


async def sign_in(visit: ConsoleVisit) -> web.StreamResponse:
    """GET and POST /requester/sign-in: with the access key and the secret that programs use too."""
    if visit.request.method == "GET":
        return visit.page("console_sign_in.html", refused=False)
    form = await form_of(visit.request)
    pair = [str(form.get(name, "")).strip()[:128] for name in ("access_key", "secret_key")]
    session = await asyncio.to_thread(
        console_access.enter_by_keys, visit.marketplace.engine, pair[0], pair[1], visit.now
    )
    if session is None:
        return visit.page("console_sign_in.html", status=403, refused=True)
    return _entered(visit, session)


async def enter(visit: ConsoleVisit) -> web.StreamResponse:
    """GET and POST /requester/enter/{token}: looking at the link does not use it up, the button does."""
    token = visit.request.match_info["token"]
    if visit.request.method == "GET":
        return visit.page("console_enter.html")
    session = await asyncio.to_thread(
        console_access.enter_by_link, visit.marketplace.engine, token, visit.now
    )
    if session is None:
        text = "It opens the console once, within an hour. `imagenet-builder marketplace console` prints another."
        return visit.message(404, "This link is used or over", text)
    return _entered(visit, session)


def _entered(visit: ConsoleVisit, session: str) -> web.StreamResponse:
    response = see_other("/requester")
    _set_cookie(response, visit.marketplace, session)
    return response


async def sign_out(visit: ConsoleVisit) -> web.StreamResponse:
    """POST /requester/sign-out"""
    await asyncio.to_thread(console_access.leave_console, visit.marketplace.engine, visit.cookie)
    response = see_other("/requester/sign-in")
    response.del_cookie(COOKIE, path="/requester")
    return response


# --- looking --------------------------------------------------------------------------------------------


async def overview(visit: RequesterVisit) -> web.StreamResponse:
    """GET /requester"""
    types = await visit.run(progress.type_progress)
    money = await visit.run(progress.totals)
    return visit.visit.page("console_overview.html", types=types, totals=money)


async def hit_list(visit: RequesterVisit) -> web.StreamResponse:
    """GET /requester/hits?status=…&type=…&before=…"""
    query = visit.visit.request.query
    wanted = {"reviewable": HitStatus.REVIEWABLE, "reviewing": HitStatus.REVIEWING}.get(
        query.get("status", "")
    )
    type_id = query.get("type") or None
    rows = await visit.run(
        requester_hits,
        PAGE_SIZE + 1,
        visit.now,
        before=row_of(query.get("before", "")),
        status=wanted,
        hit_type_id=type_id,
        with_question=False,
    )
    shown = [(hit, hit_status(hit.state, visit.now)) for hit in rows[:PAGE_SIZE]]
    older = rows[PAGE_SIZE - 1].number if len(rows) > PAGE_SIZE else None
    return visit.visit.page(
        "console_hits.html", rows=shown, older=older, wanted=wanted, type_id=type_id or ""
    )


async def hit(visit: RequesterVisit) -> web.StreamResponse:
    """GET /requester/hits/{hit_id}: its state and what was submitted."""
    return await _hit_page(visit, visit.visit.request.match_info["hit_id"])


async def _hit_page(
    visit: RequesterVisit, hit_id: str, status: int = 200, problem: str = ""
) -> web.StreamResponse:
    def found() -> Any:
        with reading(visit.marketplace.engine) as connection:
            return find_hit(connection, hit_id, requester_id=visit.requester_id)

    after = _position(visit.visit.request.query.get("after", ""))
    try:
        shown = await asyncio.to_thread(found)
        submissions = await visit.run(hit_assignments, hit_id, PUBLIC_STATES, PAGE_SIZE + 1, after)
    except RequestRefused:
        return _unknown(visit)
    last = submissions[PAGE_SIZE - 1] if len(submissions) > PAGE_SIZE else None
    return visit.visit.page(
        "console_hit.html",
        status=status,
        hit=shown,
        hit_status=hit_status(shown.state, visit.now),
        available=available(shown.state, visit.now),
        submissions=submissions[:PAGE_SIZE],
        later=f"{last.submitted_at.isoformat()} {last.number}" if last is not None else None,
        problem=problem,
    )


async def workers(visit: RequesterVisit) -> web.StreamResponse:
    """GET /requester/workers"""
    return visit.visit.page("console_workers.html", workers=await visit.run(progress.worker_progress))


async def ledger(visit: RequesterVisit) -> web.StreamResponse:
    """GET /requester/ledger?before=…"""
    before = row_of(visit.visit.request.query.get("before", ""))
    lines = await visit.run(progress.ledger_lines, PAGE_SIZE + 1, before)
    older = lines[PAGE_SIZE - 1].number if len(lines) > PAGE_SIZE else None
    own = f"requester:{visit.requester_id}"
    money = await visit.run(progress.totals)
    return visit.visit.page(
        "console_ledger.html", lines=lines[:PAGE_SIZE], older=older, own=own, totals=money
    )


async def results(visit: RequesterVisit) -> web.StreamResponse:
    """GET /requester/results.csv?type=…: every submission with its answers, sent as it is read."""
    type_id = visit.visit.request.query.get("type") or None
    rows = table_of_results(visit.marketplace.engine, visit.requester_id, type_id)
    response = web.StreamResponse(headers={"Content-Disposition": 'attachment; filename="results.csv"'})
    response.content_type, response.charset = "text/csv", "utf-8"
    protect(response, "default-src 'none'; sandbox")
    await response.prepare(visit.visit.request)
    while chunk := await asyncio.to_thread(_csv_chunk, rows):
        await response.write(chunk)
    await response.write_eof()
    return response


def _csv_chunk(rows: Iterator[list[str]], size: int = 500) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(row for _, row in zip(range(size), rows, strict=False))
    return text.getvalue().encode()


# --- deciding -------------------------------------------------------------------------------------------


async def decide(visit: RequesterVisit) -> web.StreamResponse:
    """POST /requester/hits/{hit_id}/assignments/{assignment_id}: approves, or rejects with a reason."""
    match = visit.visit.request.match_info
    form = await form_of(visit.visit.request)
    feedback = str(form.get("feedback", "")).strip()[:_LONGEST_FEEDBACK]
    rejecting = form.get("decision") == "reject"
    if rejecting and not feedback:
        problem = "Give the reason: the worker reads it, and it is not paid without one."
        return await _hit_page(visit, match["hit_id"], 400, problem)
    try:
        if rejecting:
            await visit.run(reject, match["assignment_id"], feedback, visit.now)
        else:
            await visit.run(approve, match["assignment_id"], feedback or None, False, visit.now)
    except RequestRefused as error:
        if error.code == "AssignmentDoesNotExist":
            return _unknown(visit)
        return await _hit_page(visit, match["hit_id"], 409, f"Not done: {error}.")
    return see_other(f"/requester/hits/{match['hit_id']}")


async def stop(visit: RequesterVisit) -> web.StreamResponse:
    """POST /requester/hits/{hit_id}/stop: nobody can accept it any more; who holds it may finish."""
    hit_id = visit.visit.request.match_info["hit_id"]
    try:
        await visit.run(set_expiration, hit_id, visit.now, visit.now)
    except RequestRefused as error:
        if error.code == "HITDoesNotExist":
            return _unknown(visit)
        return await _hit_page(visit, hit_id, 409, f"Not done: {error}.")
    return see_other(f"/requester/hits/{hit_id}")


def _unknown(visit: RequesterVisit) -> web.StreamResponse:
    return visit.visit.message(
        404, "There is no such HIT", "It may be deleted, or it is another requester’s."
    )


def _position(text: str) -> AssignmentPosition | None:
    moment, _, number = text.partition(" ")
    row = row_of(number)
    try:
        when = datetime.fromisoformat(moment)
    except ValueError:
        return None
    return AssignmentPosition(when, row) if row is not None and when.tzinfo is not None else None


_ID = "[A-Z0-9]{1,64}"

ROUTES = (
    web.get("/requester", for_requesters(overview)),
    web.get("/requester/sign-in", for_visitors(sign_in)),
    web.post("/requester/sign-in", for_visitors(sign_in)),
    web.get("/requester/enter/{token:[A-Za-z0-9_-]{1,128}}", for_visitors(enter)),
    web.post("/requester/enter/{token:[A-Za-z0-9_-]{1,128}}", for_visitors(enter)),
    web.post("/requester/sign-out", for_visitors(sign_out)),
    web.get("/requester/hits", for_requesters(hit_list)),
    web.get(f"/requester/hits/{{hit_id:{_ID}}}", for_requesters(hit)),
    web.post(f"/requester/hits/{{hit_id:{_ID}}}/stop", for_requesters(stop)),
    web.post(f"/requester/hits/{{hit_id:{_ID}}}/assignments/{{assignment_id:{_ID}}}", for_requesters(decide)),
    web.get("/requester/workers", for_requesters(workers)),
    web.get("/requester/ledger", for_requesters(ledger)),
    web.get("/requester/results.csv", for_requesters(results)),
)
