"""Who is at the site: the marketplace's parts in the application, session cookies, form tokens, sign-in checks."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import wraps
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from jinja2 import Environment
from sqlalchemy.engine import Engine

from ..arrivals import session_worker
from ..courier import Courier
from ..identifiers import new_token, signature
from ..limits import Limits
from ..people import Worker
from ..settings import MarketplaceSettings
from .rendering import html

COOKIE = "hits_session"


@dataclass(frozen=True, slots=True)
class Marketplace:
    """The parts that the site's pages share."""

    settings: MarketplaceSettings
    engine: Engine
    clock: Callable[[], datetime]
    secret: str
    templates: Environment
    courier: Courier
    limits: Limits

    def sign(self, purpose: str, *parts: str) -> str:
        """A signature that only this marketplace can make, for one purpose."""
        return signature(self.secret, purpose, *parts)

    def signed(self, signature: str, purpose: str, *parts: str) -> bool:
        """Whether `sign` made this signature."""
        return hmac.compare_digest(signature.encode(), self.sign(purpose, *parts).encode())


MARKETPLACE = web.AppKey("MARKETPLACE", Marketplace)


@dataclass(frozen=True, slots=True)
class Visit:
    """One request to the site; `worker` is None for a visitor who is not signed in."""

    request: web.Request
    marketplace: Marketplace
    cookie: str
    worker: Worker | None
    now: datetime
    unread: int = 0

    @property
    def csrf(self) -> str:
        """The token that this visitor's forms must carry."""
        return self.marketplace.sign("csrf", self.cookie)

    def page(
        self,
        template: str,
        *,
        status: int = 200,
        frames: tuple[str, ...] = (),
        images: str = "'self'",
        **values: Any,
    ) -> web.Response:
        """A page of the site for this visitor."""
        everything = {
            "worker": self.worker,
            "csrf": self.csrf,
            "now": self.now,
            "unread": self.unread,
            **values,
        }
        templates = self.marketplace.templates
        return html(templates, template, everything, status=status, frames=frames, images=images)

    def message(self, status: int, title: str, text: str, **values: Any) -> web.Response:
        """A page that says what went wrong and how to go on."""
        chosen = {"reason": "", "next_hit_id": None, "missing": (), **values}
        return self.page("message.html", status=status, title=title, text=text, **chosen)


@dataclass(frozen=True, slots=True)
class WorkerVisit:
    """A signed-in worker's request."""

    visit: Visit
    worker: Worker

    @property
    def request(self) -> web.Request:
        return self.visit.request

    @property
    def now(self) -> datetime:
        return self.visit.now

    @property
    def marketplace(self) -> Marketplace:
        return self.visit.marketplace


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def for_anyone(handler: Callable[[Visit], Awaitable[web.Response]]) -> Handler:
    """Make a handler of visits an aiohttp handler: session, due changes, and the token of every POST."""

    @wraps(handler)
    async def answer_request(request: web.Request) -> web.StreamResponse:
        marketplace = request.app[MARKETPLACE]
        on_site(request, marketplace.settings)
        cookie = request.cookies.get(COOKIE, "")
        now = marketplace.clock()
        worker, unread = await asyncio.to_thread(session_worker, marketplace.engine, cookie, now)
        visit = Visit(request, marketplace, cookie or new_token(), worker, now, unread)
        wait = marketplace.limits.pages.take(visitor_of(request) if worker is None else worker.worker_id)
        if wait:
            answer = visit.message(429, "That was too often", f"Please wait {wait} seconds, then go on.")
            answer.headers["Retry-After"] = str(wait)
            return answer
        if request.method == "POST" and not await _form_is_ours(visit):
            return visit.message(
                403,
                "That form is out of date",
                "Nothing was changed. Go back, reload the page and try again.",
            )
        response = await handler(visit)
        if not cookie and COOKIE not in response.cookies:
            set_cookie(response, marketplace.settings, visit.cookie)
        return response

    return answer_request


def for_workers(handler: Callable[[WorkerVisit], Awaitable[web.Response]]) -> Handler:
    """As `for_anyone`; visitors who are not signed in are sent to the front page."""

    async def answer_visit(visit: Visit) -> web.Response:
        if visit.worker is None:
            return see_other("/")
        return await handler(WorkerVisit(visit, visit.worker))

    return for_anyone(answer_visit)


def set_cookie(response: web.Response, settings: MarketplaceSettings, value: str) -> None:
    response.set_cookie(
        COOKIE,
        value,
        max_age=settings.session_days * 86400,
        httponly=True,
        samesite="Lax",
        secure=settings.public_url.startswith("https:"),
    )


def see_other(address: str) -> web.Response:
    """A redirect after a form, or away from a page that is not for this visitor."""
    return web.Response(status=303, headers={"Location": address, "Cache-Control": "no-store"})


def row_of(text: str) -> int | None:
    """A place in a list, from a link's query; None for anything else."""
    return int(text) if text.isdecimal() and text.isascii() and len(text) <= 18 else None


async def form_of(request: web.Request) -> Mapping[str, Any]:
    """The fields of a posted form; raises HTTPBadRequest for bytes that are not one.

    aiohttp's reader of multipart bodies reports some of them by its parser's errors, some by assertions.
    """
    try:
        return await request.post()
    except (HttpProcessingError, UnicodeDecodeError, ValueError, LookupError, AssertionError) as error:
        raise web.HTTPBadRequest(text="the form could not be read") from error


def visitor_of(request: web.Request) -> str:
    """The address that a request came from."""
    limits = request.config_dict[MARKETPLACE].limits
    return limits.address_of(request.remote, request.headers.getall("X-Forwarded-For", ()))


def on_site(request: web.Request, settings: MarketplaceSettings) -> None:
    """Send visitors of the frames' hostname away: questions run under that name, and the site must not."""
    if _hostname(request) != settings.frame_host:
        return
    if request.method != "GET":
        raise web.HTTPForbidden(text="this address only shows questions")
    raise web.HTTPFound(settings.public_url + request.raw_path)


def _hostname(request: web.Request) -> str:
    return request.host.rsplit(":", 1)[0].strip("[]").lower()


async def _form_is_ours(visit: Visit) -> bool:
    token = (await form_of(visit.request)).get("csrf")
    return isinstance(token, str) and visit.marketplace.signed(token, "csrf", visit.cookie)
