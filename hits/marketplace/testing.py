"""A marketplace inside a test process, for anybody's program that calls `boto3.client("mturk")`.

With pytest: `pytest_plugins = ["hits.marketplace.testing"]` in conftest.py, then ask for the fixture
`mturk_marketplace`. Programs that make their client without an endpoint need no change at all: the fixture
sets the AWS_… variables. Nothing leaves this machine, and the money is play money.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from sqlalchemy.engine import Engine

from ..database import open_engine, upgrade
from . import dues, people, working
from .app import create_app
from .people import RequesterKeys
from .settings import MarketplaceSettings, utc_now
from .tables import MIGRATIONS

REGION = "us-east-1"
_START_SECONDS = 30


@dataclass(frozen=True, slots=True)
class MarketplaceWorker:
    """A worker who does what a test tells her, under the marketplace's own rules."""

    worker_id: str
    engine: Engine
    clock: Callable[[], datetime]

    def accept(self, hit_id: str) -> str:
        """Accept a HIT and return the assignment's id; raises CannotAccept with the reason."""
        dues.settle(self.engine, self.clock())
        return working.accept(self.engine, hit_id, self.worker_id, 10, self.clock())

    def submit(self, assignment_id: str, answers: Mapping[str, str]) -> None:
        """Submit an accepted assignment; raises NotHeld if its time is over."""
        working.submit(self.engine, assignment_id, answers.items(), self.clock(), self.worker_id)

    def give_back(self, assignment_id: str) -> None:
        """Return an assignment unfinished."""
        working.give_back(self.engine, assignment_id, self.worker_id, self.clock())

    def answer(self, hit_id: str, answers: Mapping[str, str]) -> str:
        """Accept a HIT, submit these answers by field, and return the assignment's id."""
        assignment_id = self.accept(hit_id)
        self.submit(assignment_id, answers)
        return assignment_id


@dataclass(frozen=True, slots=True)
class RunningMarketplace:
    """A marketplace that answers on loopback, with one requester, `tester`."""

    settings: MarketplaceSettings
    engine: Engine
    keys: RequesterKeys
    clock: Callable[[], datetime] = utc_now

    @property
    def url(self) -> str:
        """Where the Requester API and the worker site are."""
        return self.settings.public_url

    @property
    def environment(self) -> dict[str, str]:
        """The variables with which an unmodified `boto3.client("mturk")` finds this marketplace."""
        return {
            "AWS_ACCESS_KEY_ID": self.keys.access_key,
            "AWS_SECRET_ACCESS_KEY": self.keys.secret_key,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ENDPOINT_URL_MTURK": self.url,
        }

    def client(self, keys: RequesterKeys | None = None, **config: Any) -> Any:
        """An unmodified boto3 client of the Requester API, without retries unless `config` says otherwise."""
        import boto3
        from botocore.config import Config

        chosen = keys or self.keys
        return boto3.client(
            "mturk",
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id=chosen.access_key,
            aws_secret_access_key=chosen.secret_key,
            config=Config(**{"retries": {"total_max_attempts": 1}, **config}),
        )

    def requester(self, name: str, balance_cents: int = 1_000_000) -> RequesterKeys:
        """The keys of another requester."""
        return people.create_requester(self.engine, name, balance_cents)

    def invite(self, pseudonym: str) -> str:
        """The address of a worker's invitation to the worker site."""
        return people.invitation_url(self.settings, people.invite(self.engine, pseudonym).token)

    def worker(self, pseudonym: str) -> MarketplaceWorker:
        """A worker, the same again for the same pseudonym."""
        return MarketplaceWorker(people.invite(self.engine, pseudonym).worker_id, self.engine, self.clock)


class AdjustableClock:
    """The real clock, which a test can set forward. Signed requests stand at most 15 minutes of it."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self) -> datetime:
        return utc_now() + self.ahead


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
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        chosen = MarketplaceSettings(
            database_url=database_url or f"sqlite:///{folder / 'marketplace.sqlite3'}",
            public_url=f"http://127.0.0.1:{port}",
            frame_url=f"http://localhost:{port}",
            **settings,
        )
        engine = open_engine(chosen.database_url)
        try:
            upgrade(engine, MIGRATIONS)
            keys = people.create_requester(engine, "tester", balance_cents)
            app = create_app(chosen, engine=engine, clock=clock)
            if mount is not None:
                mount(app)
            with _serving(app, listener):
                yield RunningMarketplace(chosen, engine, keys, clock)
        finally:
            engine.dispose()


@contextmanager
def _serving(app: web.Application, listener: socket.socket) -> Iterator[None]:
    """Everything of the server's loop stays in its thread: the caller may have a loop running in its own."""
    started: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def serve() -> None:
        stop = asyncio.Event()
        runner = web.AppRunner(app, handle_signals=False, access_log=None)
        try:
            await runner.setup()
            await web.SockSite(runner, listener).start()
            started.set_result((asyncio.get_running_loop(), stop))
            await stop.wait()
        except OSError as error:
            started.set_exception(error)
        finally:
            await runner.cleanup()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), name="marketplace", daemon=True)
    thread.start()
    loop, stop = started.result(timeout=_START_SECONDS)
    try:
        yield
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(timeout=_START_SECONDS)


@pytest.fixture
def mturk_marketplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningMarketplace]:
    """A new marketplace for one test; `boto3.client("mturk")` finds it by the environment."""
    import boto3

    with running_marketplace(tmp_path) as marketplace:
        # boto3's default session keeps the first keys that it found: those of an earlier test's marketplace.
        monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
        for name, value in marketplace.environment.items():
            monkeypatch.setenv(name, value)
        # A profile of the user's must not lead elsewhere, nor a session token go with made-up keys.
        for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"):
            monkeypatch.delenv(name, raising=False)
        yield marketplace
