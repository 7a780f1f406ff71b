"""An HTTP proxy before a marketplace that kills a client at a chosen moment of a chosen call."""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Answered:
    """What the marketplace answered to one call."""

    status: int
    headers: list[tuple[str, str]]
    content: bytes

    def send(self, handler: BaseHTTPRequestHandler) -> None:
        handler.send_response_only(self.status)
        for name, value in self.headers:
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(self.content)


def operation_of(handler: BaseHTTPRequestHandler) -> str:
    """Which operation of the Requester API is called."""
    return handler.headers.get("X-Amz-Target", "").rpartition(".")[2]


def body_of(handler: BaseHTTPRequestHandler) -> bytes:
    return handler.rfile.read(int(handler.headers.get("Content-Length", 0)))


def relay(upstream: str, handler: BaseHTTPRequestHandler, body: bytes) -> Answered:
    """Let the marketplace answer a call as it came, signature and Host header included."""
    address = urlsplit(upstream)
    connection = http.client.HTTPConnection(address.hostname or "", address.port or 80, timeout=30)
    with closing(connection):
        connection.putrequest("POST", handler.path, skip_host=True, skip_accept_encoding=True)
        for name, value in handler.headers.items():
            connection.putheader(name, value)
        connection.endheaders(body)
        answer = connection.getresponse()
        headers = [
            (name, value)
            for name, value in answer.getheaders()
            if name.lower() not in {"transfer-encoding", "connection"}
        ]
        return Answered(answer.status, headers, answer.read())


class KillingProxy:
    """Forwards Requester API calls unchanged, signature and Host header included, and counts them.

    With `kill(operation, number, delivered)` the client that `client` holds is killed (SIGKILL) at the call
    of that number: before the marketplace sees it, or, if `delivered`, after the marketplace has answered but
    before the client hears of it.
    """

    def __init__(self) -> None:
        self.upstream = ""
        self.calls: Counter[str] = Counter()
        self.killed = threading.Event()
        self._plan: tuple[str, int, bool] | None = None
        self._client: subprocess.Popen[str] | None = None
        self._started = threading.Event()
        self._lock = threading.Lock()

    def kill(self, operation: str, number: int, *, delivered: bool) -> None:
        self.calls.clear()
        self.killed.clear()
        self._started.clear()
        self._plan = (operation, number, delivered)

    def spare(self) -> None:
        self._plan = None
        self.calls.clear()

    def client(self, running: subprocess.Popen[str]) -> None:
        self._client = running
        self._started.set()

    def forward(self, handler: BaseHTTPRequestHandler) -> None:
        operation, body = operation_of(handler), body_of(handler)
        with self._lock:
            self.calls[operation] += 1
            doomed = self._plan is not None and (operation, self.calls[operation]) == self._plan[:2]
        if doomed and self._plan is not None and not self._plan[2]:
            self._kill_client()
            return
        answer = relay(self.upstream, handler, body)
        if doomed:
            self._kill_client()
            return
        answer.send(handler)

    def _kill_client(self) -> None:
        assert self._started.wait(30)
        assert self._client is not None
        os.kill(self._client.pid, signal.SIGKILL)
        self.killed.set()


@contextmanager
def killing_proxy() -> Iterator[tuple[KillingProxy, str]]:
    """The proxy and its address; set its `upstream` before it is used."""
    proxy = KillingProxy()
    with listening(proxy.forward) as address:
        yield proxy, address


@contextmanager
def listening(forward: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[str]:
    """A server that lets `forward` answer every call; the value is its address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            forward(self)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=10)
