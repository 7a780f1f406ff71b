"""The crawl's SQL on both engines."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from hits import database
from imagenet_builder.records import (
    Candidate,
    Failed,
    Fetched,
    FileRights,
    Inspected,
    Query,
    Reason,
    Rejected,
    Rights,
    SearchPage,
)
from imagenet_builder.store import candidates as shown
from imagenet_builder.store import crawl as sql
from imagenet_builder.store import queries, search, tables
from imagenet_builder.store.bulk import update_rows
from imagenet_builder.store.crawl import Scope
from imagenet_builder.store.engine import MIGRATIONS, open_store
from imagenet_builder.store.outcomes import commit_outcomes
from imagenet_builder.store.queries import AskedQuery, DropRule, QueryYield

NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
DOG, CAT = "n02084071", "n02121808"
SCOPE = Scope((DOG, CAT), ("web",), ("cc0", "by"))


@pytest.fixture
def engine(store_url: str) -> sa.Engine:
    database.upgrade(database.open_engine(store_url), MIGRATIONS)
    engine = open_store(store_url)
    with database.writing(engine) as connection:
        for position, wnid in enumerate((DOG, CAT)):
            connection.execute(
                tables.categories.insert().values(
                    wnid=wnid,
                    sense_key=f"{wnid}%1",
                    name=f"{wnid}.n.01",
                    lemmas=["x"],
                    gloss="x",
                    position=position,
                    selected_at=NOW,
                )
            )
    return engine


def candidate(number: int, licence: str | None = "cc0", wnid: str = DOG) -> Candidate:
    return Candidate(wnid, f"https://p.example/{number}.jpg", "web", number, rights=Rights(licence))


def page(*numbers: int, continuation: str | None = None, licence: str | None = "cc0") -> SearchPage:
    return SearchPage(tuple(candidate(number, licence) for number in numbers), continuation)


def ask(engine: sa.Engine, *words: str, wnid: str = DOG) -> AskedQuery:
    """Record queries with these words; the first of them that is not exhausted."""
    with database.writing(engine) as connection:
        queries.add_queries(connection, [Query(wnid, "web", word) for word in words])
        known = queries.asked_queries(connection, [wnid], ["web"])
    return next(
        asked
        for asked in known
        if asked.query.words in [word[:255] for word in words] and not asked.exhausted
    )


def record(engine: sa.Engine, asked: AskedQuery, found: SearchPage, room: int = 100) -> tuple[int, int]:
    """How many candidates were new, and how many of them refused for their licence."""
    with database.writing(engine) as connection:
        recorded = search.record_page(connection, asked, found, SCOPE, room, NOW)
    assert recorded.asked == again(engine, asked)
    return recorded.new, recorded.refusals.total()


def again(engine: sa.Engine, asked: AskedQuery) -> AskedQuery:
    """The query as the store has it."""
    with database.reading(engine) as connection:
        known = queries.asked_queries(connection, [asked.query.wnid], [asked.query.source])
    return next(one for one in known if one.query_id == asked.query_id)


def rows(engine: sa.Engine, table: sa.Table) -> list[sa.RowMapping]:
    with database.reading(engine) as connection:
        return list(connection.execute(sa.select(table).order_by(*table.primary_key)).mappings())


def waiting(engine: sa.Engine, *, retry: bool = False, after: int = 0, limit: int = 100) -> list[str]:
    with database.reading(engine) as connection:
        found = sql.waiting(connection, SCOPE, sql.Which(retry=retry), after=after, limit=limit).candidates
        assert (
            retry
            or after
            or len(found) == min(limit, sql.waiting_count(connection, SCOPE, sql.Which(retry=retry)))
        )
    return [row.url.rpartition("/")[2] for row in found]


def image(number: int) -> Inspected:
    return Inspected(
        sha256=f"{number:064x}",
        format="jpeg",
        mode="RGB",
        width=640,
        height=480,
        byte_count=5_000_000_000,
        perceptual_hash=-(2**63) + number,
        rights=FileRights(artist="A\x00nn", copyright="\ud800©"),
    )


def test_a_page_and_where_its_query_goes_on_are_recorded_together(engine: sa.Engine) -> None:
    asked = ask(engine, "dog")
    assert record(engine, asked, page(1, 2, continuation="next")) == (2, 0)
    [query] = rows(engine, tables.queries)
    assert (query["continuation"], query["exhausted"], query["found"], query["asked_at"]) == (
        "next",
        False,
        2,
        NOW,
    )
    second = ask(engine, "dog")
    assert second.query.continuation == "next"
    assert record(engine, second, page(2, 3)) == (1, 0)
    [query] = rows(engine, tables.queries)
    assert (query["exhausted"], query["found"], query["known"]) == (True, 3, 0)


def test_a_url_twice_on_a_page_or_under_two_queries_is_one_candidate_of_a_category(engine: sa.Engine) -> None:
    record(engine, ask(engine, "dog"), page(1, 1, 2))
    record(engine, ask(engine, "hound"), page(2, 1))
    record(engine, ask(engine, "cat", wnid=CAT), SearchPage((candidate(1, wnid=CAT),), None))
    found = [(row["wnid"], row["url"][-5:]) for row in rows(engine, tables.candidates)]
    assert found == [(DOG, "1.jpg"), (DOG, "2.jpg"), (CAT, "1.jpg")]


def test_a_page_cut_short_is_asked_for_again(engine: sa.Engine) -> None:
    asked = ask(engine, "dog")
    assert record(engine, asked, page(1, 2, 3, continuation="next"), room=2) == (2, 0)
    second = ask(engine, "dog")
    assert second.query.continuation is None
    assert record(engine, second, page(1, 2, 3, continuation="next"), room=5) == (1, 0)
    third = ask(engine, "dog")
    # What a query found itself is not counted against it when its page is read again.
    assert (third.query.continuation, third.found, third.known) == ("next", 3, 0)


def test_candidates_refused_for_their_licence_take_no_room(engine: sa.Engine) -> None:
    mixed = SearchPage((candidate(1, "by-nc"), candidate(2, None), candidate(3), candidate(4)), "next")
    assert record(engine, ask(engine, "dog"), mixed, room=1) == (3, 2)
    with database.reading(engine) as connection:
        assert search.usable_counts(connection, [DOG, CAT], SCOPE.licences) == {DOG: 1, CAT: 0}
    assert waiting(engine) == ["3.jpg"]


def test_the_yield_of_a_query_counts_what_other_queries_had_found_and_what_was_refused(
    engine: sa.Engine,
) -> None:
    hound, dog = ask(engine, "hound"), ask(engine, "dog")
    record(engine, hound, page(1, 2))
    mixed = (candidate(2), candidate(3), candidate(4), candidate(5), candidate(6), candidate(7, "by-nc"))
    record(engine, dog, SearchPage(mixed, "next"))
    ids = {row["url"][-5:]: row["id"] for row in rows(engine, tables.candidates)}
    ended: dict[str, Rejected | Failed | Inspected] = {
        "3.jpg": Rejected(Reason.TOO_SMALL),
        "4.jpg": Failed(Reason.NOT_FOUND, retryable=False),
        "5.jpg": Failed(Reason.TIMEOUT, retryable=True),
        "6.jpg": image(6),
    }
    with database.writing(engine) as connection:
        commit_outcomes(connection, [(ids[name], Fetched(one, NOW)) for name, one in ended.items()])
    dog_now, hound_now = yields(engine, dog, hound)
    assert (dog_now.asked.found, dog_now.asked.known, dog_now.stored, dog_now.refused) == (5, 1, 1, 3)
    people_say(engine, image(6).sha256, "rejected")
    dog_now, hound_now = yields(engine, dog, hound)
    assert (dog_now.stored, dog_now.refused) == (0, 4)
    assert (hound_now.asked.found, hound_now.asked.known, hound_now.stored, hound_now.refused) == (2, 0, 0, 0)


def yields(engine: sa.Engine, *asked: AskedQuery) -> list[QueryYield]:
    with database.reading(engine) as connection:
        known = {one.asked.query_id: one for one in queries.query_yields(connection, [DOG, CAT])}
    return [known[one.query_id] for one in asked]


def test_what_counts_against_a_query_stays_as_it_was_when_the_crawl_began(engine: sa.Engine) -> None:
    licensed = SearchPage((candidate(1), candidate(2), candidate(3), candidate(4, "by-nc")), "next")
    record(engine, ask(engine, "dog"), licensed)
    record(engine, ask(engine, "cat", wnid=CAT), SearchPage((candidate(9, wnid=CAT),), "next"))
    ids = {row["url"][-5:]: row["id"] for row in rows(engine, tables.candidates)}

    def end(*names: str) -> None:
        with database.writing(engine) as connection:
            small = Fetched(Rejected(Reason.TOO_SMALL), NOW)
            commit_outcomes(connection, [(ids[name], small) for name in names])

    def move(what: Callable[[sa.Connection, Sequence[str], Sequence[str]], None], *wnids: str) -> list[int]:
        with database.writing(engine) as connection:
            what(connection, wnids, ["web"])
        return [ask(engine, "dog").refused, ask(engine, "cat", wnid=CAT).refused]

    end("1.jpg", "9.jpg")
    # A crawl is under way, whose own search refused one.
    assert move(queries.begin_crawl, DOG, CAT) == [1, 0]
    assert move(queries.end_crawl, DOG, CAT) == [0, 0]
    assert move(queries.begin_crawl, DOG, CAT) == [2, 1]
    end("2.jpg")
    # It is killed and goes on; another, of another category, begins and ends meanwhile.
    assert move(queries.begin_crawl, DOG, CAT) == [2, 1]
    assert move(queries.end_crawl, CAT) == [2, 0]
    assert [one.refused for one in yields(engine, ask(engine, "dog"))] == [3]
    assert move(queries.begin_crawl, DOG, CAT) == [2, 1]
    record(engine, ask(engine, "dog"), SearchPage((candidate(5, "by-nc"),), "further"))
    assert ask(engine, "dog").refused == 3
    move(queries.end_crawl, DOG, CAT)
    assert move(queries.begin_crawl, DOG, CAT) == [4, 1]


def test_other_licences_are_another_crawl(engine: sa.Engine) -> None:
    mixed = SearchPage((candidate(1), candidate(2), candidate(3, "by-nc")), "next")
    asked = ask(engine, "dog")
    record(engine, asked, mixed)
    wide = Scope(SCOPE.wnids, SCOPE.sources, (*SCOPE.licences, "by-nc"))
    first = min(row["id"] for row in rows(engine, tables.candidates))
    with database.writing(engine) as connection:
        commit_outcomes(connection, [(first, Fetched(Rejected(Reason.TOO_SMALL), NOW))])
    for scope, refused in ((SCOPE, 1), (wide, 1), (SCOPE, 2)):
        with database.writing(engine) as connection:
            sql.apply_licences(connection, scope, NOW)
            queries.begin_crawl(connection, scope.wnids, scope.sources)
        assert again(engine, asked).refused == refused


def people_say(engine: sa.Engine, sha256: str, decision: str) -> None:
    with database.writing(engine) as connection:
        question_id = connection.scalars(
            tables.questions.insert()
            .values(sha256=sha256, wnid=DOG, asked_at=NOW)
            .returning(tables.questions.c.id)
        ).one()
        counts = dict.fromkeys(("yes", "no", "unsure", "broken", "report"), 0)
        said = {"question_id": question_id, "ruling_id": 1, "final": True, **counts}
        connection.execute(tables.verdicts.insert().values({**said, "decision": decision}))
        before = tables.superseded_verdicts.insert()
        connection.execute(before.values({**said, "decision": "undecided", "superseded_by": 1}))


@pytest.mark.parametrize(
    ("after", "share", "seen", "poor", "drops"),
    [
        (100, 0.95, 100, 95, True),
        (100, 0.95, 100, 94, False),
        (100, 0.95, 99, 99, False),
        (100, 1.0, 250, 250, True),
        (0, 0.95, 1000, 1000, False),
    ],
)
def test_a_query_is_dropped_when_enough_of_enough_results_were_of_no_use(
    after: int, share: float, seen: int, poor: int, drops: bool
) -> None:
    for known in (0, poor):
        asked = AskedQuery(
            1, Query(DOG, "web", "dog"), exhausted=False, found=seen - known, known=known, refused=poor - known,
        )  # fmt: skip
        assert DropRule(after, share).drops(asked) is drops


def test_licences_can_be_widened_and_narrowed_before_fetching(engine: sa.Engine) -> None:
    record(
        engine, ask(engine, "dog"), SearchPage((candidate(1), candidate(2, None), candidate(3, "by")), None)
    )
    with database.writing(engine) as connection:
        wide = Scope(SCOPE.wnids, SCOPE.sources, ("unknown", "by"))
        sql.apply_licences(connection, wide, NOW)
        assert [
            row.url[-5:] for row in sql.waiting(connection, wide, sql.Which(), after=0, limit=9).candidates
        ] == [
            "2.jpg",
            "3.jpg",
        ]
        sql.apply_licences(connection, SCOPE, NOW)
    assert waiting(engine) == ["1.jpg", "3.jpg"]


def test_waiting_candidates_come_by_id_in_pages_and_within_their_scope(engine: sa.Engine) -> None:
    record(engine, ask(engine, "dog"), page(*range(10)))
    assert waiting(engine, limit=4) == ["0.jpg", "1.jpg", "2.jpg", "3.jpg"]
    last = rows(engine, tables.candidates)[3]["id"]
    assert waiting(engine, after=last, limit=2) == ["4.jpg", "5.jpg"]
    with database.reading(engine) as connection:
        for other in (Scope((CAT,), ("web",), ("cc0",)), Scope((DOG,), ("folder",), ("cc0",))):
            assert sql.waiting(connection, other, sql.Which(), after=0, limit=9).candidates == ()


def test_outcomes_and_their_images_are_committed_together(engine: sa.Engine) -> None:
    record(engine, ask(engine, "dog"), page(*range(5)))
    ids = [row["id"] for row in rows(engine, tables.candidates)]
    later = NOW + timedelta(seconds=5)
    outcomes = [
        (
            ids[0],
            Fetched(
                image(1),
                later,
                attempts=2,
                http_status=200,
                robots="allowed",
                etag="e\x00",
                last_modified="x" * 99,
            ),
        ),
        (ids[1], Fetched(image(1), later)),
        (ids[2], Fetched(Rejected(Reason.OPT_OUT, "d" * 999), later, opt_out="noai" * 99)),
        (ids[3], Fetched(Failed(Reason.TIMEOUT, True, "slow"), later, attempts=3)),
    ]
    with database.writing(engine) as connection:
        commit_outcomes(connection, outcomes)
        commit_outcomes(connection, [])
    [stored] = rows(engine, tables.images)
    assert (stored["perceptual_hash"], stored["byte_count"]) == (-(2**63) + 1, 5_000_000_000)
    first, second, third, fourth, fifth = rows(engine, tables.candidates)
    assert (first["state"], first["attempts"], first["sha256"]) == ("stored", 2, f"{1:064x}")
    assert (first["file_artist"], first["file_copyright"], first["etag"]) == ("Ann", "©", "e")
    assert second["sha256"] == first["sha256"]
    assert (third["state"], third["reason"], third["ended_at"]) == ("rejected", "opt-out", later)
    assert len(third["detail"]) == 500
    assert len(third["opt_out"]) == 255
    assert (fourth["state"], fourth["retryable"], fourth["attempts"]) == ("failed", True, 3)
    assert (fifth["state"], fifth["ended_at"]) == ("pending", None)
    assert waiting(engine) == ["4.jpg"]
    assert waiting(engine, retry=True) == ["3.jpg"]


def test_a_retry_that_succeeds_clears_the_failure_and_adds_its_attempts(engine: sa.Engine) -> None:
    record(engine, ask(engine, "dog"), page(1))
    [row] = rows(engine, tables.candidates)
    for outcome in (Failed(Reason.TIMEOUT, True, "slow"), image(1)):
        with database.writing(engine) as connection:
            commit_outcomes(connection, [(row["id"], Fetched(outcome, NOW, attempts=2))])
    [row] = rows(engine, tables.candidates)
    assert (row["state"], row["reason"], row["detail"], row["retryable"], row["attempts"]) == (
        "stored",
        None,
        None,
        False,
        4,
    )


def test_odd_text_from_sources_can_be_stored(engine: sa.Engine) -> None:
    odd = Candidate(
        DOG,
        "https://p.example/\ud83d\x00.jpg",
        "web",
        1,
        title="n\x00ul \ud800",
        rights=Rights("cc0", "4" * 50, author="😀" * 5000),
        original_sha1="f" * 99,
        width=2**40,
        height=-1,
    )
    record(engine, ask(engine, "q" * 300), SearchPage((odd,), None))
    assert record(engine, ask(engine, "again"), SearchPage((odd,), None)) == (0, 0)
    [row] = rows(engine, tables.candidates)
    assert (row["title"], row["claimed_width"], row["claimed_height"]) == ("nul ", None, None)


@pytest.mark.parametrize("letter", ["a", "é", "😀"])
def test_an_address_that_no_index_takes_is_recorded_as_none(letter: str, engine: sa.Engine) -> None:
    # Random, because PostgreSQL packs what repeats.
    letters = random.Random(1).choices(letter + "0123456789bcdefghijklmnopqrstuvwxyz-_ABCDEFGHIJKLM", k=9000)
    urls = ["https://p.example/" + "".join(letters[:length]) for length in (2000, 9000)]
    found = SearchPage(tuple(Candidate(DOG, url, "web", 1, rights=Rights("cc0")) for url in urls), None)
    assert record(engine, ask(engine, "dog"), found) == (2, 0)
    assert record(engine, ask(engine, "again"), found) == (0, 0)
    short, long = (row["url"] for row in rows(engine, tables.candidates))
    assert short == urls[0]
    assert long.startswith("too-long:https://p.example/")
    assert 2590 < len(long.encode()) <= 2600


def test_what_was_found_is_shown_by_category_and_reason(engine: sa.Engine) -> None:
    record(engine, ask(engine, "dog"), page(*range(4)))
    ids = [row["id"] for row in rows(engine, tables.candidates)]
    failures = [
        Failed(Reason.TIMEOUT, True, "a"),
        Failed(Reason.TIMEOUT, True),
        Failed(Reason.NOT_FOUND, False),
    ]
    with database.writing(engine) as connection:
        commit_outcomes(
            connection,
            [
                (key, Fetched(failed, NOW + timedelta(seconds=at)))
                for at, (key, failed) in enumerate(zip(ids, failures, strict=False))
            ],
        )
    with database.reading(engine) as connection:
        dog, cat = shown.counts_by_category(connection)
        assert (dog.pending, dog.stored, dog.rejected, dog.failed) == (1, 0, 0, 3)
        assert (cat.wnid, cat.pending, cat.failed) == (CAT, 0, 0)
        assert [
            (row.reason, row.count, row.retryable) for row in shown.counts_by_reason(connection, "failed")
        ] == [
            ("timeout", 2, 2),
            ("not-found", 1, 0),
        ]
        latest = shown.ended(connection, "failed", (DOG,), 2)
        assert [row.reason for row in latest] == ["not-found", "timeout"]
        assert shown.ended(connection, "failed", (CAT,)) == []
        assert shown.counts_by_category(connection, (CAT,)) == [cat]


def test_text_that_copy_would_misread_arrives_as_it_was(engine: sa.Engine) -> None:
    asked = ask(engine, "x")
    odd = "tab\t, line\nfeed, \\N, \\., quote \" ' , back\\slash"
    record(engine, asked, SearchPage((dataclasses.replace(candidate(1), title=odd, page_url=None),), None))
    [row] = rows(engine, tables.candidates)
    assert (row["title"], row["page_url"]) == (odd, None)


def test_a_row_that_the_store_refuses_changes_nothing_and_is_sqlalchemys_error(engine: sa.Engine) -> None:
    record(engine, ask(engine, "x"), page(1))
    [row] = rows(engine, tables.candidates)
    with pytest.raises(sa.exc.IntegrityError), database.writing(engine) as connection:
        update_rows(connection, tables.candidates, "id", [{"id": row["id"], "state": "stored"}])
    if engine.url.get_backend_name() == "postgresql":
        # Refused by COPY, which SQLAlchemy knows nothing of.
        with pytest.raises(sa.exc.DataError), database.writing(engine) as connection:
            update_rows(connection, tables.candidates, "id", [{"id": row["id"], "rank": "no number"}])
    assert rows(engine, tables.candidates) == [row]
