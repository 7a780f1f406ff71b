"""Simulated workers: they use the worker site over HTTP as people do, with errors, haste and bad faith."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal

from .errors import SimulationError
from .model import Answer, Cell, CellAnswer, PageAnswers
from .page import manifest
from .worker_site import Visit

Shown = bool | Literal["sibling"]
"""Whether a picture shows the page's concept; "sibling" for one that shows something near to it instead."""

# Truth tells what a picture shows, by its cell's name; None if nobody knows.
Truth = Callable[[str], Shown | None]

DWELL_SPREAD = 0.3
SIBLINGS_AMONG_WRONG = 0.3


@dataclass(frozen=True, slots=True)
class WorkerProfile:
    """How one kind of worker answers.

    `yes_accuracy` is P(yes | the picture shows it), `no_accuracy` P(no | it does not), `sibling_accuracy` P(no | it
    shows a sibling), as `no_accuracy` if None; all for the answers that are not unsure. `always` overrides them.
    `seconds_per_picture` is a mean.
    """

    name: str
    yes_accuracy: float
    no_accuracy: float
    unsure_rate: float
    seconds_per_picture: float
    always: Answer | None = None
    sibling_accuracy: float | None = None

    def is_right(self, shown: Shown) -> float:
        """P(the answer is right) for a picture that shows this."""
        if shown == "sibling":
            return self.no_accuracy if self.sibling_accuracy is None else self.sibling_accuracy
        return self.yes_accuracy if shown else self.no_accuracy


CAREFUL = WorkerProfile("careful", 0.96, 0.98, 0.02, 2.0)
HURRIED = WorkerProfile("hurried", 0.85, 0.92, 0.01, 0.9)
CONFUSED = WorkerProfile("confused-by-siblings", 0.94, 0.96, 0.03, 1.6, sibling_accuracy=0.3)
RANDOM = WorkerProfile("random", 0.5, 0.5, 0.0, 0.4)
ALWAYS_YES = WorkerProfile("always-yes", 1.0, 0.0, 0.0, 0.3, always=Answer.YES)
PROFILES: Mapping[str, WorkerProfile] = {
    profile.name: profile for profile in (CAREFUL, HURRIED, CONFUSED, RANDOM, ALWAYS_YES)
}


@dataclass(frozen=True, slots=True)
class SimulatedWorker:
    """A worker who was invited, and how it will behave."""

    invitation_url: str
    profile: WorkerProfile


@dataclass(frozen=True, slots=True)
class SimulationReport:
    """What a simulated crowd did: pages submitted (in all and by worker), pages submitted too late, answers.

    `seconds` is how long the simulation took; `worked_seconds` what all workers together would have spent at pages,
    `span_seconds` the time from the first one's arrival to the last page, had they gone at their own pace.
    """

    pages: int
    pages_by_worker: tuple[int, ...]
    late: int
    answers: dict[Answer, int]
    seconds: float
    worked_seconds: float
    span_seconds: float


async def simulate(
    workers: Sequence[SimulatedWorker],
    truth: Truth,
    *,
    seed: int = 0,
    max_pages: int | None = None,
    assumed_yield: float = 0.5,
    arrivals_an_hour: float | None = None,
    pace: float = 0.0,
    concurrency: int = 4,
    picture_sample: float = 1.0,
    progress: Callable[[int], None] | None = None,
) -> SimulationReport:
    """Let `workers` answer pages until none is offered to any of them, or `max_pages` were begun in all.

    Where `truth` knows nothing, a picture shows the concept with probability `assumed_yield`, and three in ten of the
    others show a sibling. What a worker says of a picture depends on the seed, the worker's place and the
    picture's name alone. A share `picture_sample` of the pictures is really fetched, and one that does not load is
    answered "broken". Workers come one after the other at random times, `arrivals_an_hour` on average, or all at
    once; they stay at a page for a time drawn around their profile's. Both times are slept `pace` times over:
    not at all by default. `concurrency` workers talk to the site at once, taking turns after each page; one
    who submits too late stops. `progress` is called with the number of pages submitted so far. Raises
    SimulationError when the site is not reached or behaves otherwise than its contract.
    """
    crowd = _Crowd(truth, seed, max_pages, assumed_yield, pace, picture_sample, concurrency, progress)
    begun = time.monotonic()
    tasks = [
        asyncio.create_task(crowd.work(place, worker, arrival))
        for place, (worker, arrival) in enumerate(
            zip(workers, _arrivals(len(workers), arrivals_an_hour, seed), strict=True)
        )
    ]
    try:
        pages = await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return SimulationReport(
        pages=sum(pages),
        pages_by_worker=tuple(pages),
        late=crowd.late,
        answers={answer: crowd.answers[answer] for answer in Answer},
        seconds=time.monotonic() - begun,
        worked_seconds=crowd.worked_seconds,
        span_seconds=crowd.span_seconds,
    )


def _arrivals(count: int, an_hour: float | None, seed: int) -> list[float]:
    """When each of `count` workers comes, in seconds after the first: a Poisson process."""
    if an_hour is None:
        return [0.0] * count
    draws = random.Random(f"{seed}:arrivals")
    return list(accumulate((draws.expovariate(an_hour / 3600) for _ in range(1, count)), initial=0.0))[:count]


class _Crowd:
    """What the workers of one simulation share."""

    def __init__(
        self,
        truth: Truth,
        seed: int,
        max_pages: int | None,
        assumed_yield: float,
        pace: float,
        picture_sample: float,
        concurrency: int,
        progress: Callable[[int], None] | None,
    ) -> None:
        self.truth = truth
        self.seed = seed
        self.pages_left = max_pages
        self.assumed_yield = assumed_yield
        self.pace = pace
        self.picture_sample = picture_sample
        self.turns = asyncio.Semaphore(concurrency)
        self.answers: Counter[Answer] = Counter()
        self.progress = progress
        self.submitted = 0
        self.late = 0
        self.worked_seconds = 0.0
        self.span_seconds = 0.0

    async def work(self, place: int, worker: SimulatedWorker, arrival: float) -> int:
        """One worker's day from `arrival` on, in seconds; returns the number of pages submitted in time."""
        pages = 0
        moment = arrival
        await asyncio.sleep(self.pace * arrival)
        async with Visit.of(worker.invitation_url) as visit:
            async with self.turns:
                await visit.sign_in()
            while self._begin_page():
                async with self.turns:
                    frame_url = await visit.take_page(random.Random(f"{self.seed}:{place}:{pages}"))
                    if frame_url is None:
                        self._give_back_page()
                        break
                    cells = _cells(await visit.read(frame_url))
                    broken = await self._broken(visit, cells)
                answers = self._answers(place, worker.profile, cells, broken)
                dwelt = answers.seconds or 0.0
                await asyncio.sleep(self.pace * dwelt)
                async with self.turns:
                    in_time = await visit.submit(frame_url, answers)
                if not in_time:
                    # Too slow for this page is too slow for the next of its kind.
                    self.late += 1
                    break
                pages += 1
                self.submitted += 1
                if self.progress is not None:
                    self.progress(self.submitted)
                moment += dwelt
                self.worked_seconds += dwelt
                self.span_seconds = max(self.span_seconds, moment)
                self.answers.update(cell.answer for cell in answers.cells)
        return pages

    def _begin_page(self) -> bool:
        """Take one page from those that may still be begun."""
        if self.pages_left is None:
            return True
        if self.pages_left == 0:
            return False
        self.pages_left -= 1
        return True

    def _give_back_page(self) -> None:
        if self.pages_left is not None:
            self.pages_left += 1

    async def _broken(self, visit: Visit, cells: Sequence[Cell]) -> set[str]:
        """The names of those of the fetched pictures that did not load."""
        fetched = [cell for cell in cells if self._draws("fetch", cell).random() < self.picture_sample]
        loaded = await asyncio.gather(*(visit.loads(cell.picture_url) for cell in fetched))
        return {cell.name for cell, loads in zip(fetched, loaded, strict=True) if not loads}

    def _answers(
        self, place: int, profile: WorkerProfile, cells: Sequence[Cell], broken: set[str]
    ) -> PageAnswers:
        said = tuple(
            CellAnswer(
                cell.name, Answer.BROKEN if cell.name in broken else self._answer(place, profile, cell)
            )
            for cell in cells
        )
        spread = self._draws(place, cells[0]).lognormvariate(0.0, DWELL_SPREAD)
        return PageAnswers(said, round(len(cells) * profile.seconds_per_picture * spread, 1))

    def _answer(self, place: int, profile: WorkerProfile, cell: Cell) -> Answer:
        draws = self._draws(place, cell)
        if profile.always is not None:
            return profile.always
        if draws.random() < profile.unsure_rate:
            return Answer.UNSURE
        shown = self.truth(cell.name)
        if shown is None:
            shown = self._assumed(cell)
        right = draws.random() < profile.is_right(shown)
        return Answer.YES if right == (shown is True) else Answer.NO

    def _assumed(self, cell: Cell) -> Shown:
        """What a picture shows of which nobody knows it: the same for all workers."""
        draws = self._draws("truth", cell)
        if draws.random() < self.assumed_yield:
            return True
        return "sibling" if draws.random() < SIBLINGS_AMONG_WRONG else False

    def _draws(self, purpose: object, cell: Cell) -> random.Random:
        """A generator of its own for each purpose and picture: the order of requests then changes no answer."""
        return random.Random(f"{self.seed}:{purpose}:{cell.name}")


def _cells(document: str) -> tuple[Cell, ...]:
    try:
        return manifest(document).cells
    except ValueError as error:
        raise SimulationError(f"simulated workers can only answer verification pages: {error}") from error
