"""`diff-release` on real releases of a store that grew."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import sqlalchemy as sa

from hits import database
from imagenet_builder.cli import command_line, run
from imagenet_builder.export.choose import Sizes
from imagenet_builder.export.release import export
from imagenet_builder.export.request import ExportRequest
from imagenet_builder.store import tables
from tests.export_parts import GOLDFISH, TENCH, UMBRELLA, add_verified, project_with, some_pictures

SIZES = Sizes(val=2, test=2, min_train=3, max_train=20)


def test_the_change_from_one_release_to_the_next_is_told_picture_by_picture(
    tmp_path: Path, wordnet_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project = project_with(tmp_path / "project", wordnet_folder, some_pictures({TENCH: 9, GOLDFISH: 9}))
    old = export(project, ExportRequest(SIZES, classes=2), tmp_path / "old").folder
    add_verified(project, some_pictures({UMBRELLA: 8, TENCH: 1}, start=100))
    with database.writing(project.engine) as connection:
        connection.execute(
            tables.candidates.update()
            .where(tables.candidates.c.wnid == GOLDFISH)
            .values(author=sa.literal("Grace"))
        )
    new = export(project, ExportRequest(SIZES, classes=3), tmp_path / "new").folder

    assert run(command_line.main, "diff-release", str(old), str(old)) == 0
    assert capsys.readouterr().out == "nothing changed\n"

    assert run(command_line.main, "diff-release", str(old), str(new), "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["settings"] == {"classes": [2, 3]}
    assert [wnid for wnid, _ in document["classes_added"]] == [UMBRELLA]
    assert document["classes_removed"] == document["encoded_anew"] == []
    assert [one["wnid"] for one in document["classes_changed"]] == [TENCH]
    assert document["classes_changed"][0]["pictures"] == {"train": [5, 6]}
    assert len(document["added"]) >= 6 + 1
    assert {tuple(one["columns"]) for one in document["corrected"]} == {("author",)}
    assert document["test_added"] >= 2

    assert run(command_line.main, "diff-release", str(old), str(new)) == 0
    said = capsys.readouterr().out
    assert f"+ {UMBRELLA} umbrella.n.01\n" in said
    assert "classes: 1 added, 0 removed, 1 with other numbers" in said
