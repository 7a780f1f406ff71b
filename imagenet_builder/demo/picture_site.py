"""An offline picture site for the rehearsal: MediaWiki's API, files and thumbnails, and the web's bad manners.

`python -m imagenet_builder.demo.picture_site` prints its address in one line when it is ready. It stops on
SIGTERM, and when its standard input closes, so that it cannot outlive the program that started it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from random import Random

import click
from aiohttp import web

from imagenet_builder.demo.collection import Collection, Delivery, PictureFile, build_collection
from imagenet_builder.demo.drawing_classes import CLASSES
from imagenet_builder.demo.picture_api import THUMBNAIL_STEPS, Api, ApiError, as_version_1
from imagenet_builder.demo.picture_files import Rendered, render, render_thumbnail
from imagenet_builder.demo.picture_pages import description_page
from imagenet_builder.errors import ProjectError

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

ROBOTS = "User-agent: *\nAllow: /\nDisallow: /wiki/Special:\n"
NOT_A_PICTURE = (
    "<!DOCTYPE html>\n<html><head><title>Please wait</title></head><body>One moment…</body></html>\n"
)
RETRY_AFTER_S = "1"


class PictureSite:
    """The site over a collection, to be reached at `base_url` (no slash at its end)."""

    def __init__(self, collection: Collection, base_url: str, slow_seconds: tuple[float, float] = (1.0, 2.0)):
        self._collection = collection
        self._base_url = base_url
        self._slow_seconds = slow_seconds
        self._api = Api(collection, base_url, self._rendered)
        self._drawn: dict[tuple[int, int | None], Rendered] = {}
        self._visits: Counter[str] = Counter()
        self._paths: Counter[str] = Counter()
        self._by_path = {(file.folder, file.underscored): file for file in collection.files}

    def application(self) -> web.Application:
        app = web.Application(middlewares=[self._require_user_agent])
        app.router.add_get("/w/api.php", self._answer_api)
        app.router.add_post("/w/api.php", self._answer_api)
        app.router.add_get("/wiki/{title:.+}", self._show_page)
        app.router.add_get(r"/images/{folder:\w/\w\w}/{name}", self._send_original)
        app.router.add_get(r"/thumb/{folder:\w/\w\w}/{name}/{thumbnail}", self._send_thumbnail)
        app.router.add_get("/robots.txt", self._send_robots)
        app.router.add_get("/statistics", self._send_statistics)
        return app

    @web.middleware
    async def _require_user_agent(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Refuse clients that do not say who they are, as the Wikimedia Foundation's user-agent policy has it."""
        if not request.headers.get("User-Agent", "").strip():
            words = "Please set a user-agent and respect our robot policy https://w.wiki/4wJS\n"
            raise web.HTTPForbidden(text=words)
        self._paths[request.path] += 1
        return await handler(request)

    async def _answer_api(self, request: web.Request) -> web.Response:
        self._visits["api"] += 1
        asked = {
            name: str(value) for name, value in (*request.query.items(), *(await request.post()).items())
        }
        if asked.get("format") != "json":
            return _refusal(ApiError("badvalue", 'This site answers with "format=json" only.'), asked)
        try:
            # Drawing what the answer describes takes a while: other requests are served meanwhile.
            return web.json_response(await asyncio.to_thread(self._api.answer, asked))
        except ApiError as error:
            self._visits["api errors"] += 1
            return _refusal(error, asked)

    async def _show_page(self, request: web.Request) -> web.Response:
        self._visits["pages"] += 1
        file = self._collection.by_title.get(request.match_info["title"].replace("_", " "))
        if file is None:
            raise web.HTTPNotFound(text="There is currently no text in this page.\n")
        return web.Response(text=description_page(file, self._base_url), content_type="text/html")

    async def _send_original(self, request: web.Request) -> web.Response:
        self._visits["originals"] += 1
        return await self._send(request, self._file(request), None)

    async def _send_thumbnail(self, request: web.Request) -> web.Response:
        self._visits["thumbnails"] += 1
        file = self._file(request)
        pixels, _, name = request.match_info["thumbnail"].partition("px-")
        expected = file.underscored + (".png" if file.mime == "image/svg+xml" else "")
        if not pixels.isdecimal() or name != expected:
            raise web.HTTPNotFound(text="No such thumbnail.\n")
        if int(pixels) not in THUMBNAIL_STEPS:
            raise web.HTTPBadRequest(text="Use thumbnail sizes listed on https://w.wiki/GHai\n")
        return await self._send(request, file, int(pixels))

    def _file(self, request: web.Request) -> PictureFile:
        file = self._by_path.get((request.match_info["folder"], request.match_info["name"]))
        if file is None or file.delivery is Delivery.GONE:
            raise web.HTTPNotFound(text="<h1>Not Found</h1>\n", content_type="text/html")
        return file

    async def _send(self, request: web.Request, file: PictureFile, width: int | None) -> web.Response:
        if file.delivery is Delivery.BUSY_ONCE and self._paths[request.path] == 1:
            raise web.HTTPServiceUnavailable(text="Busy.\n", headers={"Retry-After": RETRY_AFTER_S})
        if file.delivery is Delivery.HTML:
            return web.Response(body=NOT_A_PICTURE.encode(), content_type="image/jpeg")
        if file.delivery is Delivery.SLOW:
            await asyncio.sleep(Random(file.page_id).uniform(*self._slow_seconds))
        rendered = await asyncio.to_thread(self._rendered, file, width)
        headers = {
            "ETag": f'"{rendered.sha1}"',
            "Last-Modified": f"{file.uploaded:%a, %d %b %Y %H:%M:%S GMT}",
            "Cache-Control": "max-age=3600",
        }
        return web.Response(body=rendered.body, content_type=rendered.mime, headers=headers)

    def _rendered(self, file: PictureFile, width: int | None = None) -> Rendered:
        """The file's bytes, drawn on the first request. Two threads may draw the same picture: it is the same."""
        key = (file.page_id, width)
        if key not in self._drawn:
            if width is None:
                self._drawn[key] = render(file.scene, file.copy)
            else:
                self._drawn[key] = render_thumbnail(file.scene, file.copy, width, self._rendered(file))
        return self._drawn[key]

    async def _send_robots(self, request: web.Request) -> web.Response:
        del request
        self._visits["robots"] += 1
        return web.Response(text=ROBOTS)

    async def _send_statistics(self, request: web.Request) -> web.Response:
        del request
        return web.json_response({**self._visits, "drawn": len(self._drawn), "paths": dict(self._paths)})


def _refusal(error: ApiError, asked: Mapping[str, str]) -> web.Response:
    """An error as the action API reports it: HTTP 200, its code in a header and in the body."""
    headers = {"MediaWiki-API-Error": error.code}
    if error.code == "maxlag":
        headers |= {"Retry-After": "5", "X-Database-Lag": "0"}
    answer = {"error": error.body, "servedby": "loopback"}
    newer = asked.get("formatversion", "1") != "1"
    return web.json_response(answer if newer else as_version_1(answer), headers=headers)


def listening_socket(port: int) -> socket.socket:
    """A socket on 127.0.0.1; port 0 takes any free one. Raises ProjectError when the port is taken."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
    except OSError as error:
        listener.close()
        raise ProjectError(f"the picture site cannot use port {port}: {error.strerror}") from error
    return listener


async def serve(
    collection: Collection, listener: socket.socket, truth: Path | None, ready: Callable[[str], None]
) -> None:
    """Serve until SIGTERM, SIGINT or the end of standard input; `ready` gets the address once it answers."""
    base_url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    if truth is not None:
        collection.write_truth(truth, base_url)
    # Whoever still waits for a slow file when the site is told to stop waits in vain.
    site = PictureSite(collection, base_url)
    runner = web.AppRunner(site.application(), access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    try:
        await web.SockSite(runner, listener).start()
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        watcher = partial(_wait_for_end_of_input, partial(loop.call_soon_threadsafe, stop.set))
        threading.Thread(target=watcher, daemon=True).start()
        ready(base_url)
        await stop.wait()
    finally:
        await runner.cleanup()


def _wait_for_end_of_input(tell: Callable[[], object]) -> None:
    # A read from a closed or unreadable input means the same as its end.
    with contextlib.suppress(OSError):
        while os.read(0, 4096):
            pass
    # The loop may be closed already when the site stops for another reason.
    with contextlib.suppress(RuntimeError):
        tell()


@click.command(help="Serve the rehearsal's pictures on 127.0.0.1 until standard input closes.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, show_default="any free port")
@click.option("--seed", type=int, default=7, show_default=True)
@click.option("--classes", default=",".join(CLASSES), help="Wnids with commas between; all by default.")
@click.option(
    "--per-class", type=click.IntRange(2), default=60, show_default=True, help="Right files a class."
)
@click.option("--truth", type=click.Path(dir_okay=False, path_type=Path), help="Write what is drawn where.")
def main(port: int, seed: int, classes: str, per_class: int, truth: Path | None) -> None:
    try:
        collection = build_collection(seed, [wnid for wnid in classes.split(",") if wnid], per_class)
        listener = listening_socket(port)
        asyncio.run(serve(collection, listener, truth, click.echo))
    except ProjectError as error:
        raise click.ClickException(str(error)) from error


if __name__ == "__main__":
    main()
