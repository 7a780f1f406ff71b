"""Requesters' pages in their frames, and the answers that come out of them.

A frame runs under another hostname and without an origin of its own, so that a requester's script reaches no
session. Its address is signed instead of relying on cookies, which such a frame does not send.
"""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any
from urllib.parse import urlencode, urlsplit

from aiohttp import web

from ...errors import RequestRefused
from ..arrivals import session_worker
from ..form_answers import AnswersRefused
from ..forms import QuestionForm
from ..lifecycle import AssignmentState
from ..questions import Question
from ..records import AssignmentRecord, Hit
from ..uploads import IncomingFile
from ..working import NotHeld, submit
from ..workplace import framed_question, held_question
from .files import incoming_files, with_room
from .rendering import QUESTION_SANDBOX, html, protect
from .visits import COOKIE, MARKETPLACE, Marketplace, form_of, see_other

PREVIEW = "ASSIGNMENT_ID_NOT_AVAILABLE"
LARGEST_BODY = 1024 * 1024
_MOST_FIELDS = 5000


class FrameSource:
    """Where a question's frame gets its page, and what that page may do."""

    def __init__(
        self,
        marketplace: Marketplace,
        hit_id: str,
        question: Question,
        worker_id: str,
        assignment: AssignmentRecord | None,
    ) -> None:
        settings = marketplace.settings
        assignment_id = PREVIEW if assignment is None else assignment.assignment_id
        parameters = {"assignmentId": assignment_id, "hitId": hit_id}
        if assignment is not None:
            parameters |= {"workerId": worker_id, "turkSubmitTo": settings.public_url}
        self.height = question.frame_height
        if question.url is None:
            proof = marketplace.sign("frame", hit_id, assignment_id, worker_id)
            query = urlencode({**parameters, "visitor": worker_id, "proof": proof})
            self.address = f"{settings.frame_url}/frame/{hit_id}?{query}"
            # The site's own answer to a submission comes into the frame too.
            self.shown = (settings.frame_url, settings.public_url)
            self.sandbox = QUESTION_SANDBOX
            return
        parts = urlsplit(question.url)
        query = "&".join(filter(None, (parts.query, urlencode(parameters))))
        self.address = parts._replace(query=query).geturl()
        self.shown = (f"{parts.scheme}://{parts.netloc}", settings.public_url)
        # Another site's page needs its own origin to work at all; ours must never be given to it.
        foreign = parts.hostname not in {settings.public_host, settings.frame_host}
        self.sandbox = f"{QUESTION_SANDBOX} allow-same-origin" if foreign else QUESTION_SANDBOX


async def show_frame(request: web.Request) -> web.Response:
    """GET /frame/{hit_id}: an HTMLQuestion's page as its requester wrote it, for whom the address was signed."""
    marketplace = request.app[MARKETPLACE]
    hit_id = request.match_info["hit_id"]
    assignment_id, worker_id = request.query.get("assignmentId", ""), request.query.get("visitor", "")
    proof = request.query.get("proof", "")
    if not marketplace.signed(proof, "frame", hit_id, assignment_id, worker_id):
        raise web.HTTPForbidden(text="this question's address is not valid; open the HIT again")
    now = marketplace.clock()
    found = await asyncio.to_thread(_offered, marketplace, hit_id, assignment_id, worker_id, now)
    if found is None or found[1].url is not None:
        raise web.HTTPForbidden(
            text="this assignment is no longer in your hands; go back to the list of HITs"
        )
    hit, question = found
    if question.form is not None:
        return _form_page(marketplace, hit, question.form, assignment_id)
    page = question.html
    response = web.Response(text=page, content_type="text/html")
    # The sandbox is said again here for whoever opens the address outside of its frame.
    protect(response, f"sandbox {QUESTION_SANDBOX}; frame-ancestors {marketplace.settings.public_url}")
    response.headers["Referrer-Policy"] = "no-referrer"
    return response


def _form_page(
    marketplace: Marketplace,
    hit: Hit,
    form: QuestionForm,
    assignment_id: str,
    status: int = 200,
    **given: Any,
) -> web.Response:
    """A QuestionForm as a page for its frame; it has no scripts, and pictures from wherever its requester says."""
    settings = marketplace.settings
    values = {
        "form": form,
        "title": hit.hit_type.title,
        "assignment_id": assignment_id,
        "preview": assignment_id == PREVIEW,
        "given": {},
        "problems": {},
        **given,
    }
    response = html(marketplace.templates, "question_form.html", values, status=status)
    protect(
        response,
        f"default-src 'none'; style-src {settings.public_url}; img-src https: http:; "
        f"form-action {settings.public_url}; frame-ancestors {settings.public_url}; "
        f"sandbox {QUESTION_SANDBOX} allow-popups",
    )
    del response.headers["X-Frame-Options"]
    response.headers["Referrer-Policy"] = "no-referrer"
    return response


def _offered(
    marketplace: Marketplace, hit_id: str, assignment_id: str, worker_id: str, now: datetime
) -> tuple[Hit, Question] | None:
    hit, own, question = framed_question(marketplace.engine, hit_id, worker_id, now)
    if assignment_id == PREVIEW:
        return None if hit.state.disposed_at is not None else (hit, question)
    if own is None or own.assignment_id != assignment_id or own.state is not AssignmentState.ACCEPTED:
        return None
    return hit, question


async def external_submit(request: web.Request) -> web.Response:
    """POST /mturk/externalSubmit: a page's answers.

    It carries no form token: the frame has no session, and an assignment's id is unguessable. Where a session
    is sent along it must be the assignment's own worker's.
    """
    marketplace = request.app[MARKETPLACE]
    try:
        form = await form_of(await with_room(request, LARGEST_BODY))
    except web.HTTPRequestEntityTooLarge:
        return _frame_page(
            marketplace, 413, "TooLarge", "That is more than this HIT takes. Choose smaller files."
        )
    fields = [(name, value) for name, value in form.items() if isinstance(value, str)]
    assignment_id = next((value for name, value in fields if name == "assignmentId"), "")
    if not assignment_id.isalnum() or not assignment_id.isascii() or len(assignment_id) > 64:
        return _frame_page(marketplace, 400, "NoAssignment", "The page sent no assignmentId.")
    if len(fields) > _MOST_FIELDS:
        return _frame_page(marketplace, 400, "TooMuch", f"The page sent more than {_MOST_FIELDS} fields.")
    answers = [(name, value) for name, value in fields if name != "assignmentId"]
    files = incoming_files(form)
    try:
        await asyncio.to_thread(
            _take_in, marketplace, assignment_id, answers, files, request.cookies.get(COOKIE, "")
        )
    except RequestRefused:
        return _frame_page(marketplace, 404, "NoAssignment", "There is no such assignment.")
    except AnswersRefused as error:
        return await asyncio.to_thread(_form_again, marketplace, assignment_id, answers, error)
    except NotHeld as error:
        if error.state is AssignmentState.RETURNED:
            return _frame_page(marketplace, 409, "Returned", "You returned this HIT before.", assignment_id)
        text = "The time for this HIT is over, so the answers could not be taken."
        return _frame_page(marketplace, 409, "TimeOver", text, assignment_id)
    if request.headers.get("Sec-Fetch-Dest") == "document":
        return see_other(f"/assignments/{assignment_id}")
    return _frame_page(marketplace, 200, "", "Your answers were received.", assignment_id)


def _take_in(
    marketplace: Marketplace,
    assignment_id: str,
    answers: list[tuple[str, str]],
    files: dict[str, IncomingFile],
    cookie: str,
) -> None:
    now = marketplace.clock()
    # In its frame a page sends no cookie. Then nothing has to be asked first: `submit` sees for itself what is over.
    visitor = session_worker(marketplace.engine, cookie, now)[0] if cookie else None
    worker_id = visitor.worker_id if visitor else None
    submit(marketplace.engine, assignment_id, answers, now, worker_id, files)


def _form_again(
    marketplace: Marketplace, assignment_id: str, answers: list[tuple[str, str]], error: AnswersRefused
) -> web.Response:
    """The form with what was wrong; its answers are still there."""
    found = held_question(marketplace.engine, assignment_id)
    form = None if found is None else found[1].form
    if found is None or form is None:
        return _frame_page(marketplace, 404, "NoAssignment", "There is no such assignment.")
    given: dict[str, list[str]] = {}
    for name, value in answers:
        given.setdefault(name, []).append(value)
    return _form_page(marketplace, found[0], form, assignment_id, 400, given=given, problems=error.problems)


def _frame_page(
    marketplace: Marketplace, status: int, reason: str, text: str, assignment_id: str = ""
) -> web.Response:
    """What stands in the frame after submitting; its script tells the site, its link works without one."""
    public = marketplace.settings.public_url
    values = {"reason": reason, "text": text, "assignment_id": assignment_id}
    return html(marketplace.templates, "submitted.html", values, status=status, shown_in=f"'self' {public}")
