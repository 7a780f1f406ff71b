"""Clusters that are kept in the project folder: a shortcut that never changes what is found."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from imagenet_builder import descriptors as looks
from imagenet_builder import duplicates, remembered
from imagenet_builder.descriptors import BYTES, hashes_of, stack
from imagenet_builder.duplicates import Clustering, clusters
from imagenet_builder.errors import ProjectError
from imagenet_builder.remembered import FOLDER, remembered_clusters


def pictures(count: int, seed: int = 0) -> tuple[dict[str, int], dict[str, bytes]]:
    """Pictures of noise, every third a copy of the one before."""
    rows = np.random.default_rng(seed).integers(-127, 128, (count, BYTES), dtype=np.int8)
    rows[2::3] = rows[1::3][: len(rows[2::3])]
    names = [f"{seed}{number:03}" for number in range(count)]
    return (
        dict(zip(names, hashes_of(rows).tolist(), strict=True)),
        {name: row.tobytes() for name, row in zip(names, rows, strict=True)},
    )


def without(pictures: dict[str, int], names: set[str]) -> dict[str, int]:
    return {name: value for name, value in pictures.items() if name not in names}


def test_what_was_known_is_gone_on_from_and_the_result_is_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashes, descriptors = pictures(30)
    known: list[Clustering | None] = []
    original = duplicates.clustering

    def noticing(
        hashes: dict[str, int], descriptors: dict[str, bytes], before: Clustering | None
    ) -> Clustering:
        known.append(before)
        return original(hashes, descriptors, before)

    monkeypatch.setattr(remembered, "clustering", noticing)
    for gone in ({"0004", "0005"}, set(), {"0007"}, {"0007"}, set(hashes)):
        some = without(hashes, gone)
        assert remembered_clusters(tmp_path, some, descriptors) == clusters(some, descriptors=descriptors)
    assert known[0] is None
    assert [len(before.names) for before in known[1:] if before is not None] == [28, 30, 29, 29]
    assert len(list((tmp_path / FOLDER).iterdir())) == 1


def test_a_damaged_file_is_made_again_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    hashes, descriptors = pictures(9)
    expected = remembered_clusters(tmp_path, hashes, descriptors)
    [kept] = (tmp_path / FOLDER).iterdir()
    content = kept.read_bytes()
    for damage in (b"", b"nothing", content[: len(content) // 2]):
        kept.write_bytes(damage)
        with caplog.at_level(logging.WARNING):
            assert remembered_clusters(tmp_path, hashes, descriptors) == expected
        assert "made again" in caplog.text
        assert kept.read_bytes() == content
        caplog.clear()


def test_what_another_method_found_is_not_gone_on_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashes, descriptors = pictures(9)
    remembered_clusters(tmp_path, hashes, descriptors)
    monkeypatch.setattr(looks, "SAME", 0.5)
    remembered_clusters(tmp_path, hashes, descriptors)
    assert len(list((tmp_path / FOLDER).iterdir())) == 2


def test_a_picture_whose_descriptor_changed_is_compared_again(tmp_path: Path) -> None:
    hashes, descriptors = pictures(6)
    assert remembered_clusters(tmp_path, hashes, descriptors)["0002"] == "0001"
    other_hashes, other_rows = pictures(1, seed=9)
    hashes["0002"], descriptors["0002"] = other_hashes["9000"], other_rows["9000"]
    [kept] = (tmp_path / FOLDER).iterdir()
    written = kept.read_bytes()
    assert remembered_clusters(tmp_path, hashes, descriptors)["0002"] == "0002"
    assert stack([descriptors["0002"]]).any()
    assert kept.read_bytes() != written, "the next time it is known"


def test_no_pictures_have_no_clusters(tmp_path: Path) -> None:
    assert remembered_clusters(tmp_path, {}, {}) == {}


def test_where_nothing_can_be_kept_one_line_says_so_and_nothing_is_left(tmp_path: Path) -> None:
    (tmp_path / FOLDER).write_text("in the way")
    with pytest.raises(
        ProjectError, match=r"cannot keep the near-duplicates found in .*\.duplicates: File exists"
    ):
        remembered_clusters(tmp_path, *pictures(6))
    assert [path.name for path in tmp_path.iterdir()] == [FOLDER]
