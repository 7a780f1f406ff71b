"""`controls import`: the user's own known pictures."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa

from hits import database
from imagenet_builder.cli import command_line, run
from imagenet_builder.project import Project
from imagenet_builder.store import tables
from tests.builder_store import add_categories, empty_project
from tests.verification_project import DOG, UMBRELLA, add_pictures

# The second sense of its word.
BANANA_FRUIT = "n07753592"


@pytest.fixture
def project(tmp_path: Path, wordnet_folder: Path) -> Project:
    made = empty_project(tmp_path / "project", wordnet={"folder": str(wordnet_folder)})
    add_categories(made, DOG, UMBRELLA)
    return made


def imported(project: Project, table: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    code = run(command_line.main, "--project", str(project.folder), "controls", "import", str(table))
    said = capsys.readouterr()
    return code, said.out, said.err


def controls(project: Project) -> set[tuple[str, str, str, str]]:
    question, known = tables.questions.c, tables.controls.c
    with database.reading(project.engine) as connection:
        rows = connection.execute(
            sa.select(question.sha256, question.wnid, known.answer, known.provenance).select_from(
                tables.controls.join(tables.questions)
            )
        )
        return {(row[0], row[1], str(row[2]), row[3]) for row in rows}


def test_pictures_by_hash_and_by_file_become_controls_and_a_later_answer_replaces_an_earlier_one(
    project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, two, *_ = sorted({sha256 for sha256, _ in add_pictures(project, DOG, range(4))})
    (tmp_path / "two.jpg").write_bytes(project.images.get(two))
    table = tmp_path / "known.csv"
    table.write_text(f"picture,category,answer\n{one},dog.n.01,yes\ntwo.jpg,{DOG},No\n{one},{UMBRELLA},no\n")
    assert imported(project, table, capsys)[:2] == (0, "3 controls made\n")
    expected = {(one, DOG, "yes"), (two, DOG, "no"), (one, UMBRELLA, "no")}
    assert controls(project) == {(*question, "requester") for question in expected}
    # As spreadsheets of half the world write it.
    table.write_text(f"picture;category;answer\n{one};{DOG};no\n", encoding="utf-8-sig")
    assert imported(project, table, capsys)[0] == 0
    assert (one, DOG, "no", "requester") in controls(project)


def test_a_word_means_the_sense_of_it_that_is_a_category(
    project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    add_categories(project, BANANA_FRUIT)
    sha256, _ = min(add_pictures(project, BANANA_FRUIT, [0]))
    table = tmp_path / "known.csv"
    table.write_text(f"picture,category,answer\n{sha256},banana,yes\n")
    assert imported(project, table, capsys)[0] == 0
    assert controls(project) == {(sha256, BANANA_FRUIT, "yes", "requester")}
    assert run(command_line.main, "--project", str(project.folder), "synsets", "drop", "banana", "cat") == 0
    assert capsys.readouterr().out == "1 dropped, 1 not in the project\n"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("picture,answer\n", "no column category"),
        ("picture,category,answer\nabsent.jpg,dog.n.01,yes\n", "line 2: cannot read the picture absent.jpg"),
        (f"picture,category,answer\n{'0' * 64},dog.n.01,maybe\n", "line 2: the answer is yes or no"),
        (f"picture,category,answer\n{'0' * 64},no such thing,yes\n", "line 2"),
        (
            f"picture,category,answer\n{'0' * 64},dog.n.01,yes\n",
            f"line 2: the picture {'0' * 64} is not in the store",
        ),
        (
            "picture,category,answer\nknown.csv,dog.n.01,yes\n",
            "line 2: the picture known.csv is not in the store",
        ),
        (
            "picture,category,answer\nPICTURE,dog.n.01,yes\nPICTURE,cat,yes\n",
            "line 3: cat (n02121620) is no category",
        ),
        (f"picture,category,answer\nPICTURE,{DOG},yes\nPICTURE,dog.n.01,no\n", "two answers"),
    ],
)
def test_what_is_no_known_picture_is_refused_in_one_line_and_changes_nothing(
    project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, complaint: str
) -> None:
    sha256, _ = min(add_pictures(project, DOG, [0]))
    table = tmp_path / "known.csv"
    table.write_text(text.replace("PICTURE", sha256))
    code, _, said = imported(project, table, capsys)
    assert code == 1
    assert complaint in said
    assert said.count("\n") == 1
    assert controls(project) == set()
