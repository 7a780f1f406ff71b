"""The worker site's page on privacy: what is kept, for whom, and how to have it erased."""

from __future__ import annotations

import asyncio

from aiohttp import web

from ..erasure import erase
from .visits import COOKIE, Visit, WorkerVisit, for_anyone, for_workers, form_of


async def privacy(visit: Visit) -> web.Response:
    """GET /privacy"""
    return visit.page("privacy.html", unconfirmed=False)


async def erase_me(visit: WorkerVisit) -> web.Response:
    """POST /privacy/erase"""
    if (await form_of(visit.request)).get("confirm") != "yes":
        return visit.visit.page("privacy.html", status=400, unconfirmed=True)
    await asyncio.to_thread(erase, visit.marketplace.engine, visit.worker.worker_id, visit.now)
    text = "Your name, profile, messages and links are gone. Your answers stay, and nothing tells that they were yours."
    response = Visit(visit.request, visit.marketplace, visit.visit.cookie, None, visit.now).message(
        200, "You are erased", text
    )
    response.del_cookie(COOKIE)
    return response


ROUTES = (
    web.get("/privacy", for_anyone(privacy)),
    web.post("/privacy/erase", for_workers(erase_me)),
)
