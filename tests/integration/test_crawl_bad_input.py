"""What the command line says of sources that cannot do what is asked of them: one line that names what to correct."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hits import database
from imagenet_builder.cli import command_line
from imagenet_builder.cli import run as run_command
from imagenet_builder.project import Project
from imagenet_builder.store.tables import categories
from tests.builder_store import add_categories, empty_project
from tests.picture_services import CLIENT_ID, PictureServices, picture_services

UMBRELLA, MUSHROOM = "n04507155", "n07734744"
SECRET = "a-wrong-secret-word"
Crawl = Callable[..., tuple[str, str]]


@pytest.fixture
def services() -> Iterator[PictureServices]:
    with picture_services() as server:
        yield server


def project_for(folder: Path, wordnet: Path, **sections: Any) -> Project:
    made = empty_project(folder, wordnet={"folder": str(wordnet), "languages": []}, **sections)
    add_categories(made, UMBRELLA, MUSHROOM)
    with database.writing(made.engine) as connection:
        for wnid, lemmas in ((UMBRELLA, ["umbrella"]), (MUSHROOM, ["mushroom"])):
            connection.execute(categories.update().where(categories.c.wnid == wnid).values(lemmas=lemmas))
    return made


@pytest.fixture
def crawl(capsys: pytest.CaptureFixture[str]) -> Crawl:
    """`imagenet-builder crawl` with arguments, in this process: its figures, and the lines on stderr."""

    def run(project: Project, *arguments: str, expect: int) -> tuple[str, str]:
        root = logging.getLogger()
        handlers, level = list(root.handlers), root.level
        try:
            code = run_command(command_line.main, "--project", str(project.folder), "crawl", *arguments)
        finally:
            root.handlers[:] = handlers
            root.setLevel(level)
        said = capsys.readouterr()
        assert code == expect, said.out + said.err
        assert "Traceback" not in said.err
        return said.out, said.err

    return run


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("url,caption\nfile:///1,a dog\nfile:///2\n", "list.csv, line 3: 1 columns; the header has 2"),
        ('url,caption\nfile:///1,"a dog\n', "list.csv, line 2: unexpected end of data"),
        (
            "link,caption\nfile:///1,a dog\n",
            "list.csv, line 1: no column 'url'; set url_column under [url_list]",
        ),
    ],
)
def test_a_malformed_list_says_which_line(
    content: str, complaint: str, crawl: Crawl, tmp_path: Path, wordnet_folder: Path
) -> None:
    project = project_for(tmp_path, wordnet_folder, url_list={"paths": ["list.csv"], "licence": "by"})
    (tmp_path / "list.csv").write_text(content)
    _, said = crawl(project, "--source", "url_list", expect=1)
    assert said.splitlines()[-1].startswith(f"Error: source url_list: {complaint}")


def test_a_bad_openverse_account_says_which_settings_and_is_not_shown(
    services: PictureServices, crawl: Crawl, tmp_path: Path, wordnet_folder: Path
) -> None:
    account = {"endpoint": services.address, "client_id": CLIENT_ID, "client_secret": SECRET}
    project = project_for(tmp_path, wordnet_folder, openverse=account)
    _, said = crawl(project, "--source", "openverse", expect=1)
    assert "correct client_id and client_secret under [openverse]" in said.splitlines()[-1]
    assert SECRET not in said


def test_a_bad_flickr_key_says_which_setting_and_is_not_shown(
    services: PictureServices, crawl: Crawl, tmp_path: Path, wordnet_folder: Path
) -> None:
    account = {"endpoint": f"{services.address}/services/rest/", "key": SECRET}
    project = project_for(tmp_path, wordnet_folder, flickr=account)
    shown, said = crawl(project, "--source", "flickr", expect=1)
    assert "correct key under [flickr]" in said.splitlines()[-1]
    assert "nothing to do" not in shown
    assert SECRET not in said


def test_categories_for_which_nothing_is_found_are_told(
    crawl: Crawl, tmp_path: Path, wordnet_folder: Path
) -> None:
    project = project_for(tmp_path, wordnet_folder, url_list={"paths": ["list.csv"]})
    (tmp_path / "list.csv").write_text("url,caption,license\nfile:///1.jpg,An umbrella,by\n")
    shown, said = crawl(project, "--source", "url_list", expect=0)
    assert f"no usable candidate for {MUSHROOM}" in shown
    assert UMBRELLA not in shown.split("no usable candidate for")[1]
    assert f"({MUSHROOM}): no usable candidate found" in said
