"""The worker site's pages on qualifications: overview and profile, one qualification, its test; and messages."""

from __future__ import annotations

import asyncio

from aiohttp import web

from ...errors import HitsError, RequestRefused
from ..form_answers import AnswersRefused
from ..messages import read_messages
from ..qualification_offers import (
    Profile,
    offered_types,
    own_qualifications,
    profile,
    qualification_page,
    set_profile,
)
from ..qualification_requests import STARTED, request_qualification, submit_test
from ..questions import parse_test
from .visits import WorkerVisit, for_workers, form_of, see_other


async def overview(visit: WorkerVisit) -> web.Response:
    """GET /qualifications"""
    return await _overview(visit)


async def _overview(visit: WorkerVisit, status: int = 200, problem: str = "") -> web.Response:
    engine, worker_id = visit.marketplace.engine, visit.worker.worker_id
    own = await asyncio.to_thread(own_qualifications, engine, worker_id)
    offered = await asyncio.to_thread(offered_types, engine, worker_id)
    known = await asyncio.to_thread(profile, engine, worker_id)
    return visit.visit.page(
        "qualifications.html", status=status, own=own, offered=offered, profile=known, problem=problem
    )


async def save_profile(visit: WorkerVisit) -> web.Response:
    """POST /profile"""
    form = await form_of(visit.request)
    codes = [str(form.get(name, "")).strip().upper() or None for name in ("country", "subdivision")]
    wanted = Profile(codes[0], codes[1], form.get("adult") == "yes")
    try:
        await asyncio.to_thread(set_profile, visit.marketplace.engine, visit.worker.worker_id, wanted)
    except HitsError as error:
        return await _overview(visit, 400, f"Not saved: {error}.")
    return see_other("/qualifications")


async def qualification(visit: WorkerVisit) -> web.Response:
    """GET /qualifications/{type_id}"""
    try:
        page = await asyncio.to_thread(
            qualification_page, visit.marketplace.engine, _type_id(visit), visit.worker.worker_id, visit.now
        )
    except RequestRefused:
        return _unknown(visit)
    return visit.visit.page("qualification.html", page=page)


async def ask(visit: WorkerVisit) -> web.Response:
    """POST /qualifications/{type_id}/request: asks for it, or opens its test."""
    type_id = _type_id(visit)
    try:
        made = await asyncio.to_thread(
            request_qualification, visit.marketplace.engine, type_id, visit.worker.worker_id, visit.now
        )
    except RequestRefused as error:
        if error.code == "QualificationTypeDoesNotExist":
            return _unknown(visit)
        text = f"{str(error)[0].upper()}{str(error)[1:]}."
        return visit.visit.message(409, "You cannot ask for this now", text, reason=error.code)
    ending = "/test" if made.state == STARTED else ""
    return see_other(f"/qualifications/{type_id}{ending}")


async def test(visit: WorkerVisit) -> web.Response:
    """GET and POST /qualifications/{type_id}/test: the open test."""
    type_id, engine, worker_id = _type_id(visit), visit.marketplace.engine, visit.worker.worker_id
    try:
        page = await asyncio.to_thread(qualification_page, engine, type_id, worker_id, visit.now)
    except RequestRefused:
        return _unknown(visit)
    last = page.last
    if not page.test_open or last is None or last.test is None or last.deadline is None:
        return see_other(f"/qualifications/{type_id}")
    problems: dict[str, str] = {}
    given: dict[str, list[str]] = {}
    if visit.request.method == "POST":
        form = await form_of(visit.request)
        fields = [(name, value) for name, value in form.items() if isinstance(value, str)]
        try:
            await asyncio.to_thread(submit_test, engine, type_id, worker_id, fields, visit.now)
        except RequestRefused:
            return see_other(f"/qualifications/{type_id}")
        except AnswersRefused as error:
            problems = error.problems
            for name, value in fields:
                given.setdefault(name, []).append(value)
        else:
            return see_other(f"/qualifications/{type_id}")
    return visit.visit.page(
        "test.html",
        status=400 if problems else 200,
        images="'self' https: http:",
        page=page,
        form=parse_test(last.test),
        problems=problems,
        given=given,
        deadline=last.deadline,
        seconds_left=max(0, int((last.deadline - visit.now).total_seconds())),
    )


async def own_messages(visit: WorkerVisit) -> web.Response:
    """GET /messages"""
    found = await asyncio.to_thread(
        read_messages, visit.marketplace.engine, visit.worker.worker_id, visit.now
    )
    return visit.visit.page("messages.html", messages=found)


def _type_id(visit: WorkerVisit) -> str:
    return visit.request.match_info["type_id"]


def _unknown(visit: WorkerVisit) -> web.Response:
    text = "There is no such qualification, or it is no longer offered."
    return visit.visit.message(404, "No such qualification", text)


_TYPE = "/qualifications/{type_id:[A-Z0-9]{1,64}}"

ROUTES = (
    web.get("/qualifications", for_workers(overview)),
    web.post("/profile", for_workers(save_profile)),
    web.get(_TYPE, for_workers(qualification)),
    web.post(f"{_TYPE}/request", for_workers(ask)),
    web.get(f"{_TYPE}/test", for_workers(test)),
    web.post(f"{_TYPE}/test", for_workers(test)),
    web.get("/messages", for_workers(own_messages)),
)
