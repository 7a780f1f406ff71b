"""Descriptors of many pictures in a temporary file: those of a million would take half a gibibyte of memory."""

from __future__ import annotations

import os
import tempfile
import weakref
from collections.abc import Iterable, Iterator, Mapping

from .descriptors import BYTES
from .errors import ProjectError

WRITTEN_AT_ONCE = 1 << 20


class DescriptorFile(Mapping[str, bytes]):
    """Names of pictures and their descriptors, which are added one by one; the file goes when this does."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115  It is closed with this object.
        weakref.finalize(self, self._file.close)
        self._number = self._file.fileno()
        self._row_of: dict[str, int] = {}
        self._waiting = bytearray()

    def add(self, name: str, descriptor: bytes) -> None:
        """Keep a picture's descriptor; a name that is known keeps its first one. Raises ProjectError on a full disk."""
        if len(descriptor) != BYTES:
            raise ValueError(f"the descriptor of {name} has {len(descriptor)} bytes, not {BYTES}")
        if name in self._row_of:
            return
        self._waiting += descriptor
        self._row_of[name] = len(self._row_of)
        if len(self._waiting) >= WRITTEN_AT_ONCE:
            self._write()

    def __getitem__(self, name: str) -> bytes:
        row = self._row_of[name]
        if self._waiting:
            self._write()
        return os.pread(self._number, BYTES, row * BYTES)

    def stacked(self, names: Iterable[str]) -> bytes:
        """The descriptors of these pictures, end to end."""
        if self._waiting:
            self._write()
        read, number = os.pread, self._number
        return b"".join([read(number, BYTES, self._row_of[name] * BYTES) for name in names])

    def __iter__(self) -> Iterator[str]:
        return iter(self._row_of)

    def __len__(self) -> int:
        return len(self._row_of)

    def __contains__(self, name: object) -> bool:
        return name in self._row_of

    def _write(self) -> None:
        try:
            while self._waiting:
                del self._waiting[: os.write(self._number, self._waiting)]
        except OSError as error:
            raise ProjectError(
                f"cannot keep descriptors of pictures in {tempfile.gettempdir()}: {error.strerror}; make room there, "
                "or set TMPDIR to a folder with more"
            ) from error
