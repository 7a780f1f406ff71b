"""Leaving out the pictures of an existing dataset: copies, changed copies and mirror images, and nothing else."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from imagenet_builder import exclusion
from imagenet_builder.crawl.inspect import inspect
from imagenet_builder.crawl.limits import Limits
from imagenet_builder.descriptors import (
    SAME,
    WINDOWS,
    correlation,
    hashes_of,
    looks_of,
    mirrored_hashes,
    mirrored_looks,
    stack,
)
from imagenet_builder.duplicates import NEAR
from imagenet_builder.errors import ProjectError
from imagenet_builder.exclusion import Exclusion, load_exclusion
from imagenet_builder.records import Inspected
from tests.mediawiki_server import picture


def inspected(content: bytes) -> Inspected:
    found = inspect(content, Limits())
    assert isinstance(found, Inspected)
    return found


def saved(image: Image.Image, quality: int = 80) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return file.getvalue()


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    folder = tmp_path / "other"
    (folder / "n01").mkdir(parents=True)
    for seed in range(20):
        (folder / "n01" / f"{seed}.JPEG").write_bytes(picture(seed))
    (folder / "broken.jpg").write_bytes(picture(3)[:2000])
    (folder / "readme.txt").write_text("no picture")
    return folder


def test_copies_changed_copies_and_mirror_images_are_excluded_and_others_are_not(
    dataset: Path, tmp_path: Path
) -> None:
    excluded = load_exclusion(["other"], tmp_path)
    assert len(excluded.names) == 20
    for seed in range(20):
        original = Image.open(io.BytesIO(picture(seed)))
        name = str(dataset / "n01" / f"{seed}.JPEG")
        assert excluded.match(inspected(picture(seed))) == name
        assert excluded.match(inspected(saved(original.resize((500, 375)), 40))) == name
        assert excluded.match(inspected(saved(ImageOps.mirror(original)))) == name
    assert not any(excluded.match(inspected(picture(seed))) for seed in range(100, 140))


def corner(image: Image.Image) -> Image.Image:
    return image.crop((0, image.height // 9, image.width - image.width // 9, image.height))


def captioned(image: Image.Image) -> Image.Image:
    framed = Image.new("RGB", (image.width, image.height + image.height // 8), "white")
    framed.paste(image, (0, image.height // 8))
    return ImageOps.mirror(framed)


@pytest.mark.parametrize("change", [corner, captioned])
def test_crops_and_captions_are_excluded_whichever_side_has_them(
    dataset: Path, tmp_path: Path, change: Callable[[Image.Image], Image.Image]
) -> None:
    originals = [Image.open(io.BytesIO(picture(seed))).convert("RGB") for seed in range(20)]
    excluded = load_exclusion(["other"], tmp_path)
    names = [str(dataset / "n01" / f"{seed}.JPEG") for seed in range(20)]
    matches = [excluded.match(inspected(saved(change(original)))) for original in originals]
    assert sum(match == name for match, name in zip(matches, names, strict=True)) >= 14
    assert set(matches) <= {None, *names}
    for original, name in zip(originals, names, strict=True):
        Path(name).write_bytes(saved(change(original)))
    excluded = load_exclusion(["other"], tmp_path)
    matches = [excluded.match(inspected(picture(seed))) for seed in range(20)]
    assert sum(match == name for match, name in zip(matches, names, strict=True)) >= 14


def test_what_is_excluded_is_what_comparing_every_pair_finds() -> None:
    originals = [Image.open(io.BytesIO(picture(seed))).convert("RGB") for seed in range(12)]
    changes: list[Callable[[Image.Image], Image.Image]] = [
        corner,
        captioned,
        ImageOps.mirror,
        lambda one: one,
    ]
    images = [inspected(saved(change(one))) for one in originals for change in changes]
    known = stack(
        [inspected(saved(change(one))).descriptor for one in originals[:8] for change in (corner, captioned)]
    )
    excluded = Exclusion([str(place) for place in range(len(known))], known)

    def alike(one: bytes, other: bytes) -> float:
        """How much one picture, or its mirror image, is like a window in the other whose hash is near."""
        rows, there = stack([one]), stack([other])
        hashes, looks = hashes_of(rows), looks_of(rows)
        sides = [(hashes, looks), (mirrored_hashes(hashes), mirrored_looks(looks))]
        return max(
            float(correlation(look, looks_of(there, window), window)[0])
            if int(np.bitwise_count(asked ^ hashes_of(there, window))[0]) <= NEAR
            else 0.0
            for asked, look in sides
            for window in range(len(WINDOWS))
        )

    matches = excluded.matches(images)
    for image, match in zip(images, matches, strict=True):
        pairs = [(image.descriptor, row.tobytes()) for row in known]
        likes = [max(alike(one, other), alike(other, one)) for one, other in pairs]
        assert (match is not None) == (max(likes) >= SAME)
        assert match is None or likes[int(match)] == pytest.approx(max(likes), abs=1e-5)
    assert 0 < matches.count(None) < len(images)


def test_pictures_are_looked_at_once_and_changed_ones_again(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = load_exclusion(["other"], tmp_path)
    looked: list[str] = []
    original = exclusion._inspect

    def noticing(path: Path, stamp: str) -> exclusion._Looked:
        looked.append(path.name)
        return original(path, stamp)

    monkeypatch.setattr(exclusion, "_inspect", noticing)
    again = load_exclusion([str(dataset)], tmp_path)
    assert looked == []
    assert again.names == first.names
    assert (again.descriptors == first.descriptors).all()
    (dataset / "n01" / "0.JPEG").write_bytes(picture(500))
    (dataset / "n01" / "1.JPEG").unlink()
    changed = load_exclusion(["other"], tmp_path)
    assert looked == ["0.JPEG"]
    assert changed.match(inspected(picture(500)))
    assert changed.match(inspected(picture(1))) is None


def test_files_that_are_no_whole_pictures_are_named_once_and_not_by_the_hundred(
    dataset: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (dataset / "cut.jpg").write_bytes(picture(4)[:500])
    (dataset / "page.jpg").write_bytes(b"<html>not found</html>")
    with caplog.at_level(logging.INFO):
        load_exclusion(["other"], tmp_path)
    looking, problem, found = caplog.messages
    assert looking == f"looking at 23 pictures in {dataset}, once"
    assert problem == (
        f"3 files in {dataset} are no whole pictures, so nothing is compared with them: "
        "broken.jpg (damaged: Premature end of JPEG file), cut.jpg (damaged: its jpeg header cannot be read), "
        "page.jpg (not-an-image: an HTML page)"
    )
    assert found == "20 pictures, and what nearly equals them, are excluded"
    caplog.clear()
    for number in range(9):
        (dataset / f"{number}.png").write_bytes(b"")
    with caplog.at_level(logging.INFO):
        load_exclusion(["other"], tmp_path)
    assert caplog.messages[0].startswith("looking at 9 pictures")
    assert caplog.messages[1].endswith("4.png (not-an-image: empty) and 4 more")


def test_a_cache_that_is_damaged_is_made_again(dataset: Path, tmp_path: Path) -> None:
    load_exclusion(["other"], tmp_path)
    [kept] = (tmp_path / exclusion.CACHE_FOLDER).iterdir()
    kept.write_bytes(b"PK nothing")
    assert len(load_exclusion(["other"], tmp_path).names) == 20


def test_a_folder_without_pictures_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ProjectError, match=r"no picture in .*empty"):
        load_exclusion(["empty"], tmp_path)
    with pytest.raises(ProjectError, match=r"no folder .*absent"):
        load_exclusion(["absent"], tmp_path)


def test_nothing_is_excluded_where_nothing_is_named(tmp_path: Path) -> None:
    assert load_exclusion([], tmp_path).match(inspected(picture(1))) is None
