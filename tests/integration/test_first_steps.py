"""What the first commands of a new project say to somebody who has only pictures."""

from __future__ import annotations

from pathlib import Path

import pytest

from imagenet_builder.cli import command_line, run
from imagenet_builder.config import SETTINGS_NAME
from imagenet_builder.project import Project
from tests.builder_store import add_categories, empty_project
from tests.mediawiki_server import picture


def said(project: Project, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert run(command_line.main, "--project", str(project.folder), *arguments) == 0
    return "".join(capsys.readouterr())


def test_an_empty_project_is_told_what_comes_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project = empty_project(tmp_path / "project")
    assert "synsets select" in said(project, capsys, "status")
    assert "fetch some with `imagenet-builder crawl`" in said(project, capsys, "publish-hits", "--sandbox")
    add_categories(project, "n00000001")
    assert "synsets select" not in said(project, capsys, "status")


def test_subfolders_that_no_category_takes_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("thing0", "Thing1.n.01", "thingg2", ".hidden"):
        (tmp_path / "mine" / name).mkdir(parents=True)
    (tmp_path / "mine" / "thing0" / "a.jpg").write_bytes(picture(1))
    project = empty_project(tmp_path / "project")
    (project.folder / SETTINGS_NAME).write_text(
        '[crawl]\nsources = ["folder"]\n[folder]\npath = "../mine"\nlicence = "by 4.0"\n'
    )
    add_categories(project, "n00000001", "n00000002")
    note = "note: subfolders of [folder] path named after no category: 1 (thingg2)\n"
    assert note in said(project, capsys, "crawl")
    assert note not in said(project, capsys, "crawl", "--category", "n00000001")
    (tmp_path / "mine" / "thingg2").rename(tmp_path / "mine" / "N00000002")
    assert "note:" not in said(project, capsys, "crawl")


def test_a_licence_that_does_not_exist_is_named_and_not_called_a_lack_of_pictures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project = empty_project(tmp_path / "project")
    arguments = ("--project", str(project.folder), "export", "--classes", "1", "--out", str(tmp_path / "out"))
    assert run(command_line.main, *arguments, "--licence", "by,buy") == 1
    assert "'buy' is not a licence that sources name; known are cc0, " in capsys.readouterr().err
