"""An HTTP proxy before a marketplace that kills a client at a chosen moment of a chosen call."""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


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
        operation = handler.headers.get("X-Amz-Target", "").rpartition(".")[2]
        body = handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
        with self._lock:
            self.calls[operation] += 1
            doomed = self._plan is not None and (operation, self.calls[operation]) == self._plan[:2]
        if doomed and self._plan is not None and not self._plan[2]:
            self._kill_client()
            return
        address = urlsplit(self.upstream)
        connection = http.client.HTTPConnection(address.hostname or "", address.port or 80, timeout=30)
        connection.putrequest("POST", handler.path, skip_host=True, skip_accept_encoding=True)
        for name, value in handler.headers.items():
            connection.putheader(name, value)
        connection.endheaders(body)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        if doomed:
            self._kill_client()
            return
        handler.send_response_only(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in {"transfer-encoding", "connection"}:
                handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(content)

    def _kill_client(self) -> None:
        assert self._started.wait(30)
        assert self._client is not None
        os.kill(self._client.pid, signal.SIGKILL)
        self.killed.set()


@contextmanager
def killing_proxy() -> Iterator[tuple[KillingProxy, str]]:
    """The proxy and its address; set its `upstream` before it is used."""
    proxy = KillingProxy()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            proxy.forward(self)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield proxy, f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=10)
