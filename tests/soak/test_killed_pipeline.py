"""The whole pipeline killed at random moments, again and again: it ends as one that nobody disturbed."""

from __future__ import annotations

import asyncio
import random
import sqlite3
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from hits import database
from hits.marketplace import people
from hits.simulation import Shown, SimulatedWorker, SimulationReport, WorkerProfile, simulate
from imagenet_builder.demo.drawing_classes import CLASSES
from imagenet_builder.demo.stagehands import server, start_picture_site
from imagenet_builder.demo.truth import read_truth_file, truth_of_questions
from imagenet_builder.marketplace_keys import requester
from imagenet_builder.project import find_project
from imagenet_builder.simulating import truth_by_picture_name
from tests.builder_store import empty_project
from tests.command import PATIENCE, done, marketplace_settings, served, start
from tests.real_parts import free_port

pytestmark = [pytest.mark.soak, pytest.mark.timeout(3000)]

WNIDS = list(CLASSES)[:2]
FILES_PER_CLASS = 40
# A command that is killed this often is left alone at last: it must end within one run's time.
MOST_KILLS = 8
WORKERS = 4
PERFECT = WorkerProfile("perfect", 1.0, 1.0, 0.0, 1.0)


@dataclass(frozen=True)
class Ending:
    """What a pipeline has come to, without what may differ from run to run: ids, names, layout, times."""

    candidates: dict[tuple[str, str], tuple[str, str | None, str | None]]
    images: frozenset[str]
    asked: tuple[tuple[str, str], ...]
    # (SHA-256, wnid) → counting yes votes, counting no votes, decision.
    verdicts: dict[tuple[str, str], tuple[int, int, str]]


class Killer:
    """Runs commands in a project and kills each at random moments before it may end."""

    def __init__(self, project: Path, rng: random.Random, most_kills: int) -> None:
        self.project = project
        self.kills = 0
        self._rng = rng
        self._most_kills = most_kills

    def run(self, *command: str, longest: float) -> None:
        """Run a command until it has ended by itself; it is killed within `longest` seconds of its start."""
        for _ in range(self._most_kills):
            if self.disturbed(*command, longest=longest):
                return
        done(self.project, *command)

    def disturbed(self, *command: str, longest: float) -> bool:
        """Run a command and kill it; True if it had ended, as it should, before. Without kills it is let be."""
        if not self._most_kills:
            done(self.project, *command)
            return True
        running = start(self.project, *command)
        try:
            running.wait(self._rng.uniform(0.2, longest))
        except subprocess.TimeoutExpired:
            running.kill()
            self.kills += 1
        output, errors = running.communicate(timeout=PATIENCE)
        self._check_store()
        if running.returncode == -9:
            return False
        assert running.returncode == 0, output + errors
        return True

    def _check_store(self) -> None:
        """After a kill the store is whole, and no row names bytes that are not there."""
        with closing(sqlite3.connect(self.project / "store.sqlite3")) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
            named = {sha256 for (sha256,) in connection.execute("SELECT sha256 FROM images")}
        assert named <= stored_bytes(self.project)


def stored_bytes(project: Path) -> set[str]:
    return {path.name for path in (project / "images").rglob("*") if len(path.name) == 64}


@contextmanager
def picture_site(folder: Path, port: int) -> Iterator[str]:
    """The same pictures at the same addresses every time, with the same faults."""
    site, url = start_picture_site(
        port=port,
        seed=11,
        classes=WNIDS,
        per_class=FILES_PER_CLASS,
        truth=folder / "truth.jsonl",
        log=folder / "site.log",
    )
    with server(lambda: site):
        yield url


def make_project(folder: Path, url: str, wordnet_folder: Path) -> Path:
    project = empty_project(
        folder,
        wordnet={"folder": str(wordnet_folder)},
        # Gently, so that there is time to be killed in.
        crawl={"per_category": 60, "allow_addresses": [url.removeprefix("http://")], "host_delay": 0.03},
        wikimedia={"endpoint": f"{url}/w/api.php", "width": 330},
        marketplace=marketplace_settings(free_port()),
        verification={"page_size": 8, "controls": 0},
    )
    project.engine.dispose()
    done(folder, "synsets", "select", *WNIDS)
    return folder


def go(project: Path, truth_file: Path, killer: Killer) -> Ending:
    """Crawl, publish, have the crowd answer and aggregate, with whatever the killer does to it."""
    killer.run("crawl", longest=6)
    opened = find_project(project)
    port = int(opened.settings.marketplace.endpoint.rpartition(":")[2])
    truth = truth_of_questions(opened.engine, read_truth_file(truth_file))
    with served(project, "marketplace", "serve", port=port):
        killer.run("publish-hits", "--sandbox", longest=3)
        invited = done(project, "marketplace", "invite", "--count", str(WORKERS), "--json").document
        crowd = [SimulatedWorker(worker["url"], PERFECT) for worker in invited]
        names = truth_by_picture_name(opened.engine, truth)
        answering = Answering(crowd, names)
        answering.start()
        while answering.is_alive():
            killer.disturbed("aggregate", longest=2.5)
        answering.join()
        assert answering.failure is None, answering.failure
        killer.run("aggregate", longest=2.5)
        # The last run may have been the one that was killed after its last payment: once more, in peace.
        done(project, "aggregate")
        check_marketplace(project)
    ending = ending_of(project)
    assert {
        question: decision == "accepted" for question, (_, _, decision) in ending.verdicts.items()
    } == truth
    assert stored_bytes(project) >= set(ending.images)
    opened.engine.dispose()
    return ending


class Answering(threading.Thread):
    """The crowd at work, beside the pipeline."""

    def __init__(self, crowd: list[SimulatedWorker], names: dict[str, Shown]) -> None:
        super().__init__(daemon=True)
        self._crowd, self._names = crowd, names
        self.report: SimulationReport | None = None
        self.failure: Exception | None = None

    def run(self) -> None:
        try:
            self.report = asyncio.run(simulate(self._crowd, self._names.get, pace=0.02))
        except Exception as error:  # noqa: BLE001  It is raised in the test's own thread.
            self.failure = error


def check_marketplace(project: Path) -> None:
    """On the marketplace's side every page is there once, and every assignment is paid once."""
    opened = find_project(project)
    settings = opened.settings.marketplace
    asking = requester(opened, settings.endpoint)
    there = list(asking.find_by_annotation("imagenet-builder:"))
    assert len({hit.annotation for hit in there}) == len(there)
    with closing(sqlite3.connect(project / "store.sqlite3")) as connection:
        known = {key for (key,) in connection.execute("SELECT platform_hit_id FROM hits")}
        cost, assignments = connection.execute(
            "SELECT sum((reward_cents + fee_cents) * votes_wanted), sum(votes_wanted) FROM hits"
        ).fetchone()
        (rewards,) = connection.execute("SELECT sum(reward_cents * votes_wanted) FROM hits").fetchone()
        paid = connection.execute("SELECT count(*), sum(done_at IS NOT NULL) FROM outbox").fetchone()
    assert {hit.hit_id for hit in there} == known
    assert paid == (assignments, assignments)
    submitted = [assignment for hit in there for assignment in asking.assignments(hit.hit_id)]
    assert len(submitted) == len({one.assignment_id for one in submitted}) == assignments
    assert {one.status.value for one in submitted} == {"Approved"}
    assert asking.balance_cents() == settings.balance_cents - cost
    engine = database.open_engine(opened.store_url(settings.store))
    assert sum(worker.earned_cents for worker in people.list_workers(engine)) == rewards
    engine.dispose()
    opened.engine.dispose()


def ending_of(project: Path) -> Ending:
    with closing(sqlite3.connect(project / "store.sqlite3")) as connection:
        candidates = {
            (wnid, url): (state, reason, sha256)
            for wnid, url, state, reason, sha256 in connection.execute(
                "SELECT wnid, url, state, reason, sha256 FROM candidates"
            )
        }
        images = frozenset(sha256 for (sha256,) in connection.execute("SELECT sha256 FROM images"))
        asked = connection.execute(
            "SELECT sha256, wnid FROM hit_questions JOIN questions ON questions.id = question_id ORDER BY 1, 2"
        ).fetchall()
        verdicts = {
            (sha256, wnid): (yes, no, decision)
            for sha256, wnid, yes, no, decision in connection.execute(
                """SELECT sha256, wnid,
                     (SELECT count(*) FROM votes WHERE question_id = q.id AND counts AND answer = 'yes'),
                     (SELECT count(*) FROM votes WHERE question_id = q.id AND counts AND answer = 'no'), decision
                   FROM questions q JOIN verdicts v ON v.question_id = q.id WHERE final"""
            )
        }
    return Ending(candidates, images, tuple(asked), verdicts)


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, wordnet_folder: Path, port: int) -> Ending:
    """What the pipeline comes to when it is left alone."""
    folder = tmp_path_factory.mktemp("undisturbed")
    with picture_site(folder, port) as url:
        project = make_project(folder / "project", url, wordnet_folder)
        ending = go(project, folder / "truth.jsonl", Killer(project, random.Random(0), most_kills=0))
    assert {state for state, _, _ in ending.candidates.values()} == {"stored", "rejected", "failed"}
    assert {(yes, no) for yes, no, _ in ending.verdicts.values()} == {(3, 0), (0, 3)}
    return ending


@pytest.mark.parametrize("seed", range(4))
def test_a_pipeline_killed_at_random_ends_as_an_undisturbed_one(
    seed: int, undisturbed: Ending, tmp_path: Path, wordnet_folder: Path, port: int
) -> None:
    with picture_site(tmp_path, port) as url:
        project = make_project(tmp_path / "project", url, wordnet_folder)
        killer = Killer(project, random.Random(seed), MOST_KILLS)
        ending = go(project, tmp_path / "truth.jsonl", killer)
    assert killer.kills > 0
    assert ending.candidates == undisturbed.candidates
    assert ending.images == undisturbed.images
    assert ending.asked == undisturbed.asked
    assert ending.verdicts == undisturbed.verdicts
