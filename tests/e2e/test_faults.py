"""Faults around a project: sources, marketplaces and disks fail; it is told, nothing is lost, and it goes on."""

from __future__ import annotations

import re
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from hits import database
from imagenet_builder.cli import EXIT_LOCKED
from imagenet_builder.config import SETTINGS_NAME
from tests.adversity import (
    HTML,
    answering,
    build_template,
    outcomes,
    picture_site,
    port_of,
    search_at,
    set_setting,
    small_disk,
    stored_without_bytes,
)
from tests.command import done, refused, served, start, store_dump
from tests.export_parts import UMBRELLA

pytestmark = pytest.mark.timeout(600)

CRAWL, AGGREGATE, PUBLISH = ("crawl",), ("aggregate",), ("publish-hits", "--sandbox")
EXPORT = ("export", "--classes", "1", "--val", "1", "--test", "1", "--min-train", "2")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory, wordnet_folder: Path) -> Path:
    return build_template(tmp_path_factory.mktemp("template") / "project", wordnet_folder)


@pytest.fixture
def project(template: Path, tmp_path: Path) -> Path:
    """A copy of the template, of the test's own."""
    return Path(shutil.copytree(template, tmp_path / "project"))


# --- sources ----------------------------------------------------------------------------------------------


def test_a_source_that_is_down_costs_nothing_and_is_asked_again(project: Path, tmp_path: Path) -> None:
    before = outcomes(project)
    said = refused(project, "crawl", "--category", UMBRELLA, quiet=False)
    assert re.search(
        r"source wikimedia: http://127\.0\.0\.1:9/w/api\.php does not answer: .*run .* again later", said
    )
    assert outcomes(project) == before
    with picture_site(tmp_path) as url:
        search_at(project, url)
        done(project, "crawl", "--category", UMBRELLA)
    after = outcomes(project)
    assert after["stored"] > before["stored"]
    assert after["pending"] == 0


@pytest.mark.parametrize(
    ("status", "content", "says"),
    [
        (200, HTML, "is not a MediaWiki API"),
        (200, b'["opensearch"]', "is not a MediaWiki API"),
        (200, b'{"query": {"pages": [{"title": "File:A.jpg"}]}}', "not MediaWiki's format"),
        (404, HTML, "HTTP 404; is it the wiki's api.php?"),
        (500, HTML, "does not answer: HTTP 500; run the command again later"),
    ],
    ids=["a page", "another API", "half an answer", "not found", "out of order"],
)
def test_a_source_that_answers_nonsense_is_named(
    status: int, content: bytes, says: str, project: Path
) -> None:
    before = outcomes(project)
    with answering(status, content, "text/html" if content is HTML else "application/json") as (url, _):
        search_at(project, url)
        said = refused(project, "crawl", "--category", UMBRELLA, quiet=False)
    assert said.startswith(f"source wikimedia: {url}/w/api.php ")
    assert says in said
    assert outcomes(project) == before


# --- marketplaces -----------------------------------------------------------------------------------------


def change_keys(project: Path, name: str, value: str) -> str:
    """Put another key into the keys file; returns the file as it was."""
    path = project / "marketplace-keys.toml"
    before = path.read_text(encoding="utf-8")
    path.write_text(re.sub(rf'(?m)^{name} = ".*"$', f'{name} = "{value}"', before), encoding="utf-8")
    return before


def test_a_marketplace_that_is_down_and_keys_that_are_wrong_lose_nothing(project: Path) -> None:
    port = port_of(project)
    done(project, "marketplace", "keys")
    before = store_dump(project)
    down = rf"the marketplace at http://127\.0\.0\.1:{port} cannot be reached: .*`imagenet-builder marketplace serve`"
    assert re.fullmatch(down, refused(project, *PUBLISH))
    assert store_dump(project) == before
    with served(project, "marketplace", "serve", port=port):
        (project / "secret.key").write_text("12", encoding="ascii")
        said = refused(project, *PUBLISH)
        assert re.search(r"secret\.key does not hold this project's key: restore it from a backup", said)
        assert (project / "secret.key").read_text(encoding="ascii") == "12"
        (project / "secret.key").unlink()
        for name, value in (("access_key", "AKIAUNKNOWN000000000"), ("secret_key", "wrong")):
            right = change_keys(project, name, value)
            said = refused(project, *PUBLISH)
            assert re.search(r"refused the keys \(\w+\); check them against", said), said
            (project / "marketplace-keys.toml").write_text(right, encoding="utf-8")
        assert published(project) == 0
        assert "published  1 page" in done(project, *PUBLISH).output
    before = store_dump(project)
    assert re.fullmatch(down, refused(project, *AGGREGATE, quiet=False))
    assert store_dump(project) == before
    with served(project, "marketplace", "serve", port=port):
        right = change_keys(project, "secret_key", "wrong")
        assert re.search(r"refused the keys", refused(project, *AGGREGATE, quiet=False))
        (project / "marketplace-keys.toml").write_text(right, encoding="utf-8")
        assert store_dump(project) == before
        assert "0 collected" in done(project, *AGGREGATE).output
        taken = refused(project, "marketplace", "serve")
        assert f"cannot listen on 127.0.0.1, port {port}: " in taken
        assert "set [marketplace] endpoint to another port" in taken
    assert published(project) == 1


def published(project: Path) -> int:
    """Pages that the store knows of, in whatever state."""
    return sum(done(project, "status", "--json").document["hits"].values())


@pytest.mark.parametrize(
    ("status", "content"),
    [(200, HTML), (200, b"{}"), (404, HTML), (500, HTML)],
    ids=["a page", "nothing", "not found", "out of order"],
)
def test_what_is_no_marketplace_is_named(status: int, content: bytes, project: Path) -> None:
    with answering(status, content, "text/html" if content is HTML else "application/json") as (url, _):
        done(project, "marketplace", "keys")
        set_setting(project, "marketplace", endpoint=url)
        keys = project / "marketplace-keys.toml"
        keys.write_text(re.sub(r'endpoint = ".*"', f'endpoint = "{url}"', keys.read_text()), encoding="utf-8")
        before = store_dump(project)
        said = refused(project, *PUBLISH)
    assert url in said
    assert ";" in said
    assert store_dump(project) == before


# --- two at once ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lock", "command"),
    [
        ("aggregate", AGGREGATE),
        ("publish", PUBLISH),
        ("export", (*EXPORT, "--out", "release")),
        ("crawl", CRAWL),
    ],
)
def test_a_run_beside_another_is_turned_away_with_75(
    lock: str, command: tuple[str, ...], project: Path
) -> None:
    engine = database.open_engine(f"sqlite:///{project / 'store.sqlite3'}")
    before = store_dump(project)
    with database.exclusive_lock(engine, lock):
        said = refused(project, *command, code=EXIT_LOCKED)
    assert said == f"another {lock} is running on this store; try again later"
    assert store_dump(project) == before


def test_a_second_crawl_is_turned_away_and_the_first_can_be_stopped(project: Path) -> None:
    with answering(200, b"", "text/html", hangs=True) as (url, asked):
        search_at(project, url)
        first = start(project, "crawl")
        try:
            assert asked.wait(240)
            refused(project, "crawl", code=EXIT_LOCKED)
            first.terminate()
            _, errors = first.communicate(timeout=240)
        finally:
            first.kill()
            first.communicate()
    assert first.returncode == 130, errors
    assert "Traceback" not in errors
    assert errors.splitlines()[-1] == "stopped"


# --- disks that are full or read-only ---------------------------------------------------------------------


def test_a_crawl_onto_a_full_disk_keeps_what_is_stored_and_goes_on_when_there_is_room(
    project: Path, tmp_path: Path
) -> None:
    with picture_site(tmp_path) as url, small_disk(tmp_path / "disk", 160) as remount:
        shutil.copytree(project / "images", tmp_path / "disk" / "images")
        search_at(project, url)
        set_setting(project, "images", url=str(tmp_path / "disk" / "images"))
        said = refused(project, "crawl", "--category", UMBRELLA, quiet=False)
        assert re.search(
            r"cannot write images in .*/disk/images: .*No space left.*; free some disk space", said
        ), said
        assert stored_without_bytes(project, tmp_path / "disk") == set()
        assert outcomes(project)["pending"] > 0
        remount("size=64m")
        done(project, "crawl", "--category", UMBRELLA)
        assert outcomes(project)["pending"] == 0
        assert stored_without_bytes(project, tmp_path / "disk") == set()


def test_a_store_on_a_full_disk_stops_the_crawl_and_is_whole(project: Path, tmp_path: Path) -> None:
    with picture_site(tmp_path) as url, small_disk(tmp_path / "disk", 2048) as remount:
        disk = tmp_path / "disk"
        shutil.copy(project / "store.sqlite3", disk / "store.sqlite3")
        (disk / "filler").write_bytes(
            bytes(2048 * 1024 - (disk / "store.sqlite3").stat().st_size - 60 * 1024)
        )
        set_setting(project, "store", url=f"sqlite:///{disk / 'store.sqlite3'}")
        search_at(project, url)
        said = refused(project, "crawl", "--category", UMBRELLA, quiet=False)
        assert re.search(
            rf"the store sqlite:///{disk}/store.sqlite3 failed: .*; free some disk space", said
        ), said
        with closing(sqlite3.connect(disk / "store.sqlite3")) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        (disk / "filler").unlink()
        done(project, "crawl", "--category", UMBRELLA)
        assert outcomes(project)["pending"] == 0
        remount("ro")
        said = refused(project, "crawl", "--category", UMBRELLA)
        assert re.search(r"store\.sqlite3.*(read-?only|unable to open)", said, re.IGNORECASE), said
        remount("rw")
        done(project, "crawl", "--category", UMBRELLA)


def test_an_export_onto_a_full_or_read_only_disk_leaves_nothing_behind(project: Path, tmp_path: Path) -> None:
    out = tmp_path / "disk" / "release"
    command = (*EXPORT, "--out", str(out))
    with small_disk(out.parent, 16) as remount:
        before = store_dump(project)
        said = refused(project, *command, quiet=False)
        assert re.search(rf"cannot write the release {out}: No space left on device", said), said
        assert list(out.parent.iterdir()) == []
        remount("ro")
        said = refused(project, *command, quiet=False)
        assert re.search(rf"{out}.*[Rr]ead-only file system", said), said
        assert "releases" not in "".join(set(store_dump(project)) - set(before))
        remount("rw,size=16m")
        done(project, *command)
        assert "is sound" in done(project, "verify-release", str(out)).output


def test_a_project_cannot_be_made_on_a_full_or_read_only_disk(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 64) as remount:
        said = refused(tmp_path, "init", "disk/mine")
        assert re.search(r"; free some disk space|No space left", said), said
        assert not (tmp_path / "disk" / "mine" / SETTINGS_NAME).exists()
        remount("ro")
        said = refused(tmp_path, "init", "disk/other")
        assert re.search(r"cannot make a project in disk/other: Read-only file system", said), said
        remount("rw,size=16m")
        done(tmp_path, "init", "disk/mine")
        assert "0 categories" in done(tmp_path, "--project", "disk/mine", "status").output


LIMITED = """
import resource, sys
from imagenet_builder.cli import main
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), int(sys.argv[1])))
sys.argv[:] = ["imagenet-builder", *sys.argv[2:]]
main()
"""


def test_files_that_may_not_grow_are_told_in_one_line(project: Path, tmp_path: Path) -> None:
    """What a quota does, for one process: it needs no rights to be tried."""
    with picture_site(tmp_path) as url:
        search_at(project, url)
        limited = subprocess.run(
            [sys.executable, "-c", LIMITED, "8192", "crawl", "--category", UMBRELLA],
            cwd=project, capture_output=True, text=True, timeout=240, check=False,
        )  # fmt: skip
        assert limited.returncode == 1, limited.stderr
        assert "Traceback" not in limited.stderr
        assert limited.stderr.splitlines()[-1].startswith("Error: ")
        assert stored_without_bytes(project, project / "images") == set()
        done(project, "crawl", "--category", UMBRELLA)
        assert outcomes(project)["pending"] == 0
