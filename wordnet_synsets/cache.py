"""The parsed nouns, kept in the user's cache folder, so that only the first command of all pays for parsing.

The file holds plain numbers and text behind a checksum: reading one can run nothing. It is written beside its place
and renamed, so that two writers never mix. Every fault of it means the same, parse again; a cache folder
that cannot be written means no cache.
"""

from __future__ import annotations

import mmap
import os
import zlib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from .columns import Columns, ColumnsUnreadable, pack, unpack
from .locate import WordNetFiles
from .wndb import parse


def cache_folder(environ: Mapping[str, str] = os.environ) -> Path | None:
    """`imagenet-builder` in XDG_CACHE_HOME (ignored unless absolute, as its specification says) or ~/.cache."""
    named = environ.get("XDG_CACHE_HOME", "")
    if os.path.isabs(named):  # noqa: PTH117 - the text, not yet a path
        return Path(named) / "imagenet-builder"
    try:
        return Path.home() / ".cache" / "imagenet-builder"
    except RuntimeError:  # a user without a home
        return None


def load_columns(files: WordNetFiles, folder: Path | None) -> Columns:
    """The columns of `files`, from the cache in `folder` if it holds them; None means without a cache.

    Raises WrongWordNet when the files are not WordNet 3.0.
    """
    if folder is None:
        return _parse(files)
    fingerprint = files.fingerprint()
    path = folder / f"nouns-{zlib.crc32(os.fsencode(files.path.resolve())):08x}.columns"
    columns = _read(path, fingerprint)
    if columns is None:
        columns = _parse(files)
        # An unwritable or full disk costs a second on every start; it must not cost the command.
        with suppress(OSError):
            _write(path, pack(columns, fingerprint))
    return columns


def _parse(files: WordNetFiles) -> Columns:
    return parse(files.read("data.noun"), files.read("index.noun"), str(files.path))


def _read(path: Path, fingerprint: str) -> Columns | None:
    try:
        with path.open("rb") as opened:
            if os.fstat(opened.fileno()).st_uid != os.geteuid():
                return None  # someone else's words in a shared folder
            mapped = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
        return unpack(memoryview(mapped), fingerprint)
    except (OSError, ValueError, ColumnsUnreadable):  # ValueError: an empty file cannot be mapped
        return None


def _write(path: Path, packed: bytes) -> None:
    import tempfile

    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".part")
    try:
        with os.fdopen(descriptor, "wb") as opened:
            opened.write(packed)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink()
        raise
