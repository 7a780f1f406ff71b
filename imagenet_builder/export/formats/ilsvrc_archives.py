"""The archives in which ILSVRC-2012 was distributed, in `archives/`: what reads the original tars reads these.

One tar a class inside the train tar, flat tars for val and test, and the devkit.
"""

from __future__ import annotations

import gzip
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import BinaryIO

from imagenet_builder.export.description import Release, ReleasePicture
from imagenet_builder.export.formats import Plain
from imagenet_builder.export.formats.ilsvrc import DEVKIT, devkit_files
from imagenet_builder.export.parts import Part
from imagenet_builder.export.tar import tar_end, tar_header, tar_member, write_tar_end
from imagenet_builder.export.tree import Tree
from imagenet_builder.records import Split

FOLDER = "archives"


class IlsvrcArchives(Plain):
    """The archives; see `ReleaseFormat`."""

    in_order = True

    def begin(self, release: Release, tree: Tree) -> None:
        """See `ReleaseFormat`."""
        with tree.open(f"{FOLDER}/{DEVKIT}.tar.gz") as file:
            _write_devkit(release, file)

    @contextmanager
    def part(self, release: Release, part: Part, tree: Tree) -> Iterator[_Archive]:
        """See `ReleaseFormat`."""
        with tree.open(archive_path(part.split)) as file:
            archive = _Archive(file)
            yield archive
            archive.end()


def archive_path(split: Split) -> str:
    """Where the archive of a split stands in the release."""
    return f"{FOLDER}/ILSVRC2012_img_{split}.tar"


class _Archive:
    """Writes one archive; the pictures of train come class by class."""

    offsets: Sequence[int] = ()

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._wnid = ""
        self._class_starts = 0

    def add(self, picture: ReleasePicture, content: bytes) -> None:
        if picture.split is Split.TRAIN and picture.wnid != self._wnid:
            self._end_class()
            self._wnid, self._class_starts = picture.wnid, self._file.tell()
            self._file.write(tar_header(f"{picture.wnid}.tar", 0))
        self._file.writelines(tar_member(picture.file_name, content))

    def end(self) -> None:
        """Finish the archive."""
        self._end_class()
        write_tar_end(self._file)

    def _end_class(self) -> None:
        if not self._wnid:
            return
        starts = self._class_starts + tarfile.BLOCKSIZE
        write_tar_end(self._file, starts)
        ends = self._file.tell()
        # Only now is the size of the class's archive known.
        self._file.seek(self._class_starts)
        self._file.write(tar_header(f"{self._wnid}.tar", ends - starts))
        self._file.seek(ends)
        self._wnid = ""


def _write_devkit(release: Release, file: BinaryIO) -> None:
    with gzip.GzipFile("", "wb", 9, file, mtime=0) as packed:
        written = sum(
            packed.write(b"".join(tar_member(path, content)))
            for path, content in devkit_files(release).items()
        )
        packed.write(tar_end(written))
