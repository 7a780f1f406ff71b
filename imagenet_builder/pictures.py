"""HIT pictures: their thumbnails, and the small server that shows them under names that differ per HIT."""

from __future__ import annotations

import asyncio
import logging
import os
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

from hits import database

from . import examples, renditions
from .errors import ImageStoreError
from .store import publish as store
from .store import tombstones

if TYPE_CHECKING:
    from aiohttp import web

    from .project import Project

logger = logging.getLogger(__name__)

# Decoding leaves the interpreter's lock; more threads than this only hold more pictures in memory.
MOST_THREADS = 8
NAME = re.compile(r"[0-9a-f]{32}")

HEADERS = {
    "Content-Type": "image/jpeg",
    # A name never shows other bytes. `private`: a picture that is taken down must not live on in proxies. No ETag
    # or date of the file: they would be the same in every HIT and tell a worker which pictures are controls.
    "Cache-Control": "private, max-age=604800, immutable",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex",
    # The page that shows them is sandboxed, so it belongs to no origin.
    "Cross-Origin-Resource-Policy": "cross-origin",
}


def thumbnail(project: Project, sha256: str) -> renditions.Rendition:
    """The thumbnail of an image, made if it is not there yet. Raises ImageStoreError."""
    side = project.settings.verification.thumbnail_side
    make = partial(renditions.make_thumbnail, side=side)
    return renditions.rendition(project.engine, project.images, sha256, f"thumbnail-{side}", make)


def make_thumbnails(
    project: Project, pictures: Sequence[str], progress: Callable[[int, int], None] | None = None
) -> frozenset[str]:
    """Make the thumbnails of `pictures` (SHA-256) and return those that have none: they cannot be shown.

    Raises ImageStoreError when it is the image store that fails and not a picture.
    """
    unshowable: set[str] = set()
    with ThreadPoolExecutor(min(MOST_THREADS, os.cpu_count() or 1)) as pool:
        results = pool.map(partial(_try_thumbnail, project), pictures)
        for number, (sha256, error) in enumerate(zip(pictures, results, strict=True), start=1):
            if error is not None:
                logger.warning("%s is left out: %s", sha256, error)
                unshowable.add(sha256)
            if progress is not None:
                progress(number, len(pictures))
    return frozenset(unshowable)


def _try_thumbnail(project: Project, sha256: str) -> ImageStoreError | None:
    try:
        thumbnail(project, sha256)
    except ImageStoreError as error:
        if isinstance(error.__cause__, renditions.UndecodableError) or not _is_readable(project, sha256):
            return error
        raise
    return None


def _is_readable(project: Project, sha256: str) -> bool:
    if not project.images.exists(sha256):
        return False
    try:
        project.images.get(sha256)
    except ImageStoreError:
        return False
    return True


def create_app(project: Project) -> web.Application:
    """The server of `GET /{name}.jpg`: the thumbnail that some HIT shows, or has as an example, under a name; else 404.

    Mount it under the path of `[marketplace] pictures_url`.
    """
    from aiohttp import web

    async def show(request: web.Request) -> web.StreamResponse:
        try:
            content = await asyncio.to_thread(_picture, project, request.match_info["name"])
        except ImageStoreError:
            logger.exception("a picture cannot be shown")
            content = None
        if content is None:
            return web.Response(status=404, text="no such picture\n", headers={"Cache-Control": "no-store"})
        return web.Response(body=content, headers=HEADERS)

    app = web.Application()
    app.router.add_get("/{name}.jpg", show)
    return app


def _picture(project: Project, name: str) -> bytes | None:
    if NAME.fullmatch(name):
        with database.reading(project.engine) as connection:
            sha256 = store.picture_named(connection, name)
    else:
        sha256 = _example_named(project, name)
    if sha256 is None:
        return None
    return project.images.get(thumbnail(project, sha256).rendition_sha256)


def _example_named(project: Project, name: str) -> str | None:
    sha256 = examples.picture_of(project.secret, name) if examples.NAME.fullmatch(name) else None
    if sha256 is None:
        return None
    with database.reading(project.engine) as connection:
        return None if tombstones.taken_down(connection, sha256) else sha256
