"""What the marketplace costs: CPU of server and database for a round of work, a new HIT, the pages of the site.

    python benchmarks/marketplace.py [--quick] [--postgres postgresql://…] [--stored 1000000]

A server process on a store with 10,000 open HITs is worked on over HTTP by 200 simulated workers who each accept,
look, and submit; a second process, this one, makes the load, and its own CPU is not counted. Counted are the user
and system time of the server process and, on PostgreSQL, of all processes of its postmaster, from /proc. Then the
store is filled with 10,000 small HITs of other types, most of them done, and list and worker pages are measured;
then with `--stored` more, and they are measured again. Prints a table and, last, one line of JSON. `--postgres`
is the address of an empty database on this machine.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from html import unescape
from pathlib import Path
from typing import Any

import aiohttp
import sqlalchemy as sa
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from sqlalchemy.engine import Engine

from hits.database import open_engine, upgrade, writing
from hits.marketplace import people, publishing
from hits.marketplace.identifiers import new_entity_id
from hits.marketplace.publishing import HitOrder, HitTypeTerms
from hits.marketplace.settings import MarketplaceSettings, utc_now
from hits.marketplace.tables import MIGRATIONS, accounts, assignments, hits, requesters, workers
from hits.model import Cell, Concept, Page
from hits.page import render

WORKERS = 200
CONNECTIONS = 16
STORED_AT_FIRST = 10_000
AIMS = {"round ms sqlite": 8 + 2, "round ms postgresql": 8, "create ms": 4, "memory MiB": 500, "growth": 2}
TICKS = os.sysconf("SC_CLK_TCK")
BATCH = 10_000


@dataclass
class Figures:
    """What one engine was measured to cost; times in milliseconds of CPU unless the name says otherwise."""

    engine: str
    measured: dict[str, float] = field(default_factory=dict)


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


def main() -> None:
    """Measure SQLite and, where it is named, PostgreSQL."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a twentieth of everything")
    parser.add_argument("--postgres", help="the address of an empty database on this machine")
    parser.add_argument("--no-sqlite", action="store_true", help="measure PostgreSQL alone")
    parser.add_argument(
        "--stored", type=int, default=1_000_000, help="small HITs in the store for the last part"
    )
    parser.add_argument("--rounds", type=int, default=2000)
    parser.add_argument("--serve", nargs=2, metavar=("URL", "PORT"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve(arguments.serve[0], int(arguments.serve[1]))
        return
    shrink = 20 if arguments.quick else 1
    found = []
    with tempfile.TemporaryDirectory() as folder:
        sqlite = None if arguments.no_sqlite else f"sqlite:///{folder}/marketplace.sqlite3"
        urls = list(filter(None, [sqlite, arguments.postgres]))
        for url in urls:
            found.append(
                measure(url, 10_000 // shrink, arguments.stored // shrink, arguments.rounds // shrink)
            )
    print_table(found)
    print(json.dumps({figures.engine: figures.measured for figures in found} | {"aims": AIMS}))


def settings_for(url: str, port: int) -> MarketplaceSettings:
    """A marketplace on loopback without limits on how often one address asks."""
    return MarketplaceSettings(
        url, f"http://127.0.0.1:{port}", f"http://localhost:{port}",
        sign_ins_per_minute=0, misses_per_minute=0, pages_per_minute=0, calls_per_second=0,
    )  # fmt: skip


def serve(url: str, port: int) -> None:
    """The server process, as `imagenet-builder marketplace serve` runs it."""
    from hits.marketplace.app import create_app
    from imagenet_builder.cli.serving import listen, serve_until_stopped

    serve_until_stopped(create_app(settings_for(url, port)), listen("127.0.0.1", port), verbose=False)


def measure(url: str, open_hits: int, stored: int, rounds: int) -> Figures:
    """Everything on one engine."""
    engine = open_engine(url)
    upgrade(engine, MIGRATIONS)
    keys = people.create_requester(engine, "benchmark", 10**12)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    figures = Figures(engine.dialect.name)
    fill_open(engine, open_hits)
    process = subprocess.Popen([sys.executable, __file__, "--serve", url, str(port)])
    try:
        server = Server(settings_for(url, port), engine, keys, process.pid, _postmaster(engine))
        asyncio.run(load(server, figures, rounds))
        fill_stored(engine, STORED_AT_FIRST)
        small = asyncio.run(page_costs(server))
        fill_stored(engine, stored)
        large = asyncio.run(page_costs(server))
        for name in small:
            figures.measured[f"{name} page ms"] = small[name]
            figures.measured[f"{name} page ms, {stored:,} stored"] = large[name]
            figures.measured[f"{name} growth"] = large[name] / small[name]
        figures.measured["memory MiB"] = server.memory_mib()
    finally:
        process.terminate()
        process.wait(timeout=30)
        engine.dispose()
    return figures


def _postmaster(engine: Engine) -> int | None:
    if engine.dialect.name != "postgresql":
        return None
    with engine.connect() as connection:
        backend = connection.scalar(sa.text("SELECT pg_backend_pid()"))
    return int(Path(f"/proc/{backend}/stat").read_text().rpartition(")")[2].split()[1])


# --- what is in the store -------------------------------------------------------------------------------


def question(number: int) -> str:
    """A verification page of 48 pictures."""
    concept = Concept("umbrella", ("gamp",), "a lightweight handheld collapsible canopy", ("canopy",), "")
    cells = tuple(
        Cell(f"p{number}-{place}", f"http://127.0.0.1:9/pictures/{number:08x}{place:024x}.jpg")
        for place in range(48)
    )
    return render(Page(concept, cells))


def terms(title: str) -> HitTypeTerms:
    return HitTypeTerms(title, "Look at 48 pictures.", "pictures", 35, 3600, 86400)


def fill_open(engine: Engine, count: int) -> None:
    """Open HITs of ten types with three assignments each, and the workers."""
    now = utc_now()
    with engine.connect() as connection:
        requester_id = connection.execute(sa.select(requesters.c.requester_id)).scalar_one()
    pages = [question(number) for number in range(50)]
    for number in range(count):
        order = HitOrder(pages[number % len(pages)], 3, 14 * 86400)
        publishing.create_hit(engine, requester_id, terms(f"Umbrellas {number % 10}"), order, now)


def fill_stored(engine: Engine, count: int) -> None:
    """Small HITs of twenty other types, eighteen in nineteen of them done and approved, the rest open."""
    now = utc_now()
    with engine.connect() as connection:
        model = connection.execute(sa.select(hits).limit(1)).one()._asdict()
        first = (connection.scalar(sa.select(sa.func.max(hits.c.number))) or 0) + 1
        worker_ids = list(connection.scalars(sa.select(workers.c.worker_id)))
    types = []
    for number in range(20):
        type_id = publishing.create_hit_type(engine, model["requester_id"], terms(f"Small {number}"), now)
        with engine.connect() as connection:
            types.append(publishing.usable_type(connection, model["requester_id"], type_id).number)
    for start in range(0, count, BATCH):
        made, done = [], []
        for number in range(first + start, first + min(start + BATCH, count)):
            is_open = number % 19 == 0
            row = {
                **model,
                "number": number,
                "hit_id": new_entity_id(),
                "type_number": types[number % len(types)],
            }
            row |= {
                "max_assignments": 1,
                "pending": 0,
                "submitted": 0,
                "approved": int(not is_open),
                "rejected": 0,
            }
            made.append(row)
            if not is_open:
                done.append(_done(row, worker_ids[number % len(worker_ids)], now))
        with writing(engine) as connection:
            connection.execute(hits.insert(), made)
            connection.execute(assignments.insert(), done)
            connection.execute(
                accounts.insert(), [{"name": f"escrow:{row['hit_id']}", "cents": 0} for row in made]
            )
    if engine.dialect.name == "postgresql":
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            # As autovacuum does by itself within a minute; rows that came with numbers moved no sequence.
            connection.execute(sa.text("ANALYZE"))
            place = "pg_get_serial_sequence('hits', 'number')"
            connection.execute(sa.text(f"SELECT setval({place}, max(number)) FROM hits"))


def _done(row: dict[str, Any], worker_id: str, now: Any) -> dict[str, Any]:
    begun = now - timedelta(hours=2)
    return {
        "assignment_id": new_entity_id(), "hit_number": row["number"], "worker_id": worker_id, "state": "Approved",
        "reward_cents": 35, "fee_cents": 7, "accepted_at": begun, "deadline": now,
        "submitted_at": begun + timedelta(seconds=90), "ended_at": begun, "approved_at": now, "answer": "<x/>",
        "type_number": row["type_number"],
    }  # fmt: skip


# --- the load -------------------------------------------------------------------------------------------


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


async def load(server: Server, figures: Figures, rounds: int) -> None:
    """Rounds of work at full speed, then at half of it for the latency; then new HITs."""
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
        figures.measured["round ms"] = 1000 * (server.cpu_seconds() - cpu) / done
        figures.measured["rounds a second"] = done / wall
        waits = await paced([partial(w.round, h) for w, h in tasks[rounds:]], done / wall / 2)
        figures.measured["p50 s at half"] = waits[len(waits) // 2]
        figures.measured["p99 s at half"] = waits[int(len(waits) * 0.99)]
        calls = [creation(server, session, number) for number in range(max(50, rounds // 2))]
        cpu = server.cpu_seconds()
        await saturate(calls)
        figures.measured["create ms"] = 1000 * (server.cpu_seconds() - cpu) / len(calls)


async def saturate(calls: list[Callable[[], Awaitable[Any]]]) -> int:
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
            # As a server that runs for long: PostgreSQL plans a statement anew the first ten times on a connection.
            await saturate(visits)
            cpu = server.cpu_seconds()
            await saturate(visits)
            found[name] = 1000 * (server.cpu_seconds() - cpu) / times
    return found


def print_table(found: list[Figures]) -> None:
    names = list(found[0].measured)
    print("| | " + " | ".join(figures.engine for figures in found) + " |")
    print("| --- |" + " --- |" * len(found))
    for name in names:
        print(f"| {name} | " + " | ".join(f"{figures.measured[name]:.2f}" for figures in found) + " |")


if __name__ == "__main__":
    main()
