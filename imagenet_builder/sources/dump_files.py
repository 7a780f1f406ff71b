"""The tables of iNaturalist's open-data dump, read a row at a time: gzipped, of this machine or in a bucket.

https://github.com/inaturalist/inaturalist-open-data/tree/documentation/Metadata: tab-separated, without quotes, the
names of the columns in the first line.
"""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from imagenet_builder.errors import SourceError

from .remote_files import is_bucket, open_object

TABLES = ("taxa", "observations", "photos", "observers")
SUFFIXES = (".csv.gz", ".csv")
READ_AHEAD = 4 * 1024 * 1024
# The dump's own bucket lets everybody read, without keys.
PUBLIC = "s3://inaturalist-open-data/"
REMEDY = "is [inaturalist] dump right?"


class Dump:
    """The dump in `place`: a folder, or an address in a bucket."""

    def __init__(self, place: str, folder: Path) -> None:
        self.place = place.rstrip("/")
        self._folder = folder / place
        self._public = f"{self.place}/".startswith(PUBLIC)

    def identity(self) -> str:
        """A text that changes when the dump does; raises SourceError where a table is missing."""
        return " ".join(self._state(table) for table in TABLES)

    def rows(self, table: str, columns: Sequence[str]) -> Iterator[tuple[bytes, ...]]:
        """The values of `columns` in each row of `table`, as written; raises SourceError with the line."""
        name = self._name(table)
        with self._opened(name) as file:
            try:
                header = file.readline().decode("utf-8-sig", "replace").rstrip("\r\n").split("\t")
                places = [_place(header, column, f"{self.place}/{name}") for column in columns]
                width = len(header)
                for number, line in enumerate(file, start=2):
                    values = line.rstrip(b"\r\n").split(b"\t")
                    if len(values) != width:
                        raise SourceError(
                            f"{self.place}/{name}, line {number}: {len(values)} columns; the header has {width}"
                        )
                    yield tuple([values[place] for place in places])
            except (EOFError, zlib.error, gzip.BadGzipFile) as error:
                raise SourceError(f"{self.place}/{name} is damaged: {error}; fetch it again") from error

    def _name(self, table: str) -> str:
        for suffix in SUFFIXES:
            if self._size(table + suffix) is not None:
                return table + suffix
        raise SourceError(f"there is no {table}{SUFFIXES[0]} in the dump {self.place}; {REMEDY}")

    def _state(self, table: str) -> str:
        name = self._name(table)
        return f"{name} {self._size(name)}"

    def _size(self, name: str) -> str | None:
        """Size and version of a file; None where it is not there."""
        if not is_bucket(self.place):
            path = self._folder / name
            return f"{path.stat().st_size}@{path.stat().st_mtime_ns}" if path.is_file() else None
        from obstore.exceptions import BaseError, NotFoundError

        try:
            with open_object(f"{self.place}/{name}", public=self._public) as found:
                return f"{found.size}@{found.version}"
        except (NotFoundError, FileNotFoundError):
            return None
        except BaseError as error:
            raise self._unreadable(name, error) from error

    @contextmanager
    def _opened(self, name: str) -> Iterator[BinaryIO]:
        from obstore.exceptions import BaseError

        try:
            raw: BinaryIO
            if is_bucket(self.place):
                remote = open_object(f"{self.place}/{name}", public=self._public)
                raw = io.BufferedReader(remote, READ_AHEAD)
            else:
                raw = (self._folder / name).open("rb", READ_AHEAD)
            with raw:
                yield gzip.GzipFile(fileobj=raw) if name.endswith(".gz") else raw  # type: ignore[misc]
        except (BaseError, OSError) as error:
            raise self._unreadable(name, error) from error

    def _unreadable(self, name: str, error: Exception) -> SourceError:
        cause = getattr(error, "strerror", None) or str(error).strip().splitlines()[0]
        return SourceError(f"cannot read {self.place}/{name}: {cause}; {REMEDY}")


def _place(header: Sequence[str], column: str, name: str) -> int:
    if column not in header:
        raise SourceError(
            f"{name}, line 1: no column {column!r} as the dump has; there are {', '.join(header)[:200]}"
        )
    return header.index(column)
