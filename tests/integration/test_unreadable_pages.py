"""Workers who hand in pages that cannot be read, which have no votes: seen, paid, told why, kept from new pages."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from hits import database
from hits.marketplace import people
from hits.marketplace.settings import utc_now
from hits.marketplace.working import CannotAccept
from hits.model import Answer, Exclusion
from imagenet_builder import excluded_workers
from imagenet_builder.aggregate import aggregate
from imagenet_builder.publish import publish
from imagenet_builder.store import tables
from imagenet_builder.store.conduct import worker_votes
from imagenet_builder.store.verdicts import latest_vote
from tests import command
from tests.marketplace_worker import SiteWorker
from tests.verification_project import DOG, Verification, add_pictures, verification

BROKEN = [("something", "else")]
SHOWN_REASON = "pages were handed in whose answers cannot be read"


@pytest.fixture
def asked(tmp_path: Path, wordnet_folder: Path, store_url: str) -> Iterator[Verification]:
    """Four pages of six pictures each, which nobody has answered."""
    verifying: dict[str, object] = {"page_size": 6, "controls": 0}
    with verification(
        tmp_path, wordnet_folder, {DOG: 24}, store_url=store_url, verification=verifying
    ) as made:
        publish(made.project)
        yield made


def worker_id(made: Verification, pseudonym: str) -> str:
    return people.invite(made.marketplace.engine, pseudonym).worker_id


def answer_rightly(made: Verification, worker: str, hit_id: str) -> None:
    shown = made.pages()[hit_id].items()
    made.submit(
        worker, hit_id, {name: Answer.YES if made.truth[picture] else Answer.NO for name, picture in shown}
    )


def excluded(made: Verification) -> list[tuple[str, str, str]]:
    named = sa.select(
        tables.workers.c.platform_worker_id, tables.exclusions.c.reason, tables.exclusions.c.detail
    ).select_from(tables.exclusions.join(tables.workers))
    return [(worker, reason, detail) for worker, reason, detail in made.rows(named)]


def test_three_broken_pages_and_no_vote_in_the_store_are_paid_and_the_last(asked: Verification) -> None:
    for hit_id in list(asked.pages())[:3]:
        asked.submit("dora", hit_id, BROKEN)
    report = aggregate(asked.project)
    assert (report.collected.payments, asked.count(tables.votes), report.workers_excluded) == (3, 0, 1)
    dora = worker_id(asked, "dora")
    assert excluded(asked) == [(dora, Exclusion.UNREADABLE, "3 of 3 pages cannot be read")]
    earned = {one.worker_id: one.earned_cents for one in people.list_workers(asked.marketplace.engine)}
    assert earned[dora] > 0
    fourth = list(asked.pages())[3]
    with pytest.raises(CannotAccept, match="NotQualified"):
        asked.submit("dora", fourth, BROKEN)
    site = SiteWorker(asked.marketplace.url, asked.marketplace.invite("dora"))
    assert SHOWN_REASON in site.get(f"/hits/{fourth}").text
    assert "3 of 3 pages cannot be read" in site.get("/messages").text
    answer_rightly(asked, "anna", fourth)
    assert aggregate(asked.project).workers_excluded == 0


def test_one_broken_page_of_a_careful_worker_is_none_of_three_without_a_new_vote(asked: Verification) -> None:
    first, second, third, fourth = asked.pages()
    for hit_id in (first, second, third):
        answer_rightly(asked, "anna", hit_id)
        answer_rightly(asked, "ben", hit_id)
    asked.submit("anna", fourth, BROKEN)
    asked.submit("dora", first, BROKEN)
    asked.submit("dora", second, BROKEN)
    assert aggregate(asked.project).workers_excluded == 0
    asked.submit("dora", third, BROKEN)
    report = aggregate(asked.project)
    assert (sum(report.collected.votes.values()), report.workers_excluded) == (0, 1)
    dora = worker_id(asked, "dora")
    assert [one[:2] for one in excluded(asked)] == [(dora, Exclusion.UNREADABLE)]
    assert aggregate(asked.project).workers_excluded == 0

    document = command.done(asked.project.folder, "workers", "--json").document
    by_worker = {one["worker"]: one for one in document}
    anna = by_worker[worker_id(asked, "anna")]
    assert (anna["pages"], anna["unreadable_pages"], anna["excluded"]) == (3, 1, None)
    assert (by_worker[dora]["pages"], by_worker[dora]["unreadable_pages"]) == (0, 3)
    assert by_worker[dora]["excluded"]["reason"] == "unreadable"
    table = command.done(asked.project.folder, "workers").output
    assert "unreadable: 3 of 3 pages cannot be read" in table
    (row,) = (line for line in table.splitlines() if anna["worker"] in line)
    unreadable, repeats, _same = row.split()[-3:]
    assert (unreadable, repeats) == ("1", "0")

    before = set(asked.pages())
    asked.truth.update(add_pictures(asked.project, DOG, range(500, 506)))
    publish(asked.project)
    (new_page,) = set(asked.pages()) - before
    answer_rightly(asked, "anna", new_page)
    with pytest.raises(CannotAccept, match="NotQualified"):
        asked.submit("dora", new_page, BROKEN)


def test_broken_pages_of_a_run_that_was_killed_before_it_judged_are_judged_by_the_next(
    asked: Verification, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object, **__: object) -> int:
        raise KeyboardInterrupt

    for hit_id in list(asked.pages())[:3]:
        asked.submit("dora", hit_id, BROKEN)
        answer_rightly(asked, "anna", hit_id)
    with monkeypatch.context() as patched:
        patched.setattr(excluded_workers, "review", killed)
        with pytest.raises(KeyboardInterrupt):
            aggregate(asked.project)
    report = aggregate(asked.project)
    assert (report.collected.assignments, report.workers_excluded) == (0, 1)


def test_a_readmitted_worker_hands_in_another_broken_page_and_stays(asked: Verification) -> None:
    *three, fourth = asked.pages()
    for hit_id in three:
        asked.submit("dora", hit_id, BROKEN)
    aggregate(asked.project)
    excluded_workers.readmit(asked.project.engine, worker_id(asked, "dora"), utc_now())
    aggregate(asked.project)
    asked.submit("dora", fourth, BROKEN)
    report = aggregate(asked.project)
    assert (report.collected.unreadable, report.workers_excluded) == (1, 0)


def test_unreadable_pages_are_counted_and_new_from_the_page_of_a_vote_on(asked: Verification) -> None:
    first, second, third, fourth = asked.pages()
    asked.submit("dora", first, BROKEN)
    aggregate(asked.project)
    answer_rightly(asked, "anna", first)
    aggregate(asked.project)
    with database.reading(asked.project.engine) as connection:
        vote = latest_vote(connection)
    asked.submit("dora", second, BROKEN)
    asked.submit("ben", third, BROKEN)
    asked.submit("ben", fourth, BROKEN)
    aggregate(asked.project)
    with database.reading(asked.project.engine) as connection:
        rows = {
            name: row
            for row, name in connection.execute(
                sa.select(tables.workers.c.id, tables.workers.c.platform_worker_id)
            )
        }
        every = worker_votes(connection)
        newly = worker_votes(connection, new_after=vote)
        later = worker_votes(connection, after=vote)
    anna, ben, dora = (rows[worker_id(asked, who)] for who in ("anna", "ben", "dora"))
    assert dict(zip(every.ids.tolist(), every.unreadable.tolist(), strict=True)) == {dora: 2, anna: 0, ben: 2}
    assert dict(zip(newly.ids.tolist(), newly.unreadable.tolist(), strict=True)) == {dora: 2, ben: 2}
    assert dict(zip(later.ids.tolist(), later.unreadable.tolist(), strict=True)) == {dora: 1, ben: 2}
