"""The requester console: overview, HITs, workers, ledger and results, for requesters who signed in."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from aiohttp import web

from ...database import surveying
from ...errors import RequestRefused
from ...model import HitStatus
from .. import progress
from ..deciding import approve, reject
from ..lifecycle import available, hit_status
from ..listings import AssignmentPosition, hit_assignments, requester_hits
from ..publishing import set_expiration
from ..records import PUBLIC_STATES
from ..results import results as table_of_results
from ..store import find_hit
from .console_visits import RequesterVisit, enter, for_requesters, for_visitors, sign_in, sign_out
from .rendering import protect
from .visits import form_of, row_of, see_other

PAGE_SIZE = 50
_LONGEST_FEEDBACK = 1024


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
        with surveying(visit.marketplace.engine) as connection:
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
