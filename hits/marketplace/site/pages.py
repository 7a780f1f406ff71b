"""The worker site's pages: front page, invitation, list, preview, assignment, earnings."""

from __future__ import annotations

import asyncio

from aiohttp import web

from ...errors import RequestRefused
from ..earnings import earnings, in_hand
from ..lifecycle import AssignmentState, Unavailable, available
from ..offers import MOST_COUNTED, next_hit, open_groups
from ..people import invited_worker, sign_in, sign_out
from ..qualifying import Guard
from ..standing import Shortfall, keeps_from
from ..working import CannotAccept, NotHeld, accept, give_back
from ..workplace import offer, own_assignment, preview_question
from .frames import FrameSource
from .visits import (
    COOKIE,
    Visit,
    WorkerVisit,
    for_anyone,
    for_workers,
    form_of,
    row_of,
    see_other,
    set_cookie,
)

_REASONS = {
    Unavailable.HIT_UNAVAILABLE: (
        "This HIT is taken",
        "Others have taken all of its assignments, or its time is over.",
    ),
    Unavailable.ALREADY_DONE: ("You have done this HIT", "Each person answers a HIT once."),
    Unavailable.TOO_MANY_HELD: (
        "You hold too many HITs",
        "Submit or return one of those that you have accepted, then come back.",
    ),
    Unavailable.NOT_QUALIFIED: (
        "You are not qualified for this HIT",
        "Its requester asks for qualifications that you do not have.",
    ),
    Unavailable.BLOCKED: (
        "This requester’s HITs are not open to you",
        "The requester has decided not to work with you. Everybody else’s HITs are as open to you as before.",
    ),
    Unavailable.STUDY_OVER: (
        "This is not part of your study",
        "You have taken all of its pages, or it is over. The page “Study” says how it stands.",
    ),
}


async def landing(visit: Visit) -> web.Response:
    """GET /"""
    return visit.page("landing.html") if visit.worker is None else see_other("/hits")


async def invitation(visit: Visit) -> web.Response:
    """GET and POST /invitation/{token}: consent at the first visit, a sign-in link ever after."""
    token = visit.request.match_info["token"]
    invited = await asyncio.to_thread(invited_worker, visit.marketplace.engine, token)
    if invited is None:
        text = "The link may have been replaced by a newer one. Ask whoever invited you for the current link."
        return visit.message(404, "This invitation is not valid", text)
    if visit.request.method == "GET":
        return visit.page("invitation.html", invited=invited, consent_missing=False)
    consents = invited.consented_at is not None or (await form_of(visit.request)).get("consent") == "yes"
    if not consents:
        return visit.page("invitation.html", status=400, invited=invited, consent_missing=True)
    settings = visit.marketplace.settings
    session = await asyncio.to_thread(
        sign_in, visit.marketplace.engine, invited, settings.session_days, visit.now
    )
    response = see_other("/hits")
    set_cookie(response, settings, session)
    return response


async def leave(visit: Visit) -> web.Response:
    """POST /sign-out"""
    await asyncio.to_thread(sign_out, visit.marketplace.engine, visit.cookie)
    response = see_other("/")
    response.del_cookie(COOKIE)
    return response


async def hit_list(visit: WorkerVisit) -> web.Response:
    """GET /hits"""
    if visit.worker.from_panel:
        return see_other("/study")
    engine, worker_id = visit.marketplace.engine, visit.worker.worker_id
    groups = await asyncio.to_thread(open_groups, engine, worker_id, visit.now)
    held = await asyncio.to_thread(in_hand, engine, worker_id)
    closed = [group for group in groups if group.missing]
    return visit.visit.page(
        "hits.html",
        groups=[group for group in groups if not group.missing],
        closed=closed,
        held=held,
        most_counted=MOST_COUNTED,
    )


async def preview(visit: WorkerVisit) -> web.Response:
    """GET /hits/{hit_id}"""
    hit_id = visit.request.match_info["hit_id"]
    try:
        found = await asyncio.to_thread(offer, visit.marketplace.engine, hit_id, visit.worker.worker_id)
    except RequestRefused:
        return _unknown(visit, "HIT")
    if found.own is not None and found.own.state is AssignmentState.ACCEPTED:
        return see_other(f"/assignments/{found.own.assignment_id}")
    if found.own is not None:
        return await _refusal(visit, Unavailable.ALREADY_DONE, found.hit.hit_type.number)
    if available(found.hit.state, visit.now) == 0:
        return await _refusal(visit, Unavailable.HIT_UNAVAILABLE, found.hit.hit_type.number)
    if found.blocked:
        return await _refusal(visit, Unavailable.BLOCKED, found.hit.hit_type.number)
    if keeps_from(found.missing, Guard.PREVIEW, Guard.DISCOVER):
        return await _refusal(visit, Unavailable.NOT_QUALIFIED, found.hit.hit_type.number, found.missing)
    question = await asyncio.to_thread(preview_question, visit.marketplace.engine, found.hit)
    frame = FrameSource(visit.marketplace, hit_id, question, visit.worker.worker_id, None)
    return visit.visit.page("preview.html", frames=frame.shown, offer=found, frame=frame)


async def accept_hit(visit: WorkerVisit) -> web.Response:
    """POST /hits/{hit_id}/accept"""
    hit_id = visit.request.match_info["hit_id"]
    engine, worker_id = visit.marketplace.engine, visit.worker.worker_id
    most_held = visit.marketplace.settings.held_assignments
    try:
        assignment_id = await asyncio.to_thread(accept, engine, hit_id, worker_id, most_held, visit.now)
    except RequestRefused:
        return _unknown(visit, "HIT")
    except CannotAccept as error:
        found = await asyncio.to_thread(offer, engine, hit_id, worker_id)
        return await _refusal(visit, error.reason, found.hit.hit_type.number, found.missing)
    return see_other(f"/assignments/{assignment_id}")


async def assignment(visit: WorkerVisit) -> web.Response:
    """GET /assignments/{assignment_id}: the work, or once it is submitted what became of it."""
    engine, worker_id = visit.marketplace.engine, visit.worker.worker_id
    assignment_id = visit.request.match_info["assignment_id"]
    own = await asyncio.to_thread(own_assignment, engine, assignment_id, worker_id)
    if own is None:
        return _unknown(visit, "assignment")
    found, work, question = own
    if work.state is AssignmentState.ACCEPTED:
        frame = FrameSource(visit.marketplace, work.hit_id, question, worker_id, work)
        left = max(0, int((work.deadline - visit.now).total_seconds()))
        return visit.visit.page(
            "assignment.html", frames=frame.shown, offer=found, work=work, frame=frame, seconds_left=left
        )
    if work.session_number is not None:
        return see_other("/study")
    following = await asyncio.to_thread(next_hit, engine, worker_id, found.hit.hit_type.number, visit.now)
    return visit.visit.page("done.html", offer=found, work=work, next_hit_id=following)


async def return_assignment(visit: WorkerVisit) -> web.Response:
    """POST /assignments/{assignment_id}/return"""
    assignment_id = visit.request.match_info["assignment_id"]
    engine, worker_id = visit.marketplace.engine, visit.worker.worker_id
    try:
        await asyncio.to_thread(give_back, engine, assignment_id, worker_id, visit.now)
    except RequestRefused:
        return _unknown(visit, "assignment")
    except NotHeld as error:
        text = f"It is {error.state.value.lower()} already, so there is nothing to return."
        return visit.visit.message(409, "This HIT is no longer in your hands", text, reason="NotHeld")
    return see_other("/hits")


async def own_earnings(visit: WorkerVisit) -> web.Response:
    """GET /earnings"""
    before = row_of(visit.request.query.get("before", ""))
    earned = await asyncio.to_thread(earnings, visit.marketplace.engine, visit.worker.worker_id, before)
    return visit.visit.page("earnings.html", earned=earned)


def _unknown(visit: WorkerVisit, what: str) -> web.Response:
    text = f"There is no such {what}, or it is not yours. The list shows what you can do now."
    return visit.visit.message(404, f"No such {what}", text)


async def _refusal(
    visit: WorkerVisit, reason: Unavailable, type_number: int, missing: tuple[Shortfall, ...] = ()
) -> web.Response:
    engine, worker_id = visit.marketplace.engine, visit.worker.worker_id
    following = await asyncio.to_thread(next_hit, engine, worker_id, type_number, visit.now)
    title, text = _REASONS[reason]
    if reason is Unavailable.TOO_MANY_HELD:
        following = None
    shown = missing if reason is Unavailable.NOT_QUALIFIED else ()
    return visit.visit.message(409, title, text, reason=reason.value, next_hit_id=following, missing=shown)


async def nowhere(visit: Visit) -> web.Response:
    """GET of what is not there."""
    text = "The address may be mistyped, or what stood there is gone."
    return visit.message(404, "There is no such page", text)


NOWHERE = for_anyone(nowhere)

_ID = "[A-Z0-9]{1,64}"

ROUTES = (
    web.get("/", for_anyone(landing)),
    web.get("/invitation/{token:[A-Za-z0-9_-]{1,128}}", for_anyone(invitation)),
    web.post("/invitation/{token:[A-Za-z0-9_-]{1,128}}", for_anyone(invitation)),
    web.post("/sign-out", for_anyone(leave)),
    web.get("/hits", for_workers(hit_list)),
    web.get(f"/hits/{{hit_id:{_ID}}}", for_workers(preview)),
    web.post(f"/hits/{{hit_id:{_ID}}}/accept", for_workers(accept_hit)),
    web.get(f"/assignments/{{assignment_id:{_ID}}}", for_workers(assignment)),
    web.post(f"/assignments/{{assignment_id:{_ID}}}/return", for_workers(return_assignment)),
    web.get("/earnings", for_workers(own_earnings)),
)
