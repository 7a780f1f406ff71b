"""A web server that misbehaves in named ways, and a source that proposes its pictures from a list."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field

from aiohttp import web

from .mediawiki_server import picture

Handler = Callable[["FaultServer", web.Request], Awaitable[web.StreamResponse]]

GOOD = picture(1)
GZIP_BOMB = gzip.compress(bytes(30_000_000), 1)


@dataclass
class FaultServer:
    """The running server: its address, and how often each path was asked for."""

    address: str = ""
    asked: Counter[str] = field(default_factory=Counter)
    # By the server's own address: how often each path was asked for, and the most requests that it had at once.
    asked_of: Counter[tuple[str, str]] = field(default_factory=Counter)
    most_at_once: Counter[str] = field(default_factory=Counter)
    robots: str = "User-agent: *\nDisallow: /private/\n"
    # Set in tests: where /elsewhere redirects to, and how many /together waits for.
    elsewhere: str = ""
    together: int = 0
    # Set in tests: what is at /files/NAME.
    files: dict[str, bytes] = field(default_factory=dict)
    gathered: int = 0
    all_there: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def authority(self) -> str:
        return self.address.removeprefix("http://")


def _here(request: web.Request) -> str:
    assert request.transport is not None
    return str(request.transport.get_extra_info("sockname")[0])


def _jpeg(content: bytes = GOOD, **headers: str) -> web.Response:
    return web.Response(body=content, headers={"Content-Type": "image/jpeg", **headers})


async def good(server: FaultServer, request: web.Request) -> web.StreamResponse:
    seed = request.query.get("seed")
    return _jpeg(picture(int(seed)) if seed else GOOD, ETag='"good"', **{"Last-Modified": "yesterday"})


async def missing(server: FaultServer, request: web.Request) -> web.StreamResponse:
    return web.Response(status=404)


async def forbidden(server: FaultServer, request: web.Request) -> web.StreamResponse:
    return web.Response(status=403)


async def limited(server: FaultServer, request: web.Request) -> web.StreamResponse:
    """429 the first time, then the picture."""
    if server.asked[request.path] == 1:
        return web.Response(status=429, headers={"Retry-After": "1"})
    return _jpeg()


async def paused(server: FaultServer, request: web.Request) -> web.StreamResponse:
    return web.Response(status=429, headers={"Retry-After": "7200"})


async def failing_once(server: FaultServer, request: web.Request) -> web.StreamResponse:
    return web.Response(status=500) if server.asked_of[_here(request), request.path] == 1 else _jpeg()


async def failing(server: FaultServer, request: web.Request) -> web.StreamResponse:
    return web.Response(status=502)


async def slow(server: FaultServer, request: web.Request) -> web.StreamResponse:
    await asyncio.sleep(30)
    return _jpeg()


async def _stream(request: web.Request, length: int | None = None) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "image/jpeg"})
    if length is not None:
        response.content_length = length
    await response.prepare(request)
    return response


async def dripping(server: FaultServer, request: web.Request) -> web.StreamResponse:
    """A byte now and then, for ever."""
    response = await _stream(request)
    while True:
        await response.write(b"\xff")
        await asyncio.sleep(0.2)


async def endless(server: FaultServer, request: web.Request) -> web.StreamResponse:
    response = await _stream(request)
    await response.write(GOOD)
    while True:
        await response.write(bytes(65536))


async def broken_off(server: FaultServer, request: web.Request) -> web.StreamResponse:
    """Half of what Content-Length promises; then the connection ends."""
    response = await _stream(request, len(GOOD))
    await response.write(GOOD[: len(GOOD) // 2])
    assert request.transport is not None
    request.transport.abort()
    return response


async def broken_off_once(server: FaultServer, request: web.Request) -> web.StreamResponse:
    return await broken_off(server, request) if server.asked[request.path] == 1 else _jpeg()


async def hung_up(server: FaultServer, request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def truncated_file(server: FaultServer, request: web.Request) -> web.StreamResponse:
    return _jpeg(GOOD[: len(GOOD) // 2])


async def page_as_picture(server: FaultServer, request: web.Request) -> web.StreamResponse:
    return _jpeg(b"<!DOCTYPE html><html><body>Please sign in</body></html>")


async def picture_as_page(server: FaultServer, request: web.Request) -> web.StreamResponse:
    return web.Response(body=GOOD, content_type="text/html")


async def oversize(server: FaultServer, request: web.Request) -> web.StreamResponse:
    return _jpeg(GOOD + bytes(3_000_000))


async def empty(server: FaultServer, request: web.Request) -> web.StreamResponse:
    return _jpeg(b"")


async def looping(server: FaultServer, request: web.Request) -> web.StreamResponse:
    raise web.HTTPFound("/loop")


async def moved(server: FaultServer, request: web.Request) -> web.StreamResponse:
    raise web.HTTPMovedPermanently("/good?seed=77")


async def elsewhere(server: FaultServer, request: web.Request) -> web.StreamResponse:
    raise web.HTTPFound(server.elsewhere)


async def together(server: FaultServer, request: web.Request) -> web.StreamResponse:
    """Nobody gets an answer before so many ask at once as the test waits for."""
    server.gathered += 1
    try:
        if server.gathered >= server.together:
            server.all_there.set()
        await asyncio.wait_for(server.all_there.wait(), 60)
    except TimeoutError:
        return web.Response(status=503)
    finally:
        server.gathered -= 1
    return _jpeg()


async def into_private(server: FaultServer, request: web.Request) -> web.StreamResponse:
    raise web.HTTPFound("/private/a.jpg")


async def to_no_address(server: FaultServer, request: web.Request) -> web.StreamResponse:
    """A redirect to what the parser of addresses fails at in a way of its own."""
    return web.Response(status=302, headers={"Location": "http://[::1]http::127.0.0.1@"})


async def busy_for_ever(server: FaultServer, request: web.Request) -> web.StreamResponse:
    """A time that no clock can show."""
    return web.Response(status=503, headers={"Retry-After": "Mon, 04 May 2026 12:00:30 +" + "9" * 20})


async def to_a_file(server: FaultServer, request: web.Request) -> web.StreamResponse:
    raise web.HTTPFound("file:///etc/passwd")


async def gzipped(server: FaultServer, request: web.Request) -> web.StreamResponse:
    return _jpeg(gzip.compress(GOOD), **{"Content-Encoding": "gzip"})


async def gzip_bomb(server: FaultServer, request: web.Request) -> web.StreamResponse:
    return _jpeg(GZIP_BOMB, **{"Content-Encoding": "gzip"})


async def gzip_cut(server: FaultServer, request: web.Request) -> web.StreamResponse:
    return _jpeg(gzip.compress(GOOD)[:-20], **{"Content-Encoding": "gzip"})


async def gzip_lie(server: FaultServer, request: web.Request) -> web.StreamResponse:
    return _jpeg(GOOD, **{"Content-Encoding": "gzip"})


async def other_coding(server: FaultServer, request: web.Request) -> web.StreamResponse:
    return _jpeg(GOOD, **{"Content-Encoding": "br"})


async def opted_out(server: FaultServer, request: web.Request) -> web.StreamResponse:
    return _jpeg(GOOD, **{"X-Robots-Tag": "noai, noimageai"})


async def reserved(server: FaultServer, request: web.Request) -> web.StreamResponse:
    return _jpeg(GOOD, **{"tdm-reservation": "1"})


HANDLERS: dict[str, Handler] = {
    "/good": good,
    "/missing": missing,
    "/forbidden": forbidden,
    "/limited": limited,
    "/paused": paused,
    "/failing-once": failing_once,
    "/failing": failing,
    "/slow": slow,
    "/dripping": dripping,
    "/endless": endless,
    "/broken-off": broken_off,
    "/broken-off-once": broken_off_once,
    "/hung-up": hung_up,
    "/truncated-file": truncated_file,
    "/page-as-picture": page_as_picture,
    "/picture-as-page": picture_as_page,
    "/oversize": oversize,
    "/empty": empty,
    "/loop": looping,
    "/moved": moved,
    "/elsewhere": elsewhere,
    "/together": together,
    "/into-private": into_private,
    "/to-a-file": to_a_file,
    "/to-no-address": to_no_address,
    "/busy-for-ever": busy_for_ever,
    "/gzipped": gzipped,
    "/gzip-bomb": gzip_bomb,
    "/gzip-cut": gzip_cut,
    "/gzip-lie": gzip_lie,
    "/other-coding": other_coding,
    "/opted-out": opted_out,
    "/reserved": reserved,
    "/private/a.jpg": good,
}


@contextlib.contextmanager
def fault_server(
    *,
    robots_status: int = 200,
    delay: float = 0.0,
    more_addresses: Sequence[str] = (),
    host: str = "127.0.0.1",
) -> Iterator[FaultServer]:
    """Run a server on loopback in a thread of its own; `delay` seconds pass before every answer.

    It is reached at `more_addresses` (127.0.0.2 …) too, on the same port; at `host` 0.0.0.0 at every address of the
    machine.
    """
    server, at_once = FaultServer(), Counter[str]()
    ready, loop = threading.Event(), asyncio.new_event_loop()

    async def answer(request: web.Request) -> web.StreamResponse:
        here = _here(request)
        server.asked[request.path] += 1
        server.asked_of[here, request.path] += 1
        at_once[here] += 1
        server.most_at_once[here] = max(server.most_at_once[here], at_once[here])
        try:
            return await answer_now(request)
        finally:
            at_once[here] -= 1

    async def answer_now(request: web.Request) -> web.StreamResponse:
        if delay:
            await asyncio.sleep(delay)
        if request.path == "/robots.txt":
            return web.Response(status=robots_status, text=server.robots if robots_status == 200 else "")
        if (content := server.files.get(request.path.removeprefix("/files/"))) is not None:
            return _jpeg(content)
        handler = HANDLERS.get(request.path, missing)
        with contextlib.suppress(ConnectionError):
            return await handler(server, request)
        return web.Response()

    async def serve() -> None:
        runner = web.AppRunner(_application(answer), shutdown_timeout=0.1, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, host, 0, backlog=4096)
        await site.start()
        address, port = runner.addresses[0][:2]
        for other in more_addresses:
            await web.TCPSite(runner, other, port).start()
        server.address = f"http://{address}:{port}"
        ready.set()
        await stopping.wait()
        await runner.cleanup()
        # Those who were let wait for ever.
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    stopping = asyncio.Event()
    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    assert ready.wait(30)
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(stopping.set)
        thread.join(30)
        loop.close()


def _application(answer: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> web.Application:
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    return application
