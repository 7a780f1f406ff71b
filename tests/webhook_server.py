"""A real HTTP server on loopback that keeps what is posted to it, and answers as it is told."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Webhook:
    """Where it listens, what came (path, headers in lower case, body), and the status of its answers."""

    url: str
    status: int = 200
    received: list[tuple[str, dict[str, str], str]] = field(default_factory=list)


@contextmanager
def webhook_server() -> Iterator[Webhook]:
    """Serve until the block is left."""

    class Answering(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
            headers = {name.lower(): value for name, value in self.headers.items()}
            webhook.received.append((self.path, headers, body))
            self.send_response(webhook.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Tests read what came, not a log."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    webhook = Webhook(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield webhook
    finally:
        server.shutdown()
        thread.join(timeout=10)
        server.server_close()
