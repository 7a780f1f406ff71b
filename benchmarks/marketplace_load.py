"""The load of the marketplace's benchmark: workers, new HITs and visits to pages, over HTTP."""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from html import unescape
from pathlib import Path
from typing import Any

import aiohttp
import sqlalchemy as sa
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from marketplace_store import question, terms
from sqlalchemy.engine import Engine

from hits.marketplace import people, publishing
from hits.marketplace.settings import MarketplaceSettings, utc_now
from hits.marketplace.tables import hits, requesters

WORKERS = 200
CONNECTIONS = 16
WARMING = 200
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Server:
    """A marketplace in a process of its own, and the processes whose CPU counts."""

    settings: MarketplaceSettings
    engine: Engine
    keys: people.RequesterKeys
    pid: int
    postmaster: int | None

    def cpu_seconds(self) -> float:
        """User and system time of the server and its database so far."""
        used = _cpu(self.pid)
        if self.postmaster is not None:
            used += sum(_cpu(pid) for pid in _family(self.postmaster))
        return used

    def memory_mib(self) -> float:
        """The most resident memory that the server process had."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1024  # type: ignore[index]


def _cpu(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        return 0.0
    # User and system time, its own and that of children which ended.
    return sum(int(field) for field in fields[11:15]) / TICKS


def _family(parent: int) -> list[int]:
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return [parent, *(int(child) for child in children)]


def settings_for(url: str, port: int) -> MarketplaceSettings:
    """A marketplace on loopback without limits on how often one address asks."""
    return MarketplaceSettings(
        url, f"http://127.0.0.1:{port}", f"http://localhost:{port}",
        sign_ins_per_minute=0, misses_per_minute=0, pages_per_minute=0, calls_per_second=0,
    )  # fmt: skip


def postmaster(engine: Engine) -> int | None:
    """The process that all processes of the database come from; None for SQLite."""
    if engine.dialect.name != "postgresql":
        return None
    with engine.connect() as connection:
        backend = connection.scalar(sa.text("SELECT pg_backend_pid()"))
    return int(Path(f"/proc/{backend}/stat").read_text().rpartition(")")[2].split()[1])


class Worker:
    """A signed-in worker, as lean as a generator of load can be."""

    def __init__(self, session: aiohttp.ClientSession, base: str, cookie: str, csrf: str) -> None:
        self.session, self.base = session, base
        self.headers, self.csrf = {"Cookie": f"hits_session={cookie}"}, csrf

    async def get(self, path: str) -> str:
        async with self.session.get(self.base + path, headers=self.headers) as answer:
            text = await answer.text()
            assert answer.status == 200, (path, answer.status, text[:300])
            return text

    async def round(self, hit_id: str) -> bool:
        """Accept a HIT, see its page in its frame, submit; False if others were faster."""
        form = {"csrf": self.csrf}
        address = f"{self.base}/hits/{hit_id}/accept"
        async with self.session.post(
            address, data=form, headers=self.headers, allow_redirects=False
        ) as answer:
            if answer.status == 409:
                return False
            assert answer.status == 303, answer.status
            place = answer.headers["Location"]
        page = await self.get(place)
        framed = re.search(r'<iframe id="question"[^>]* src="([^"]+)"', page)
        if framed is None:  # The same worker was faster in another window.
            return False
        frame = unescape(framed[1])
        async with self.session.get(frame) as answer:
            assert answer.status == 200
            await answer.read()
        said = {"assignmentId": place.rpartition("/")[2], "answers": ANSWERS}
        async with self.session.post(f"{self.base}/mturk/externalSubmit", data=said) as answer:
            assert answer.status == 200, await answer.text()
            await answer.read()
        return True


ANSWERS = json.dumps({"v": 1, "seconds": 71, "cells": {f"p-{place}": "yes" for place in range(48)}})


@asynccontextmanager
async def session_of(server: Server) -> AsyncIterator[aiohttp.ClientSession]:
    """A session without cookies of its own, once the server answers."""
    jar = aiohttp.DummyCookieJar()
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(cookie_jar=jar, connector=connector) as session:
        for _ in range(200):
            try:
                async with session.get(server.settings.public_url) as answer:
                    await answer.read()
                break
            except aiohttp.ClientConnectionError:
                await asyncio.sleep(0.1)
        yield session


async def crowd(server: Server, session: aiohttp.ClientSession, count: int) -> list[Worker]:
    """Workers who are signed in."""
    found = []
    for number in range(count):
        invited = people.invite(server.engine, f"worker-{number}")
        known = people.Worker(invited.worker_id, invited.pseudonym, None)
        cookie = people.sign_in(server.engine, known, 30, utc_now())
        worker = Worker(session, server.settings.public_url, cookie, "")
        worker.csrf = re.search(r'name="csrf" value="([^"]+)"', await worker.get("/earnings"))[1]  # type: ignore[index]
        found.append(worker)
    return found


async def load(server: Server, rounds: int) -> dict[str, float]:
    """What rounds of work cost at full speed, and how long they take at half of it; then what new HITs cost."""
    measured = {}
    async with session_of(server) as session:
        crew = await crowd(server, session, WORKERS)
        with server.engine.connect() as connection:
            open_ids = list(connection.scalars(sa.select(hits.c.hit_id)))
        draw = random.Random(0)
        tasks = [(worker, draw.choice(open_ids)) for worker in draw.choices(crew, k=2 * rounds)]
        await saturate([partial(w.round, h) for w, h in tasks[: rounds // 4]])
        cpu, begun = server.cpu_seconds(), time.monotonic()
        done = await saturate([partial(w.round, h) for w, h in tasks[rounds // 4 : rounds]])
        wall = time.monotonic() - begun
        measured["round ms"] = 1000 * (server.cpu_seconds() - cpu) / done
        measured["rounds a second"] = done / wall
        waits = await paced([partial(w.round, h) for w, h in tasks[rounds:]], done / wall / 2)
        measured["p50 s at half"] = waits[len(waits) // 2]
        measured["p99 s at half"] = waits[int(len(waits) * 0.99)]
        calls = [creation(server, session, number) for number in range(WARMING + max(200, rounds // 2))]
        # As a server that runs for long: PostgreSQL plans a statement anew the first ten times on a connection.
        await saturate(calls[:WARMING])
        cpu = server.cpu_seconds()
        await saturate(calls[WARMING:])
        measured["create ms"] = 1000 * (server.cpu_seconds() - cpu) / (len(calls) - WARMING)
    return measured


async def saturate(calls: Sequence[Callable[[], Awaitable[Any]]]) -> int:
    """Run the calls, so many at once, and return how many said that they did something."""
    waiting = iter(calls)

    async def work() -> int:
        return sum([bool(await call()) for call in waiting])

    return sum(await asyncio.gather(*(work() for _ in range(CONNECTIONS))))


async def paced(calls: list[Callable[[], Awaitable[Any]]], rate: float) -> list[float]:
    """Start `rate` calls a second, whatever becomes of them, and return their sorted durations in seconds."""
    draw, waits = random.Random(1), []

    async def timed(call: Callable[[], Awaitable[Any]]) -> None:
        begun = time.monotonic()
        await call()
        waits.append(time.monotonic() - begun)

    tasks = []
    for call in calls:
        tasks.append(asyncio.create_task(timed(call)))
        await asyncio.sleep(draw.expovariate(rate))
    await asyncio.gather(*tasks)
    return sorted(waits)


def creation(server: Server, session: aiohttp.ClientSession, number: int) -> Callable[[], Awaitable[None]]:
    """A CreateHITWithHITType call, signed beforehand."""
    with server.engine.connect() as connection:
        requester_id = connection.execute(sa.select(requesters.c.requester_id)).scalar_one()
    type_id = publishing.create_hit_type(server.engine, requester_id, terms("Umbrellas 0"), utc_now())
    body = json.dumps(
        {"HITTypeId": type_id, "Question": question(1000 + number), "LifetimeInSeconds": 86400, "MaxAssignments": 3,
         "UniqueRequestToken": f"token-{number}", "RequesterAnnotation": f"page {number}"}
    )  # fmt: skip
    headers = {
        "Content-Type": "application/x-amz-json-1.1",
        "X-Amz-Target": "MTurkRequesterServiceV20170117.CreateHITWithHITType",
    }
    request = AWSRequest("POST", server.settings.public_url + "/", headers=headers, data=body.encode())
    SigV4Auth(
        Credentials(server.keys.access_key, server.keys.secret_key), "mturk-requester", "us-east-1"
    ).add_auth(request)
    signed = dict(request.headers.items())

    async def call() -> None:
        async with session.post(
            server.settings.public_url + "/", data=body.encode(), headers=signed
        ) as answer:
            assert answer.status == 200, await answer.text()
            await answer.read()

    return call


async def page_costs(server: Server, times: int = 200) -> dict[str, float]:
    """CPU of the worker site's pages, in milliseconds a request."""
    found = {}
    async with session_of(server) as session:
        crew = await crowd(server, session, 20)
        for name, path in (("list", "/hits"), ("earnings", "/earnings")):
            visits = [partial(crew[n % len(crew)].get, path) for n in range(times)]
            await saturate(visits)
            cpu = server.cpu_seconds()
            await saturate(visits)
            found[name] = 1000 * (server.cpu_seconds() - cpu) / times
    return found
