"""Settings: file < environment < flags, and every mistake named."""

from __future__ import annotations

import tomllib
from dataclasses import fields
from pathlib import Path

import pytest

from imagenet_builder.config import Settings, load_settings, override
from imagenet_builder.errors import ProjectError
from imagenet_builder.initialise import _commented_settings


def written(folder: Path, text: str) -> Path:
    path = folder / "imagenet-builder.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_environment_beats_the_file_and_a_flag_beats_both(tmp_path: Path) -> None:
    path = written(tmp_path, "[crawl]\nper_category = 7\nmin_side = 9\n")
    settings = load_settings(path, {"IMAGENET_BUILDER_CRAWL_PER_CATEGORY": "8"})
    assert (settings.crawl.per_category, settings.crawl.min_side) == (8, 9)
    flagged = override(settings, "crawl", per_category=10, min_side=None)
    assert (flagged.crawl.per_category, flagged.crawl.min_side) == (10, 9)
    assert settings.crawl.per_category == 8


def test_lists_and_numbers_are_read_from_the_environment(tmp_path: Path) -> None:
    environment = {"IMAGENET_BUILDER_CRAWL_LICENCES": "cc0, by", "IMAGENET_BUILDER_CRAWL_TIMEOUT": "2"}
    settings = load_settings(written(tmp_path, ""), environment)
    assert settings.crawl.licences == ("cc0", "by")
    assert settings.crawl.timeout == 2.0


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[crawl]\nper_categroy = 5\n", r"unknown setting per_categroy in \[crawl\]"),
        ("[crwal]\n", r"unknown section \[crwal\]"),
        ("crawl = 3\n", r"crawl must be a section"),
        ("[crawl]\nper_category = 'many'\n", "per_category must be a whole number"),
        ("[crawl]\nper_category = true\n", "per_category must be a whole number"),
        ("[crawl]\nlicences = 'cc0'\n", "licences must be a list of strings"),
        ("[crawl", "is not valid TOML"),
    ],
)
def test_a_mistake_in_the_file_is_named(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(ProjectError, match=complaint):
        load_settings(written(tmp_path, text), {})


@pytest.mark.parametrize(
    ("variable", "value", "complaint"),
    [
        ("IMAGENET_BUILDER_CRAWL_PER_CATEGORY", "many", "must be a whole number"),
        ("IMAGENET_BUILDER_CRAWL_PER_CATEGROY", "5", "names no setting"),
        ("IMAGENET_BUILDER_WIKIMEDIA_SEARCH_TEXT", "perhaps", "must be true or false"),
    ],
)
def test_a_mistake_in_the_environment_is_named(
    tmp_path: Path, variable: str, value: str, complaint: str
) -> None:
    with pytest.raises(ProjectError, match=complaint):
        load_settings(written(tmp_path, ""), {variable: value})


@pytest.mark.parametrize(
    ("settings", "addresses"),
    [
        ("", ("http://127.0.0.1:8700", "http://localhost:8700", "http://127.0.0.1:8700/pictures")),
        (
            'endpoint = "http://localhost:9123/"',
            ("http://127.0.0.1:9123", "http://localhost:9123", "http://127.0.0.1:9123/pictures"),
        ),
        (
            'endpoint = "http://127.0.0.1:9123"\nframe_url = "http://127.0.0.2:9123"',
            ("http://127.0.0.1:9123", "http://127.0.0.2:9123", "http://127.0.0.1:9123/pictures"),
        ),
        (
            'endpoint = "https://mturk.example.org:9123"',
            ("http://127.0.0.1:8700", "http://localhost:8700", "http://127.0.0.1:8700/pictures"),
        ),
    ],
)
def test_workers_go_where_the_own_marketplace_is(
    tmp_path: Path, settings: str, addresses: tuple[str, str, str]
) -> None:
    read = load_settings(written(tmp_path, f"[marketplace]\n{settings}\n"), {}).marketplace
    assert (read.public_url, read.frame_url, read.pictures_url) == addresses


def test_a_missing_file_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="cannot read"):
        load_settings(tmp_path / "absent.toml", {})


def test_the_commented_settings_show_every_setting_with_its_default() -> None:
    uncommented = "\n".join(
        line[1:] if line.startswith("#") and not line.startswith("# ") else line
        for line in _commented_settings().splitlines()
    )
    shown = tomllib.loads(uncommented)
    defaults = Settings()
    assert set(shown) == {section.name for section in fields(defaults)}
    for section, settings in shown.items():
        default = getattr(defaults, section)
        expected = {field.name: getattr(default, field.name) for field in fields(default)}
        assert {name: tuple(v) if isinstance(v, list) else v for name, v in settings.items()} == expected, (
            section
        )
