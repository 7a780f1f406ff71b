"""Who is at the requester console: sessions of its own, form tokens, signing in and out."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from functools import wraps
from typing import Any

from aiohttp import web

from .. import console_access
from ..console_access import Requester
from ..dues import settle
from ..identifiers import new_token
from .rendering import html
from .visits import MARKETPLACE, Handler, Marketplace, form_of, on_site, see_other

COOKIE = "hits_console"


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
