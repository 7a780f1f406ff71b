"""Files of a release as they are written: pieces together, whole or not at all, the same bytes whatever the way."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagenet_builder.errors import ReleaseError
from imagenet_builder.export.places import FolderPlace, is_bucket
from imagenet_builder.export.tree import Journal, Listed, Tree


def written(folder: Path, pieces: list[bytes]) -> tuple[bytes, Listed]:
    """What a tree makes of pieces that are written together, and what it says of the file."""
    journal = Journal(folder / "journal")
    journal.begin("plan")
    tree = Tree(FolderPlace(folder), journal, "part")
    with tree.open("below/file") as file:
        file.writelines(pieces)
        assert file.tell() == sum(map(len, pieces))
    tree.close()
    return (folder / "below" / "file").read_bytes(), journal.everything()["below/file"]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.binary(max_size=300), max_size=30))
def test_pieces_are_written_one_after_the_other(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[bytes]
) -> None:
    content, listed = written(tmp_path_factory.mktemp("pieces"), pieces)
    assert content == b"".join(pieces)
    assert listed == Listed(len(content), hashlib.sha256(content).hexdigest())


def test_more_pieces_than_a_system_call_takes_are_all_written(tmp_path: Path) -> None:
    pieces = [f"{number}\n".encode() for number in range(5000)]
    assert written(tmp_path, pieces)[0] == b"".join(pieces)


def test_what_the_system_takes_only_in_part_is_written_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = os.writev

    def less(descriptor: int, pieces: list[bytes]) -> int:
        first = b"".join(pieces)
        return whole(descriptor, [first[: len(first) * 2 // 3]])

    monkeypatch.setattr(os, "writev", less)
    pieces = [bytes([number]) * 100 for number in range(50)]
    assert written(tmp_path, pieces)[0] == b"".join(pieces)


@pytest.mark.parametrize(
    "mistyped", ["s3:/bucket/release", "gs:release", "S3://bucket/release", "s3://", "gs:///x"]
)
def test_a_mistyped_address_of_a_bucket_is_no_folder(mistyped: str) -> None:
    with pytest.raises(ReleaseError, match=r"write (s3|gs)://BUCKET"):
        is_bucket(mistyped)


@pytest.mark.parametrize(
    ("out", "bucket"),
    [
        ("s3://bucket/a", True),
        ("s3://[x", True),
        ("releases/s3", False),
        ("/s3:/a", False),
        ("./http://x", False),
        ("a:b", False),
    ],
)
def test_folders_and_buckets_are_told_apart(out: str, bucket: bool) -> None:
    assert is_bucket(out) is bucket


@pytest.mark.parametrize("address", ["http://x.example/y", "file:///y", "gcs://bucket/y"])
def test_an_address_of_anything_else_is_refused(address: str) -> None:
    with pytest.raises(ReleaseError, match=r"give a folder, or s3://, gs:// or az://"):
        is_bucket(address)
