"""What workers answered, and how fast: read as arrays, for `hits.quality` to measure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from hits.consensus import NO, UNKNOWN, YES, Votes
from hits.model import Answer
from hits.quality import Pages
from imagenet_builder.verdicts import LABEL_OF_ANSWER, UNSAID

from .columns import integer, one_of, read_columns, read_numbers, read_whole
from .tables import assignments, controls, votes
from .verdicts import coded

Integers = NDArray[np.int64]

# A vote is read as one number, because each column costs an engine as much as finding the row: whether it counts, and
# from these bits on the answer, the page and the question. There is room for 2²⁸ pages and 2³¹ questions.
ANSWER, PAGE, QUESTION = 1, 4, 32


@dataclass(frozen=True, slots=True, eq=False)
class WorkerVotes:
    """What `hits.quality.measure` takes: worker `i` of its arrays is the row `ids[i]`, a higher number somebody else.

    `unreadable` counts each worker's pages without votes because they cannot be read.
    """

    ids: Integers
    votes: Votes
    pages: Pages
    repeats: Integers
    unreadable: Integers


@dataclass(frozen=True, slots=True, eq=False)
class _Answers:
    """Votes in the order in which they were stored; the answer by its place in ANSWERS."""

    question: Integers
    page: Integers
    answer: Integers
    counts: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class _FinishedPages:
    """Pages that were handed in, ascending by their row: whose, in which time, and which cannot be read."""

    row: Integers
    worker: Integers
    seconds: NDArray[np.float64]
    unreadable: NDArray[np.bool_]


def worker_votes(connection: sa.Connection, *, after: int = 0, new_after: int = 0) -> WorkerVotes:
    """What the workers with a page after the vote `new_after` answered after the vote `after`, and in which time.

    With that, what others said in votes that count: their controls and repeats tell nothing of anybody else. A page
    that cannot be read is after a vote if it is after the page of that vote.
    """
    split = max(after, new_after)
    latest = _packed(connection, after=split)
    ids = _workers_of(connection, _unpacked(latest).page, page_of(connection, split))
    answers = _unpacked(np.concatenate([_packed(connection, after=after, until=split, of=ids), latest]))
    before = page_of(connection, after)
    finished = _finished_pages(connection, ids, int(answers.page.min(initial=before + 1)))
    whose = np.searchsorted(ids, finished.worker)
    place, pictures = _placed(answers.page, finished.row)
    worker = np.append(whose, ids.size)[place]
    # Mostly in order, which only a stable sort gains from: the index is asked for because it takes one.
    questions, _, task = np.unique(answers.question, return_index=True, return_inverse=True)
    known = _known(connection, questions)
    repeated = ~answers.counts & (known[task] == UNKNOWN)
    label = LABEL_OF_ANSWER[answers.answer]
    kept = ~repeated & (label != UNSAID)
    answered = pictures > 0
    return WorkerVotes(
        ids,
        Votes(task[kept], worker[kept], label[kept], n_tasks=questions.size, known=known),
        Pages(whose[answered], finished.seconds[answered] / pictures[answered]),
        np.bincount(worker[repeated], minlength=ids.size),
        np.bincount(whose[finished.unreadable & (finished.row > before)], minlength=ids.size),
    )


def unreadable_since(connection: sa.Connection, vote: int) -> bool:
    """Whether pages that cannot be read were stored after the page of this vote."""
    a = assignments.c
    stored = sa.select(a.id).where(a.unreadable.is_not(None), a.id > page_of(connection, vote))
    return connection.scalar(stored.limit(1)) is not None


def page_of(connection: sa.Connection, vote: int) -> int:
    """The page of the last vote up to this row, 0 without one: pages and their votes are stored in one order."""
    latest = sa.select(votes.c.assignment_id).where(votes.c.id <= vote).order_by(votes.c.id.desc()).limit(1)
    return connection.scalar(latest) or 0


def _packed(
    connection: sa.Connection, *, after: int, until: int | None = None, of: Integers | None = None
) -> Integers:
    """The votes after a row, a number each; of others than these workers only those that count."""
    v = votes.c
    place = v.question_id * 2 ** (QUESTION - PAGE) + v.assignment_id
    rows = sa.select(place * 2**PAGE + coded(v.answer) * 2**ANSWER + sa.case((v.counts, 1), else_=0))
    if of is not None:
        rows = rows.where(sa.or_(v.counts, one_of(connection, v.worker_id, of)))
    (packed,) = read_numbers(connection, rows, v.id, after=after, until=until)
    return packed


def _unpacked(packed: Integers) -> _Answers:
    page, answer = (packed & (2**QUESTION - 1)) >> PAGE, (packed & (2**PAGE - 1)) >> ANSWER
    return _Answers(packed >> QUESTION, page, answer, packed & 1 > 0)


def _workers_of(connection: sa.Connection, page: Integers, after: int) -> Integers:
    """The workers, ascending, of these pages, and of those after the row `after` that cannot be read."""
    a = assignments.c
    rows = sa.select(integer(a.id), integer(a.worker_id), _broken())
    row, worker, unreadable = read_whole(connection, rows.where(a.id >= int(page.min(initial=after + 1))))
    return np.unique(worker[np.isin(row, page) | ((unreadable > 0) & (row > after))])


def _broken() -> sa.ColumnElement[int]:
    """1 for a page that cannot be read, 0 for others."""
    return integer(sa.case((assignments.c.unreadable.is_not(None), 1), else_=0))


def _placed(page: Integers, finished: Integers) -> tuple[Integers, Integers]:
    """Each vote's place among the finished pages (ascending), or their number without one; how many each page has."""
    # Votes mostly lie page by page.
    starts = np.flatnonzero(np.diff(page, prepend=-1))
    length = np.diff(starts, append=page.size)
    place = np.searchsorted(finished, page[starts])
    place[~np.isin(page[starts], finished)] = finished.size
    number = np.bincount(place, length, finished.size + 1).astype(np.int64)
    return np.repeat(place, length), number[:-1]


def _known(connection: sa.Connection, question: Integers) -> Integers:
    """The label of each question (ascending) that is a control, UNKNOWN elsewhere."""
    # Of the labels a control has only these two.
    label = sa.case((controls.c.answer == Answer.YES, YES), else_=NO)
    control, truth = read_whole(connection, sa.select(integer(controls.c.question_id), integer(label)))
    known = np.full(question.size, UNKNOWN, dtype=np.int64)
    _, asked, chosen = np.intersect1d(question, control, assume_unique=True, return_indices=True)
    known[asked] = truth[chosen]
    return known


def _finished_pages(connection: sa.Connection, of: Integers, first: int) -> _FinishedPages:
    """The pages of workers from the row `first` on; their time by their own clock, or from accepting to submitting."""
    a = assignments.c
    own_clock = sa.cast(sa.func.coalesce(a.page_seconds, -1.0), sa.Double)
    columns = (integer(a.id), integer(a.worker_id), _broken(), own_clock)
    rows = sa.select(*columns).where(a.id >= first, one_of(connection, a.worker_id, of)).order_by(a.id)
    row, worker, unreadable, seconds = read_columns(connection, rows, "iiif")
    row, worker, seconds = row.astype(np.int64), worker.astype(np.int64), seconds.astype(np.float64)
    untimed = seconds < 0
    if untimed.any():
        held = _held(connection, first)
        seconds[untimed] = [held[one] for one in row[untimed].tolist()]
    # No time at all says that nobody measured it, and less than none that a clock was set back.
    seconds[untimed & (seconds <= 0)] = np.nan
    return _FinishedPages(row, worker, seconds, unreadable > 0)


def _held(connection: sa.Connection, first: int) -> dict[int, float]:
    """For how many seconds their workers had the pages that have no clock of their own, from the row `first` on."""
    a = assignments.c
    rows = connection.execute(
        sa.select(a.id, a.accepted_at, a.submitted_at).where(a.id >= first, a.page_seconds.is_(None))
    )
    return {row.id: (row.submitted_at - row.accepted_at).total_seconds() for row in rows}
