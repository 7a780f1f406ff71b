"""What every release format keeps to, whatever it writes."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from imagenet_builder.errors import ReleaseError
from imagenet_builder.export.description import (
    Node,
    Release,
    ReleaseClass,
    ReleasePicture,
    ReleasePictures,
)
from imagenet_builder.export.formats import FORMATS, find_format
from imagenet_builder.export.parts import dealt_parts
from imagenet_builder.export.places import FolderPlace
from imagenet_builder.export.tree import SUMS_NAME, Journal, Tree
from imagenet_builder.records import Split
from tests.export_parts import picture, tree_of, write_format

WNIDS = ("n01440764", "n01443537")
COUNTS = {Split.TRAIN: 3, Split.VAL: 2, Split.TEST: 2}


def little_release() -> Release:
    classes = tuple(
        ReleaseClass(wnid, index, index + 1, f"thing.n.0{index}", (f"thing {index}",), "a thing", 3, 2, 2)
        for index, wnid in enumerate(WNIDS)
    )
    leaves = [Node(one.ilsvrc_id, one.wnid, "thing", "a thing", (), 0, 3) for one in classes]
    pictures: list[ReleasePicture] = []
    for split, count in COUNTS.items():
        for number in range(2 * count):
            wnid = WNIDS[number // count if split is Split.TRAIN else number % 2]
            place = number if split is Split.TRAIN else number + 1
            pictures.append(ReleasePicture(split, wnid, f"{len(pictures):064x}", place))
    nodes = (*leaves, Node(3, "n00001740", "entity", "all", (1, 2), 19, 0))
    return Release("little", classes, nodes, ReleasePictures.of(WNIDS, pictures))


CONTENTS = [picture(number) for number in range(14)]


def written(name: str, folder: Path) -> dict[str, bytes]:
    """Write the little release in one format; path → content."""
    release = little_release()
    contents = {one.file_name: content for one, content in zip(release.pictures, CONTENTS, strict=True)}
    write_format(name, release, contents, folder)
    return {path: content for path, (content, _) in tree_of(folder).items() if (folder / path).is_file()}


@pytest.fixture(params=sorted(FORMATS))
def name(request: pytest.FixtureRequest) -> str:
    chosen: str = request.param
    return chosen


def test_every_picture_is_in_the_release_with_its_bytes_unchanged(name: str, tmp_path: Path) -> None:
    everything = list(written(name, tmp_path / "release").values())
    for content in CONTENTS:
        assert sum(content in file for file in everything) == 1


def test_the_same_release_gives_the_same_bytes_and_times(name: str, tmp_path: Path) -> None:
    written(name, tmp_path / "one")
    written(name, tmp_path / "other")
    assert tree_of(tmp_path / "one") == tree_of(tmp_path / "other")


def test_every_file_is_listed_with_its_checksum(name: str, tmp_path: Path) -> None:
    files = written(name, tmp_path / "release")
    sums = files.pop(SUMS_NAME).decode()
    assert sorted(sums.splitlines()) == sorted(
        f"{hashlib.sha256(content).hexdigest()}  {path}" for path, content in files.items()
    )


def test_the_file_that_holds_a_test_picture_names_no_class(name: str, tmp_path: Path) -> None:
    files = written(name, tmp_path / "release")
    test_pictures = CONTENTS[-4:]
    for path, content in files.items():
        if any(one in content for one in test_pictures):
            for wnid in WNIDS:
                assert wnid not in path
                assert wnid.encode() not in content


def test_an_export_that_fails_half_way_lists_no_half_written_file(name: str, tmp_path: Path) -> None:
    release, journal = little_release(), Journal(tmp_path / "journal")
    journal.begin("little")
    tree = Tree(FolderPlace(tmp_path / "release"), journal, "a part")
    part = next(dealt_parts(release))

    def write_a_little() -> None:
        with find_format(name).part(release, part, tree) as writer:
            writer.add(release.pictures[0], CONTENTS[0])
            raise OSError("no space left on device")

    with pytest.raises(OSError, match="no space"):
        write_a_little()
    tree.close()
    for path, listed in journal.everything().items():
        assert hashlib.sha256((tmp_path / "release" / path).read_bytes()).hexdigest() == listed.sha256


def test_what_is_said_of_a_picture_s_place_in_a_shard_is_so(name: str, tmp_path: Path) -> None:
    release = little_release()
    contents = {one.file_name: content for one, content in zip(release.pictures, CONTENTS, strict=True)}
    places = write_format(name, release, contents, tmp_path / "release")
    assert len(places) in {0, len(CONTENTS)}
    assert bool(places) == (name in {"webdataset", "parquet", "mds"})
    for file, (shard, offset) in places.items():
        written = (tmp_path / "release" / shard).read_bytes()
        assert written[offset : offset + len(contents[file])] == contents[file]


def test_an_unknown_format_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ReleaseError, match=r"no format 'zip'; known are ilsvrc"):
        find_format("zip")
