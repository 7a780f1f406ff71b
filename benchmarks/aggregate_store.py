"""A store full of votes that nobody decided, and more votes for it: what benchmarks/aggregate.py runs on."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import sqlalchemy as sa

from hits import database
from hits.consensus import Votes
from imagenet_builder.store import tables

VOTES_A_TASK, WORKERS, PAGE, CONTROLS = 3, 5000, 42, 6
CATEGORIES = 1000
NEW_SHARE = 100
# Pages of a category, and categories that the marketplace lists at most (`hits.marketplace.offers.MOST_GROUPS`).
PAGES_A_CATEGORY, LISTED = 24, 200
# Simulated workers: how often they are right, and the median and the spread of their log-normal time on a page.
ACCURACY, PAGE_SECONDS, SPREAD = 0.8, 96.0, 0.5
NOW = datetime(2026, 1, 1, tzinfo=UTC)
# Of a picture, whichever it is.
PICTURE_COLUMNS = (
    *("sha256", "format", "mode", "width", "height", "byte_count", "orientation", "perceptual_hash"),
    "stored_at",
)


def fill(engine: sa.Engine, votes: Votes) -> None:
    """A store in which every vote has been collected and none decided; six controls a page, too."""
    n_tasks = votes.n_tasks
    pages = -(-n_tasks // PAGE)
    images = -(-n_tasks // CATEGORIES) + 2
    with database.writing(engine) as connection:
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql("PRAGMA defer_foreign_keys=ON")
        for rows in _rows_before_votes(n_tasks, pages, images):
            _insert(connection, *rows)
        said = np.array(["no", "yes"])[votes.label].tolist()
        page = (votes.task // PAGE).tolist()
        place = np.tile(np.arange(VOTES_A_TASK), n_tasks).tolist()
        _insert(
            connection,
            tables.votes,
            ("question_id", "assignment_id", "worker_id", "answer", "counts", "cast_at"),
            (
                (task + 1, VOTES_A_TASK * at + which + 1, worker + 1, answer, True, NOW)
                for task, at, which, worker, answer in zip(
                    votes.task.tolist(), page, place, votes.worker.tolist(), said, strict=True
                )
            ),
        )
        _insert(
            connection,
            tables.votes,
            ("question_id", "assignment_id", "worker_id", "answer", "counts", "cast_at"),
            (
                (
                    *(n_tasks + control + 1, VOTES_A_TASK * at + which + 1),
                    *((VOTES_A_TASK * at + which) % WORKERS + 1, "yes", False, NOW),
                )
                for at in range(pages)
                for which in range(VOTES_A_TASK)
                for control in range(CONTROLS)
            ),
        )
    maintain(engine)


def maintain(engine: sa.Engine) -> None:
    """What PostgreSQL's autovacuum does within a minute or so."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sa.text("VACUUM ANALYZE" if engine.dialect.name == "postgresql" else "ANALYZE"))


def _rows_before_votes(n_tasks: int, pages: int, images: int) -> Any:
    wnids = [f"n{number:08d}" for number in range(CATEGORIES)]
    yield (
        tables.categories,
        ("wnid", "sense_key", "name", "lemmas", "gloss", "position", "selected_at"),
        ((wnid, wnid, wnid, "[]", "", place, NOW) for place, wnid in enumerate(wnids)),
    )
    yield (
        tables.images,
        PICTURE_COLUMNS,
        ((f"{one:064x}", "JPEG", "RGB", 9, 9, 9, 1, 0, NOW) for one in range(images)),
    )
    yield (
        tables.questions,
        ("id", "sha256", "wnid", "asked_at"),
        (
            (one + 1, f"{one // CATEGORIES:064x}", wnids[one % CATEGORIES], NOW)
            for one in range(n_tasks + CONTROLS)
        ),
    )
    yield (
        tables.controls,
        ("question_id", "answer", "provenance", "labelled_at"),
        ((n_tasks + control + 1, "yes", "requester", NOW) for control in range(CONTROLS)),
    )
    columns = ("id", "wnid", "token", "endpoint", "live", "state", "votes_wanted", "rule", "reward_cents")
    yield (
        tables.hits,
        (*columns, "fee_cents", "intended_at", "platform_hit_id"),
        (
            (at + 1, wnids[0], f"t{at}", "e", False, "collected", 3, "majority", 1, 1, NOW, f"H{at}")
            for at in range(pages)
        ),
    )
    yield (
        tables.hit_questions,
        ("hit_id", "position", "question_id", "as_control", "picture_name"),
        ((one // PAGE + 1, one % PAGE, one + 1, False, f"p{one}") for one in range(n_tasks)),
    )
    yield (
        tables.workers,
        ("id", "endpoint", "platform_worker_id", "first_seen_at"),
        ((one + 1, "e", f"W{one}", NOW) for one in range(WORKERS)),
    )
    yield _assignments(range(VOTES_A_TASK * pages))


def _assignments(numbers: range, pages: int | None = None) -> Any:
    """Finished pages; those beyond the first three a page are of later votes."""
    columns = ("id", "hit_id", "worker_id", "platform_assignment_id", "status", "accepted_at", "submitted_at")
    return (
        tables.assignments,
        (*columns, "collected_at", "page_seconds", "controls_right", "controls_shown", "answer_xml"),
        (
            (
                *(one + 1, (one // VOTES_A_TASK if pages is None else one - pages) + 1, one % WORKERS + 1),
                *(f"A{one}", "Approved", NOW, NOW, NOW, PAGE_SECONDS, 6, 6, ""),
            )
            for one in numbers
        ),
    )


def _insert(connection: sa.Connection, table: sa.Table, columns: tuple[str, ...], rows: Any) -> None:
    """Insert many rows by the driver's own means."""
    driver: Any = connection.connection.driver_connection
    if connection.dialect.name == "postgresql":
        with driver.cursor().copy(f"COPY {table.name} ({', '.join(columns)}) FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)
        return
    places = ", ".join("?" * len(columns))
    moment = NOW.strftime("%Y-%m-%d %H:%M:%S.000000")
    plain = (tuple(moment if value is NOW else value for value in row) for row in rows)
    driver.executemany(f"INSERT INTO {table.name} ({', '.join(columns)}) VALUES ({places})", plain)


def add_votes(engine: sa.Engine, n_tasks: int) -> int:
    """One more vote on every question of 3 % of the pages: 1 % new votes."""
    pages = -(-n_tasks // PAGE)
    more = max(1, pages * VOTES_A_TASK // NEW_SHARE)
    first = VOTES_A_TASK * pages
    new = [
        (task + 1, first + at + 1, (WORKERS - 1 - at) % WORKERS + 1, "yes", True, NOW)
        for at in range(more)
        for task in range(PAGE * at, min(PAGE * (at + 1), n_tasks))
    ]
    with database.writing(engine) as connection:
        _insert(connection, *_assignments(range(first, first + more), first))
        already = {
            (row.question_id, row.worker_id)
            for row in connection.execute(
                sa.select(tables.votes.c.question_id, tables.votes.c.worker_id).where(
                    tables.votes.c.question_id <= PAGE * more
                )
            )
        }
        new = [row for row in new if (row[0], row[2]) not in already]
        columns = ("question_id", "assignment_id", "worker_id", "answer", "counts", "cast_at")
        _insert(connection, tables.votes, columns, new)
    return len(new)


@dataclass(frozen=True, slots=True)
class Batch:
    """Pages that were published together: the rows of the first question and the first HIT."""

    question: int
    hit: int


def publish_pages(engine: sa.Engine, more: int) -> Batch:
    """Publish pages of questions that nobody has voted on."""
    with database.writing(engine) as connection:
        batch = Batch(_next(connection, tables.questions), _next(connection, tables.hits))
        for rows in _more_pages(more, batch):
            _insert(connection, *rows)
    return batch


def collect(engine: sa.Engine, batch: Batch, handed_in: Sequence[tuple[int, int]], seed: int = 0) -> int:
    """Store the votes of assignments, (page of the batch, worker) in the order in which they were handed in.

    A page with all its assignments is closed. Workers are right in 80 % of cases. Returns how many votes these are.
    """
    generator = np.random.default_rng(seed)
    right = generator.random((len(handed_in), PAGE)) < ACCURACY
    page = np.array([page for page, _ in handed_in])
    truth = (batch.question + PAGE * page[:, None] + np.arange(PAGE)) % 5 < 2
    said = np.array(["no", "yes"])[(truth == right).astype(np.int64)].tolist()
    with database.writing(engine) as connection:
        first = _next(connection, tables.assignments)
        table, columns, plain = _assignments(range(first - 1, first - 1 + len(handed_in)))
        hit, worker = columns.index("hit_id"), columns.index("worker_id")
        rows = [list(row) for row in plain]
        for row, (which, who) in zip(rows, handed_in, strict=True):
            row[hit], row[worker] = batch.hit + which, who + 1
        _insert(connection, table, columns, map(tuple, rows))
        _insert(
            connection,
            tables.votes,
            ("question_id", "assignment_id", "worker_id", "answer", "counts", "cast_at"),
            (
                (batch.question + PAGE * which + one, first + at, who + 1, said[at][one], True, NOW)
                for at, (which, who) in enumerate(handed_in)
                for one in range(PAGE)
            ),
        )
        a, h = tables.assignments.c, tables.hits.c
        complete = sa.select(a.hit_id).group_by(a.hit_id).having(sa.func.count() == VOTES_A_TASK)
        closing = tables.hits.update().where(h.state == "published", h.id.in_(complete))
        connection.execute(closing.values(state="collected", collected_at=NOW))
    return PAGE * len(handed_in)


def add_pages(engine: sa.Engine, n_tasks: int) -> int:
    """The three votes of 1 % more pages, of questions that nobody had voted on."""
    more = max(1, -(-n_tasks // PAGE) // NEW_SHARE)
    whole = [(at // VOTES_A_TASK, at % WORKERS) for at in range(VOTES_A_TASK * more)]
    return collect(engine, publish_pages(engine, more), whole)


def hand_out(assignments: int, at_work: int, *, anywhere: bool, seed: int = 0) -> list[tuple[int, int]]:
    """Who hands in which page, in that order, where pages are handed out as the project's own marketplace does.

    A category's pages are handed out one after the other: a worker gets the first with an assignment left that she has
    not done, and has it for a log-normal time (`hits.marketplace.offers`). She goes on in a category as long as there
    is one, and begins with the first of the list, or `anywhere` in it.
    """
    generator = np.random.default_rng(seed)
    left = np.full(
        (-(-assignments // (VOTES_A_TASK * PAGES_A_CATEGORY)) + LISTED, PAGES_A_CATEGORY), VOTES_A_TASK
    )
    done = np.zeros((at_work, *left.shape), dtype=np.bool_)
    category = [-1] * at_work
    handed_in: list[tuple[int, int]] = []
    working: list[tuple[float, int, int | None]] = [(0.0, worker, None) for worker in range(at_work)]
    while len(handed_in) < assignments:
        now, worker, page = heapq.heappop(working)
        if page is not None:
            handed_in.append((page, worker))
        doable = (left > 0) & ~done[worker]
        if category[worker] < 0 or not doable[category[worker]].any():
            listed = np.flatnonzero(doable.any(axis=1))[:LISTED]
            category[worker] = int(generator.choice(listed) if anywhere else listed[0])
        place = int(np.argmax(doable[category[worker]]))
        left[category[worker], place] -= 1
        done[worker, category[worker], place] = True
        held = PAGE_SECONDS * generator.lognormal(0, SPREAD)
        heapq.heappush(working, (now + held, worker, PAGES_A_CATEGORY * category[worker] + place))
    return handed_in


def _next(connection: sa.Connection, table: sa.Table) -> int:
    """The row after the last."""
    return (connection.scalar(sa.select(sa.func.max(table.c.id))) or 0) + 1


def _more_pages(more: int, batch: Batch) -> Any:
    """Questions of a picture each and the pages that ask them."""
    asked = range(more * PAGE)
    yield (
        tables.images,
        PICTURE_COLUMNS,
        ((f"{batch.hit:x}-{one:x}", "JPEG", "RGB", 9, 9, 9, 1, 0, NOW) for one in asked),
    )
    yield (
        tables.questions,
        ("id", "sha256", "wnid", "asked_at"),
        ((batch.question + one, f"{batch.hit:x}-{one:x}", "n00000000", NOW) for one in asked),
    )
    columns = ("id", "wnid", "token", "endpoint", "live", "state", "votes_wanted", "rule")
    yield (
        tables.hits,
        (*columns, "reward_cents", "fee_cents", "intended_at", "platform_hit_id"),
        (
            (
                *(
                    batch.hit + at,
                    "n00000000",
                    f"more {batch.hit + at}",
                    "e",
                    False,
                    "published",
                    VOTES_A_TASK,
                ),
                *("majority", 1, 1, NOW, f"more {batch.hit + at}"),
            )
            for at in range(more)
        ),
    )
    yield (
        tables.hit_questions,
        ("hit_id", "position", "question_id", "as_control", "picture_name"),
        (
            (batch.hit + one // PAGE, one % PAGE, batch.question + one, False, f"more {batch.question + one}")
            for one in asked
        ),
    )
