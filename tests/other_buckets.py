"""Buckets of the other two clouds on loopback: Google's XML API before moto's server, and Azurite.

Google's XML API is S3's but for who may call (https://cloud.google.com/storage/docs/interoperability), so that what
obstore's client of it asks can be answered by an S3 server. Azurite is Microsoft's own emulator, which Debian has not:
`npm install -g azurite`; without it its tests are skipped.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import hmac
import json
import re
import shutil
import subprocess
import threading
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
import requests
from aiohttp import ClientSession, web

from .s3_servers import S3Server

# moto looks at nothing else of it.
_SIGNED = (
    "AWS4-HMAC-SHA256 Credential=key/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0"
)
# Of its connection, or of its server, not of the answer.
_HOP = ("host", "authorization", "transfer-encoding", "connection", "date", "server")
# The one account that Azurite knows, and its published key.
ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


@contextlib.contextmanager
def google_server(moto: S3Server) -> Iterator[str]:
    """The address of Google's XML API, for callers without a key; `moto` keeps what they store."""
    ready, loop, stopping = threading.Event(), asyncio.new_event_loop(), asyncio.Event()
    addresses: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _HOP}
        async with (
            ClientSession(auto_decompress=False) as session,
            session.request(
                request.method,
                moto.address + request.raw_path,
                data=await request.read(),
                headers={**headers, "Authorization": _SIGNED},
            ) as found,
        ):
            kept = {name: value for name, value in found.headers.items() if name.lower() not in _HOP}
            return web.Response(status=found.status, body=await found.read() or None, headers=kept)

    async def serve() -> None:
        application = web.Application(client_max_size=2**26)
        application.router.add_route("*", "/{path:.*}", answer)
        runner = web.AppRunner(application, shutdown_timeout=0.1, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        addresses.append("http://{}:{}".format(*runner.addresses[0][:2]))
        ready.set()
        await stopping.wait()
        await runner.cleanup()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    assert ready.wait(30)
    try:
        yield addresses[0]
    finally:
        loop.call_soon_threadsafe(stopping.set)
        thread.join(30)
        loop.close()


def new_google_bucket(address: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of an empty image store on the server at `address`, which this process may use from then on."""
    name = f"images-{uuid.uuid4().hex[:20]}"
    requests.put(f"{address}/{name}", timeout=30).raise_for_status()
    nobody = {"client_email": "", "private_key": "", "private_key_id": ""}
    account = {**nobody, "gcs_base_url": address, "disable_oauth": True}
    monkeypatch.setenv("GOOGLE_SERVICE_ACCOUNT_KEY", json.dumps(account))
    return f"gs://{name}/pictures"


@contextlib.contextmanager
def azurite_server() -> Iterator[str]:
    """The address of Azurite's blob service; skips where it is not installed."""
    program = shutil.which("azurite-blob")
    if program is None:
        pytest.skip("azurite is not here: npm install -g azurite")
    command = [
        program,
        "--blobPort",
        "0",
        "--inMemoryPersistence",
        "--skipApiVersionCheck",
        "--disableTelemetry",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        listening = (re.search(r"listens on (http://\S+)", line) for line in server.stdout)
        try:
            yield next(match[1] for match in listening if match)
        finally:
            server.kill()


def new_azure_container(address: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of an empty image store on Azurite at `address`, which this process uses from then on."""
    name = f"images-{uuid.uuid4().hex[:20]}"
    date = datetime.now(UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")
    headers = {"x-ms-date": date, "x-ms-version": "2021-08-06"}
    told = "".join(f"{header}:{value}\n" for header, value in headers.items())
    signed = f"PUT{chr(10) * 12}{told}/{ACCOUNT}/{ACCOUNT}/{name}\nrestype:container"
    signature = base64.b64encode(hmac.digest(base64.b64decode(KEY), signed.encode(), hashlib.sha256)).decode()
    headers |= {"Authorization": f"SharedKey {ACCOUNT}:{signature}", "Content-Length": "0"}
    made = requests.put(f"{address}/{ACCOUNT}/{name}?restype=container", headers=headers, timeout=30)
    made.raise_for_status()
    for setting, value in (
        ("STORAGE_ACCOUNT_NAME", ACCOUNT),
        ("STORAGE_ACCOUNT_KEY", KEY),
        ("ENDPOINT", f"{address}/{ACCOUNT}"),
        ("ALLOW_HTTP", "true"),
    ):
        monkeypatch.setenv(f"AZURE_{setting}", value)
    return f"az://{name}/pictures"
