"""The way from a real MediaWiki into a project, by the command line, as a user goes it."""

from __future__ import annotations

import hashlib
import json
import logging
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from hits import database
from imagenet_builder.cli import command_line
from imagenet_builder.cli import run as run_command
from imagenet_builder.project import Project
from imagenet_builder.store import tables
from tests.builder_store import add_categories, empty_project
from tests.mediawiki_server import PICTURES, wiki  # noqa: F401  a fixture

UMBRELLA, MUSHROOM = "n04507155", "n07734744"


Command = Callable[..., str]


@pytest.fixture
def command(project: Project, capsys: pytest.CaptureFixture[str]) -> Command:
    """The command line in this process: its figures, or what it says of a failure with exit code `expect`."""

    def run(*arguments: str, expect: int = 0, folder: Path = project.folder) -> str:
        root = logging.getLogger()
        handlers, level = list(root.handlers), root.level
        try:
            code = run_command(command_line.main, "--project", str(folder), *arguments)
        finally:
            root.handlers[:] = handlers
            root.setLevel(level)
        said = capsys.readouterr()
        assert code == expect, said.out + said.err
        return said.out if expect == 0 else said.err

    return run


@pytest.fixture
def project(wiki: str, wordnet_folder: Path, tmp_path: Path) -> Project:  # noqa: F811
    made = empty_project(
        tmp_path / "project",
        project={"contact": ""},
        wikimedia={"endpoint": f"{wiki}/api.php", "search_text": True},
        wordnet={"folder": str(wordnet_folder)},
        crawl={"allow_addresses": [wiki.removeprefix("http://")], "per_category": 50},
    )
    add_categories(made, UMBRELLA, MUSHROOM)
    return made


def test_a_real_mediawiki_is_crawled_end_to_end(project: Project, command: Command) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "imagenet_builder", "--project", str(project.folder), "crawl", "--json"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={"PATH": "/usr/bin:/bin", "HOME": str(project.folder)},
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    counts = {(outcome["state"], outcome["reason"]): outcome["count"] for outcome in report["outcomes"]}
    assert counts == {("stored", None): 9, ("rejected", "licence"): 2, ("rejected", "too-small"): 1}
    assert report["source_errors"] == []
    by_category = json.loads(command("candidates", "--json"))
    assert {row["wnid"]: (row["stored"], row["rejected"]) for row in by_category} == {
        UMBRELLA: (8, 3),
        MUSHROOM: (1, 0),
    }
    with database.reading(project.engine) as connection:
        rows = {
            row.title.removeprefix("File:"): row for row in connection.execute(sa.select(tables.candidates))
        }
        queries = connection.execute(sa.select(tables.queries.c.words, tables.queries.c.exhausted)).all()
    originals = {picture.name: hashlib.sha256(picture.content).hexdigest() for picture in PICTURES}
    for name in ("Street scene 0.jpg", "Old umbrella.png", "Mushroom.jpg"):
        assert rows[name].sha256 == originals[name]
    beach = rows["Beach.jpg"]
    assert beach.sha256 not in originals.values()
    assert beach.original_url.endswith("Beach.jpg")
    assert (beach.licence, beach.licence_version, beach.author) == ("by", "2.0", "Ann Example")
    assert set(project.images) == {row.sha256 for row in rows.values() if row.sha256}
    assert ("umbrella", True) in [tuple(query) for query in queries]


def test_a_second_run_and_a_retry_have_nothing_to_do(project: Project, command: Command) -> None:
    command("crawl")
    assert "nothing to do" in command("crawl", "--retry")
    report = json.loads(command("crawl", "--json"))
    assert (report["pages"], report["new_candidates"], report["outcomes"]) == (0, 0, [])


def test_flags_choose_category_number_and_licence(project: Project, command: Command) -> None:
    said = command("crawl", "--category", UMBRELLA, "--per-category", "3", "--licence", "by-sa, BY")
    assert "stored" in said
    [umbrella] = json.loads(command("candidates", "--json", "--category", UMBRELLA))
    assert (umbrella["pending"], umbrella["stored"]) == (0, 3)
    [mushroom] = json.loads(command("candidates", "--json", "--category", MUSHROOM))
    assert (mushroom["pending"], mushroom["stored"], mushroom["rejected"]) == (0, 0, 0)


def test_rejected_candidates_are_listed_with_their_reasons(project: Project, command: Command) -> None:
    command("crawl")
    shown = command("candidates", "--rejected")
    assert "too-small" in shown
    assert "licence" in shown
    assert "Small.jpg" in shown
    assert "Plate.jpg  by-nc" in shown
    assert "Nobody_knows.jpg  unknown" in shown
    assert "and 2 more" in command("candidates", "--rejected", "--limit", "1")
    assert command("candidates", "--failed").strip() == "no failed candidates"
    found = json.loads(command("candidates", "--rejected", "--json"))
    assert sum(reason["count"] for reason in found["reasons"]) == len(found["candidates"]) == 3


def test_what_each_query_brought_is_shown_and_which_are_dropped(project: Project, command: Command) -> None:
    command("crawl")
    shown = json.loads(command("candidates", "--queries", "--json", "--category", UMBRELLA))
    assert {(row["words"], row["state"]) for row in shown} >= {("umbrella", "exhausted")}
    [umbrella] = [row for row in shown if row["words"] == "umbrella"]
    assert umbrella["found"] == umbrella["stored"] + umbrella["refused"] > 0
    text = command("candidates", "--queries")
    assert all(word in text for word in ("words", "found", "known", "refused", "exhausted"))
    with database.writing(project.engine) as connection:
        connection.execute(
            tables.queries.update().values(exhausted=False, found=0, known=200, continuation="x")
        )
    assert {row["state"] for row in json.loads(command("candidates", "--queries", "--json"))} == {"dropped"}
    assert "queries not asked on, because what they brought was known or refused: " in command("crawl")


def test_pictures_on_addresses_that_are_not_allowed_are_not_fetched(
    project: Project, command: Command
) -> None:
    settings = project.folder / "imagenet-builder.toml"
    settings.write_text(settings.read_text().replace("allow_addresses", "# allow_addresses"))
    command("crawl", "--category", MUSHROOM)
    found = json.loads(command("candidates", "--failed", "--json"))
    assert {row["reason"] for row in found["candidates"]} == {"forbidden-address"}


def test_bad_input_is_one_clear_line(command: Command, tmp_path: Path) -> None:
    assert "not a category here" in command("crawl", "--category", "n02084071", expect=1)
    assert "no source 'bing'" in command("crawl", "--source", "bing", expect=1)
    assert "'cc-by' is not a licence" in command("crawl", "--licence", "cc-by", expect=1)
    assert "--per-category" in command("crawl", "--per-category", "0", expect=2)
    empty = empty_project(tmp_path / "empty")
    said = command("crawl", expect=1, folder=empty.folder)
    assert said == "Error: no categories are selected; run `imagenet-builder synsets select` first\n"


def test_a_wiki_that_is_down_is_one_line_with_what_was_pending_fetched_first(
    project: Project, command: Command
) -> None:
    settings = project.folder / "imagenet-builder.toml"
    text = settings.read_text()
    pictures = project.folder / "mine" / MUSHROOM
    pictures.mkdir(parents=True)
    (pictures / "a.jpg").write_bytes(PICTURES[0].content)
    endpoint = next(line for line in text.splitlines() if line.startswith("endpoint"))
    text = text.replace(endpoint, 'endpoint = "http://127.0.0.1:9/api.php"')
    settings.write_text(f'{text}\n[folder]\npath = "mine"\nlicence = "cc0"\n')
    said = command("crawl", "--category", MUSHROOM, "--source", "wikimedia", "--source", "folder", expect=1)
    error = said.splitlines()[-1]
    assert error.startswith("Error: source wikimedia: http://127.0.0.1:9/api.php does not answer")
    [mushroom] = json.loads(command("candidates", "--json", "--category", MUSHROOM))
    assert mushroom["stored"] == 1


def test_a_contact_is_asked_for_before_others_servers_are(project: Project, command: Command) -> None:
    settings = project.folder / "imagenet-builder.toml"
    lines = [line for line in settings.read_text().splitlines() if not line.startswith("endpoint")]
    settings.write_text("\n".join(lines) + "\n")
    assert "contact" in command("crawl", expect=1)
