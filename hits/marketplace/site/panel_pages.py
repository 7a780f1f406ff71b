"""The worker site's pages for people from panels: arriving with the panel's parameters, the study, going back."""

from __future__ import annotations

import asyncio
import re

from aiohttp import web

from ...database import surveying
from ...errors import HitsError, RequestRefused
from .. import panels, studying
from ..panels import StudySession
from ..people import sign_in
from ..working import CannotAccept, accept
from .visits import Visit, WorkerVisit, for_anyone, for_workers, form_of, see_other, set_cookie

_PARAMETER = re.compile(r"[A-Za-z0-9_-]{1,64}")


async def arrival(visit: Visit) -> web.Response:
    """GET and POST /panel/{entry}?PROLIFIC_PID=…&STUDY_ID=…&SESSION_ID=…: consent, then the study."""
    engine = visit.marketplace.engine
    study = await asyncio.to_thread(panels.find_study, engine, visit.request.match_info["entry"])
    given = [visit.request.query.get(name, "") for name in panels.PARAMETERS]
    if study is None or not all(map(_PARAMETER.fullmatch, given)) or given[1] != study.study_id:
        text = "Open the study from its page at the panel, so that your submission there can be told apart."
        return visit.message(404, "This link is not complete", text)
    if visit.request.method == "GET":
        return visit.page("panel.html", study=study, consent_missing=False)
    if (await form_of(visit.request)).get("consent") != "yes":
        return visit.page("panel.html", status=400, study=study, consent_missing=True)
    try:
        worker = await asyncio.to_thread(panels.arrive, engine, study, given[0], given[2], visit.now)
        await asyncio.to_thread(panels.begin, engine, study, worker.worker_id, given[2], visit.now)
    except RequestRefused:
        text = "Its requester’s account is empty. Please return your submission at the panel; you lose nothing by it."
        return visit.message(409, "This study cannot start now", text, reason="InsufficientFunds")
    except HitsError as error:
        text = f"{str(error)[0].upper()}{str(error)[1:]}."
        return visit.message(409, "This study cannot start now", text, reason="OtherSession")
    settings = visit.marketplace.settings
    session = await asyncio.to_thread(sign_in, engine, worker, settings.session_days, visit.now)
    response = see_other("/study")
    set_cookie(response, settings, session)
    return response


async def study_page(visit: WorkerVisit) -> web.Response:
    """GET /study: how far it is, the next page, and at its end the way back to the panel."""
    engine = visit.marketplace.engine
    session = await asyncio.to_thread(panels.last_session, engine, visit.worker.worker_id)
    if session is None:
        return see_other("/hits")
    following = None
    if session.state == "Started":
        following = await asyncio.to_thread(studying.next_page, engine, session, visit.now)
    held = await asyncio.to_thread(in_hand_of, visit, session)
    return visit.visit.page("study.html", session=session, next_hit_id=following, held=held)


def in_hand_of(visit: WorkerVisit, session: StudySession) -> str | None:
    """The assignment that the session's worker holds, or None."""
    with surveying(visit.marketplace.engine) as connection:
        return panels.held_page(connection, session)


async def go_on(visit: WorkerVisit) -> web.Response:
    """POST /study/next: takes the next page."""
    session = await _running(visit)
    if session is None:
        return see_other("/study")
    engine = visit.marketplace.engine
    hit_id = await asyncio.to_thread(studying.next_page, engine, session, visit.now)
    if hit_id is None:
        return see_other("/study")
    most = visit.marketplace.settings.held_assignments
    try:
        assignment_id = await asyncio.to_thread(accept, engine, hit_id, session.worker_id, most, visit.now)
    except CannotAccept:
        return see_other("/study")
    return see_other(f"/assignments/{assignment_id}")


async def leave(visit: WorkerVisit) -> web.Response:
    """POST /study/leave: ends the session without pay."""
    session = await _running(visit)
    if session is not None:
        await asyncio.to_thread(studying.leave, visit.marketplace.engine, session, "Returned", visit.now)
    return see_other("/study")


async def finish(visit: WorkerVisit) -> web.Response:
    """POST /study/finish: completes a session for which there is nothing left to do."""
    session = await _running(visit)
    if session is not None:
        await asyncio.to_thread(studying.finish, visit.marketplace.engine, session, visit.now)
    return see_other("/study")


async def _running(visit: WorkerVisit) -> StudySession | None:
    session = await asyncio.to_thread(panels.last_session, visit.marketplace.engine, visit.worker.worker_id)
    return session if session is not None and session.state == "Started" else None


ROUTES = (
    web.get("/panel/{entry:[A-Za-z0-9_-]{1,64}}", for_anyone(arrival)),
    web.post("/panel/{entry:[A-Za-z0-9_-]{1,64}}", for_anyone(arrival)),
    web.get("/study", for_workers(study_page)),
    web.post("/study/next", for_workers(go_on)),
    web.post("/study/leave", for_workers(leave)),
    web.post("/study/finish", for_workers(finish)),
)
