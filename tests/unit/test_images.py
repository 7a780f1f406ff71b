"""The folder image store: atomic files, damage found, and errors that say what to do."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from imagenet_builder.errors import ImageStoreError
from imagenet_builder.images import open_image_store


def path_of(folder: Path, sha256: str) -> Path:
    return folder / sha256[:2] / sha256


def test_a_folder_is_made_where_the_project_is(tmp_path: Path) -> None:
    images = open_image_store("deep/images", relative_to=tmp_path)
    sha256 = images.put(b"picture")
    assert path_of(tmp_path / "deep/images", sha256).read_bytes() == b"picture"


def test_an_absolute_folder_and_a_file_address_stay_where_they_are(tmp_path: Path) -> None:
    there = tmp_path / "with space"
    sha256 = open_image_store(str(there), relative_to=Path("elsewhere")).put(b"picture")
    assert open_image_store(there.as_uri(), relative_to=Path("elsewhere")).get(sha256) == b"picture"


def test_damaged_bytes_are_never_returned_and_storing_again_mends_them(tmp_path: Path) -> None:
    images = open_image_store("images", relative_to=tmp_path)
    sha256 = images.put(b"picture")
    path_of(tmp_path / "images", sha256).write_bytes(b"pixture")
    with pytest.raises(ImageStoreError, match=f"image {sha256} in .* is damaged: restore it"):
        images.get(sha256)
    images.put(b"picture")
    assert images.get(sha256) == b"picture"


def test_files_that_are_not_the_stores_are_passed_over(tmp_path: Path) -> None:
    images = open_image_store("images", relative_to=tmp_path)
    sha256 = images.put(b"picture")
    path = path_of(tmp_path / "images", sha256)
    # What a write that was killed leaves behind, a stray file, and a hash in the wrong place.
    (path.parent / f"{sha256}#1").write_bytes(b"pict")
    (tmp_path / "images/README").write_text("mine")
    (tmp_path / "images/00").mkdir(exist_ok=True)
    (tmp_path / "images/00" / sha256).write_bytes(b"picture")
    assert list(images) == [sha256]
    assert images.put(b"picture") == sha256


def test_what_a_killed_write_left_hinders_no_other(tmp_path: Path) -> None:
    images = open_image_store("images", relative_to=tmp_path)
    sha256 = images.put(b"picture")
    path = path_of(tmp_path / "images", sha256)
    path.unlink()
    for number in (1, 2):
        path.with_name(f"{sha256}#{number}").write_bytes(b"pict")
    images.put(b"picture")
    assert images.get(sha256) == b"picture"
    assert len(list(path.parent.iterdir())) == 3


@pytest.mark.parametrize("url", ["ftp://host/x", "http://host/x", "s3://", "nonsense://x"])
def test_an_address_that_cannot_be_used_is_named(tmp_path: Path, url: str) -> None:
    with pytest.raises(ImageStoreError, match="cannot use the image store") as caught:
        open_image_store(url, relative_to=tmp_path)
    assert url in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_in_place_of_the_folder_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "images").write_text("not a folder")
    with pytest.raises(ImageStoreError, match=r"cannot make the image folder .*images.* \[images\]"):
        open_image_store("images", relative_to=tmp_path)


def test_a_folder_that_vanishes_into_a_file_is_one_clear_line(tmp_path: Path) -> None:
    images = open_image_store("images", relative_to=tmp_path)
    (tmp_path / "images").rmdir()
    (tmp_path / "images").write_text("not a folder")
    with pytest.raises(ImageStoreError, match=r"cannot write images .*may write") as caught:
        images.put(b"picture")
    assert "\n" not in str(caught.value)


def test_a_picture_that_cannot_be_read_is_named_and_no_right_to_write_is_asked_for(tmp_path: Path) -> None:
    images = open_image_store("images", relative_to=tmp_path)
    sha256 = images.put(b"picture")
    path = tmp_path / "images" / sha256[:2] / sha256
    path.unlink()
    path.symlink_to(path.name)
    with pytest.raises(ImageStoreError, match=rf"cannot read images .*{sha256}.* may read it") as caught:
        images.get(sha256)
    assert "write" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_write_beyond_what_may_be_written_leaves_no_file_under_the_name(tmp_path: Path) -> None:
    code = (
        "import resource, signal, pathlib\n"
        "from imagenet_builder.images import open_image_store\n"
        "from imagenet_builder.errors import ImageStoreError\n"
        f"images = open_image_store('images', relative_to=pathlib.Path({str(tmp_path)!r}))\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try:\n    images.put(bytes(5000))\n"
        "except ImageStoreError as error:\n    print(error)\n"
        "print(list(images))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    error, listed = done.stdout.splitlines()
    assert error.startswith("cannot write images in")
    assert listed == "[]"


def test_importing_the_image_store_does_not_load_obstore() -> None:
    code = "import sys, imagenet_builder.images; print('obstore' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
