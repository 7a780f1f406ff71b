"""The pages on which the requester makes controls: pictures of each category to say yes or no to."""

from __future__ import annotations

import asyncio
import functools
import secrets
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from hits import database
from hits.errors import LockHeld
from hits.model import Answer

from . import pictures
from .concepts import concept_of
from .controls import record_controls
from .errors import ImageStoreError, PublishError
from .reconcile import utc_now
from .store import categories
from .store import controls as store

if TYPE_CHECKING:
    from aiohttp import web
    from jinja2 import Template

    from .project import Project

REQUESTER = "requester"
KNOWN_ANSWERS = frozenset({Answer.YES.value, Answer.NO.value})
POLICY = "default-src 'none'; img-src 'self'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'"


class LabellingSite:
    """The site for the categories `wnids`, `shown` pictures a page.

    Every address begins with a secret (`base`), so that other users of this machine, and other sites in the
    same browser, can neither look nor answer. `recorded` counts the controls made.
    """

    def __init__(self, project: Project, wnids: Sequence[str], shown: int) -> None:
        self.project = project
        self.wnids = list(wnids)
        self.shown = shown
        self.recorded = 0
        self.base = f"/{secrets.token_urlsafe(16)}"

    def create_app(self) -> web.Application:
        """The aiohttp application; it starts at `base + "/"`."""
        from aiohttp import web

        app = web.Application()
        app.router.add_get(f"{self.base}/", self._overview)
        app.router.add_get(f"{self.base}/categories/{{wnid}}", self._category)
        app.router.add_post(f"{self.base}/categories/{{wnid}}", self._answers)
        app.router.add_get(f"{self.base}/pictures/{{sha256}}.jpg", self._picture)
        app.on_response_prepare.append(_keep_to_itself)
        return app

    async def _overview(self, _request: web.Request) -> web.Response:
        return _page(await asyncio.to_thread(self._overview_facts))

    async def _category(self, request: web.Request) -> web.Response:
        after = request.query.get("after", "")
        return _page(await asyncio.to_thread(self._category_facts, self._known(request), after))

    async def _answers(self, request: web.Request) -> web.Response:
        from aiohttp import web

        wnid = self._known(request)
        form = await request.post()
        labelled = [(name, wnid, Answer(str(said))) for name, said in form.items() if said in KNOWN_ANSWERS]
        try:
            report = await asyncio.to_thread(
                record_controls, self.project.engine, labelled, REQUESTER, utc_now()
            )
        except PublishError as error:
            raise web.HTTPBadRequest(text=f"{error}\n") from error
        except LockHeld as error:
            raise web.HTTPConflict(text=f"{error}; go back and send the answers again\n") from error
        self.recorded += report.recorded
        if "more" not in form:
            raise web.HTTPSeeOther(f"{self.base}/")
        raise web.HTTPSeeOther(f"{self.base}/categories/{wnid}?after={quote(str(form['more']))}")

    async def _picture(self, request: web.Request) -> web.Response:
        from aiohttp import web

        try:
            content = await asyncio.to_thread(self._thumbnail, request.match_info["sha256"])
        except ImageStoreError as error:
            raise web.HTTPNotFound(text=f"{error}\n") from error
        return web.Response(body=content, content_type="image/jpeg")

    def _known(self, request: web.Request) -> str:
        from aiohttp import web

        wnid = request.match_info["wnid"]
        if wnid not in self.wnids:
            raise web.HTTPNotFound(text="no such category\n")
        return wnid

    def _overview_facts(self) -> dict[str, Any]:
        with database.reading(self.project.engine) as connection:
            counts = store.count_controls(connection)
            named = [one for one in categories.selected(connection) if one.wnid in self.wnids]
        none = dict.fromkeys(KNOWN_ANSWERS, 0)
        rows = [(one, {**none, **counts.get(one.wnid, {})}) for one in named]
        return {"base": self.base, "rows": rows, "concept": None}

    def _category_facts(self, wnid: str, after: str) -> dict[str, Any]:
        with database.reading(self.project.engine) as connection:
            shown = store.pictures_to_label(connection, wnid, self.shown, after)
        following = self.wnids[self.wnids.index(wnid) + 1 :][:1]
        return {
            "base": self.base,
            "wnid": wnid,
            "pictures": shown,
            "concept": concept_of(self.project.graph, wnid),
            "following": following[0] if following else None,
        }

    def _thumbnail(self, sha256: str) -> bytes:
        with database.reading(self.project.engine) as connection:
            if not store.known_images(connection, [sha256]):
                raise ImageStoreError(f"there is no picture {sha256[:64]}")
        return self.project.images.get(pictures.thumbnail(self.project, sha256).rendition_sha256)


def _page(facts: dict[str, Any]) -> web.Response:
    from aiohttp import web

    return web.Response(text=_template().render(**facts), content_type="text/html")


async def _keep_to_itself(_request: web.Request, response: web.StreamResponse) -> None:
    # The address is the only key: no other site may learn it, no cache may keep what it opened.
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Content-Security-Policy"] = POLICY


@functools.cache
def _template() -> Template:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("imagenet_builder", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("labelling.html")
