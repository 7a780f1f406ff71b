"""Which candidate a picture is said to come from, and how the store is asked about it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import sqlalchemy as sa

from hits import database
from imagenet_builder.export.description import ReleasePicture, ReleasePictures
from imagenet_builder.export.origins import Origins
from imagenet_builder.records import Split
from imagenet_builder.store import tables
from imagenet_builder.store.export import Supply
from imagenet_builder.store.provenance import provenance
from tests.export_parts import GOLDFISH, TENCH, picture, project_with, some_pictures

SHAS = [letter * 64 for letter in "abc"]


def supply() -> Supply:
    """Two categories: a and b are tenches, b and c goldfish."""
    accepted = {TENCH: np.array([0, 1]), GOLDFISH: np.array([1, 2])}
    images = np.array([sha256.encode() for sha256 in SHAS])
    return Supply(images, np.zeros(3, np.int64), {}, accepted, np.array([11, 12, 13, 14]), {})


def test_the_first_candidate_of_the_category_is_named_else_the_first_of_any() -> None:
    origins = Origins(supply())
    rows = [
        (9, TENCH, 0),
        (7, TENCH, 0),
        (3, "n00000001", 0),
        (6, GOLDFISH, 1),
        (5, "n00000001", 2),
        (8, TENCH, 2),
        (1, TENCH, -1),
    ]
    for some in (rows[:2], rows[2:]):
        ids, of, at = zip(*some, strict=True)
        origins.take(np.array(ids), of, np.array(at))
    wnids, places = [TENCH, GOLDFISH], np.array([0, 1, 1, 2])
    shown = [ReleasePicture(Split.TRAIN, wnids[n // 2], SHAS[place], n) for n, place in enumerate(places)]
    candidates, questions = origins.of(ReleasePictures.of(wnids, shown), places)
    # Row 3 came before 7, but for something else; b was found as a goldfish only, c as neither.
    assert candidates.tolist() == [7, 6, 6, 5]
    assert questions.tolist() == [11, 12, 13, 14]
    assert origins.known().tolist() == [True, True, True]


def test_a_picture_without_a_candidate_has_none() -> None:
    origins = Origins(supply())
    origins.take(np.array([4]), [TENCH], np.array([0]))
    shown = ReleasePictures.of([TENCH], [ReleasePicture(Split.VAL, TENCH, SHAS[1], 1)])
    candidates, _ = origins.of(shown, np.array([1]))
    assert candidates.tolist() == [-1]
    assert origins.known().tolist() == [True, False, False]


def test_origins_are_looked_up_and_no_table_is_read_whole(tmp_path: Path, wordnet_folder: Path) -> None:
    project = project_with(tmp_path / "project", wordnet_folder, some_pictures({TENCH: 3}))
    asked: list[str] = []
    sa.event.listen(project.engine, "before_cursor_execute", lambda *told: asked.append(told[2]))
    with database.reading(project.engine) as connection:
        ids = sorted(connection.scalars(sa.select(tables.candidates.c.id)))
        asked.clear()
        first, nothing = provenance(connection, [ids[0], 10**6], [ids[0], ids[0]])
        assert first is not None
        assert (first.url, first.yes) == (f"https://pictures.example/{ids[0]}.jpg", 3)
        assert nothing is None
        statements = list(asked)
        for statement in statements:
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}").all()
            assert plan
            assert all(step[3].startswith("SEARCH") for step in plan), plan
    assert len(statements) == 2


def test_pictures_of_the_store_are_read_in_columns(tmp_path: Path, wordnet_folder: Path) -> None:
    from imagenet_builder.store.export import read_supply
    from tests.export_parts import Verified

    shared = picture(100)
    verified = [*some_pictures({GOLDFISH: 2, TENCH: 3}), Verified(TENCH, shared), Verified(GOLDFISH, shared)]
    project = project_with(tmp_path / "project", wordnet_folder, verified)
    with database.writing(project.engine) as connection:
        without = connection.scalars(
            sa.select(tables.images.c.sha256).order_by(tables.images.c.sha256)
        ).all()[1]
        connection.execute(
            tables.images.update().where(tables.images.c.sha256 == without).values(descriptor=None)
        )
        rows = connection.execute(
            sa.select(tables.images.c.sha256, tables.images.c.perceptual_hash, tables.images.c.descriptor)
        ).all()
        asked = connection.execute(
            sa.select(tables.questions.c.wnid, tables.questions.c.sha256, tables.questions.c.id)
        ).all()
    with database.reading(project.engine) as connection:
        found = read_supply(connection)
    names = [image.decode() for image in found.images.tolist()]
    assert names == sorted(row.sha256 for row in rows)
    for row in rows:
        place = names.index(row.sha256)
        assert found.hashes[place] == row.perceptual_hash
        assert found.descriptors.get(row.sha256) == row.descriptor
    assert list(found.accepted) == sorted([TENCH, GOLDFISH])
    labels = [(wnid, names[place]) for wnid, own in found.accepted.items() for place in own.tolist()]
    assert dict(zip(labels, found.questions.tolist(), strict=True)) == {
        (row.wnid, row.sha256): row.id for row in asked
    }
    assert found.places(np.array([b"0" * 64, names[2].encode(), b"f" * 64])).tolist() == [-1, 2, -1]
