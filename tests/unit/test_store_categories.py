"""The store's categories: selected, dropped, selected again; nothing that was paid for is lost."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hits import database
from imagenet_builder.records import Category
from imagenet_builder.store import categories
from imagenet_builder.store import tables as t
from imagenet_builder.store.categories import SelectionChange
from tests.builder_store import NOW, empty_project

LATER = NOW + timedelta(days=1)
WNIDS = tuple(f"n0000000{number}" for number in range(8))


def category(wnid: str) -> Category:
    return Category(wnid, f"{wnid}.n.01", f"{wnid}%1:06:00::", (wnid, "größe_名"), f"what {wnid} is; “so”")


@pytest.fixture
def engine(tmp_path: Path, store_url: str) -> Iterator[sa.Engine]:
    project = empty_project(tmp_path / "project", store={"url": store_url})
    yield project.engine
    project.engine.dispose()


def select(engine: sa.Engine, *wnids: str) -> SelectionChange:
    with database.writing(engine) as connection:
        return categories.select(connection, [category(wnid) for wnid in wnids], NOW)


def drop(engine: sa.Engine, *wnids: str) -> int:
    with database.writing(engine) as connection:
        return categories.drop(connection, wnids, LATER)


def selected(engine: sa.Engine) -> list[Category]:
    with database.reading(engine) as connection:
        return categories.selected(connection)


def wnids_of(engine: sa.Engine) -> list[str]:
    return [one.wnid for one in selected(engine)]


def dropped_at(engine: sa.Engine, wnid: str) -> object:
    with database.reading(engine) as connection:
        return connection.scalar(sa.select(t.categories.c.dropped_at).where(t.categories.c.wnid == wnid))


def test_what_is_selected_is_read_back_as_it_was_in_its_order(engine: sa.Engine) -> None:
    assert select(engine, WNIDS[3], WNIDS[1]) == SelectionChange(added=2, restored=0, known=0)
    assert select(engine, WNIDS[2], WNIDS[1]) == SelectionChange(added=1, restored=0, known=1)
    found = selected(engine)
    assert [one.wnid for one in found] == [WNIDS[3], WNIDS[1], WNIDS[2]]
    assert [one.position for one in found] == [0, 1, 2]
    for one in found:
        wanted = category(one.wnid)
        assert (one.name, one.sense_key, one.lemmas, one.gloss) == (
            wanted.name,
            wanted.sense_key,
            wanted.lemmas,
            wanted.gloss,
        )


def test_a_dropped_category_keeps_its_row_and_comes_back_to_its_place(engine: sa.Engine) -> None:
    select(engine, *WNIDS[:3])
    assert drop(engine, WNIDS[0], WNIDS[7]) == 1
    assert wnids_of(engine) == [WNIDS[1], WNIDS[2]]
    assert dropped_at(engine, WNIDS[0]) == LATER
    assert drop(engine, WNIDS[0]) == 0
    assert select(engine, WNIDS[4], WNIDS[0], WNIDS[1]) == SelectionChange(added=1, restored=1, known=1)
    assert wnids_of(engine) == [WNIDS[0], WNIDS[1], WNIDS[2], WNIDS[4]]
    assert dropped_at(engine, WNIDS[0]) is None


def test_the_last_one_dropped_does_not_give_its_place_away(engine: sa.Engine) -> None:
    select(engine, *WNIDS[:2])
    drop(engine, WNIDS[1])
    select(engine, WNIDS[2])
    select(engine, WNIDS[1])
    assert [one.position for one in selected(engine)] == [0, 1, 2]
    assert wnids_of(engine) == [WNIDS[0], WNIDS[1], WNIDS[2]]


def test_selecting_and_dropping_nothing_changes_nothing(engine: sa.Engine) -> None:
    assert select(engine) == SelectionChange(0, 0, 0)
    assert drop(engine) == 0
    assert selected(engine) == []


def test_the_gloss_of_a_category_is_wordnets_and_of_others_empty(engine: sa.Engine) -> None:
    select(engine, WNIDS[0])
    with database.reading(engine) as connection:
        assert categories.gloss(connection, WNIDS[0]) == category(WNIDS[0]).gloss
        assert categories.gloss(connection, WNIDS[1]) == ""


STEPS = st.lists(
    st.tuples(st.sampled_from(["select", "drop"]), st.lists(st.sampled_from(WNIDS), unique=True)), max_size=8
)


@pytest.fixture(scope="module")
def one_engine(tmp_path_factory: pytest.TempPathFactory) -> sa.Engine:
    return empty_project(tmp_path_factory.mktemp("categories") / "project").engine


@given(steps=STEPS)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_sequence_of_selections_and_drops_keeps_first_come_order(
    one_engine: sa.Engine, steps: list[tuple[str, list[str]]]
) -> None:
    with database.writing(one_engine) as connection:
        connection.execute(t.categories.delete())
    order: list[str] = []
    live: set[str] = set()
    for step, wnids in steps:
        if step == "select":
            change = select(one_engine, *wnids)
            assert change.added == len(set(wnids) - set(order))
            assert change.known == len(set(wnids) & live)
            assert change.added + change.restored + change.known == len(wnids)
            order += [wnid for wnid in wnids if wnid not in order]
            live |= set(wnids)
        else:
            assert drop(one_engine, *wnids) == len(set(wnids) & live)
            live -= set(wnids)
    assert wnids_of(one_engine) == [wnid for wnid in order if wnid in live]
