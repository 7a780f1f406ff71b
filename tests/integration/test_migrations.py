"""The builder's store: migrations on both engines, its rules held by the database itself."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
import sqlalchemy as sa
from alembic import command

from hits import database
from imagenet_builder.store import tables as t
from imagenet_builder.store.engine import MIGRATIONS

NOW = datetime(2026, 6, 1, tzinfo=UTC)


@pytest.fixture
def engine(store_url: str) -> sa.Engine:
    engine = database.open_engine(store_url)
    database.upgrade(engine, MIGRATIONS)
    return engine


def fill(engine: sa.Engine) -> None:
    """One row in every table, hanging together."""
    with database.writing(engine) as connection:
        for table, row in {
            "categories": {
                "wnid": "n02084071", "sense_key": "dog%1:05:00::", "name": "dog.n.01", "lemmas": ["dog"], "gloss": "…",
                "position": 0, "selected_at": NOW,
            },
            "queries": {
                "id": 1, "wnid": "n02084071", "source": "s", "words": "dog", "language": "en", "exhausted": False,
                "found": 1, "known": 0,
            },
            "images": {
                "sha256": "a" * 64, "format": "JPEG", "mode": "RGB", "width": 1, "height": 1, "byte_count": 2**40,
                "orientation": 1, "perceptual_hash": -(2**63), "stored_at": NOW,
            },
            "candidates": {
                "id": 1, "wnid": "n02084071", "url": "u", "query_id": 1, "source": "s", "rank": 1, "found_at": NOW,
                "state": "stored", "retryable": False, "attempts": 1, "ended_at": NOW, "sha256": "a" * 64,
            },
            "renditions": {
                "sha256": "a" * 64, "purpose": "thumbnail-300", "rendition_sha256": "b" * 64, "width": 1, "height": 1,
                "byte_count": 3, "made_at": NOW,
            },
            "tombstones": {"id": 1, "kind": "image", "target": "d" * 64, "reason": "asked", "laid_at": NOW},
            "questions": {"id": 1, "sha256": "a" * 64, "wnid": "n02084071", "asked_at": NOW},
            "controls": {"question_id": 1, "answer": "yes", "provenance": "requester", "labelled_at": NOW},
            "hits": {
                "id": 1, "wnid": "n02084071", "token": "t", "endpoint": "e", "live": False, "state": "published",
                "votes_wanted": 3, "rule": "majority", "reward_cents": 1, "fee_cents": 1, "intended_at": NOW,
                "platform_hit_id": "H",
            },
            "reservations": {
                "hit_id": 1, "endpoint": "e", "live": False, "state": "reserved", "cents": 6, "promised_cents": 6,
                "reserved_at": NOW,
            },
            "hit_questions": {"hit_id": 1, "position": 0, "question_id": 1, "as_control": True, "picture_name": "p"},
            "workers": {"id": 1, "endpoint": "e", "platform_worker_id": "W", "first_seen_at": NOW},
            "exclusions": {
                "id": 1, "worker_id": 1, "reason": "too_fast", "detail": "d", "decided_at": NOW,
                "unfounded": False,
                "votes_left_out": False,
            },
            "watermarks": {"name": "aggregate", "position": 1, "moved_at": NOW},
            "assignments": {
                "id": 1, "hit_id": 1, "worker_id": 1, "platform_assignment_id": "A", "status": "Submitted",
                "accepted_at": NOW, "submitted_at": NOW, "collected_at": NOW, "controls_right": 1, "controls_shown": 1,
                "answer_xml": "<x/>",
            },
            "votes": {
                "id": 1, "question_id": 1, "assignment_id": 1, "worker_id": 1, "answer": "report",
                "report_reason": "private", "counts": True, "cast_at": NOW,
            },
            "rulings": {"id": 1, "rule": "majority", "parameters": {"needed": 3}, "decided_at": NOW},
            "verdicts": {
                "question_id": 1, "decision": "accepted", "ruling_id": 1, "yes": 1, "no": 0, "unsure": 0, "broken": 0,
                "report": 0, "final": True,
            },
            "superseded_verdicts": {
                "question_id": 1, "decision": "undecided", "ruling_id": 1, "yes": 1, "no": 1, "unsure": 0, "broken": 0,
                "report": 0, "final": False, "superseded_by": 1,
            },
            "outbox": {
                "id": 1, "call": "approve", "assignment_id": 1, "token": "o", "amount": 0, "intended_at": NOW,
                "attempts": 0,
            },
            "releases": {
                "id": 1, "name": "r", "digest": "c" * 64, "classes": 1, "seed": 0, "settings": {}, "written_at": NOW,
            },
            "release_images": {
                "release_id": 1, "file_name": "f", "sha256": "a" * 64, "wnid": "n02084071", "split": "train",
            },
        }.items():  # fmt: skip
            connection.execute(t.metadata.tables[table].insert().values(row))


def rows(engine: sa.Engine) -> dict[str, list[tuple[object, ...]]]:
    with database.reading(engine) as connection:
        return {
            name: [tuple(row) for row in connection.execute(sa.select(table))]
            for name, table in t.metadata.tables.items()
        }


def test_tables_and_migrations_agree(engine: sa.Engine) -> None:
    command.check(database.alembic_config(engine, MIGRATIONS))


def test_the_schema_constant_is_the_newest_migration() -> None:
    assert database.head_revision(MIGRATIONS) == t.SCHEMA


def test_a_filled_store_survives_every_step_up_and_down(engine: sa.Engine) -> None:
    fill(engine)
    before = rows(engine)
    assert all(before.values())
    database.upgrade(engine, MIGRATIONS)
    assert rows(engine) == before
    revisions = sorted(database.known_revisions(MIGRATIONS))
    for lower in revisions[:-1]:  # Below the first migration there are no tables to keep rows in.
        database.downgrade(engine, MIGRATIONS, lower)
        database.upgrade(engine, MIGRATIONS)
        assert rows(engine) == before


def test_down_to_nothing_and_up_again_is_an_empty_store(engine: sa.Engine) -> None:
    fill(engine)
    database.downgrade(engine, MIGRATIONS, "base")
    assert database.current_revision(engine) is None
    with engine.connect() as connection:
        assert set(sa.inspect(connection).get_table_names()) <= {"alembic_version"}
    database.upgrade(engine, MIGRATIONS)
    assert not any(rows(engine).values())
    command.check(database.alembic_config(engine, MIGRATIONS))


@pytest.mark.parametrize(
    ("table", "change"),
    [
        ("candidates", {"state": "pending"}),
        ("candidates", {"sha256": None}),
        ("candidates", {"reason": "damaged"}),
        ("candidates", {"state": "lost"}),
        ("candidates", {"sha256": "f" * 64}),
        ("candidates", {"wnid": "n00000000"}),
        ("votes", {"report_reason": None}),
        ("votes", {"answer": "perhaps"}),
        ("hits", {"platform_hit_id": None}),
        ("controls", {"answer": "unsure"}),
    ],
)
def test_the_store_refuses_rows_that_make_no_sense(
    engine: sa.Engine, table: str, change: dict[str, object]
) -> None:
    fill(engine)
    columns = ", ".join(f"{name} = :{name}" for name in change)
    # PostgreSQL may find a word too long for its column before it finds it forbidden.
    refusals = (sa.exc.IntegrityError, sa.exc.DataError)
    with pytest.raises(refusals), database.writing(engine) as connection:
        connection.execute(sa.text(f"UPDATE {table} SET {columns}"), change)


def test_a_worker_counts_once_on_a_question(engine: sa.Engine) -> None:
    fill(engine)
    second = {"id": 2, "hit_id": 1, "worker_id": 1, "platform_assignment_id": "B", "status": "Submitted",
              "accepted_at": NOW, "submitted_at": NOW, "collected_at": NOW, "controls_right": 0, "controls_shown": 0,
              "answer_xml": ""}  # fmt: skip
    vote = {"id": 2, "question_id": 1, "assignment_id": 2, "worker_id": 1, "answer": "yes", "cast_at": NOW}
    with database.writing(engine) as connection:
        connection.execute(t.assignments.insert().values(second))
        connection.execute(t.votes.insert().values(**vote, counts=False))
    with pytest.raises(sa.exc.IntegrityError), database.writing(engine) as connection:
        connection.execute(t.votes.update().where(t.votes.c.id == 2).values(counts=True))


def test_a_question_has_one_verdict_that_is_one_of_three_words_and_any_history(engine: sa.Engine) -> None:
    fill(engine)
    row = {"question_id": 1, "ruling_id": 1, "yes": 0, "no": 2, "unsure": 0, "broken": 0, "report": 0,
           "final": True}  # fmt: skip
    with pytest.raises(sa.exc.IntegrityError), database.writing(engine) as connection:
        connection.execute(t.verdicts.insert().values({**row, "decision": "rejected"}))
    written = sa.text(
        "INSERT INTO verdicts (question_id, decision, ruling_id, yes, no, unsure, broken, report, final) "
        "VALUES (2, :word, 1, 0, 2, 0, 0, 0, :final)"
    )
    with pytest.raises(sa.exc.IntegrityError), database.writing(engine) as connection:
        connection.execute(written, {"word": "unsure", "final": True})
    with database.writing(engine) as connection:
        connection.execute(written, {"word": "rejected", "final": True})
        connection.execute(
            t.superseded_verdicts.insert().values({**row, "decision": "rejected", "superseded_by": 1})
        )
