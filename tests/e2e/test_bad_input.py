"""Bad input through the real command line: one line that says what to do, the right code, nothing changed."""

from __future__ import annotations

import re
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from imagenet_builder.cli import EXIT_SHORT
from imagenet_builder.config import SETTINGS_NAME
from tests.adversity import build_template, set_setting
from tests.command import done, refused, run, start, store_dump
from tests.export_parts import TENCH, UMBRELLA

pytestmark = pytest.mark.timeout(600)

STATUS, CRAWL, AGGREGATE = ("status",), ("crawl",), ("aggregate",)
SELECT, PUBLISH, LIVE = ("synsets", "select"), ("publish-hits", "--sandbox"), ("publish-hits", "--live")
EXPORT = ("export", "--classes", "2", "--val", "1", "--test", "1", "--min-train", "2", "--out", "release")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory, wordnet_folder: Path) -> Path:
    return build_template(tmp_path_factory.mktemp("template") / "project", wordnet_folder)


@pytest.fixture
def project(template: Path, tmp_path: Path) -> Path:
    """A copy of the template, of the test's own."""
    return Path(shutil.copytree(template, tmp_path / "project"))


@dataclass(frozen=True)
class Refusal:
    """A command that must be refused after `spoil` was done to the project, in words that match `says`."""

    command: tuple[str, ...]
    says: str
    spoil: Callable[[Path], object] = lambda project: None
    code: int = 1


def settings_text(text: str | bytes) -> Callable[[Path], object]:
    """Replace the settings file."""
    content = text if isinstance(text, bytes) else text.encode()
    return lambda project: (project / SETTINGS_NAME).write_bytes(content)


def setting(section: str, **settings: object) -> Callable[[Path], object]:
    return lambda project: set_setting(project, section, **settings)


def written(name: str, content: str) -> Callable[[Path], object]:
    return lambda project: (project / name).write_text(content, encoding="utf-8")


def all_of(*spoils: Callable[[Path], object]) -> Callable[[Path], object]:
    return lambda project: [spoil(project) for spoil in spoils]


def folder(name: str) -> Callable[[Path], object]:
    return lambda project: (project / name).mkdir()


def nothing_selected(project: Path) -> None:
    done(project, "synsets", "drop", UMBRELLA, TENCH)


REFUSALS = {
    "a word misspelt": Refusal((*SELECT, "umbrela"), r"no noun 'umbrela'; did you mean .*\bumbrella\b"),
    "a wnid that is none": Refusal((*SELECT, "n00000001"), r"no noun synset n00000001; look it up by a word"),
    "a verb": Refusal((*SELECT, "run.v.01"), r"'run\.v\.01' names a verb, .*try run\.n\.01"),
    "a sense too many": Refusal((*SELECT, "dog.n.99"), r"'dog\.n\.99': the senses .*dog\.n\.01"),
    "a drop misspelt": Refusal(("synsets", "drop", "umbrela"), r"did you mean .*\bumbrella\b"),
    "no synset": Refusal(SELECT, r"nothing to select: give .*--under"),
    "an unknown list": Refusal((*SELECT, "--list", "ilsvrc2011"), r"ilsvrc2011.*ilsvrc2012"),
    "a missing file of synsets": Refusal((*SELECT, "--file", "mine.txt"), r"mine\.txt"),
    "a wrong line in a file of synsets": Refusal(
        (*SELECT, "--file", "mine.txt"),
        r"mine\.txt.*line 2.*umbrela",
        written("mine.txt", "dog\numbrela\n"),
    ),
    "settings that are no TOML": Refusal(
        STATUS,
        r"imagenet-builder\.toml is not valid TOML: .*line 2",
        settings_text("[crawl]\nper_category = \n"),
    ),
    "settings that are no text": Refusal(STATUS, r"not valid TOML", settings_text(b"\xff\xfe\x00")),
    "an unknown section": Refusal(
        STATUS, r"unknown section \[crawling\]; known are .*crawl", settings_text("[crawling]\n")
    ),
    "an unknown setting": Refusal(
        STATUS,
        r"unknown setting per_categroy in \[crawl\]; known are .*per_category",
        setting("crawl", per_categroy=3),
    ),
    "a setting of the wrong kind": Refusal(
        STATUS,
        r"\[crawl\] per_category must be a whole number, not 'many'",
        setting("crawl", per_category="many"),
    ),
    "a licence that is none": Refusal(
        (*CRAWL, "--licence", "by,gpl"), r"'gpl' is not a licence .*known are .*by-sa"
    ),
    "a source that is none": Refusal((*CRAWL, "--source", "bing"), r"bing.*wikimedia"),
    "no list of addresses": Refusal((*CRAWL, "--source", "url_list"), r"needs `paths` under \[url_list\]"),
    "a list of addresses that is not there": Refusal(
        (*CRAWL, "--source", "url_list"),
        r"there is no list .*/mine\.csv: correct `paths` under \[url_list\]",
        setting("url_list", paths=["mine.csv"]),
    ),
    "a dump that is not there": Refusal(
        (*CRAWL, "--source", "inaturalist"),
        r"there is no folder .*/dump: correct `dump` under \[inaturalist\]",
        setting("inaturalist", dump="dump"),
    ),
    "no key for a source that wants one": Refusal(
        (*CRAWL, "--source", "flickr"),
        r"needs `key` under \[flickr\], or IMAGENET_BUILDER_FLICKR_KEY",
        setting("project", contact="ann@example.org"),
    ),
    "half of an account": Refusal(
        (*CRAWL, "--source", "openverse"),
        r"\[openverse\] needs both client_id and client_secret",
        all_of(setting("project", contact="ann@example.org"), setting("openverse", client_id="mine")),
    ),
    "a language that there is not": Refusal(
        CRAWL, r"\[wordnet\] languages: 'klingon' is no language", setting("wordnet", languages=["klingon"])
    ),
    "an impossible share": Refusal(
        CRAWL, r"\[crawl\] drop_share = 0\.0 must be over 0", setting("crawl", drop_share=0.0)
    ),
    "no contact for other people's wiki": Refusal(
        CRAWL,
        r"commons\.wikimedia\.org .*contact = .* under \[project\]",
        all_of(
            setting("project", contact=""),
            setting("wikimedia", endpoint="https://commons.wikimedia.org/w/api.php"),
        ),
    ),
    "nothing selected to crawl": Refusal(
        CRAWL, r"no categories .*`imagenet-builder synsets select`", nothing_selected
    ),
    "nothing selected to export": Refusal(
        EXPORT, r"0 of 2 classes.*nothing was written: ", nothing_selected, EXIT_SHORT
    ),
    "nothing selected to label": Refusal(
        ("controls", "label"), r"no categories; .*`imagenet-builder synsets select`", nothing_selected
    ),
    "a crawl of what is no category": Refusal(
        (*CRAWL, "--category", "n02084071"),
        r"n02084071 is not a category here; run `imagenet-builder synsets select",
    ),
    "a publication of what is no category": Refusal(
        (*PUBLISH, "--category", "n02084071"),
        r"n02084071 is no category of this project; see `imagenet-builder",
    ),
    "WordNet that is not there": Refusal(
        (*SELECT, "dog"),
        r"nowhere does not hold data\.noun.*apt-get install wordnet-base",
        setting("wordnet", folder="nowhere"),
    ),
    "a store that is a folder": Refusal(
        STATUS,
        r"the store sqlite:////?.*/taken failed: unable to open.*; check that",
        all_of(folder("taken"), setting("store", url="sqlite:///taken")),
    ),
    "a store below a file": Refusal(
        STATUS,
        r"the store sqlite:.* failed: unable to open.*; check that the folder exists",
        all_of(written("a-file", ""), setting("store", url="sqlite:///a-file/store")),
    ),
    "a store that is something else": Refusal(
        STATUS,
        r"the store sqlite:.*/notes\.txt .*not a database; .*restore it from a backup",
        all_of(written("notes.txt", "buy umbrellas\n" * 99), setting("store", url="sqlite:///notes.txt")),
    ),
    "a store that is not there": Refusal(
        STATUS,
        r"the store sqlite:.* is empty; run `imagenet-builder db upgrade`",
        setting("store", url="sqlite:///new.sqlite3"),
    ),
    "a PostgreSQL that is down": Refusal(
        STATUS,
        r"the store postgresql.*//me:\*\*\*@127\.0\.0\.1:9/mine failed: .*refused.*; check that the store",
        setting("store", url="postgresql://me:secret@127.0.0.1:9/mine"),
    ),
    "a kind of store that there is not": Refusal(
        STATUS,
        r"cannot use a mysql store: only sqlite and postgresql",
        setting("store", url="mysql://me@127.0.0.1/mine"),
    ),
    "both stores in one place": Refusal(
        ("marketplace", "keys"),
        r"\[store\] url and \[marketplace\] store",
        setting("marketplace", store="sqlite:///store.sqlite3"),
    ),
    "images where a file is": Refusal(
        ("report",),
        r"cannot make the image folder .*/a-file: .*; correct `url` in \[images\]",
        all_of(written("a-file", ""), setting("images", url="a-file")),
    ),
    "images at an unknown kind of address": Refusal(
        CRAWL,
        r"cannot use the image store ftp://.*: give a folder",
        setting("images", url="ftp://127.0.0.1/pictures"),
    ),
    "no keys for the marketplace": Refusal(
        PUBLISH, r"no keys for http://127\.0\.0\.1:\d+: start its own .*`imagenet-builder marketplace serve`"
    ),
    "damaged keys": Refusal(
        PUBLISH,
        r"marketplace-keys\.toml is damaged: it needs \[\[requester\]\]",
        written("marketplace-keys.toml", "requester = 3\n"),
    ),
    "live without an endpoint": Refusal(
        (*LIVE, "--dry-run"), r"set \[marketplace\] live_endpoint in .*imagenet-builder\.toml"
    ),
    "live without a terminal": Refusal(LIVE, r"not a terminal; .*--sandbox"),
    "a rule that there is not": Refusal(
        (*AGGREGATE, "--rule", "oracle"), r"no rule 'oracle'; the rules are .*majority"
    ),
    "a frame on the same host": Refusal(
        ("marketplace", "serve"),
        r"host ?name",
        setting("marketplace", frame_url="http://127.0.0.1:8700"),
    ),
    "an impossible release": Refusal(
        ("export", "--classes", "2", "--max-train", "1", "--out", "release"),
        r"no class can have .*max-train no less",
    ),
    "a release where something is": Refusal(
        EXPORT, r"/release", all_of(folder("release"), written("release/mine", ""))
    ),
    "a missing list of classes": Refusal(("export", "--list", "mine.txt", "--out", "release"), r"mine\.txt"),
    "no release to verify": Refusal(("verify-release", "nowhere"), r"nowhere"),
    "no release to train on": Refusal(("train", "nowhere"), r"nowhere"),
    "no run to report": Refusal(
        ("report", "--run", "nowhere"), r"nowhere holds no finished training run: give"
    ),
    "a report below a file": Refusal(
        ("report", "--out", "made/report.html"),
        r"cannot write the report made/report\.html: ",
        written("made", ""),
    ),
    "a project twice": Refusal(("init",), r"is a project already"),
    "no truth for the simulated crowd": Refusal(
        ("marketplace", "simulate", "--truth", "truth.jsonl"),
        r"truth\.jsonl.*line 1",
        written("truth.jsonl", "{}\n"),
    ),
    "a simulated crowd without a marketplace": Refusal(
        ("marketplace", "simulate", "--workers", "1"), r"does not answer.*marketplace serve"
    ),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_what_cannot_be_done_is_refused_in_one_line_and_changes_nothing(name: str, project: Path) -> None:
    refusal = REFUSALS[name]
    refusal.spoil(project)
    before = store_dump(project)
    there = {path.name for path in project.iterdir()}
    said = refused(project, *refusal.command, code=refusal.code)
    assert re.search(refusal.says, said), said
    assert store_dump(project) == before
    # No half-made release, nothing damaged made new; locks, empty stores and the marketplace's own files may be.
    new = {path.name for path in project.iterdir()} - there
    assert not {found for found in new if not found.startswith((".", "new.", "marketplace", "store."))}


@pytest.mark.parametrize(
    "command",
    [
        *(STATUS, CRAWL, AGGREGATE, PUBLISH, EXPORT, ("candidates",), ("report",), ("doctor",)),
        *(("synsets", "select", "dog"), ("db", "upgrade"), ("marketplace", "serve"), ("reconcile",)),
    ],
    ids=" ".join,
)
def test_without_a_project_nothing_is_made_of_one(command: tuple[str, ...], tmp_path: Path) -> None:
    said = refused(tmp_path, *command)
    assert re.fullmatch(r"no imagenet-builder\.toml in .* or above it; .*`imagenet-builder init`", said)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("variable", "says"),
    [
        ("IMAGENET_BUILDER_CRAWL_PER_CATEGORY", "must be a whole number, not 'x'"),
        ("IMAGENET_BUILDER_CRAWL_PER_CATEGROY", "names no setting of [crawl]"),
    ],
)
def test_an_environment_that_is_wrong_is_named(variable: str, says: str, project: Path) -> None:
    said = refused(project, "status", environment={variable: "x"})
    assert variable in said
    assert says in said


# --- stores of another age --------------------------------------------------------------------------------


def set_schema(store: Path, revision: str) -> None:
    with closing(sqlite3.connect(store)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", (revision,))


@pytest.mark.parametrize(
    ("revision", "says"),
    [
        (
            "0000",
            r"older schema 0000, this program needs (\d+); back it up and run `imagenet-builder db upgrade`",
        ),
        ("9999", r"newer schema 9999, this program knows (\d+); update imagenet-builder \(pip install"),
    ],
)
def test_a_store_of_another_age_is_refused_by_every_stage_and_left_alone(
    revision: str, says: str, project: Path
) -> None:
    with closing(sqlite3.connect(project / "store.sqlite3")) as connection:
        (head,) = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    set_schema(project / "store.sqlite3", revision)
    before = store_dump(project)
    for command in (STATUS, CRAWL, PUBLISH, AGGREGATE, EXPORT):
        found = re.search(says, refused(project, *command))
        assert found is not None
        assert found[1] == head
    assert store_dump(project) == before
    assert re.search(says, not_served(project))
    set_schema(project / "store.sqlite3", head)
    assert "2 categories" in done(project, "status").output


def not_served(project: Path) -> str:
    """The line with which `marketplace serve` ends; one that goes on serving is stopped."""
    server = start(project, "marketplace", "serve")
    try:
        _, errors = server.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        server.kill()
        pytest.fail(f"it serves: {server.communicate()[1]}")
    assert server.returncode == 1, errors
    return errors.splitlines()[-1]


@pytest.mark.parametrize("arguments", [(), ("--revision", "7777")], ids=["to head", "to a revision"])
def test_upgrading_what_this_program_does_not_know_is_refused(
    arguments: tuple[str, ...], project: Path
) -> None:
    if not arguments:
        set_schema(project / "store.sqlite3", "9999")
    before = store_dump(project)
    said = refused(project, "db", "upgrade", "--store", "builder", *arguments)
    assert re.search(r"9999|7777", said)
    assert store_dump(project) == before


def test_an_empty_store_is_made_by_the_command_that_the_refusal_names(project: Path) -> None:
    set_setting(project, "store", url="sqlite:///new.sqlite3")
    assert "run `imagenet-builder db upgrade`" in refused(project, "crawl")
    done(project, "db", "upgrade", "--store", "builder")
    assert "0 categories" in done(project, "status").output


def test_a_store_that_is_damaged_inside_is_told_in_one_line(project: Path) -> None:
    """Pages overwritten in the middle, as a failing disk leaves them."""
    path = project / "store.sqlite3"
    content = bytearray(path.read_bytes())
    content[4096 : len(content) // 2] = b"\xa5" * (len(content) // 2 - 4096)
    path.write_bytes(content)
    said = refused(project, "status")
    assert "store.sqlite3" in said
    assert re.search("malformed|damaged", said)
    assert "backup" in said
    assert path.read_bytes() == content


# --- WordNet of another version ---------------------------------------------------------------------------


def test_another_version_of_wordnet_is_refused_and_the_right_one_works(
    project: Path, wordnet_folder: Path, tmp_path: Path
) -> None:
    """Ten bytes more in the licence at the head of the file move every synset: other offsets, other wnids."""
    moved = tmp_path / "wordnet"
    moved.mkdir()
    for name in ("data.noun", "index.noun"):
        text = (wordnet_folder / name).read_bytes()
        text = re.sub(rb"(?<= )\d{8}(?= )|^\d{8}(?= )", _ten_more, text, flags=re.MULTILINE)
        (moved / name).write_bytes(text.replace(b"  1 This", b"  1 " + b"." * 10 + b"This", 1))
    set_setting(project, "wordnet", folder=str(moved))
    before = store_dump(project)
    said = refused(project, "synsets", "select", "dog")
    assert re.search(rf"{moved} is not WordNet 3\.0: .*apt-get install wordnet-base", said), said
    (moved / "data.noun").write_bytes((moved / "data.noun").read_bytes()[:-5000])
    said = refused(project, "synsets", "select", "dog")
    assert re.search(rf"data\.noun in {moved} is damaged .*apt-get", said), said
    assert store_dump(project) == before
    set_setting(project, "wordnet", folder=str(wordnet_folder))
    assert "1 selected: 1 new" in done(project, "synsets", "select", "dog").output


def _ten_more(offset: re.Match[bytes]) -> bytes:
    return b"%08d" % (int(offset[0]) + 10)


# --- fewer classes than asked -----------------------------------------------------------------------------


def test_too_few_classes_write_nothing_unless_that_is_allowed(project: Path) -> None:
    before = store_dump(project)
    ended = run(project, *EXPORT)
    assert ended.code == EXIT_SHORT
    assert re.fullmatch(
        r"Error: 1 of 2 classes qualify with 4 distinct accepted pictures each; nothing was written: .*\n",
        ended.errors,
    )
    assert re.search(rf"{UMBRELLA} +umbrella\.n\.01 +0 +4 +4", ended.output)
    assert not (project / "release").exists()
    assert store_dump(project) == before
    said = refused(project, *EXPORT, "--allow-fewer", code=EXIT_SHORT, quiet=False)
    assert re.search(r"release has 1 of 2 classes; crawl and verify more pictures", said)
    assert [path.name for path in (project / "release" / "train").iterdir()] == [TENCH]
    assert "is sound" in done(project, "verify-release", "release").output
