"""S3 servers on loopback: moto's, which knows conditional writes, and Debian's Swift, which checks what it is sent."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from .real_parts import free_port, need

ACCOUNT, KEY_ID, SECRET = "pictures", "pictures:builder", "secret-of-the-tests"
# One server of each kind, one copy of everything: enough to be a real Swift.
SERVER = """
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
workers = 0
user = {user}
swift_dir = {folder}
devices = {folder}/devices
mount_check = false
log_name = {kind}
[pipeline:main]
pipeline = {kind}-server
[app:{kind}-server]
use = egg:swift#{kind}
"""
PROXY = """
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
workers = 0
user = {user}
swift_dir = {folder}
log_name = proxy
[pipeline:main]
pipeline = catch_errors cache s3api tempauth bulk slo proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:cache]
use = egg:swift#memcache
memcache_servers = 127.0.0.1:{nowhere}
[filter:s3api]
use = egg:swift#s3api
s3_acl = false
location = us-east-1
[filter:tempauth]
use = egg:swift#tempauth
user_{account}_builder = {secret} .admin
[filter:bulk]
use = egg:swift#bulk
[filter:slo]
use = egg:swift#slo
"""


@dataclass(frozen=True)
class S3Server:
    """A server and the keys that it takes."""

    kind: str
    address: str
    key_id: str
    secret: str

    def environment(self, secret: str | None = None) -> dict[str, str]:
        """The variables of a process that may use it, or may not, with another `secret`."""
        return {
            "AWS_ACCESS_KEY_ID": self.key_id,
            "AWS_SECRET_ACCESS_KEY": secret or self.secret,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": self.address,
            "AWS_ALLOW_HTTP": "true",
        }


def use_server(
    server: S3Server,
    monkeypatch: pytest.MonkeyPatch,
    *,
    secret: str | None = None,
    address: str | None = None,
) -> None:
    """Have this process, and those that it starts, use `server`."""
    for name, value in server.environment(secret).items():
        monkeypatch.setenv(name, value)
    if address is not None:
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)


def new_bucket(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of an empty image store on `server`, which this process uses from then on."""
    import boto3

    use_server(server, monkeypatch)
    name = f"images-{uuid.uuid4().hex[:20]}"
    # A session of its own: the default one keeps the keys of the first test.
    boto3.session.Session().client("s3").create_bucket(Bucket=name)
    return f"s3://{name}/pictures"


@contextlib.contextmanager
def moto_server() -> Iterator[S3Server]:
    """moto's S3: it covers all of the protocol and lets in everybody."""
    known = importlib.util.find_spec("moto") is not None
    need("moto[server]", known or None, "pip install imagenet-builder[test]")
    port = free_port()
    with _running([[sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]], [port]):
        yield S3Server("moto", f"http://127.0.0.1:{port}", "key", "secret")


@contextlib.contextmanager
def swift_server() -> Iterator[S3Server]:
    """Swift with s3api: it refuses wrong signatures and digests."""
    need("swift", shutil.which("swift-proxy-server") and (Path("/etc/swift/swift.conf").exists() or None))
    folder = Path(tempfile.mkdtemp(prefix="swift-"))
    user = "root" if os.geteuid() == 0 else os.environ.get("USER", "nobody")
    ports = {kind: free_port() for kind in ("account", "container", "object", "proxy")}
    (folder / "devices" / "one").mkdir(parents=True)
    try:
        for kind in ("account", "container", "object"):
            text = SERVER.format(port=ports[kind], user=user, folder=folder, kind=kind)
            (folder / f"{kind}.conf").write_text(text)
            builder = str(folder / f"{kind}.builder")
            device = f"r1z1-127.0.0.1:{ports[kind]}/one"
            for step in (("create", "4", "1", "1"), ("add", device, "1"), ("rebalance",)):
                subprocess.run(["swift-ring-builder", builder, *step], check=True, capture_output=True)
        proxy = PROXY.format(
            port=ports["proxy"], user=user, folder=folder, account=ACCOUNT, secret=SECRET, nowhere=free_port()
        )
        (folder / "proxy.conf").write_text(proxy)
        commands = [[f"swift-{kind}-server", str(folder / f"{kind}.conf")] for kind in ports]
        with _running(commands, list(ports.values())):
            yield S3Server("swift", f"http://127.0.0.1:{ports['proxy']}", KEY_ID, SECRET)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _running(commands: Sequence[Sequence[str]], ports: Sequence[int]) -> Iterator[None]:
    servers: list[subprocess.Popen[bytes]] = []
    try:
        for command in commands:
            servers.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        deadline = time.monotonic() + 60
        for port in ports:
            while True:
                assert all(server.poll() is None for server in servers), "the S3 server ended"
                assert time.monotonic() < deadline, "the S3 server does not answer"
                with contextlib.suppress(OSError):
                    socket.create_connection(("127.0.0.1", port), 1).close()
                    break
                time.sleep(0.1)
        yield
    finally:
        for server in servers:
            server.kill()
            server.wait()
