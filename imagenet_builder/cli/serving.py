"""Running one of this project's servers until it is told to stop."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aiohttp import web

SECONDS_TO_FINISH = 5.0


def listen(host: str, port: int, elsewhere: str = "choose another --port") -> socket.socket:
    """A socket that listens on `host` and `port` (0: any).

    Raises ProjectError if it cannot be had; `elsewhere` says how to listen on another port.
    """
    from imagenet_builder.errors import ProjectError

    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        remedies = {
            errno.EADDRINUSE: f"stop the other program or {elsewhere}",
            errno.EACCES: f"{elsewhere}, from 1024 on",
        }
        remedy = remedies.get(error.errno or 0, "give an address of this machine")
        # Of its own texts Python's `strerror` tells the address once more.
        why = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror or error
        raise ProjectError(f"cannot listen on {host}, port {port}: {why}; {remedy}") from error


def serve_until_stopped(app: web.Application, listener: socket.socket, *, verbose: bool) -> None:
    """Serve `app` until SIGINT or SIGTERM, then let open requests finish; with `verbose` each is logged."""
    from aiohttp import web

    web.run_app(
        app,
        sock=listener,
        print=None,
        shutdown_timeout=SECONDS_TO_FINISH,
        access_log=logging.getLogger("imagenet_builder.requests") if verbose else None,
        access_log_format='%a "%r" %s %b %Tf',
        loop=_event_loop(),
    )


def _event_loop() -> asyncio.AbstractEventLoop:
    """uvloop's where there is one: it takes less of the processor for every request."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()
