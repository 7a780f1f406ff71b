"""nginx that serves a folder on loopback, and the log of what it was asked for."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from .real_parts import free_port, need

CONFIGURATION = """
daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log; worker_processes 1; {user}
events {{ worker_connections 256; }}
http {{
  log_format asked '$status $body_bytes_sent $uri';
  access_log {folder}/access.log asked;
  types {{ image/jpeg jpg; }}
  client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
  uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
  server {{
    {listen} root {folder}/files;
    location /reserved/ {{ if ($http_if_none_match) {{ add_header X-Robots-Tag noai always; }} }}
  }}
}}
"""


@dataclass(frozen=True)
class Answered:
    """One line of the log: the status, the bytes of the body, and the path."""

    status: int
    body_bytes: int
    path: str


@dataclass
class NginxServer:
    """The running server; what lies in `files` is what it serves."""

    authority: str
    files: Path
    log: Path
    seen: int = 0

    @property
    def address(self) -> str:
        return f"http://{self.authority}"

    def answered(self) -> list[Answered]:
        """What was answered since the last call, robots.txt left out."""
        time.sleep(0.2)
        lines = self.log.read_text(encoding="ascii").splitlines()
        fresh, self.seen = lines[self.seen :], len(lines)
        split = [line.split(" ", 2) for line in fresh]
        return [
            Answered(int(status), int(size), path) for status, size, path in split if path != "/robots.txt"
        ]


@contextlib.contextmanager
def nginx_server(folder: Path, addresses: Sequence[str] = ("127.0.0.1",)) -> Iterator[NginxServer]:
    """Run nginx with all that it needs in `folder`, on one port of each of `addresses`."""
    program = need("nginx", shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin"))
    (folder / "files").mkdir(parents=True)
    port = free_port()
    user = "user root;" if os.geteuid() == 0 else ""
    listen = " ".join(f"listen {address}:{port};" for address in addresses)
    (folder / "nginx.conf").write_text(CONFIGURATION.format(folder=folder, listen=listen, user=user))
    with subprocess.Popen([program, "-p", str(folder), "-c", str(folder / "nginx.conf")]) as process:
        try:
            deadline = time.monotonic() + 30
            while socket.socket().connect_ex((addresses[0], port)):
                assert time.monotonic() < deadline, "nginx does not answer"
                time.sleep(0.05)
            yield NginxServer(f"{addresses[0]}:{port}", folder / "files", folder / "access.log")
        finally:
            process.terminate()
