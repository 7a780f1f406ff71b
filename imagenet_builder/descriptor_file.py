"""Descriptors of many pictures in a temporary file: those of a million would take half a gibibyte of memory."""

from __future__ import annotations

import os
import tempfile
import weakref
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import numpy.typing as npt

from .descriptors import BYTES
from .errors import ProjectError

WRITTEN_AT_ONCE = 1 << 20
NO_ROW = -1


class DescriptorRows:
    """Descriptors by their rows, from 0 up, in a file that goes when this does."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115  It is closed with this object.
        weakref.finalize(self, self._file.close)
        self._number = self._file.fileno()
        self._waiting = bytearray()
        self._count = 0

    def add(self, descriptor: bytes) -> int:
        """Keep a descriptor and return its row. Raises ValueError for a wrong length, ProjectError on a full disk."""
        if len(descriptor) != BYTES:
            raise ValueError(f"a descriptor has {BYTES} bytes, not {len(descriptor)}")
        self._waiting += descriptor
        self._count += 1
        if len(self._waiting) >= WRITTEN_AT_ONCE:
            self._write()
        return self._count - 1

    def __getitem__(self, row: int) -> bytes:
        return self.stacked([row])

    def stacked(self, rows: Iterable[int]) -> bytes:
        """The descriptors of these rows, end to end."""
        if self._waiting:
            self._write()
        read, number = os.pread, self._number
        return b"".join([read(number, BYTES, row * BYTES) for row in rows])

    def _write(self) -> None:
        try:
            while self._waiting:
                del self._waiting[: os.write(self._number, self._waiting)]
        except OSError as error:
            raise ProjectError(
                f"cannot keep descriptors of pictures in {tempfile.gettempdir()}: {error.strerror}; make room there, "
                "or set TMPDIR to a folder with more"
            ) from error


class StoredDescriptors(Mapping[str, bytes]):
    """Names of pictures and their descriptors, which wait in `rows`."""

    def __init__(self, rows: DescriptorRows) -> None:
        self._rows = rows

    @abstractmethod
    def row(self, name: str) -> int:
        """The row of a picture's descriptor, NO_ROW where there is none."""

    def stacked(self, names: Iterable[str]) -> bytes:
        """The descriptors of these pictures, end to end; each has one."""
        return self._rows.stacked(map(self._row_there, names))

    def __getitem__(self, name: str) -> bytes:
        return self._rows[self._row_there(name)]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.row(name) != NO_ROW

    def _row_there(self, name: str) -> int:
        if (row := self.row(name)) == NO_ROW:
            raise KeyError(name)
        return row


class DescriptorFile(StoredDescriptors):
    """Those that are added one by one."""

    def __init__(self) -> None:
        super().__init__(DescriptorRows())
        self._row_of: dict[str, int] = {}

    def add(self, name: str, descriptor: bytes) -> None:
        """Keep a picture's descriptor; a name that is known keeps its first one. Raises as `DescriptorRows.add`."""
        if name not in self._row_of:
            self._row_of[name] = self._rows.add(descriptor)

    def row(self, name: str) -> int:
        """See `StoredDescriptors`."""
        return self._row_of.get(name, NO_ROW)

    def __iter__(self) -> Iterator[str]:
        return iter(self._row_of)

    def __len__(self) -> int:
        return len(self._row_of)


class DescriptorColumn(StoredDescriptors):
    """Those of names in a sorted column of bytes, which takes a tenth of a dictionary's memory.

    `row_of` has the row in `rows` of each name, NO_ROW where there is none.
    """

    def __init__(
        self, names: npt.NDArray[np.bytes_], row_of: npt.NDArray[np.int64], rows: DescriptorRows
    ) -> None:
        super().__init__(rows)
        self._names, self._row_of = names, row_of

    def row(self, name: str) -> int:
        """See `StoredDescriptors`."""
        encoded = name.encode()
        place = self._names.searchsorted(encoded)
        if place == len(self._names) or self._names[place] != encoded:
            return NO_ROW
        return int(self._row_of[place])

    def __iter__(self) -> Iterator[str]:
        return (name.decode() for name in self._names[self._row_of != NO_ROW].tolist())

    def __len__(self) -> int:
        return int((self._row_of != NO_ROW).sum())
