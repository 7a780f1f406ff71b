"""The marketplace as one web application: Requester API, worker site and question frames on one port."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from datetime import datetime

from aiohttp import web
from sqlalchemy.engine import Engine

from ..database import open_engine, require_schema
from ..errors import DatabaseError
from . import endpoint
from .auth import SignedRequest
from .courier import Courier, deliver_due
from .dues import settle
from .limits import Limits
from .people import site_secret
from .settings import MarketplaceSettings, utc_now
from .site import console, pages, panel_pages, privacy_pages, qualification_pages
from .site.files import give_file
from .site.frames import LARGEST_BODY, external_submit, show_frame
from .site.limiting import limiting
from .site.rendering import STATIC, environment
from .site.visits import MARKETPLACE, Handler, Marketplace
from .tables import SCHEMA

logger = logging.getLogger(__name__)


def create_app(
    settings: MarketplaceSettings, *, engine: Engine | None = None, clock: Callable[[], datetime] = utc_now
) -> web.Application:
    """Return the application on a migrated store; add routes (say, /pictures/) before it starts.

    `engine` may be shared with the caller; `clock` is for tests. Raises SchemaMismatch or DatabaseError.
    """
    opened = engine or open_engine(settings.database_url)
    require_schema(opened, SCHEMA)
    secret = settings.session_secret or site_secret(opened)
    app = web.Application(client_max_size=LARGEST_BODY, middlewares=[store_failures, limiting, explaining])
    courier = Courier.of(settings)
    app[MARKETPLACE] = Marketplace(
        settings, opened, clock, secret, environment(settings), courier, Limits.of(settings)
    )
    for part in (pages, qualification_pages, panel_pages, privacy_pages, console):
        app.add_routes(part.ROUTES)
    app.add_routes(
        [
            web.post("/", requester_api),
            web.get("/frame/{hit_id:[A-Z0-9]{1,64}}", show_frame),
            web.post("/mturk/externalSubmit", external_submit),
            web.get("/files/{key:[A-Z0-9]{1,64}}", give_file),
            web.get("/static/{name:[a-z]{1,40}[.][a-z]{2,5}}", static_file),
        ]
    )
    app.on_response_prepare.append(_harden)
    app.cleanup_ctx.append(sweeping)
    if engine is None:
        app.on_cleanup.append(_close_store)
    return app


async def requester_api(request: web.Request) -> web.Response:
    """POST /: the Requester API."""
    marketplace = request.app[MARKETPLACE]
    headers: dict[str, str] = {}
    for name, value in request.headers.items():
        key = name.lower()
        headers[key] = f"{headers[key]},{value}" if key in headers else value
    signed = SignedRequest(
        "POST", request.raw_path.partition("?")[0], request.query_string, headers, await request.read()
    )
    answer = await asyncio.to_thread(
        endpoint.answer,
        marketplace.engine,
        signed,
        marketplace.secret,
        marketplace.clock,
        marketplace.courier,
        marketplace.settings.frame_url,
    )
    return web.Response(status=answer.status, headers=answer.headers, body=answer.body)


async def static_file(request: web.Request) -> web.StreamResponse:
    """GET /static/{name}: one of the site's own files, which lie in one folder."""
    path = STATIC / request.match_info["name"]
    if not path.is_file():
        raise web.HTTPNotFound
    return web.FileResponse(path)


@web.middleware
async def store_failures(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn a failing store into a 503 that says so, instead of a traceback."""
    try:
        return await handler(request)
    except DatabaseError as error:
        logger.error("the marketplace's store failed: %s", error)
        raise web.HTTPServiceUnavailable(
            text="The marketplace cannot reach its store. Nothing was lost; please try again in a minute.",
            headers={"Retry-After": "30"},
        ) from error


@web.middleware
async def explaining(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer addresses that nothing stands at with a page of the site."""
    missing = request.match_info.http_exception
    if missing is not None and missing.status == web.HTTPNotFound.status_code and request.method == "GET":
        return await pages.NOWHERE(request)
    return await handler(request)


async def sweeping(app: web.Application) -> AsyncIterator[None]:
    """While the application runs, do now and then what is due, so that no visitor has to wait for it."""
    rounds = [asyncio.create_task(turn(app[MARKETPLACE])) for turn in (_sweep, _deliver)]
    yield
    for task in rounds:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _sweep(marketplace: Marketplace) -> None:
    while True:
        await asyncio.sleep(marketplace.settings.sweep_seconds)
        try:
            await asyncio.to_thread(settle, marketplace.engine, marketplace.clock())
        except DatabaseError as error:
            logger.error("the sweep failed and will be tried again: %s", error)


async def _deliver(marketplace: Marketplace) -> None:
    while True:
        await asyncio.sleep(marketplace.settings.sweep_seconds)
        try:
            await asyncio.to_thread(deliver_due, marketplace.engine, marketplace.courier, marketplace.clock())
        except DatabaseError as error:
            logger.error("notices could not be delivered and will be tried again: %s", error)


async def _harden(request: web.Request, response: web.StreamResponse) -> None:
    """Headers of every answer, whoever made it."""
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    response.headers.setdefault("Permissions-Policy", "camera=(), microphone=(), geolocation=(), payment=()")
    # Which program answers, and of which age, is nobody's business.
    response.headers["Server"] = "hits"
    if request.config_dict[MARKETPLACE].settings.public_url.startswith("https:"):
        response.headers.setdefault("Strict-Transport-Security", "max-age=31536000")


async def _close_store(app: web.Application) -> None:
    app[MARKETPLACE].engine.dispose()
