"""The server is killed at random under load: no accepted answer is lost or doubled, and the ledger balances."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests
import sqlalchemy as sa

from hits.database import open_engine, reading, upgrade
from hits.marketplace import people, publishing
from hits.marketplace.publishing import HitOrder, HitTypeTerms
from hits.marketplace.settings import MarketplaceSettings, utc_now
from hits.marketplace.tables import MIGRATIONS, accounts, assignments, hits, requesters

from ..marketplace_worker import SiteWorker, html_question
from ..real_parts import free_port

SERVER = """
import sys
from aiohttp import web
from hits.marketplace.app import create_app
from hits.marketplace.settings import MarketplaceSettings
url, port = sys.argv[1], int(sys.argv[2])
settings = MarketplaceSettings(url, f"http://127.0.0.1:{port}", f"http://localhost:{port}",
                               sign_ins_per_minute=0, misses_per_minute=0, pages_per_minute=0)
web.run_app(create_app(settings), host="127.0.0.1", port=port, print=None)
"""
KILLS = 3
SEATS = 3
HITS = 60


@contextmanager
def serving(url: str, port: int) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", SERVER, url, str(port)], stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                requests.get(f"http://127.0.0.1:{port}/", timeout=5)
                break
            except requests.ConnectionError:
                time.sleep(0.05)
        yield process
    finally:
        process.kill()
        process.wait(timeout=30)


def test_no_accepted_answer_is_lost_or_doubled_though_the_server_is_killed(
    store_url: str, tmp_path: Path
) -> None:
    engine, port = open_engine(store_url), free_port()
    upgrade(engine, MIGRATIONS)
    people.create_requester(engine, "tester")
    with reading(engine) as connection:
        requester_id = connection.execute(sa.select(requesters.c.requester_id)).scalar_one()
    terms, order = HitTypeTerms("t", "d", "", 25, 3600, 3600), HitOrder(html_question(), SEATS, 3600)
    hit_ids = [
        publishing.create_hit(engine, requester_id, terms, order, utc_now()).hit_id for _ in range(HITS)
    ]
    settings = MarketplaceSettings(store_url, f"http://127.0.0.1:{port}", f"http://localhost:{port}")
    links = [
        people.invitation_url(settings, people.invite(engine, f"w{number}").token) for number in range(4)
    ]
    acknowledged: dict[str, str] = {}
    stop = threading.Event()

    def work(number: int) -> None:
        draw, worker = random.Random(number), None
        while not stop.is_set():
            try:
                worker = worker or SiteWorker(settings.public_url, links[number])
                answer = worker.post(f"/hits/{draw.choice(hit_ids)}/accept")
                if answer.status_code != 303:
                    continue
                assignment_id = answer.headers["Location"].rpartition("/")[2]
                said = f"{number}-{draw.random()}"
                # As a person does who is told nothing: once more, with the same or other words.
                if worker.submit(assignment_id, {"answer": said}).status_code == 200:
                    acknowledged.setdefault(assignment_id, said)
            except requests.RequestException:
                time.sleep(0.05)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(links))]
    chance = random.Random(7)
    for turn in range(KILLS + 1):
        with serving(store_url, port) as process:
            if turn == 0:
                for thread in threads:
                    thread.start()
            time.sleep(chance.uniform(0.5, 1.5))
            if turn == KILLS:
                stop.set()
                for thread in threads:
                    thread.join(timeout=60)
            else:
                process.send_signal(signal.SIGKILL)
                process.wait(timeout=30)
    assert len(acknowledged) >= 10, "nothing was tested"
    check(engine, acknowledged)
    engine.dispose()


def check(engine: sa.Engine, acknowledged: dict[str, str]) -> None:
    """What the store must hold after everything."""
    with reading(engine) as connection:
        stored = {row.assignment_id: row for row in connection.execute(sa.select(assignments))}
        counted = connection.execute(sa.select(hits)).all()
        balances = {row.name: row.cents for row in connection.execute(sa.select(accounts))}
    # A submission may have been stored whose acknowledgement the kill cut off; then the repeat was acknowledged.
    for assignment_id in acknowledged:
        assert stored[assignment_id].state == "Submitted"
        assert "<FreeText>" in stored[assignment_id].answer
    pairs = [(row.hit_number, row.worker_id) for row in stored.values() if row.state != "Returned"]
    assert len(pairs) == len(set(pairs))
    for hit in counted:
        own = [row.state for row in stored.values() if row.hit_number == hit.number]
        assert (hit.pending, hit.submitted) == (own.count("Accepted"), own.count("Submitted"))
        assert hit.pending + hit.submitted <= SEATS
        assert balances[f"escrow:{hit.hit_id}"] == SEATS * 30
    assert sum(balances.values()) == 0
