"""Projects: made, found upward, with a secret that only the owner reads."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hits import database
from imagenet_builder.errors import ProjectError
from imagenet_builder.initialise import initialise
from imagenet_builder.project import Project, find_project
from imagenet_builder.store.tables import SCHEMA
from tests.builder_store import empty_project


def test_a_new_project_is_found_from_a_folder_below_it(tmp_path: Path) -> None:
    initialise(tmp_path / "mine")
    below = tmp_path / "mine" / "images" / "deep"
    below.mkdir(parents=True)
    project = find_project(below)
    assert project.folder == (tmp_path / "mine").resolve()
    assert database.current_revision(project.engine) == SCHEMA


def test_no_project_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="imagenet-builder init"):
        find_project(tmp_path)


def test_init_overwrites_nothing(tmp_path: Path) -> None:
    initialise(tmp_path)
    settings = tmp_path / "imagenet-builder.toml"
    settings.write_text("[project]\nname = 'kept'\n")
    with pytest.raises(ProjectError, match="is a project already"):
        initialise(tmp_path)
    assert "kept" in settings.read_text()


def test_init_where_a_file_is_in_the_way_leaves_no_project(tmp_path: Path) -> None:
    (tmp_path / "images").write_text("in the way")
    with pytest.raises(ProjectError, match="cannot make a project"):
        initialise(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["images"]


def test_the_secret_is_one_and_private_however_many_ask_first(tmp_path: Path) -> None:
    project = empty_project(tmp_path)
    with ThreadPoolExecutor(8) as pool:
        secrets = set(pool.map(lambda _: Project(project.folder, project.settings).secret, range(32)))
    assert len(secrets) == 1
    mode = stat.S_IMODE((tmp_path / "secret.key").stat().st_mode)
    assert mode == 0o600
    assert not list(tmp_path.glob("secret.key.*"))


def test_a_damaged_secret_is_refused_and_not_replaced(tmp_path: Path) -> None:
    project = empty_project(tmp_path)
    (tmp_path / "secret.key").write_text("12")
    with pytest.raises(ProjectError, match="restore it from a backup"):
        _ = project.secret
    assert (tmp_path / "secret.key").read_text() == "12"


def test_relative_sqlite_paths_belong_to_the_project_and_other_addresses_stay(tmp_path: Path) -> None:
    project = empty_project(tmp_path)
    assert project.store_url("sqlite:///a.db") == f"sqlite:///{tmp_path / 'a.db'}"
    assert project.store_url("sqlite:////var/a.db") == "sqlite:////var/a.db"
    assert project.store_url("postgresql://h/d") == "postgresql://h/d"
