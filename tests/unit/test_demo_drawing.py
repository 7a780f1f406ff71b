"""The rehearsal's pictures: what is drawn, how it is written to files, and what the collection says of it."""

from __future__ import annotations

import io
import json
from collections import Counter
from dataclasses import replace
from importlib import resources
from pathlib import Path
from random import Random

import numpy as np
import pytest
import simplejpeg
from PIL import Image, ImageOps, ImageSequence

from imagenet_builder.demo import drawing
from imagenet_builder.demo.collection import Collection, Delivery, PictureFile, build_collection
from imagenet_builder.demo.collection_search import SearchIndex, parse_search, stems
from imagenet_builder.demo.drawing import draw, draw_scene
from imagenet_builder.demo.drawing_backdrops import BACKDROPS, THINGS
from imagenet_builder.demo.drawing_classes import CLASSES, DrawnClass
from imagenet_builder.demo.drawing_pen import Pen, Pose
from imagenet_builder.demo.picture_files import (
    ENDINGS,
    Copy,
    Form,
    Scene,
    render,
    render_thumbnail,
    shown_size,
)
from imagenet_builder.errors import ProjectError

TWELVE = tuple(CLASSES)[:12]


@pytest.fixture(scope="module")
def collection() -> Collection:
    return build_collection(7, TWELVE, 60)


def is_good(file: PictureFile, wnid: str) -> bool:
    """Whether a crawler that keeps pictures of a class should end up with this file."""
    broken = (Form.TRUNCATED_JPEG, Form.DAMAGED_JPEG, Form.SVG)
    return (
        wnid in file.scene.wnids
        and file.copy_of is None
        and file.copy.form not in broken
        and file.copy.scale >= 0.5
        and file.delivery not in (Delivery.GONE, Delivery.HTML)
    )


def test_at_least_twelve_classes_of_ilsvrc_2012_can_be_drawn() -> None:
    table = (resources.files("wordnet_synsets.lists") / "ilsvrc2012.tsv").read_text().splitlines()
    thousand = {line.split("\t")[1] for line in table}
    assert len(CLASSES) >= 12
    assert set(CLASSES) <= thousand


def test_the_words_of_every_class_are_those_of_wordnet(wordnet_folder: Path) -> None:
    lemmas = {}
    for line in (wordnet_folder / "data.noun").read_text().splitlines():
        fields = line.split("|")[0].split()
        if f"n{fields[0]}" in CLASSES:
            lemmas[f"n{fields[0]}"] = tuple(
                fields[4 + 2 * n].replace("_", " ") for n in range(int(fields[3], 16))
            )
    assert {wnid: drawn.lemmas for wnid, drawn in CLASSES.items()} == lemmas


@pytest.mark.parametrize("wnid", CLASSES)
def test_every_class_is_drawable_at_several_sizes_and_seeds(wnid: str) -> None:
    for size in ((320, 240), (240, 320), (64, 64), (33, 97)):
        for seed in range(4):
            picture = draw(wnid, Random(seed), size)
            assert (picture.mode, picture.size) == ("RGB", size)
            assert np.asarray(picture).std() > 3


@pytest.mark.parametrize("wnid", CLASSES)
def test_every_painter_fills_a_good_part_of_its_plane_and_stays_near_it(wnid: str) -> None:
    for seed in range(12):
        canvas = Image.new("RGB", (400, 400), (255, 0, 255))
        CLASSES[wnid].painter(Pen(canvas, Pose(x=200, y=200, size=160)), Random(seed))
        painted = (np.asarray(canvas) != (255, 0, 255)).any(axis=2)
        assert painted[120:280, 120:280].mean() > 0.1
        assert not painted[:40].any()
        assert not painted[:, :40].any()
        assert not painted[:, 360:].any()


def test_the_same_seed_gives_the_same_picture_and_another_seed_another() -> None:
    for wnid in (*TWELVE, None):
        one, again, other = (draw(wnid, Random(seed), (120, 90)).tobytes() for seed in (5, 5, 6))
        assert one == again
        assert one != other


def test_an_unknown_class_cannot_be_drawn() -> None:
    with pytest.raises(KeyError):
        draw("n02084071", Random(1), (100, 100))


def test_every_backdrop_and_every_thing_of_no_class_can_be_drawn() -> None:
    for backdrop in BACKDROPS:
        for seed in range(5):
            assert backdrop((90, 60), Random(seed)).size == (90, 60)
    for thing in THINGS:
        canvas = Image.new("RGB", (100, 100))
        thing(Pen(canvas, Pose(x=50, y=50, size=90)), Random(3))
        assert canvas.getbbox() is not None


@pytest.mark.parametrize("form", Form)
def test_every_form_has_its_own_bytes_and_mime_type(form: Form) -> None:
    scene = Scene("s", (TWELVE[0],), (120, 80))
    rendered = render(scene, Copy(form))
    assert rendered == render(scene, Copy(form))
    assert (rendered.width, rendered.height) == (120, 80)
    assert rendered.mime == ENDINGS[form][1]
    if form is Form.SVG:
        assert b"<svg" in rendered.body
        assert render_thumbnail(scene, Copy(form), 60).mime == "image/png"
        return
    kind = Image.open(io.BytesIO(rendered.body)).format
    assert kind == {"image/jpeg": "JPEG", "image/png": "PNG", "image/gif": "GIF"}[rendered.mime]


def test_the_odd_forms_are_odd_in_the_way_they_claim() -> None:
    scene = Scene("s", (TWELVE[0],), (120, 80))

    def opened(form: Form) -> Image.Image:
        return Image.open(io.BytesIO(render(scene, Copy(form)).body))

    assert opened(Form.CMYK_JPEG).mode == "CMYK"
    assert opened(Form.PALETTE_PNG).mode == "P"
    assert len(list(ImageSequence.Iterator(opened(Form.ANIMATED_GIF)))) == 3
    turned = opened(Form.TURNED_JPEG)
    assert turned.size == (80, 120)
    upright = np.asarray(ImageOps.exif_transpose(turned), dtype=float)
    assert np.abs(upright - np.asarray(opened(Form.PNG), dtype=float)).mean() < 8
    with pytest.raises(OSError, match="truncated"):
        opened(Form.TRUNCATED_JPEG).load()


@pytest.mark.parametrize("seed", range(20))
def test_damage_in_the_middle_is_seen_by_a_strict_decoder(seed: int) -> None:
    scene = Scene(f"{seed}", (TWELVE[seed % 12],), (256, 192))
    simplejpeg.decode_jpeg(render(scene, Copy()).body, strict=True)
    with pytest.raises(ValueError, match="JPEG"):
        simplejpeg.decode_jpeg(render(scene, Copy(Form.DAMAGED_JPEG)).body, strict=True)


def test_scaling_changes_the_size_as_announced() -> None:
    for scale in (0.15, 0.8, 3.0):
        scene, copy = Scene("s", (), (321, 200)), Copy(scale=scale)
        rendered = render(scene, copy)
        assert (rendered.width, rendered.height) == shown_size(scene, copy)
        assert Image.open(io.BytesIO(rendered.body)).size == shown_size(scene, copy)


@pytest.mark.parametrize("form", [form for form in Form if form is not Form.TRUNCATED_JPEG])
def test_a_thumbnail_has_the_width_asked_for_and_shows_the_same(form: Form) -> None:
    scene, copy = Scene("s", (TWELVE[0],), (400, 300)), Copy(form, scale=2.0)
    thumbnail = render_thumbnail(scene, copy, 250, render(scene, copy))
    picture = Image.open(io.BytesIO(thumbnail.body))
    assert picture.size == (thumbnail.width, thumbnail.height) == (250, 188)
    assert picture.getexif() == {}
    if form is not Form.DAMAGED_JPEG:
        small = draw_scene(scene.wnids, Random(scene.seed), scene.size).resize((250, 188))
        shown = np.asarray(picture.convert("RGB"), dtype=float)
        assert np.abs(shown - np.asarray(small, dtype=float)).mean() < 12


def test_a_collection_follows_from_its_seed(collection: Collection) -> None:
    assert build_collection(7, TWELVE, 60) == collection
    other = build_collection(8, TWELVE, 60)
    assert {file.scene.seed for file in other.files}.isdisjoint(file.scene.seed for file in collection.files)


def test_every_file_has_its_own_name_page_and_address(collection: Collection) -> None:
    for key in ("name", "page_id", "original_path"):
        assert len({getattr(file, key) for file in collection.files}) == len(collection.files)


def test_about_half_of_what_a_search_finds_is_wrong_and_ranks_mix(collection: Collection) -> None:
    index = SearchIndex(collection)
    for wnid in TWELVE:
        found = index.find(f"{CLASSES[wnid].name} filetype:bitmap")
        good = [is_good(file, wnid) for file in found]
        assert len(found) >= 100
        assert 0.4 < sum(good) / len(good) < 0.65
        assert 12 <= sum(good[:40]) <= 32


@pytest.mark.parametrize("per_class", [12, 60])
def test_every_form_and_every_delivery_occurs(per_class: int) -> None:
    files = build_collection(3, TWELVE, per_class).files
    assert {file.copy.form for file in files} == set(Form)
    assert {file.delivery for file in files} == set(Delivery)
    assert {0.15, 3.0} <= {file.copy.scale for file in files}
    assert {len(file.scene.wnids) for file in files} == {0, 1, 2}
    assert {file.licence.code for file in files} >= {"cc0", "cc-by-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0", "pd"}


def test_copies_are_of_files_that_exist_and_show_the_same_scene(collection: Collection) -> None:
    copies = [file for file in collection.files if file.copy_of]
    exact = Counter(file.copy == collection.by_title[file.copy_of].copy for file in copies if file.copy_of)
    assert exact[True] >= 12
    assert exact[False] >= 12
    for file in copies[:8]:
        assert file.copy_of is not None
        source = collection.by_title[file.copy_of]
        assert file.scene == source.scene
        assert (render(file.scene, file.copy) == render(source.scene, source.copy)) == (
            file.copy == source.copy
        )


def test_the_truth_names_exactly_what_is_drawn(
    collection: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: set[str] = set()

    def watched(wnid: str) -> DrawnClass:
        def painter(pen: Pen, rng: Random) -> None:
            seen.add(wnid)
            CLASSES[wnid].painter(pen, rng)

        return replace(CLASSES[wnid], painter=painter)

    monkeypatch.setattr(drawing, "CLASSES", {wnid: watched(wnid) for wnid in CLASSES})
    truth = [json.loads(line) for line in collection.truth_lines("http://127.0.0.1:1")]
    assert [entry["title"] for entry in truth] == [file.title for file in collection.files]
    for entry in Random(1).sample(truth, 60):
        file = collection.by_title[entry["title"]]
        seen.clear()
        draw_scene(file.scene.wnids, Random(file.scene.seed), file.scene.size)
        assert seen == set(entry["wnids"])
        assert entry["url"] == f"http://127.0.0.1:1{file.original_path}"


def test_the_truth_file_is_replaced_whole_and_an_unwritable_place_is_named(
    collection: Collection, tmp_path: Path
) -> None:
    path = tmp_path / "truth.jsonl"
    path.write_text("older")
    collection.write_truth(path, "http://127.0.0.1:1")
    assert len(path.read_text().splitlines()) == len(collection.files)
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(ProjectError, match="nowhere"):
        collection.write_truth(tmp_path / "nowhere" / "truth.jsonl", "http://127.0.0.1:1")


@pytest.mark.parametrize(("wnids", "per_class"), [(("n02084071",), 5), ((), 5), (TWELVE, 1)])
def test_a_collection_that_cannot_be_is_refused(wnids: tuple[str, ...], per_class: int) -> None:
    with pytest.raises(ProjectError):
        build_collection(1, wnids, per_class)


def test_a_search_understands_phrases_plurals_exclusions_and_kinds_of_file(collection: Collection) -> None:
    index = SearchIndex(collection)
    both = index.find("traffic light")
    assert both
    assert {file.title for file in index.find('"Traffic Lights"')} == {file.title for file in both}
    assert not index.find('"light traffic"')
    assert len(index.find("traffic light -museum")) < len(both)
    assert not any("Museum" in file.name for file in index.find("traffic light -museum"))
    drawings = index.find("traffic light filetype:drawing")
    assert {file.mime for file in drawings} == {"image/svg+xml"}
    assert len(drawings) + len(index.find("traffic light filetype:bitmap")) == len(both)
    assert all("ight" in file.name for file in index.find("intitle:light"))
    assert index.find("") == index.find("filetype:bitmap") == index.find("umbrella zebra") == []


def test_search_terms_are_read_as_written() -> None:
    terms = parse_search(
        'umbrella "wall clocks" -"red wine" filetype:bitmap haslicense:unrestricted intitle:old'
    )
    assert terms.wanted == (" umbrella ", " wall clock ")
    assert terms.unwanted == (" red wine ",)
    assert terms.in_title == (" old ",)
    assert terms.file_types == ("bitmap",)


def test_stems_fold_plurals_and_leave_short_and_double_endings() -> None:
    assert stems("Wall CLOCKS, glass; bus 12s") == " wall clock glass bus 12s "
