"""A real marketplace on a loopback port, served from a thread of the test process."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from aiohttp import web
from sqlalchemy.engine import Engine

from hits.database import open_engine, upgrade
from hits.marketplace import people
from hits.marketplace.app import create_app
from hits.marketplace.people import RequesterKeys
from hits.marketplace.settings import MarketplaceSettings, utc_now
from hits.marketplace.tables import MIGRATIONS

from .real_parts import free_port


@dataclass(frozen=True)
class RunningMarketplace:
    """A marketplace that answers, with one requester, `tester`."""

    settings: MarketplaceSettings
    engine: Engine
    keys: RequesterKeys

    @property
    def url(self) -> str:
        return self.settings.public_url

    def client(self, keys: RequesterKeys | None = None, **config: Any) -> Any:
        """An unmodified boto3 client of the Requester API, without retries unless `config` says otherwise."""
        import boto3
        from botocore.config import Config

        chosen = keys or self.keys
        return boto3.client(
            "mturk",
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id=chosen.access_key,
            aws_secret_access_key=chosen.secret_key,
            config=Config(**{"retries": {"total_max_attempts": 1}, **config}),
        )

    def requester(self, name: str, balance_cents: int = 1_000_000) -> RequesterKeys:
        return people.create_requester(self.engine, name, balance_cents)

    def invite(self, pseudonym: str) -> str:
        """The address of a worker's invitation."""
        return people.invitation_url(self.settings, people.invite(self.engine, pseudonym).token)


@contextmanager
def running_marketplace(
    folder: Path,
    *,
    database_url: str | None = None,
    clock: Callable[[], datetime] = utc_now,
    balance_cents: int = 1_000_000,
    mount: Callable[[web.Application], None] | None = None,
    **settings: Any,
) -> Iterator[RunningMarketplace]:
    """Serve a marketplace on a new store in `folder` (or at `database_url`) until the block is left.

    `mount` may add routes to the application; further keywords are settings.
    """
    port = free_port()
    chosen = MarketplaceSettings(
        database_url=database_url or f"sqlite:///{folder / 'marketplace.sqlite3'}",
        public_url=f"http://127.0.0.1:{port}",
        frame_url=f"http://localhost:{port}",
        **settings,
    )
    engine = open_engine(chosen.database_url)
    upgrade(engine, MIGRATIONS)
    keys = people.create_requester(engine, "tester", balance_cents)
    app = create_app(chosen, engine=engine, clock=clock)
    if mount is not None:
        mount(app)
    try:
        with _serving(app, port):
            yield RunningMarketplace(chosen, engine, keys)
    finally:
        engine.dispose()


@contextmanager
def _serving(app: web.Application, port: int) -> Iterator[None]:
    """Everything of the server's loop stays in its thread: the caller may have a loop running in its own."""
    started: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def serve() -> None:
        stop = asyncio.Event()
        runner = web.AppRunner(app, handle_signals=False, access_log=None)
        try:
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", port).start()
            started.set_result((asyncio.get_running_loop(), stop))
            await stop.wait()
        except OSError as error:
            started.set_exception(error)
        finally:
            await runner.cleanup()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), name="marketplace", daemon=True)
    thread.start()
    loop, stop = started.result(timeout=30)
    try:
        yield
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(timeout=30)


class AdjustableClock:
    """The real clock, which a test can set forward. Signed requests stand at most 15 minutes of it."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self) -> datetime:
        return utc_now() + self.ahead
