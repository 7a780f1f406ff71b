"""Who gets no more work: decided from the answers, kept in the store, told to the platform as a qualification.

A soft block: its holders cannot accept new pages, see why, and are paid for what they did. One qualification type a
reason, because a type's name is what the worker site shows.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from hits import database
from hits.errors import RequestRefused
from hits.model import Exclusion
from hits.quality import Conduct, measure, verdict_on

from .errors import PublishError
from .store import workers as store
from .store.conduct import worker_votes
from .store.verdicts import JUDGED, latest_vote, move_watermark, watermark
from .store.workers import StandingExclusion, Worker

if TYPE_CHECKING:
    import sqlalchemy as sa

    from hits.requester import Requester

logger = logging.getLogger(__name__)

# A run looks at so many of the latest answers: what a worker does now decides about new work.
LATEST_ANSWERS = 100_000

NOT_ANY_MORE = (
    "all answers together give no reason any more to exclude worker %s: they count again; "
    "`imagenet-builder workers --readmit` lets the worker have new pages too"
)
AGAIN = "all answers together give a reason again to exclude worker %s: they do not count"

REASONS = {
    Exclusion.INACCURATE: "too many pictures whose answer is known were answered wrongly",
    Exclusion.TOO_FAST: "pages were answered faster than pictures can be looked at",
    Exclusion.SAME_ANSWER: "nearly every picture got the same answer",
    Exclusion.UNREADABLE: "pages were handed in whose answers cannot be read",
    Exclusion.REQUESTER: "the requester decided so",
}


@dataclass(frozen=True, slots=True)
class WorkerConduct:
    """A worker, what the answers show, and the exclusion that stands."""

    worker: Worker
    conduct: Conduct
    excluded: StandingExclusion | None


def type_name(project_name: str, reason: Exclusion) -> str:
    """The name of the qualification type that says why there is no more work."""
    return f"No more pages of {project_name}: {REASONS[reason]}"[:200]


def soft_block_types(requester: Requester, project_name: str) -> dict[Exclusion, str]:
    """The ids of the qualification types that keep workers from a project's pages, made if they are not there."""
    return {
        reason: requester.qualification_type(
            type_name(project_name, reason),
            "Who has this gets no new pages of this project. Work that was handed in is paid all the same.",
        )
        for reason in Exclusion
    }


def look_at_workers(connection: sa.Connection, *, after: int = 0, new_after: int = 0) -> list[WorkerConduct]:
    """What the pages stored after the vote `after` show of each worker, most answers first.

    Only of workers with pages after the vote `new_after`.
    """
    found, conducts = _measured(connection, after, new_after)
    known = store.workers_by_id(connection)
    standing = {one.worker.id: one for one in store.standing_exclusions(connection)}
    lines = [
        WorkerConduct(known[row], conduct, standing.get(row))
        for row, conduct in zip(found, conducts, strict=True)
    ]
    return sorted(lines, key=lambda line: (-line.conduct.votes, line.worker.id))


def _measured(
    connection: sa.Connection, after: int, new_after: int, *, suspects: bool = False
) -> tuple[list[int], list[Conduct]]:
    """The conduct of the workers with pages after the vote `new_after`, or of the suspects among them; their rows."""
    found = worker_votes(connection, after=after, new_after=new_after)
    conducts = measure(
        found.votes, found.pages, found.repeats, unreadable=found.unreadable, suspects=suspects
    )
    return [int(found.ids[one.worker]) for one in conducts], conducts


def review(engine: sa.Engine, now: datetime, *, after: int = 0, everyone: bool = False) -> int:
    """Exclude the workers whose latest answers give a reason; returns how many.

    Where there are more answers than these, only who handed in a page after the vote `after` is judged by them, and
    only with `everyone` all workers are by all answers too. Who was ever excluded is left as she is: an exclusion
    that the requester took back is not decided again.
    """
    excluded = 0
    with database.reading(engine) as connection:
        latest = latest_vote(connection) - LATEST_ANSWERS
        reasons = _reasons(connection, latest, max(latest, after)) if latest > 0 else {}
    if reasons:
        excluded += _exclude(engine, reasons, now)
    if everyone or latest <= 0:
        excluded += review_by_all_votes(engine, now)
    return excluded


def review_by_all_votes(engine: sa.Engine, now: datetime) -> int:
    """Exclude the workers against whom all their answers speak; returns how many.

    Of exclusions that stand, other than the requester's, it is written down whether all answers still give a reason:
    whose votes final verdicts leave out depends on no earlier look, at which others had answered less.
    """
    with database.reading(engine) as connection:
        seen = latest_vote(connection)
        reasons = _reasons(connection, 0, 0)
        standing = store.standing_exclusions(connection)
    changed = [
        one
        for one in standing
        if one.reason is not Exclusion.REQUESTER and one.unfounded is (one.worker.id in reasons)
    ]
    for one in changed:
        logger.warning(AGAIN if one.unfounded else NOT_ANY_MORE, one.worker.platform_worker_id)
    excluded = _exclude(engine, reasons, now)
    with database.writing(engine) as connection:
        for one in changed:
            store.record_unfounded(connection, one.id, unfounded=not one.unfounded)
        # Last: what a killed run left undone is looked at again.
        move_watermark(connection, seen, now, JUDGED)
    return excluded


def review_unseen_votes(engine: sa.Engine, now: datetime) -> int:
    """As `review_by_all_votes`, if there are votes that it has not seen."""
    with database.reading(engine) as connection:
        if watermark(connection, JUDGED) == latest_vote(connection):
            return 0
    return review_by_all_votes(engine, now)


def _reasons(connection: sa.Connection, after: int, new_after: int) -> dict[int, tuple[Exclusion, str]]:
    """Why workers with pages after the vote `new_after` should get no more work, by votes after `after`."""
    workers, conducts = _measured(connection, after, new_after, suspects=True)
    every = zip(workers, map(verdict_on, conducts), strict=True)
    return {worker: why for worker, why in every if why is not None}


def _exclude(engine: sa.Engine, reasons: Mapping[int, tuple[Exclusion, str]], now: datetime) -> int:
    """Exclude the workers with reasons who never were; returns how many."""
    with database.reading(engine) as connection:
        left = store.ever_excluded(connection)
        found = [(worker, *why) for worker, why in reasons.items() if worker not in left]
        known = store.workers_by_id(connection) if found else {}
    for worker, _, words in found:
        logger.warning("worker %s gets no more work: %s", known[worker].platform_worker_id, words)
    if found:
        with database.writing(engine) as connection:
            store.exclude(connection, found, now)
    return len(found)


def tell(engine: sa.Engine, requester: Requester, project_name: str, endpoint: str, now: datetime) -> int:
    """Tell an endpoint of exclusions, and of their end, that it does not know; returns how many were told.

    Giving a qualification twice changes nothing, so that a run that was killed in between is simply repeated.
    """
    with database.reading(engine) as connection:
        untold = store.to_tell(connection, endpoint)
    if not untold:
        return 0
    types = soft_block_types(requester, project_name)
    told = 0
    for one in untold:
        worker = one.worker.platform_worker_id
        try:
            if one.lifted:
                requester.disqualify(types[one.reason], worker, "You can take pages again.")
            else:
                requester.qualify(types[one.reason], worker)
                requester.notify(worker, _subject(project_name), _message(one))
        except RequestRefused as error:
            logger.warning("%s could not be told about worker %s: %s", endpoint, worker, error)
            continue
        with database.writing(engine) as connection:
            store.record_told(connection, one, now)
        told += 1
    return told


def _subject(project_name: str) -> str:
    return f"No more pages of {project_name}"[:200]


def _message(one: StandingExclusion) -> str:
    return (
        f"You get no new pages of this project, because {REASONS[one.reason]}: {one.detail.rstrip('.')}. "
        "What you handed in is paid all the same. If you think this is wrong, write to the requester."
    )


def exclude(engine: sa.Engine, platform_worker_id: str, detail: str, now: datetime) -> None:
    """Let a worker get no more work because the requester says so. Raises PublishError for an unknown worker."""
    with database.writing(engine) as connection:
        found = [(one.id, Exclusion.REQUESTER, detail) for one in _named(connection, platform_worker_id)]
        if not store.exclude(connection, found, now):
            raise PublishError(f"worker {platform_worker_id} is excluded already")


def readmit(engine: sa.Engine, platform_worker_id: str, now: datetime) -> None:
    """Take exclusions of a worker back. Raises PublishError for one who is unknown or not excluded."""
    with database.writing(engine) as connection:
        lifted = [store.lift(connection, one.id, now) for one in _named(connection, platform_worker_id)]
        if not any(lifted):
            raise PublishError(f"worker {platform_worker_id} is not excluded")


def _named(connection: sa.Connection, platform_worker_id: str) -> list[Worker]:
    every = store.workers_by_id(connection).values()
    named = [one for one in every if one.platform_worker_id == platform_worker_id]
    if not named:
        raise PublishError(f"no worker {platform_worker_id} has answered; see `imagenet-builder workers`")
    return named
