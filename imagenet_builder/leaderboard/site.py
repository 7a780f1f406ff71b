"""The leaderboard's pages: who stands where, and a form to hand in."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from imagenet_builder.errors import TrainingError
from imagenet_builder.train.scoring import Truth, score, submission_text

from .board import NotNow, Rules, Team, hand_in, standings, team_of

FOLDER = Path(__file__).parent / "templates"
# A line of five ids and their blanks, with room to spare; and what a form has around it.
LINE_BYTES, FORM_BYTES = 64, 1 << 16
# Scoring takes a processor; more at once would only hold more files in memory.
SCORED_AT_ONCE = 2
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src data:; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


@dataclass(frozen=True, slots=True)
class Leaderboard:
    """What is served: a split's truth, the store beside it and the rules; `title` is the release's."""

    title: str
    truth: Truth
    engine: sa.Engine
    rules: Rules
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)


def create_app(leaderboard: Leaderboard) -> web.Application:
    """The server: `GET /`, `GET /leaderboard.json`, `POST /submissions` (fields `token` and `predictions`)."""
    most = len(leaderboard.truth.files) * LINE_BYTES + FORM_BYTES
    site = _Site(leaderboard)
    # No browser sends a form in a coding, and what does not decode would end the connection without an answer.
    as_sent = {"auto_decompress": False}
    app = web.Application(client_max_size=most, middlewares=[_with_headers], handler_args=as_sent)
    app.router.add_get("/", site.board)
    app.router.add_get("/leaderboard.json", site.board_as_json)
    app.router.add_post("/submissions", site.submit)
    app.router.add_get("/site.css", _style)
    return app


@web.middleware
async def _with_headers(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        response = await handler(request)
    except web.HTTPException as error:
        error.headers.update(HEADERS)
        raise
    response.headers.update(HEADERS)
    return response


async def _style(_: web.Request) -> web.StreamResponse:
    return web.Response(text=(FOLDER / "site.css").read_text("utf-8"), content_type="text/css")


class _Site:
    def __init__(self, leaderboard: Leaderboard) -> None:
        self._leaderboard = leaderboard
        self._scoring = asyncio.Semaphore(SCORED_AT_ONCE)
        self._templates = Environment(
            loader=FileSystemLoader(FOLDER), autoescape=True, undefined=StrictUndefined, trim_blocks=True
        )
        # No more places than a step has: what comes after them was rounded away.
        places = max(0, math.ceil(-math.log10(leaderboard.rules.step)) - 2)
        self._templates.filters["percent"] = lambda share: f"{share:.{places}%}"
        self._templates.filters["points"] = lambda share: f"{100 * share:.{places}f}"
        self._templates.filters["moment"] = lambda when: f"{when:%d %b %Y, %H:%M} UTC"

    async def board(self, _: web.Request) -> web.StreamResponse:
        return await self._page()

    async def board_as_json(self, _: web.Request) -> web.StreamResponse:
        found = await asyncio.to_thread(standings, self._leaderboard.engine)
        lines = [
            dataclasses.asdict(one) | {"reached_at": one.reached_at.isoformat(timespec="seconds")}
            for one in found
        ]
        rules = dataclasses.asdict(self._leaderboard.rules)
        document = {"title": self._leaderboard.title, "rules": rules, "standings": lines}
        return web.json_response(document, dumps=lambda value: json.dumps(value, ensure_ascii=False))

    async def submit(self, request: web.Request) -> web.StreamResponse:
        """Score what was handed in; what is no submission is refused with its reason and costs nothing."""
        try:
            form = await request.post()
        except web.HTTPRequestEntityTooLarge:
            return await self._page("The file is larger than any submission is.", status=413)
        except (ValueError, HttpProcessingError):
            return await self._page("That was not what the form sends.", status=400)
        token, file = form.get("token"), form.get("predictions")
        team = None
        if isinstance(token, str):
            team = await asyncio.to_thread(team_of, self._leaderboard.engine, token.strip())
        if team is None:
            return await self._page("No team has this token.", status=403)
        if not isinstance(file, web.FileField):
            return await self._page("Choose a file with your guesses.", status=400)
        content = file.file.read()
        async with self._scoring:
            return await self._scored(team, content)

    async def _scored(self, team: Team, content: bytes) -> web.StreamResponse:
        try:
            answer = await asyncio.to_thread(self._hand_in, team, content)
        except TrainingError as error:
            return await self._page(f"Not scored: {error}.", status=422)
        except NotNow as error:
            page = await self._page(f"{team.name} has handed in all it may: {error}.", status=429)
            wait = math.ceil((error.again_at - self._leaderboard.clock()).total_seconds())
            page.headers["Retry-After"] = str(max(1, wait))
            return page
        return await self._page("", answer=answer, team=team)

    def _hand_in(self, team: Team, content: bytes) -> Any:
        board = self._leaderboard
        scores = score(board.truth, submission_text(content, "your file"), "your file")
        return hand_in(board.engine, team, content, dataclasses.asdict(scores), board.rules, board.clock())

    async def _page(self, complaint: str = "", *, status: int = 200, **shown: Any) -> web.StreamResponse:
        board = self._leaderboard
        text = self._templates.get_template("board.html").render(
            {
                "board": board,
                "pictures": len(board.truth.files),
                "standings": await asyncio.to_thread(standings, board.engine),
                "complaint": complaint,
                "answer": None,
                "team": None,
                **shown,
            }
        )
        return web.Response(text=text, content_type="text/html", status=status)
