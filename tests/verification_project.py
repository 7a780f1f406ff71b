"""A project with stored pictures whose truth is known, beside a real marketplace that shows them."""

from __future__ import annotations

import asyncio
import colorsys
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from aiohttp import web

from hits import database
from hits.answers import compose
from hits.marketplace import people, working
from hits.marketplace.settings import utc_now
from hits.marketplace.site.visits import MARKETPLACE
from hits.model import Answer, CellAnswer, PageAnswers
from hits.simulation import SimulatedWorker, SimulationReport, WorkerProfile, simulate
from imagenet_builder import pictures
from imagenet_builder.marketplace_keys import MarketplaceKeys, write_keys
from imagenet_builder.project import Project
from imagenet_builder.simulating import truth_by_picture_name
from imagenet_builder.store import tables

from .builder_store import NOW, add_categories, empty_project
from .marketplace_server import RunningMarketplace, running_marketplace

DOG, UMBRELLA = "n02084071", "n04507155"
PERFECT = WorkerProfile("perfect", 1.0, 1.0, 0.0, 1.0)


@dataclass(frozen=True)
class Verification:
    """A project, its marketplace, and what its pictures show: (sha256, wnid) → whether it is the category."""

    project: Project
    marketplace: RunningMarketplace
    truth: dict[tuple[str, str], bool]

    def rows(self, statement: sa.Select[Any]) -> list[tuple[Any, ...]]:
        with database.reading(self.project.engine) as connection:
            return [tuple(row) for row in connection.execute(statement)]

    def count(self, table: sa.Table, *conditions: sa.ColumnElement[bool]) -> int:
        counted = sa.select(sa.func.count()).select_from(table).where(*conditions)
        return int(self.rows(counted)[0][0])

    def crowd_answers(
        self,
        workers: int = 3,
        profile: WorkerProfile = PERFECT,
        *,
        first: int = 1,
        max_pages: int | None = None,
    ) -> SimulationReport:
        """Workers who know the truth answer whatever is offered, through the worker site."""
        names = truth_by_picture_name(self.project.engine, self.truth)
        crowd = [
            SimulatedWorker(self.marketplace.invite(f"worker {number}"), profile)
            for number in range(first, first + workers)
        ]
        return asyncio.run(simulate(crowd, names.get, max_pages=max_pages))

    def pages(self) -> dict[str, dict[str, tuple[str, str]]]:
        """Platform HIT id → picture name → (sha256, wnid)."""
        shown: dict[str, dict[str, tuple[str, str]]] = {}
        statement = (
            sa.select(
                tables.hits.c.platform_hit_id,
                tables.hit_questions.c.picture_name,
                tables.questions.c.sha256,
                tables.questions.c.wnid,
            )
            .select_from(tables.hits.join(tables.hit_questions).join(tables.questions))
            .order_by(tables.hits.c.id, tables.hit_questions.c.position)
        )
        for hit_id, name, sha256, wnid in self.rows(statement):
            shown.setdefault(hit_id, {})[name] = (sha256, wnid)
        return shown

    def submit(
        self,
        worker: str,
        hit_id: str,
        said: Answer | Mapping[str, Answer] | Iterable[tuple[str, str]],
        *,
        at: datetime | None = None,
    ) -> str:
        """One worker submits one page: one answer to all, answers by picture name, or raw form fields.

        Returns the assignment's id.
        """
        engine = self.marketplace.engine
        worker_id = people.invite(engine, worker).worker_id
        now = at or utc_now()
        assignment_id = working.accept(engine, hit_id, worker_id, 100, now)
        if isinstance(said, Answer):
            said = dict.fromkeys(self.pages()[hit_id], said)
        if isinstance(said, Mapping):
            cells = tuple(CellAnswer(name, answer) for name, answer in said.items())
            said = list(compose(PageAnswers(cells, 12.0)).items())
        working.submit(engine, assignment_id, said, now, worker_id)
        return assignment_id


@contextmanager
def verification(
    folder: Path,
    wordnet_folder: Path,
    pictures_of: Mapping[str, int],
    *,
    endpoint: Callable[[str], str] = lambda url: url,
    store_url: str | None = None,
    balance_cents: int = 1_000_000,
    clock: Callable[[], datetime] = utc_now,
    **sections: dict[str, object],
) -> Iterator[Verification]:
    """A project with so many pictures a category; every other picture shows its category, the rest do not.

    `endpoint` may put something between the project and the marketplace at the address it is given.
    """
    made: list[Project] = []

    def mount(app: web.Application) -> None:
        url = app[MARKETPLACE].settings.public_url
        settings: dict[str, dict[str, object]] = {
            "wordnet": {"folder": str(wordnet_folder)},
            "marketplace": {
                "endpoint": endpoint(url),
                "public_url": url,
                "frame_url": app[MARKETPLACE].settings.frame_url,
                "pictures_url": f"{url}/pictures",
            },
            **({"store": {"url": store_url}} if store_url else {}),
        }
        for name, section in sections.items():
            settings[name] = {**settings.get(name, {}), **section}
        made.append(empty_project(folder / "project", **settings))
        app.add_subapp("/pictures/", pictures.create_app(made[0]))

    with running_marketplace(folder, mount=mount, balance_cents=balance_cents, clock=clock) as marketplace:
        project = made[0]
        add_categories(project, *pictures_of)
        keys = marketplace.keys
        write_keys(
            project,
            MarketplaceKeys(project.settings.marketplace.endpoint, keys.access_key, keys.secret_key),
        )
        truth: dict[tuple[str, str], bool] = {}
        for place, (wnid, number) in enumerate(pictures_of.items()):
            truth.update(add_pictures(project, wnid, range(1000 * place, 1000 * place + number)))
        try:
            yield Verification(project, marketplace, truth)
        finally:
            project.engine.dispose()


def add_pictures(project: Project, wnid: str, numbers: Sequence[int]) -> dict[tuple[str, str], bool]:
    """Store a picture a number as crawled for a category; even ones show it."""
    shas = {number: project.images.put(drawn(number)) for number in numbers}
    with database.writing(project.engine) as connection:
        query_id = connection.execute(
            tables.queries.insert()
            .values(
                wnid=wnid,
                source="folder",
                words=f"{wnid} {numbers[0]}",
                language="en",
                exhausted=True,
                found=len(numbers),
                known=0,
            )
            .returning(tables.queries.c.id)
        ).scalar_one()
        connection.execute(tables.images.insert(), [_image(sha256) for sha256 in shas.values()])
        connection.execute(
            tables.candidates.insert(),
            [_candidate(wnid, query_id, number, sha256) for number, sha256 in shas.items()],
        )
    return {(sha256, wnid): number % 2 == 0 for number, sha256 in shas.items()}


def drawn(number: int) -> bytes:
    """A small JPEG of its own colour."""
    from PIL import Image

    red, green, blue = colorsys.hsv_to_rgb(number * 0.618 % 1, 0.5 + number % 50 / 100, 0.9)
    picture = Image.new("RGB", (48, 36), (int(255 * red), int(255 * green), int(255 * blue)))
    picture.putpixel((0, 0), (number % 256, number // 256, 0))
    written = io.BytesIO()
    picture.save(written, "JPEG", quality=95, comment=str(number).encode())
    return written.getvalue()


def _image(sha256: str) -> dict[str, object]:
    return {
        "sha256": sha256,
        "format": "JPEG",
        "mode": "RGB",
        "width": 48,
        "height": 36,
        "byte_count": 900,
        "orientation": 1,
        "perceptual_hash": 0,
        "stored_at": NOW,
    }


def _candidate(wnid: str, query_id: int, number: int, sha256: str) -> dict[str, object]:
    return {
        "wnid": wnid,
        "url": f"https://pictures.example.org/{number}.jpg",
        "query_id": query_id,
        "source": "folder",
        "rank": number,
        "found_at": NOW,
        "ended_at": NOW,
        "state": "stored",
        "retryable": False,
        "attempts": 1,
        "sha256": sha256,
    }
