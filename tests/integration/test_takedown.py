"""`takedown`: pictures leave the store and later releases, and do not come back."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa
from PIL import Image, ImageOps

from hits import database
from hits.errors import LockHeld
from hits.model import Answer
from imagenet_builder import marketplace_keys
from imagenet_builder.aggregate import aggregate
from imagenet_builder.cli import command_line, run
from imagenet_builder.crawl.crawl import crawl
from imagenet_builder.errors import ImageStoreError
from imagenet_builder.export.choose import Sizes
from imagenet_builder.export.diff import difference, read_listing
from imagenet_builder.export.release import export
from imagenet_builder.export.request import ExportRequest
from imagenet_builder.gc import compare, sweep
from imagenet_builder.pictures import thumbnail
from imagenet_builder.project import Project
from imagenet_builder.publish import publish as publish_pages
from imagenet_builder.records import Rights
from imagenet_builder.sources.folder import Folder
from imagenet_builder.store import controls, publish, tables
from imagenet_builder.store.status import Status, read_status
from imagenet_builder.takedown import parse_author, parse_target, take_down
from tests.builder_store import NOW
from tests.export_parts import GOLDFISH, TENCH, Verified, picture, project_with, some_pictures
from tests.proposing_source import ProposingSource
from tests.verification_project import verification

REQUEST = ExportRequest(Sizes(val=2, test=2, min_train=3, max_train=20), classes=2)
ADA, GRACE = Rights("by", "4.0", None, "Ada  Example"), Rights("by", "4.0", None, "Grace Other")
SMALL_PAGES: dict[str, object] = {"page_size": 7, "controls": 0}
CRAWL: dict[str, object] = {"min_side": 8, "licences": ["by", "cc0"]}


def sha_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def encoded_anew(content: bytes, *, mirrored: bool = False) -> bytes:
    shown = Image.open(io.BytesIO(content))
    written = io.BytesIO()
    (ImageOps.mirror(shown) if mirrored else shown).save(written, "JPEG", quality=60)
    return written.getvalue()


@pytest.fixture
def project(tmp_path: Path, wordnet_folder: Path, store_url: str) -> Project:
    verified = [
        Verified(one.wnid, one.content, rights=ADA if number % 5 == 0 else GRACE)
        for number, one in enumerate(some_pictures({TENCH: 12, GOLDFISH: 12}))
    ]
    return project_with(tmp_path / "project", wordnet_folder, verified, crawl=CRAWL, store={"url": store_url})


def candidates(project: Project, condition: sa.ColumnElement[bool]) -> list[sa.Row[tuple[object, ...]]]:
    with database.reading(project.engine) as connection:
        table = tables.candidates
        return list(connection.execute(sa.select(table).where(condition).order_by(table.c.id)))


def status_of(project: Project) -> Status:
    with database.reading(project.engine) as connection:
        return read_status(connection)


def test_a_picture_is_gone_from_the_store_and_from_the_next_release(project: Project, tmp_path: Path) -> None:
    old = export(project, REQUEST, tmp_path / "old").folder
    listed = read_listing(old)
    victim = min(listed.rows)
    export(project, REQUEST, tmp_path / "elsewhere" / "old")
    accepted = sum(one.accepted for one in status_of(project).categories)
    found = take_down(project, parse_target(victim.upper()), "asked by its author", now=lambda: NOW)
    assert sum(one.accepted for one in status_of(project).categories) == accepted - 1
    assert (found.images, found.near_duplicates, found.releases) == ((victim,), (), ("old",))
    with pytest.raises(ImageStoreError, match="is missing"):
        project.images.get(victim)
    (row,) = candidates(project, tables.candidates.c.reason == "taken-down")
    assert (row.state, row.sha256, row.detail) == ("rejected", None, "taken down: asked by its author")
    new = export(project, REQUEST, tmp_path / "new").folder
    changed = difference(listed, read_listing(new))
    assert victim in changed.removed
    assert victim not in read_listing(new).rows
    # What it was, and why, is all that is left; gc and doctor know that its bytes are not lost.
    with database.reading(project.engine) as connection:
        (stone,) = connection.execute(sa.select(tables.tombstones)).all()
    assert (stone.kind, stone.target, stone.reason) == ("image", victim, "asked by its author")
    assert compare(project.engine, project.images).lost == []
    assert sweep(project.engine, project.images, delete=False, now=NOW).orphans == 0


def test_a_second_time_changes_nothing_and_makes_good_what_a_killed_run_left(project: Project) -> None:
    content = picture(0)
    take_down(project, parse_target(sha_of(content)), "first", now=lambda: NOW)
    project.images.put(content)
    with database.reading(project.engine) as connection:
        before = connection.execute(sa.select(tables.tombstones)).all()
    take_down(project, parse_target(sha_of(content)), "second")
    assert not project.images.exists(sha_of(content))
    with database.reading(project.engine) as connection:
        assert connection.execute(sa.select(tables.tombstones)).all() == before


def test_a_look_ahead_tells_the_same_and_removes_nothing(
    project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [
        "--project",
        str(project.folder),
        "takedown",
        "--author",
        "ada example",
        "--reason",
        "letter",
    ]
    assert run(command_line.main, *arguments, "--dry-run", "--json") == 0
    ahead = json.loads(capsys.readouterr().out)
    assert not ahead["done"]
    assert len(ahead["images"]) == 5
    assert all(project.images.exists(sha256) for sha256 in ahead["images"])
    assert candidates(project, tables.candidates.c.reason == "taken-down") == []
    assert run(command_line.main, *arguments, "--dry-run") == 0
    assert "nothing was done yet" in capsys.readouterr().out
    assert run(command_line.main, *arguments, "--json") == 0
    done = json.loads(capsys.readouterr().out)
    assert done == ahead | {"done": True}
    assert not any(project.images.exists(sha256) for sha256 in done["images"])
    release = export(project, REQUEST, tmp_path / "release").folder
    assert "Ada" not in (release / "attribution.txt").read_text()


def test_what_an_address_gave_goes_with_the_address(project: Project) -> None:
    (row,) = candidates(project, tables.candidates.c.id == 3)
    for address in (row.page_url, row.url):
        found = take_down(project, parse_target(address), "asked", dry_run=True)
        assert found.images == (row.sha256,)
    take_down(project, parse_target(row.page_url), "asked")
    assert not project.images.exists(row.sha256)


def test_near_duplicates_and_mirror_images_go_too_and_renditions_with_them(
    tmp_path: Path, wordnet_folder: Path
) -> None:
    original = picture(900)
    graphics = io.BytesIO()
    Image.open(io.BytesIO(original)).convert("P").save(graphics, "PNG")
    again = graphics.getvalue()
    verified = [
        *some_pictures({TENCH: 9, GOLDFISH: 9}),
        Verified(TENCH, original),
        Verified(TENCH, again),
        Verified(GOLDFISH, encoded_anew(original, mirrored=True)),
    ]
    project = project_with(tmp_path / "project", wordnet_folder, verified)
    made = [thumbnail(project, sha_of(content)).rendition_sha256 for content in (original, again)]
    assert all(project.images.exists(sha256) for sha256 in made)
    found = take_down(project, parse_target(sha_of(original)), "asked")
    assert set(found.near_duplicates) == {sha_of(again), sha_of(encoded_anew(original, mirrored=True))}
    for sha256 in (*found.images, *found.near_duplicates, *made):
        assert not project.images.exists(sha256)
    assert compare(project.engine, project.images).lost_renditions == []


def cropped(content: bytes, share: float) -> bytes:
    shown = Image.open(io.BytesIO(content))
    width, height = shown.size
    side = (round(width * share / 2), round(height * share / 2))
    written = io.BytesIO()
    shown.crop((*side, width - side[0], height - side[1])).save(written, "JPEG", quality=90)
    return written.getvalue()


@pytest.mark.parametrize("asked_for", ["the whole", "the crop"])
def test_crops_and_what_they_were_cut_from_go_too(
    tmp_path: Path, wordnet_folder: Path, asked_for: str
) -> None:
    whole = picture(900, blocks=4)
    part = cropped(whole, 0.1)
    verified = [*some_pictures({TENCH: 9, GOLDFISH: 9}), Verified(TENCH, whole), Verified(GOLDFISH, part)]
    project = project_with(tmp_path / "project", wordnet_folder, verified)
    target, other = (whole, part) if asked_for == "the whole" else (part, whole)
    found = take_down(project, parse_target(sha_of(target)), "asked")
    assert found.near_duplicates == (sha_of(other),)
    with database.reading(project.engine) as connection:
        left = set(connection.scalars(sa.select(tables.images.c.sha256))) - {sha_of(whole), sha_of(part)}
    assert all(project.images.exists(sha256) for sha256 in left)
    assert len(left) == 18


def test_open_pages_with_the_picture_are_offered_to_nobody_any_more(
    tmp_path: Path, wordnet_folder: Path
) -> None:
    with verification(tmp_path, wordnet_folder, {TENCH: 14}, verification=SMALL_PAGES) as world:
        publish_pages(world.project)
        first, second = world.pages()
        world.submit("an early worker", first, Answer.YES)
        gone, _ = next(iter(world.pages()[first].values()))
        found = take_down(world.project, parse_target(gone), "asked")
        assert (found.pages, found.unreached) == (1, 0)
        requester = marketplace_keys.requester(world.project, world.project.settings.marketplace.endpoint)
        assert requester.hit(first).expires_at < datetime.now(UTC) < requester.hit(second).expires_at
        # What was answered before is paid as ever.
        assert aggregate(world.project).spent_cents > 0


def test_a_marketplace_that_does_not_answer_stops_no_takedown_and_is_told_again(
    tmp_path: Path, wordnet_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with verification(tmp_path, wordnet_folder, {TENCH: 14}, verification=SMALL_PAGES) as world:
        publish_pages(world.project)
        first, second = world.pages()
        gone, other = (next(iter(world.pages()[hit].values()))[0] for hit in (first, second))
        endpoint = world.project.settings.marketplace.endpoint
        keys = marketplace_keys.read_keys(world.project, endpoint)
        assert keys is not None
        marketplace_keys.write_keys(world.project, dataclasses.replace(keys, secret_key="wrong"))
        found = take_down(world.project, parse_target(gone), "asked")
        assert (found.pages, found.unreached) == (0, 1)
        assert "still open on" in caplog.text
        assert not world.project.images.exists(gone)
        marketplace_keys.write_keys(world.project, keys)
        found = take_down(world.project, parse_target(other), "asked")
        assert (found.pages, found.unreached) == (2, 0)
        requester = marketplace_keys.requester(world.project, endpoint)
        assert all(requester.hit(hit).expires_at < datetime.now(UTC) for hit in (first, second))


def test_a_later_crawl_stores_it_neither_from_elsewhere_nor_encoded_anew(
    project: Project, tmp_path: Path
) -> None:
    taken, other = picture(0), picture(950)
    take_down(project, parse_target(sha_of(taken)), "asked")
    shown = tmp_path / "pictures" / TENCH
    shown.mkdir(parents=True)
    for name, content in {
        "same": taken,
        "anew": encoded_anew(taken),
        "mirrored": encoded_anew(taken, mirrored=True),
        "other": other,
    }.items():
        (shown / f"{name}.jpg").write_bytes(content)
    report = crawl(project, wnids=[TENCH], sources=[Folder(tmp_path / "pictures", GRACE)])
    assert report.stored == 1
    rows = candidates(project, tables.candidates.c.url.like("file:%"))
    assert {Path(row.url).stem: (row.state, row.reason) for row in rows} == {
        "same": ("rejected", "taken-down"),
        "anew": ("rejected", "taken-down"),
        "mirrored": ("rejected", "taken-down"),
        "other": ("stored", None),
    }
    assert not project.images.exists(sha_of(taken))
    assert project.images.exists(sha_of(other))


def test_an_author_or_an_address_that_was_taken_down_is_not_even_fetched(
    project: Project, tmp_path: Path
) -> None:
    take_down(project, parse_author(" ADA example "), "letter")
    take_down(project, parse_target("http://127.0.0.1:9/one.jpg"), "letter")
    shown = tmp_path / "pictures" / TENCH
    shown.mkdir(parents=True)
    (shown / "new.jpg").write_bytes(picture(960))
    crawl(project, wnids=[TENCH], sources=[Folder(tmp_path / "pictures", ADA)])
    (row,) = candidates(project, tables.candidates.c.url.like("file:%"))
    assert (row.state, row.reason, row.attempts) == ("rejected", "taken-down", 0)
    crawl(project, wnids=[GOLDFISH], sources=[ProposingSource(["http://127.0.0.1:9/one.jpg"])])
    (row,) = candidates(project, tables.candidates.c.url == "http://127.0.0.1:9/one.jpg")
    assert (row.state, row.reason, row.attempts) == ("rejected", "taken-down", 0)


def test_addresses_and_authors_longer_than_an_index_takes_are_taken_down_and_stay_so(
    project: Project, tmp_path: Path
) -> None:
    # Random letters: what an index compresses would fit.
    letters = np.random.default_rng(0).bytes(6_000).hex()
    page, author = f"https://pictures.example/{letters}", f"Zoë {letters}"
    with database.writing(project.engine) as connection:
        for row_id, values in ((1, {"page_url": page}), (2, {"author": author})):
            connection.execute(
                tables.candidates.update().where(tables.candidates.c.id == row_id).values(**values)
            )
    for target in (parse_target(page), parse_author(author.upper())):
        assert len(take_down(project, target, "asked").images) == 1
        assert take_down(project, target, "asked again").images == ()
    longer = [f"https://other.example/{letters}", parse_target("https://n.example/\udcff")[1]]
    for address in longer:
        assert take_down(project, parse_target(address), "asked").images == ()
    for wnid, name, content in ((TENCH, author, picture(961)), (GOLDFISH, f"{author[:-1]}?", picture(962))):
        (tmp_path / wnid).mkdir()
        (tmp_path / wnid / "new.jpg").write_bytes(content)
        crawl(project, wnids=[wnid], sources=[Folder(tmp_path, Rights("by", "4.0", None, name))])
    rows = candidates(project, tables.candidates.c.url.like("file:%"))
    assert {row.wnid: row.state for row in rows} == {TENCH: "rejected", GOLDFISH: "stored"}


def test_a_picture_on_a_page_is_not_shown_any_more_and_not_a_control(project: Project) -> None:
    sha256 = sha_of(picture(0))
    with database.writing(project.engine) as connection:
        slot = publish.IntendedSlot(sha256, is_control=True, picture_name="f" * 32)
        publish.intend(
            connection, [publish.HitIntent(TENCH, "t", "e", False, 3, "majority", 1, 1, (slot,))], NOW
        )
        question = connection.scalar(
            sa.select(tables.questions.c.id).where(tables.questions.c.sha256 == sha256)
        )
        connection.execute(
            tables.controls.insert().values(
                question_id=question, answer="yes", provenance="requester", labelled_at=NOW
            )
        )
        assert publish.picture_named(connection, "f" * 32) == sha256
        assert list(controls.control_pictures(connection, TENCH)) == [sha256]
    take_down(project, parse_target(sha256), "asked")
    with database.reading(project.engine) as connection:
        assert publish.picture_named(connection, "f" * 32) is None
        assert controls.control_pictures(connection, TENCH) == {}


def test_nothing_is_taken_down_while_a_crawl_runs(project: Project) -> None:
    with database.exclusive_lock(project.engine, "crawl"), pytest.raises(LockHeld):
        take_down(project, parse_target(sha_of(picture(0))), "asked")


@pytest.mark.parametrize("target", [["https://n.example/typo"], ["7" * 64], ["--author", "Nobody"]])
def test_what_the_store_does_not_know_is_told_as_such_and_kept_out(
    project: Project, capsys: pytest.CaptureFixture[str], target: list[str]
) -> None:
    arguments = ["--project", str(project.folder), "takedown", *target, "--reason", "x"]
    assert run(command_line.main, *arguments, "--dry-run") == 0
    assert capsys.readouterr().out.startswith(
        "the store knows nothing of it; later crawls will keep it out\n"
    )
    assert run(command_line.main, *arguments) == 0
    assert capsys.readouterr().out == "the store knows nothing of it; later crawls keep it out\n"
    with database.reading(project.engine) as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(tables.tombstones)) == 1


@pytest.mark.parametrize(
    ("arguments", "code", "complaint"),
    [
        (["tench.jpg", "--reason", "x"], 1, "neither a SHA-256"),
        (["--author", "  ", "--reason", "x"], 1, "without a name"),
        (["a" * 64, "--reason", " "], 1, "needs a reason"),
        (["a" * 64], 2, "--reason"),
        (["--reason", "x"], 2, "give a SHA-256 or an address, or --author"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    project: Project, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, complaint: str
) -> None:
    assert run(command_line.main, "--project", str(project.folder), "takedown", *arguments) == code
    assert complaint in capsys.readouterr().err
