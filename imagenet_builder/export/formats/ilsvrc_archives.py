"""The archives in which ILSVRC-2012 was distributed, in `archives/`: what reads the original tars reads these.

One tar a class inside the train tar, flat tars for val and test, and the devkit.
"""

from __future__ import annotations

import gzip
import tarfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import BinaryIO

from imagenet_builder.export.description import Release, ReleasePicture
from imagenet_builder.export.formats import AddPicture
from imagenet_builder.export.formats.ilsvrc import DEVKIT, devkit_files
from imagenet_builder.export.tar import tar_end, tar_header, tar_member, write_tar_end
from imagenet_builder.export.tree import Tree
from imagenet_builder.records import Split

FOLDER = "archives"


@contextmanager
def write_ilsvrc_archives(release: Release, tree: Tree) -> Iterator[AddPicture]:
    """Write the archives; see `ReleaseFormat`."""
    with tree.open(f"{FOLDER}/{DEVKIT}.tar.gz") as file:
        _write_devkit(release, file)
    with ExitStack() as stack:
        archives = _Archives(tree, stack)
        yield archives.add
        archives.end()


def archive_path(split: Split) -> str:
    """Where the archive of a split stands in the release."""
    return f"{FOLDER}/ILSVRC2012_img_{split}.tar"


class _Archives:
    """The archive that is being written; pictures come split by split and class by class."""

    def __init__(self, tree: Tree, stack: ExitStack) -> None:
        self._tree = tree
        self._stack = stack
        self._file: BinaryIO | None = None
        self._split: Split | None = None
        self._wnid = ""
        self._class_starts = 0

    def add(self, picture: ReleasePicture, content: bytes) -> None:
        if picture.split is not self._split:
            self.end()
            self._split = picture.split
            self._file = self._stack.enter_context(self._tree.open(archive_path(picture.split)))
        assert self._file is not None
        if picture.split is Split.TRAIN and picture.wnid != self._wnid:
            self._end_class(self._file)
            self._wnid, self._class_starts = picture.wnid, self._file.tell()
            self._file.write(tar_header(f"{picture.wnid}.tar", 0))
        self._file.writelines(tar_member(picture.file_name, content))

    def end(self) -> None:
        """Finish the archive that is open, if one is."""
        if self._file is not None:
            self._end_class(self._file)
            write_tar_end(self._file)
            self._stack.close()
        self._file = None

    def _end_class(self, file: BinaryIO) -> None:
        if not self._wnid:
            return
        starts = self._class_starts + tarfile.BLOCKSIZE
        write_tar_end(file, starts)
        ends = file.tell()
        # Only now is the size of the class's archive known.
        file.seek(self._class_starts)
        file.write(tar_header(f"{self._wnid}.tar", ends - starts))
        file.seek(ends)
        self._wnid = ""


def _write_devkit(release: Release, file: BinaryIO) -> None:
    with gzip.GzipFile("", "wb", 9, file, mtime=0) as packed:
        written = sum(
            packed.write(b"".join(tar_member(path, content)))
            for path, content in devkit_files(release).items()
        )
        packed.write(tar_end(written))
